//! Every kernel beside the `f64` reference of the same name, on the adapter at hand: what `melgrad doctor` runs, and
//! what the tests run over a large table of odd shapes.
//!
//! A check builds one small layer, poisons with NaN whatever its kernels should fill (and whatever they should not
//! touch: the room of a larger batch, more frames, neighbouring channels), runs forward and every backward from random
//! numbers and a gradient that is different at every place, and compares. Tolerances are shares of the largest magnitude of the
//! compared tensor; kernels that only move numbers must be exact.

pub mod accumulate;
pub mod batch_norm;
mod bench;
pub mod bottleneck;
mod comparison;
pub mod convolution;
pub mod dropout;
pub mod elementwise;
pub mod gather;
pub mod global_average_pool;
pub mod indrnn;
pub mod indrnn_folded;
pub mod linear;
pub mod optimizer;
pub mod pool;
mod quick;
pub mod recurrent;
pub mod recurrent_stack;
pub mod softmax_cross_entropy;
pub mod stem;
pub mod unit;

pub use comparison::Comparison;
pub use quick::{Outcome, run};

use crate::gpu::Element;
use crate::layers::Size;

/// What is stored unlike floats.
fn describe_maps(f: &mut std::fmt::Formatter<'_>, maps: Element, lift: f64) -> std::fmt::Result {
    match maps {
        Element::F16 => f.write_str(", halves")?,
        Element::Rounded => f.write_str(", rounded")?,
        Element::F32 | Element::U32 => {}
    }
    if lift == 0.0 { Ok(()) } else { write!(f, " about {lift}") }
}

/// The end of a case's words: what its layer is built for beyond this batch, and how the batch is cut.
fn describe_capacity(f: &mut std::fmt::Formatter<'_>, size: Size, capacity: Size, per_slice: usize) -> std::fmt::Result {
    if capacity != size {
        write!(f, " of {} x {}", capacity.batch, capacity.frames)?;
    }
    if per_slice < capacity.batch {
        write!(f, ", {per_slice} a slice")?;
    }
    Ok(())
}
