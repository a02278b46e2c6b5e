//! What things cost on the adapter at hand, and nothing that could make them look cheaper than they are.
//!
//! [`measure`] times a training step, [`measure_epochs`] an epoch by the loop of training itself, [`measure_kernels`] each
//! kernel by itself beside the [`Ceilings`] of the adapter, measured in the same run; [`compare`] puts two saved outputs
//! beside each other.

mod ceilings;
mod compare;
mod epoch;
mod kernels;
mod saved;
mod step;
mod workload;

pub use ceilings::{Ceilings, Floors};
pub use compare::{Comparison, ComparisonRow, Side, compare};
pub use epoch::{EpochMeasurement, EpochOptions, measure_epochs};
pub use kernels::{FAMILIES, KernelRow, measure_kernels};
pub use saved::{Figure, Saved, SavedError, Unit};
pub use step::{Bench, Measurement, measure};
pub use workload::{Workload, WorkloadError};
