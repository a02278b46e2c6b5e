//! Every layer in plain `f64` Rust, forward beside backward: what the kernels are compared with, in the tests and in
//! `melgrad doctor`.
//!
//! Each file reads like its equations and has the name of its layer and shader. Nothing here is fast, shares state or
//! knows a GPU. Conventions:
//!
//! - images are `(batch, time, mel, channel)`, sequences `(time, batch, feature)`, row-major;
//! - convolution weights are `(kernel_time, kernel_mel, in, out)`, linear weights `(in, out)`: the layouts in memory,
//!   not those of files;
//! - a function takes a small `Copy` size and slices, and returns fresh vectors; `d` before a name is its gradient;
//! - a slice whose length is not that of its shape is a mistake of the caller, and panics.

pub mod adam;
pub mod add;
pub mod average_pool;
pub mod batch_norm;
pub mod convolution;
pub mod dropout;
pub mod finite_difference;
pub mod gather;
pub mod global_average_pool;
pub mod gradient_clip;
pub mod gru;
pub mod half;
pub mod indrnn;
pub mod indrnn_scan;
pub mod linear;
pub mod lstm;
pub mod max_pool;
pub mod noise;
pub mod recurrence;
pub mod relu;
pub mod rnn;
pub mod sgd;
pub mod softmax_cross_entropy;
pub mod window;
