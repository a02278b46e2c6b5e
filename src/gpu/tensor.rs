//! A shaped range of a buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 32-bit unsigned integer.
    U32,
    /// 32-bit float that is a number of f16: kernels round what they store there.
    Rounded,
    /// 16-bit float, two to a word, of which kernels read and write whole ones.
    F16,
}

impl Element {
    /// Bytes per element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 | Self::Rounded => 4,
            Self::F16 => 2,
        }
    }
}

/// Bytes that count as allocated for as long as any tensor shares them.
#[derive(Debug)]
pub(super) struct Held {
    bytes: u64,
    allocated: Arc<AtomicU64>,
}

impl Held {
    pub(super) fn new(bytes: u64, allocated: &Arc<AtomicU64>) -> Self {
        allocated.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, allocated: allocated.clone() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.allocated.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A row-major tensor: buffer, offset, shape, element type. Cloning shares the memory.
#[derive(Debug, Clone)]
pub struct Tensor {
    label: String,
    buffer: wgpu::Buffer,
    offset: u64,
    element: Element,
    shape: Vec<usize>,
    held: Arc<Held>,
}

impl Tensor {
    pub(super) fn whole(label: &str, buffer: wgpu::Buffer, element: Element, shape: &[usize], held: Held) -> Self {
        Self { label: label.into(), buffer, offset: 0, element, shape: shape.to_vec(), held: Arc::new(held) }
    }

    /// The name that errors and debuggers show.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Extents, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The type of the elements.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Bytes from the first to the last element.
    pub fn bytes(&self) -> u64 {
        (self.elements() * self.element.bytes()) as u64
    }

    /// Bytes from the buffer's start.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Elements `start ..` of the flat tensor under a new shape; `start` must keep the adapter's offset alignment where
    /// the result is bound.
    pub fn view(&self, start: usize, shape: &[usize]) -> Self {
        let elements: usize = shape.iter().product();
        assert!(start + elements <= self.elements(), "{}: {start} + {elements} is past {}", self.label, self.elements());
        Self { offset: self.offset + (start * self.element.bytes()) as u64, shape: shape.to_vec(), ..self.clone() }
    }

    /// Rows `start .. start + count` of the outermost axis.
    pub fn rows(&self, start: usize, count: usize) -> Self {
        let row: usize = self.shape[1..].iter().product();
        let mut shape = self.shape.clone();
        shape[0] = count;
        self.view(start * row, &shape)
    }

    pub(super) fn held(&self) -> &Arc<Held> {
        &self.held
    }

    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    pub(super) fn binding(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: self.offset,
            size: std::num::NonZeroU64::new(self.bytes()),
        })
    }
}
