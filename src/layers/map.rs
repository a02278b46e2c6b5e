//! Feature maps: images (batch, time, mel, channel), parts of their channels, and slices of their batch.

use super::{BottleneckTiles, ConvolutionShape, ConvolutionVariant, ConvolutionVariants, Dropout, DropoutSeed, Parameters};
use crate::gpu::{Element, Gpu, GpuError, Precision, Tensor};
use std::cell::OnceCell;
use std::ops::Range;

/// How a batch is cut so that every map fits one binding of the adapter: kernels run over the slices in turn, and sums
/// over the batch run over all of them, with the same result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slices {
    capacity: usize,
    per: usize,
}

impl Slices {
    /// For batches of up to `capacity` samples whose largest map takes `sample_bytes` per sample.
    pub fn new(gpu: &Gpu, capacity: usize, sample_bytes: usize) -> Result<Self, GpuError> {
        match gpu.rows_per_binding(capacity, sample_bytes) {
            0 => {
                let limit = gpu.summary().max_binding_bytes;
                Err(GpuError::TooLarge { label: "one sample's feature map".into(), bytes: sample_bytes as u64, limit })
            }
            per => Ok(Self { capacity, per }),
        }
    }

    /// The same or smaller slices, so that each begins where the adapter can bind it in maps of these bytes per sample.
    pub fn aligned(self, gpu: &Gpu, sample_bytes: &[usize]) -> Result<Self, GpuError> {
        let alignment = gpu.alignment() as usize;
        let fits = |per: &usize| sample_bytes.iter().all(|bytes| (per * bytes).is_multiple_of(alignment));
        if self.count() == 1 {
            return Ok(self);
        }
        match (1..=self.per).rev().find(fits) {
            Some(per) => Ok(Self { per, ..self }),
            None => {
                let bytes = (self.capacity * sample_bytes.iter().max().unwrap_or(&0)) as u64;
                Err(GpuError::TooLarge { label: "a batch of feature maps".into(), bytes, limit: gpu.summary().max_binding_bytes })
            }
        }
    }

    /// No cutting: for tensors that fit, and for sequences, whose batch is not the outermost axis.
    pub fn one(capacity: usize) -> Self {
        Self { capacity, per: capacity }
    }

    /// At most `per` samples at a time, to try slicing where nothing demands it.
    pub fn at_most(self, per: usize) -> Self {
        Self { per: self.per.min(per), ..self }
    }

    /// Most samples of a batch.
    pub fn capacity(self) -> usize {
        self.capacity
    }

    /// Most samples of a slice.
    pub fn per(self) -> usize {
        self.per
    }

    /// Number of slices of a full batch.
    pub fn count(self) -> usize {
        self.capacity.div_ceil(self.per)
    }

    /// The samples of each slice of a full batch.
    pub fn ranges(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.count()).map(move |i| i * self.per..((i + 1) * self.per).min(self.capacity))
    }

    /// The slices that a batch of `batch` samples fills, with the number of samples in each.
    pub fn active(self, batch: usize) -> impl Iterator<Item = (usize, usize)> {
        debug_assert!(batch <= self.capacity, "{batch} samples where {} fit", self.capacity);
        (0..batch.div_ceil(self.per)).map(move |i| (i, self.per.min(batch - i * self.per)))
    }
}

/// Channels `first .. first + count` of a row-major tensor whose innermost axis has `stride` of them.
#[derive(Debug, Clone)]
pub struct Channels {
    /// The tensor; its outermost axis is what [`Slices`] cut.
    pub tensor: Tensor,
    /// Channels of a row.
    pub stride: usize,
    /// The first of these.
    pub first: usize,
    /// How many these are.
    pub count: usize,
}

impl Channels {
    /// All channels.
    pub fn whole(tensor: &Tensor) -> Self {
        let stride = tensor.shape().last().copied().unwrap_or(1);
        Self { tensor: tensor.clone(), stride, first: 0, count: stride }
    }

