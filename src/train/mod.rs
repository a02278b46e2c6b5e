//! Training and evaluation.

pub mod checkpoint;
pub mod event;
pub mod metrics;
pub mod named_tensor;
pub mod permute;
pub mod predictions;
