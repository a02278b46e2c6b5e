//! Tensors for a comparison: poisoned with NaN, so that an element left out, or one read that should not be, shows.

use crate::gpu::{Element, Gpu, GpuError, Pass, Tensor};
use crate::layers::{Channels, Map, Size, Slices};
use crate::reference::half;

/// A device and what checks do with it.
pub(super) struct Bench<'g> {
    pub(super) gpu: &'g Gpu,
}

impl<'g> Bench<'g> {
    pub(super) fn new(gpu: &'g Gpu) -> Self {
        Self { gpu }
    }

    /// A tensor full of NaN.
    pub(super) fn poisoned(&self, label: &str, shape: &[usize]) -> Result<Tensor, GpuError> {
        self.poisoned_as(Element::F32, label, shape)
    }

    /// The same of other elements.
    pub(super) fn poisoned_as(&self, element: Element, label: &str, shape: &[usize]) -> Result<Tensor, GpuError> {
        let tensor = self.gpu.tensor(label, element, shape)?;
        self.poison(&tensor);
        Ok(tensor)
    }

    /// Fills `tensor` with NaN.
    pub(super) fn poison(&self, tensor: &Tensor) {
        self.gpu.write_numbers(tensor, &vec![f32::NAN; tensor.elements()]);
    }

    /// Writes `values` into the first elements of `tensor`.
    pub(super) fn put(&self, tensor: &Tensor, values: &[f64]) {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        self.gpu.write_numbers(tensor, &values);
    }

    /// A tensor with these numbers.
    pub(super) fn given(&self, label: &str, shape: &[usize], values: &[f64]) -> Result<Tensor, GpuError> {
        let tensor = self.poisoned(label, shape)?;
        self.put(&tensor, values);
        Ok(tensor)
    }

    /// A tensor laid out by `layout`.
    pub(super) fn channels(&self, label: &str, layout: Layout, values: &[f64]) -> Result<Channels, GpuError> {
        self.channels_as(Element::F32, label, layout, values)
    }

    fn channels_as(&self, element: Element, label: &str, layout: Layout, values: &[f64]) -> Result<Channels, GpuError> {
        let tensor = self.poisoned_as(element, label, &layout.shape())?;
        self.put(&tensor, values);
        Ok(Channels::whole(&tensor).part(layout.first, layout.count))
    }

    /// A map whose value and gradient begin as given: [`Layout::nothing`] for those that a kernel fills.
    pub(super) fn map(&self, label: &str, layout: Layout, value: &[f64], grad: &[f64]) -> Result<Map, GpuError> {
        self.map_as(Element::F32, label, layout, value, grad)
    }

    /// The same, stored as `element`.
    pub(super) fn map_as(
        &self,
        element: Element,
        label: &str,
        layout: Layout,
        value: &[f64],
        grad: &[f64],
    ) -> Result<Map, GpuError> {
        let grad = self.channels_as(element, &format!("d {label}"), layout, grad)?;
        Ok(Map { value: self.channels_as(element, label, layout, value)?, grad })
    }

    /// Reads a tensor back.
    pub(super) fn get(&self, tensor: &Tensor) -> Result<Vec<f32>, GpuError> {
        self.gpu.read_numbers(tensor)
    }

    /// Records, submits.
    pub(super) fn run(&self, record: impl FnOnce(&mut Pass<'_>)) -> Result<(), GpuError> {
        let mut pass = Pass::new(self.gpu);
        record(&mut pass);
        pass.submit().map(drop)
    }
}

/// Numbers as maps of these elements hold them.
pub(super) fn stored(element: Element, values: &[f64]) -> Vec<f64> {
    if element == Element::F32 { values.to_vec() } else { values.iter().map(|&value| half::round(value)).collect() }
}

/// The numbers that single-precision kernels read, as the reference should have them.
pub(super) fn single(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Where an image or a sequence lies in a tensor that was built for more: more samples, frames and channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Samples and frames that the tensor is built for.
    pub(super) capacity: Size,
    /// Rows per frame.
    pub(super) mel: usize,
    /// Channels of a row, of which `first .. first + count` are these.
    pub(super) stride: usize,
    pub(super) first: usize,
    pub(super) count: usize,
    /// Samples that a slice of the batch holds.
    pub(super) slices: Slices,
}

impl Layout {
    /// Rows of `channels` one after the other: sequences, and images in one slice.
    pub(super) fn rows(rows: usize, channels: usize) -> Self {
        let capacity = Size { batch: rows, frames: 1 };
        Self { capacity, mel: 1, stride: channels, first: 0, count: channels, slices: Slices::one(rows) }
    }

    /// All channels of images.
    pub(super) fn images(capacity: Size, mel: usize, channels: usize, slices: Slices) -> Self {
        Self { capacity, mel, stride: channels, first: 0, count: channels, slices }
    }

    /// These channels in the middle of `before + count + after`.
    pub(super) fn among(self, before: usize, after: usize) -> Self {
        Self { stride: self.count + before + after, first: before, ..self }
    }

    /// (batch, time, mel, channel)
    pub(super) fn shape(self) -> [usize; 4] {
        [self.capacity.batch, self.capacity.frames, self.mel, self.stride]
    }

    /// Elements of the whole tensor.
    pub(super) fn elements(self) -> usize {
        self.shape().iter().product()
    }

    /// NaN everywhere.
    pub(super) fn nothing(self) -> Vec<f64> {
        vec![f64::NAN; self.elements()]
    }

    /// `values`, images of `size` in rows of `count` channels, where the kernels have them: samples of a slice one
    /// after the other from the place where the slice begins in a full batch. NaN everywhere else.
    pub(super) fn spread(self, size: Size, values: &[f64]) -> Vec<f64> {
        let sample_rows = size.frames * self.mel;
        assert_eq!(values.len(), size.batch * sample_rows * self.count, "{self:?} {size:?}");
        let mut tensor = self.nothing();
        let mut values = values.chunks_exact(self.count);
        for ((_, samples), range) in self.slices.active(size.batch).zip(self.slices.ranges()) {
            let first_row = range.start * self.capacity.frames * self.mel;
            for row in first_row..first_row + samples * sample_rows {
                let place = row * self.stride + self.first;
                if let Some(values) = values.next() {
                    tensor[place..place + self.count].copy_from_slice(values);
                }
            }
        }
        tensor
    }
}
