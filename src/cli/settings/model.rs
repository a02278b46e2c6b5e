//! Flags and variables of the network.

use super::{pair, set};
use crate::config::{BatchNormPlace, ModelConfig, Nonlinearity, Readout, RecurrentInit, Stack};
use clap::Args;

/// Settings of the network.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Network")]
pub struct ModelArgs {
    /// Recurrent networks: units of each layer [default: 128]
    #[arg(long, env = "MELGRAD_HIDDEN", value_name = "N")]
    hidden: Option<usize>,
    /// Recurrent networks: layers [default: 5]
    #[arg(long, env = "MELGRAD_LAYERS", value_name = "N")]
    layers: Option<usize>,
    /// Recurrent networks: what the classifier sees [default: last]
    #[arg(long, env = "MELGRAD_READOUT")]
    readout: Option<Readout>,
    /// Recurrent networks: share of outputs left out in training, the same for all steps of a sequence [default: 0]
    #[arg(long, env = "MELGRAD_DROPOUT", value_name = "SHARE")]
    dropout: Option<f32>,
    /// rnn: the non-linearity [default: tanh]
    #[arg(long, env = "MELGRAD_NONLINEARITY")]
    nonlinearity: Option<Nonlinearity>,
    /// indrnn: recurrent weights stay within gamma^(1/frames) [default: 2]
    #[arg(long, env = "MELGRAD_GAMMA")]
    gamma: Option<f32>,
    /// indrnn: where batch norm stands: after the recurrence, before it, on each layer's input, or nowhere [default: after]
    #[arg(long, env = "MELGRAD_BATCH_NORM", value_name = "PLACE", hide_possible_values = true)]
    batch_norm: Option<BatchNormPlace>,
    /// indrnn: how layers are stacked: plain, residual or dense [default: plain]
    #[arg(long, env = "MELGRAD_STACK", hide_possible_values = true)]
    stack: Option<Stack>,
    /// indrnn: how recurrent weights begin: paper (the last layer remembers long), uniform, or long [default: paper]
    #[arg(long, env = "MELGRAD_RECURRENT_INIT", value_name = "INIT", hide_possible_values = true)]
    recurrent_init: Option<RecurrentInit>,
    /// indrnn, dense: features that each layer adds [default: 32]
    #[arg(long, env = "MELGRAD_GROWTH", value_name = "N")]
    growth: Option<usize>,
    /// indrnn, dense: layers of each block [default: 8,6,4]
    #[arg(long, env = "MELGRAD_DENSE_BLOCKS", value_name = "N,N,..", value_delimiter = ',')]
    dense_blocks: Option<Vec<usize>>,
    /// bbnn: filters of every convolution [default: 32]
    #[arg(long, env = "MELGRAD_WIDTH", value_name = "N")]
    width: Option<usize>,
    /// bbnn: inception blocks [default: 3]
    #[arg(long, env = "MELGRAD_BLOCKS", value_name = "N")]
    blocks: Option<usize>,
    /// bbnn: the two kernels of a block, odd [default: 3,5]
    #[arg(long, env = "MELGRAD_KERNEL_SIZES", value_name = "A,B", value_parser = pair)]
    kernel_sizes: Option<[usize; 2]>,
    /// bbnn: frames,bands that the max pooling after the stem joins [default: 4,1]
    #[arg(long, env = "MELGRAD_POOL", value_name = "T,M", value_parser = pair)]
    pool: Option<[usize; 2]>,
    /// bbnn: frames,bands that the average pooling of the transition joins [default: 2,2]
    #[arg(long, env = "MELGRAD_TRANSITION_POOL", value_name = "T,M", value_parser = pair)]
    transition_pool: Option<[usize; 2]>,
    /// Standardise each mel band [default: true but for bbnn]
    #[arg(long, env = "MELGRAD_STANDARDISE", value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    standardise: Option<bool>,
}

impl ModelArgs {
    pub(super) fn apply(&self, model: &mut ModelConfig) {
        set(&mut model.hidden, &self.hidden);
        set(&mut model.layers, &self.layers);
        set(&mut model.readout, &self.readout);
        set(&mut model.dropout, &self.dropout);
        set(&mut model.nonlinearity, &self.nonlinearity);
        set(&mut model.gamma, &self.gamma);
        set(&mut model.batch_norm, &self.batch_norm);
        set(&mut model.stack, &self.stack);
        set(&mut model.recurrent_init, &self.recurrent_init);
        set(&mut model.growth, &self.growth);
        set(&mut model.dense_blocks, &self.dense_blocks);
        set(&mut model.width, &self.width);
        set(&mut model.blocks, &self.blocks);
        set(&mut model.kernels, &self.kernel_sizes);
        set(&mut model.pool, &self.pool);
        set(&mut model.transition_pool, &self.transition_pool);
        model.standardise = self.standardise.or(model.standardise);
    }
}
