//! What all recurrent networks have in common: layers over sequences, one after another, then a readout and a classifier.

use crate::config::{self, ModelConfig};
use crate::gpu::Pass;
use crate::layers::{Layer, Mode, Readout, Size};

pub(super) fn readout(model: &ModelConfig) -> Readout {
    match model.readout {
        config::Readout::Last => Readout::Last,
        config::Readout::Mean => Readout::Mean,
    }
}

/// All layers of a recurrent network, the readout among them.
pub(super) struct Sequence {
    pub(super) layers: Vec<Box<dyn Layer>>,
}

impl Layer for Sequence {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        for layer in &self.layers {
            layer.forward(pass, size, mode);
        }
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        for layer in self.layers.iter().rev() {
            layer.backward(pass, size);
        }
    }
}
