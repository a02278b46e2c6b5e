//! Device time by timestamps at the ends of passes, where the adapter has them.

use super::{Gpu, GpuError};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Passes that can be under way before results are dropped.
const SLOTS: usize = 256;

/// Adds up the device time of passes. Never waits: a pass that finds no free slot is not timed, and the sum it belongs to is withheld.
pub struct Timer {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    slots: Vec<Slot>,
    next: AtomicUsize,
    current: Mutex<Option<usize>>,
    pending: Mutex<Vec<usize>>,
    total: Arc<Total>,
    missed: AtomicUsize,
    period: f64,
}

struct Slot {
    staging: wgpu::Buffer,
    busy: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Total {
    ticks: AtomicU64,
}

impl Timer {
    /// A timer, or `None` where the adapter has no timestamps.
    pub fn new(gpu: &Gpu) -> Result<Option<Self>, GpuError> {
        if !gpu.summary().timestamps {
            return Ok(None);
        }
        let period = f64::from(gpu.queue().get_timestamp_period());
        gpu.scoped("timer", 0, |device| {
            let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timer"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * SLOTS as u32,
            });
            let buffer = |usage, size| {
                device.create_buffer(&wgpu::BufferDescriptor { label: Some("timer"), size, usage, mapped_at_creation: false })
            };
            let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC, 256 * SLOTS as u64);
            let slots = (0..SLOTS)
                .map(|_| Slot {
                    staging: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST, 16),
                    busy: Arc::default(),
                })
                .collect();
            let (next, current, pending, total) = (AtomicUsize::new(0), Mutex::new(None), Mutex::new(Vec::new()), Arc::default());
            let missed = AtomicUsize::new(0);
            Some(Self { queries, resolved, slots, next, current, pending, total, missed, period })
        })
    }

    /// Seconds of device time since the last call, of the passes that have finished; `None` if one was not timed.
    pub fn take(&self) -> Option<f64> {
        let ticks = self.total.ticks.swap(0, Ordering::Relaxed);
        let missed = self.missed.swap(0, Ordering::Relaxed);
        (missed == 0).then_some(ticks as f64 * self.period * 1e-9)
    }

    pub(super) fn writes(&self) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let slot = self.next.fetch_add(1, Ordering::Relaxed) % SLOTS;
        if self.slots[slot].busy.swap(1, Ordering::Acquire) == 1 {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *lock(&self.current) = Some(slot);
        Some(wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(2 * slot as u32),
            end_of_pass_write_index: Some(2 * slot as u32 + 1),
        })
    }

    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        let Some(slot) = lock(&self.current).take() else { return };
        let (first, offset) = (2 * slot as u32, 256 * slot as u64);
        encoder.resolve_query_set(&self.queries, first..first + 2, &self.resolved, offset);
        encoder.copy_buffer_to_buffer(&self.resolved, offset, &self.slots[slot].staging, 0, 16);
        lock(&self.pending).push(slot);
    }

    pub(super) fn submitted(&self) {
        for slot in lock(&self.pending).drain(..) {
            let Slot { staging, busy } = &self.slots[slot];
            let (busy, total, buffer) = (busy.clone(), self.total.clone(), staging.clone());
            staging.map_async(wgpu::MapMode::Read, .., move |outcome| {
                if outcome.is_ok() {
                    if let Ok(view) = buffer.get_mapped_range(..) {
                        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
                        total.ticks.fetch_add(ticks[1].saturating_sub(ticks[0]), Ordering::Relaxed);
                    }
                    buffer.unmap();
                }
                busy.store(0, Ordering::Release);
            });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