    /// Some of these channels.
    pub fn part(&self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.count, "channels {first} + {count} of {}", self.count);
        Self { first: self.first + first, count, ..self.clone() }
    }

    /// Whether they come, begin and lie in fours.
    pub fn in_fours(&self) -> bool {
        self.alignment().is_multiple_of(4)
    }

    /// In what they come, begin and lie: eights, fours or single channels.
    pub fn alignment(&self) -> usize {
        alignment(&[self.stride, self.first, self.count])
    }

    /// The samples of one slice.
    pub fn slice(&self, samples: &Range<usize>) -> Tensor {
        self.tensor.rows(samples.start, samples.len())
    }
}

/// What all of these numbers of channels are multiples of: 8, 4 or 1.
pub fn alignment(numbers: &[usize]) -> usize {
    [8, 4].into_iter().find(|&eights| numbers.iter().all(|number| number.is_multiple_of(eights))).unwrap_or(1)
}

/// A feature map with its gradient.
#[derive(Debug, Clone)]
pub struct Map {
    /// The values.
    pub value: Channels,
    /// Their gradients, laid out alike.
    pub grad: Channels,
}

impl Map {
    /// Allocates both, (batch, frames, mel, channels).
    pub fn image(gpu: &Gpu, label: &str, shape: [usize; 4]) -> Result<Self, GpuError> {
        Self::new(gpu, label, &shape)
    }

    /// The same, stored as `element`.
    pub fn image_of(gpu: &Gpu, label: &str, element: Element, shape: [usize; 4]) -> Result<Self, GpuError> {
        Self::stored(gpu, label, element, &shape)
    }

    /// Allocates both with any shape whose innermost axis is the channel.
    pub fn new(gpu: &Gpu, label: &str, shape: &[usize]) -> Result<Self, GpuError> {
        Self::stored(gpu, label, Element::F32, shape)
    }

    fn stored(gpu: &Gpu, label: &str, element: Element, shape: &[usize]) -> Result<Self, GpuError> {
        let value = gpu.tensor(label, element, shape)?;
        let grad = gpu.tensor(&format!("d {label}"), element, shape)?;
        Ok(Self { value: Channels::whole(&value), grad: Channels::whole(&grad) })
    }

    /// Some of the channels.
    pub fn part(&self, first: usize, count: usize) -> Self {
        Self { value: self.value.part(first, count), grad: self.grad.part(first, count) }
    }
}

/// What the layers of one image network share.
pub struct ImageContext {
    /// The device.
    pub gpu: Gpu,
    /// How the batch is cut.
    pub slices: Slices,
    /// Room for partial sums of reductions over the batch; each is used up before the next begins.
    pub scratch: Tensor,
    /// Elements of [`ImageContext::activation_grad`]: (batch, time, mel, most channels of one source).
    pub activations: usize,
    /// What maps and their gradients are stored as.
    pub maps: Element,
    activation_grad: OnceCell<Tensor>,
    /// Of units with this many inputs, or with any.
    forced: Vec<(Option<usize>, ConvolutionVariants)>,
    forced_bottlenecks: Option<Option<BottleneckTiles>>,
}

impl ImageContext {
    /// With nothing allocated but the scratch.
    pub fn new(gpu: &Gpu, slices: Slices, scratch: Tensor, activations: usize) -> Self {
        Self {
            gpu: gpu.clone(),
            slices,
            scratch,
            activations,
            maps: Element::F32,
            activation_grad: OnceCell::new(),
            forced: Vec::new(),
            forced_bottlenecks: None,
        }
    }

    /// What maps and their gradients are stored as where this is not said, whose channels come in fours, or do not: under mixed
    /// precision as halves, or rounded alike where the adapter gets kernels that read floats.
    pub fn maps_of(gpu: &Gpu, in_fours: bool) -> Element {
        match gpu.precision() {
            Precision::F32 => Element::F32,
            Precision::Mixed if in_fours && ConvolutionVariant::halves_on(gpu) => Element::F16,
            Precision::Mixed => Element::Rounded,
        }
    }

    /// With maps that are stored as `maps`.
    #[must_use]
    pub fn with_maps(mut self, maps: Element) -> Self {
        self.maps = maps;
        self
    }

    /// With kernels of these variants for every unit, to try them.
    #[must_use]
    pub fn with_variants(mut self, variants: ConvolutionVariants) -> Self {
        self.forced.push((None, variants));
        self
    }

