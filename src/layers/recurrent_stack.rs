//! The levels of an RNN, GRU or LSTM, one after the other or as a wavefront, with dropout after each where there is any.

use super::{
    Channels, Layer, Map, Mode, RecurrenceVariant, RecurrentLayer, RecurrentShape, SequenceContext, Size, Wavefront,
    WavefrontPlan, wavefront_contest,
};
use crate::gpu::{GpuError, Pass};

/// In which order levels go through time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackOrder {
    /// One after the other, by these variants of the recurrence forward and backward.
    Levels([RecurrenceVariant; 2]),
    /// Several at once.
    Wavefront(WavefrontPlan),
}

/// As `one level after the other` or [`WavefrontPlan`]'s words.
impl std::fmt::Display for StackOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Levels(_) => f.write_str("one level after the other"),
            Self::Wavefront(plan) => plan.fmt(f),
        }
    }
}

/// (time, batch, inputs) to (time, batch, hidden).
pub struct RecurrentStack {
    /// All levels, if they are one.
    wavefront: Option<Wavefront>,
    /// What else there is.
    layers: Vec<Box<dyn Layer>>,
    top: Map,
}

impl RecurrentStack {
    /// Prepares the kernels of `levels` levels, of which `shape` is the first, from `x`, which gets no gradient. Their order is
    /// the one that the adapter gets.
    pub fn new(context: &SequenceContext<'_>, shape: RecurrentShape, levels: usize, x: &Channels) -> Result<Self, GpuError> {
        Self::with_order(context, wavefront_contest::choose(context, shape, levels), shape, levels, x)
    }

    /// As [`RecurrentStack::new`], in that order.
    pub fn with_order(
        context: &SequenceContext<'_>,
        order: StackOrder,
        shape: RecurrentShape,
        levels: usize,
        x: &Channels,
    ) -> Result<Self, GpuError> {
        assert!(levels > 0, "at least one level");
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        let drop_out = |y: Map, layers: &mut Vec<Box<dyn Layer>>| {
            let (dropout, y) = context.dropped(&y)?;
            layers.extend(dropout.map(|dropout| Box::new(dropout) as Box<dyn Layer>));
            Ok::<_, GpuError>(y)
        };
        let variants = match order {
            StackOrder::Levels(variants) => variants,
            StackOrder::Wavefront(plan) => {
                let wavefront = Wavefront::new(context, plan, shape, levels, x)?;
                let top = wavefront.top().clone();
                return Ok(Self { top: drop_out(top, &mut layers)?, wavefront: Some(wavefront), layers });
            }
        };
        let SequenceContext { gpu, parameters, scratch, .. } = *context;
        let (mut value, mut below): (Channels, Option<Map>) = (x.clone(), None);
        for level in 0..levels {
            let y = context.map("level", shape.hidden)?;
            let shape = RecurrentShape { inputs: value.count, ..shape };
            let dx = below.as_ref().map(|map| &map.grad);
            let layer = RecurrentLayer::with_variants(gpu, variants, parameters, shape, level, &value, dx, &y, scratch)?;
            layers.push(Box::new(layer));
            let y = drop_out(y, &mut layers)?;
            value = y.value.clone();
            below = Some(y);
        }
        Ok(Self { wavefront: None, layers, top: below.expect("at least one level") })
    }

    /// Another plan with the same kernels, for what is a wavefront.
    pub(super) fn replan(&mut self, plan: WavefrontPlan) {
        self.wavefront.iter_mut().for_each(|wavefront| wavefront.replan(plan));
    }

    /// What the top level leaves, and where backward finds its gradient.
    pub fn top(&self) -> &Map {
        &self.top
    }
}

impl Layer for RecurrentStack {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        self.wavefront.iter().for_each(|wavefront| wavefront.forward(pass, size, mode));
        self.layers.iter().for_each(|layer| layer.forward(pass, size, mode));
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.layers.iter().rev().for_each(|layer| layer.backward(pass, size));
        self.wavefront.iter().for_each(|wavefront| wavefront.backward(pass, size));
    }
}
