//! The GPU floor: the only folder that names wgpu.
//!
//! [`Gpu`] is a device with its queue and compiled kernels; [`Tensor`] a shaped range of a buffer; [`Shader`] a WGSL
//! file whose constants are replaced, whose operands and maps are as precise as the handle and the tensors that it is given
//! ([`Precision`], [`Storage`]), and whose bindings are found by name; [`Dispatch`] a kernel with its tensors bound, prepared
//! once; [`Pass`] replays dispatches into as few submissions as their length allows.
//!
//! Invariants:
//! - a kernel never reads or writes outside its bindings: it is compiled without the runtime checks that would catch it
//!   (10 to 50 times faster), and every kernel test runs with them as well ([`GpuOptions::runtime_checks`]);
//! - kernels for matrix units run on any adapter in tests, which emulate what is missing ([`GpuOptions::emulate_matrix_units`]);
//! - nothing here assumes a subgroup width, a tile size or timestamps inside passes;
//! - the host never waits for the device except in [`Gpu::read`], [`Gpu::wait`] and, after two steps, [`Gpu::end_step`];
//! - which of several kernels an adapter gets is measured once and remembered ([`Gpu::choose`]): a choice that changed from
//!   run to run would change bits.

mod adapter;
mod arena;
mod choice;
mod device;
mod error;
mod half;
mod matrix_emulation;
mod pass;
mod pipeline_cache;
mod precision;
mod profile;
mod readback;
mod shader;
mod source;
mod staging;
mod storage;
mod tensor;
mod timer;

pub use adapter::{AdapterChoice, AdapterSummary, BackendName, list_adapters};
pub use arena::{Arena, ArenaPlan};
pub use choice::{Contest, KernelPolicy};
pub use device::{Gpu, GpuOptions};
pub use error::GpuError;
pub use pass::{Counts, Grid, Pass};
pub use precision::Precision;
pub use profile::{Profile, ProfileRow, Sampling};
pub use readback::{Arrived, Readback};
pub use shader::{Dispatch, Shader};
pub use source::{Constant, shader_names, specialise, specialise_for};
pub use staging::{Staging, Stream};
pub use storage::Storage;
pub use tensor::{Element, Tensor};
pub use timer::Timer;