    /// With kernels of these variants for units of so many inputs.
    #[must_use]
    pub(super) fn with_variants_of(mut self, variants: Vec<(usize, ConvolutionVariants)>) -> Self {
        self.forced.extend(variants.into_iter().map(|(inputs, variants)| (Some(inputs), variants)));
        self
    }

    /// With bottlenecks that run together in these tiles, or apart.
    #[must_use]
    pub fn with_bottlenecks(mut self, tiles: Option<BottleneckTiles>) -> Self {
        self.forced_bottlenecks = Some(tiles);
        self
    }

    /// The tiles with which bottlenecks run together, if they do: `choose`s where nothing is forced.
    pub(super) fn bottlenecks(&self, choose: impl FnOnce() -> Option<BottleneckTiles>) -> Option<BottleneckTiles> {
        self.forced_bottlenecks.unwrap_or_else(choose)
    }

    /// Room for the gradient at the activation of one unit's input; allocated if anyone asks.
    pub fn activation_grad(&self) -> Result<&Tensor, GpuError> {
        if self.activation_grad.get().is_none() {
            let tensor = self.gpu.tensor("activation gradient", self.maps, &[self.activations])?;
            return Ok(self.activation_grad.get_or_init(|| tensor));
        }
        Ok(self.activation_grad.get().expect("just seen"))
    }

    /// The kernels that a unit's convolution from `x` to `y` gets, whose weight has `first_input` inputs before `x`'s.
    pub fn variants(&self, shape: ConvolutionShape, x: &Channels, y: &Channels, first_input: usize) -> ConvolutionVariants {
        let alignment = alignment(&[x.alignment(), y.alignment(), first_input]);
        let rows = y.tensor.elements() / y.stride;
        let forced = self.forced.iter().find(|(inputs, _)| inputs.is_none_or(|inputs| inputs == shape.inputs));
        match forced {
            Some((_, variants)) => *variants,
            None => ConvolutionVariants::choose(&self.gpu, shape, true, true, rows, alignment, self.maps),
        }
    }
}

/// What all batch norms that read a map share.
#[derive(Debug, Clone)]
pub struct MapStatistics {
    /// Mean and inverse deviation per channel: (channels, 2).
    pub moments: Tensor,
    /// What the map's gradient is short of in the end, as [`Correction`](super::Correction) takes it: (channels, 2).
    pub corrections: Tensor,
}

impl MapStatistics {
    /// Allocates.
    pub fn new(gpu: &Gpu, label: &str, channels: usize) -> Result<Self, GpuError> {
        let pairs = |label: &str| gpu.tensor(label, Element::F32, &[channels, 2]);
        Ok(Self { moments: pairs(label)?, corrections: pairs(&format!("{label}: corrections"))? })
    }
}

/// What the layers of one recurrent network share.
#[derive(Clone, Copy)]
pub struct SequenceContext<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// The network's parameters.
    pub parameters: &'a Parameters,
    /// Room for partial sums of reductions; each is used up before the next begins.
    pub scratch: &'a Tensor,
    /// Most frames of a sequence.
    pub frames: usize,
    /// Most sequences of a batch.
    pub batch: usize,
    /// What is left out of every recurrence's output in training.
    pub dropout: DropoutSeed<'a>,
}

impl SequenceContext<'_> {
    /// `x` with dropout, if there is any: the layer, and the map that is read in place of `x`.
    pub fn dropped(&self, x: &Map) -> Result<(Option<Dropout>, Map), GpuError> {
        let DropoutSeed { p, seed, streams } = self.dropout;
        if p == 0.0 {
            return Ok((None, x.clone()));
        }
        let y = Map::new(self.gpu, "dropped", x.value.tensor.shape())?;
        let stream = streams.replace(streams.get() + 1);
        Ok((Some(Dropout::new(self.gpu, x, &y, seed, p, stream)?), y))
    }

    /// Allocates (frames, batch, channels) and its gradient.
    pub fn map(&self, label: &str, channels: usize) -> Result<Map, GpuError> {
        Map::new(self.gpu, label, &[self.frames, self.batch, channels])
    }
}
