//! What turns gradients into updates, over the whole arena at once: clipping, then Adam or SGD.

mod gradient_clip;
mod optimizer;
mod settings;

pub use optimizer::{Optimizer, OptimizerState};
pub use settings::{OptimizerSettings, Rule};
