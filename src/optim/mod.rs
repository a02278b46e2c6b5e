//! What turns gradients into updates, over the whole arena at once: clipping, then Adam or SGD. How large each is:
//! [`Schedule`].

mod accumulate;
mod gradient_clip;
mod optimizer;
mod schedule;
mod settings;

pub use accumulate::Accumulate;
pub use optimizer::{Optimizer, OptimizerState};
pub use schedule::{Plateau, Schedule};
pub use settings::{OptimizerSettings, Rule};
