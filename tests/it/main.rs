//! All integration tests in one binary: a module per concern.
#![allow(clippy::unwrap_used)]

mod checkpoint;
mod metrics;
mod permute;
mod networks;
mod reference;
mod reference_pytorch;
