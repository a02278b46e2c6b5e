//! Small results that come back without anyone waiting for them.

use super::device::CALLBACK_LIMIT;
use super::{Gpu, GpuError, Pass, Tensor};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A result with the number that it was fetched under.
pub type Arrived = (u64, Vec<f32>);

/// A ring of mapped buffers: [`Readback::fetch`] records a copy, [`Readback::ready`] hands out what has arrived.
pub struct Readback {
    bytes: u64,
    free: Arc<Mutex<Vec<wgpu::Buffer>>>,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    recorded: Vec<(u64, wgpu::Buffer)>,
    in_flight: Arc<AtomicUsize>,
}

impl Readback {
    /// For tensors of `elements` floats.
    pub fn new(elements: usize) -> Self {
        Self {
            bytes: 4 * elements as u64,
            free: Arc::default(),
            arrived: Arc::default(),
            recorded: Vec::new(),
            in_flight: Arc::default(),
        }
    }

    /// Records a copy of `tensor` as it is at this point of the pass, under the number `tag`.
    pub fn fetch(&mut self, gpu: &Gpu, pass: &mut Pass<'_>, tensor: &Tensor, tag: u64) -> Result<(), GpuError> {
        let spare = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = match spare {
            Some(buffer) => buffer,
            None => gpu.scoped("readback", self.bytes, |device| {
                let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
                device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("readback"),
                    size: self.bytes,
                    usage,
                    mapped_at_creation: false,
                })
            })?,
        };
        pass.copy_to_buffer(tensor, &buffer, 0, self.bytes);
        self.recorded.push((tag, buffer));
        Ok(())
    }

    /// Asks for the results of everything fetched; to be called after the pass is submitted.
    pub fn submitted(&mut self) {
        for (tag, buffer) in self.recorded.drain(..) {
            let (free, arrived, in_flight, mapped) =
                (self.free.clone(), self.arrived.clone(), self.in_flight.clone(), buffer.clone());
            in_flight.fetch_add(1, Ordering::AcqRel);
            buffer.map_async(wgpu::MapMode::Read, .., move |outcome| {
                if outcome.is_ok() {
                    if let Ok(view) = mapped.get_mapped_range(..) {
                        let values = bytemuck::pod_collect_to_vec(&view);
                        arrived.lock().unwrap_or_else(PoisonError::into_inner).push((tag, values));
                    }
                    mapped.unmap();
                    free.lock().unwrap_or_else(PoisonError::into_inner).push(mapped);
                }
                in_flight.fetch_sub(1, Ordering::AcqRel);
            });
        }
    }

    /// What has arrived since the last call, without waiting.
    pub fn ready(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.arrived.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the rest and hands it out, by tag.
    pub fn finish(&self, gpu: &Gpu) -> Result<Vec<Arrived>, GpuError> {
        gpu.wait()?;
        // A thread that shares the device may have taken callbacks over: they are then about to be called.
        let waited = Instant::now();
        while self.in_flight.load(Ordering::Acquire) > 0 {
            if waited.elapsed() > CALLBACK_LIMIT {
                return Err(GpuError::DeviceLost { message: "a result never arrived".into() });
            }
            std::thread::yield_now();
        }
        let mut results = self.ready();
        results.sort_by_key(|(tag, _)| *tag);
        Ok(results)
    }
}
