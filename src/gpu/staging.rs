//! Data that does not lie on the device: a fixed ring of buffers that a thread fills ahead while the device works.

use super::{Gpu, GpuError, Pass, Tensor};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Buffers of the ring: two steps are under way while the third is filled.
const BUFFERS: usize = 3;
/// How long the host waits for the thread before it asks the device whether buffers are free.
const PATIENCE: Duration = Duration::from_millis(5);

/// Buffers that are mapped at the host's whenever no step reads them.
pub struct Staging {
    gpu: Gpu,
    ring: Arc<Ring>,
}

#[derive(Default)]
struct Ring {
    /// Mapped, and nobody's.
    spare: Mutex<Vec<wgpu::Buffer>>,
    freed: Condvar,
}

impl Ring {
    fn free(&self, buffer: wgpu::Buffer) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        self.freed.notify_all();
    }

    /// Waits for a buffer; none once `stop` says so.
    fn take(&self, stop: &AtomicBool) -> Option<wgpu::Buffer> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if stop.load(Ordering::Acquire) {
                return None;
            }
            match spare.pop() {
                Some(buffer) => return Some(buffer),
                None => spare = self.freed.wait(spare).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Staging {
    /// A ring for tensors of up to `elements` floats.
    pub fn new(gpu: &Gpu, elements: usize) -> Result<Self, GpuError> {
        let (ring, size) = (Ring::default(), 4 * elements as u64);
        for _ in 0..BUFFERS {
            let buffer = gpu.scoped("staging", size, |device| {
                let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
                device.create_buffer(&wgpu::BufferDescriptor { label: Some("staging"), size, usage, mapped_at_creation: true })
            })?;
            ring.free(buffer);
        }
        Ok(Self { gpu: gpu.clone(), ring: Arc::new(ring) })
    }

    /// Starts a thread that makes `count` arrays of floats with `fill`, one after the other and never more than the ring holds.
    pub fn stream(&self, count: usize, fill: impl FnMut(usize, &mut Vec<f32>) + Send + 'static) -> Stream {
        let (filled, arriving) = channel();
        let (ring, stop) = (self.ring.clone(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (ring, stop) = (ring.clone(), stop.clone());
            move || produce(&ring, &stop, count, fill, &filled)
        });
        Stream { gpu: self.gpu.clone(), ring, stop, arriving: Some(arriving), thread: Some(thread), recorded: Vec::new() }
    }
}

type Filled = (wgpu::Buffer, u64);

fn produce(ring: &Ring, stop: &AtomicBool, count: usize, mut fill: impl FnMut(usize, &mut Vec<f32>), filled: &Sender<Filled>) {
    // Filled here and copied: what is mapped may be slow to read, and filling reads what it wrote.
    let mut values = Vec::new();
    for i in 0..count {
        let Some(buffer) = ring.take(stop) else { return };
        values.clear();
        fill(i, &mut values);
        let bytes: &[u8] = bytemuck::cast_slice(&values);
        match buffer.get_mapped_range_mut(..bytes.len() as u64) {
            Ok(mut view) => view.copy_from_slice(bytes),
            Err(error) => return tracing::error!(%error, "a staging buffer cannot be written"),
        }
        if let Err(refused) = filled.send((buffer, bytes.len() as u64)) {
            return ring.free(refused.0.0);
        }
    }
}

/// Arrays on their way to the device, in order.
pub struct Stream {
    gpu: Gpu,
    ring: Arc<Ring>,
    stop: Arc<AtomicBool>,
    /// Absent once the stream ends.
    arriving: Option<Receiver<Filled>>,
    thread: Option<JoinHandle<()>>,
    recorded: Vec<wgpu::Buffer>,
}

impl Stream {
    /// Waits for the next array and records its copy into the first elements of `to`.
    pub fn next(&mut self, pass: &mut Pass<'_>, to: &Tensor) -> Result<(), GpuError> {
        let (buffer, bytes) = self.wait()?;
        buffer.unmap();
        pass.copy_from_buffer(&buffer, to, bytes);
        self.recorded.push(buffer);
        Ok(())
    }

    fn wait(&self) -> Result<Filled, GpuError> {
        let gone = || GpuError::Validation { label: "staging".into(), message: "nobody fills the buffers any more".into() };
        let arriving = self.arriving.as_ref().ok_or_else(gone)?;
        loop {
            match arriving.recv_timeout(PATIENCE) {
                Ok(filled) => return Ok(filled),
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.gpu.device().poll(wgpu::PollType::Poll);
                    self.gpu.health()?;
                }
            }
        }
    }

    /// Asks for the buffers back as soon as the device has read them; to be called after the pass is submitted.
    pub fn submitted(&mut self) {
        for buffer in self.recorded.drain(..) {
            let (ring, mapped) = (self.ring.clone(), buffer.clone());
            buffer.map_async(wgpu::MapMode::Write, .., move |outcome| {
                if outcome.is_ok() {
                    ring.free(mapped);
                }
            });
        }
    }
}

impl Drop for Stream {
    /// Ends the thread; what it filled and nobody took is free again.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // The lock, so that the thread is either waiting or sees the flag.
        drop(self.ring.spare.lock().unwrap_or_else(PoisonError::into_inner));
        self.ring.freed.notify_all();
        if let Some(arriving) = self.arriving.take() {
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
            arriving.try_iter().for_each(|(buffer, _)| self.ring.free(buffer));
        }
    }
}
