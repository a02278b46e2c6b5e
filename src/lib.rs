//! melgrad trains music-genre networks on any Vulkan, Metal or DX12 GPU: audio files in; a trained network and an honest
//! evaluation out. Hand-written WGSL on wgpu; no CUDA, no Python.
//!
//! # The way of the data
//! ```text
//! file -> Waveform -> resampled -> log-mel -> cache -> Dataset (split by group) -> Batch
//!   -> GPU: gathered from clips that lie there, or streamed
//!   -> forward -> loss -> the same layers backwards -> clip -> update    one submission per step, nothing read back
//!   -> end of epoch: sums -> EpochMetrics -> Event -> progress, metrics.csv, checkpoint
//! ```
//!
//! # The house
//! | module | what it is |
//! |---|---|
//! | [`config`] | every setting: names, defaults, validation |
//! | [`audio`] | files to a mono [`audio::Waveform`]: Symphonia, our own Sun `.au` reader, resampling |
//! | [`features`] | log-mel with librosa's names and numbers |
//! | [`dataset`] | folder or manifest to samples, split by group, feature cache, batches |
//! | [`gpu`] | the only folder that names wgpu: device, tensors, shaders, passes |
//! | [`layers`] | launchers of the shaders of the same names, forward beside backward |
//! | [`models`] | networks as lists of layers; names and shapes known without a GPU |
//! | [`optim`] | gradient clipping, optimisers and learning-rate schedules, over one arena |
//! | [`train`] | where data and networks meet: epochs, evaluation, checkpoints; emits [`train::event::Event`] |
//! | [`compare`] | a study: networks, seeds and marks; what is finished is never trained again |
//! | [`report`] | what becomes of events and results: terminal, JSONL, CSV, TensorBoard, pictures, a page |
//! | [`reference`] | every layer in plain f64, for the tests and the self-test |
//! | [`selftest`] | each kernel against its reference on the adapter at hand |
//! | [`bench`] | milliseconds per step, seconds per epoch, kernels beside the adapter's ceilings |
//! | [`cli`] | one file per command; no work is done there |
//!
//! Dependencies run one way: `audio -> features -> dataset` and `gpu -> layers -> models, optim` never see each other;
//! they meet in `train`, through [`dataset::Batches`]. `report` depends on train's events, never the reverse; only `cli`
//! depends on `compare`. A test holds this.
//!
//! # Invariants
//! - **Nothing leaks between parts.** A group (a track, an artist, or whatever the manifest says) is whole in one part;
//!   files of equal content are one group. Protocols that separate groups, as published ones do, are named and say so.
//!   The test part is looked at once per run, with the best validation weights.
//! - **Shaders are valid as they lie.** The one mechanism that varies them replaces whole lines: `const NAME: type = value;`,
//!   and those that say what operands of products are and how maps are stored; what varies from batch to batch (batch, frames,
//!   offsets) is an immediate, so that a smaller last batch compiles nothing.
//! - **Sums have one order**, which depends on shapes alone; there are no float atomics. The same seed, data and adapter
//!   give the same bits.
//! - **Precision belongs to the handle of the device** that a network is built through ([`gpu::Gpu::with_precision`]). Under
//!   mixed precision every kernel of the convolution family rounds its operands to f16, whichever the adapter gets, and BBNN's
//!   feature maps are rounded to f16 when they are stored: as halves, where all kernels read these, or as f32 of the same
//!   numbers (what several products add up in is rounded after each). Gradients, weights, statistics and every sum are f32;
//!   statistics are of what is stored.
//! - **Nothing is checked twice at run time.** Kernels run without wgpu's bounds checks, so the kernel tests run with
//!   them as well.
//! - **The host does not wait within an epoch**, except for the step before last, and hands nothing over: what an epoch's
//!   batches are made of is sent at its start. Whether clips lie on the device or are streamed changes no bit. A gradient that is
//!   not finite is noticed on the device, which then withholds the update; a batch norm's running statistics leave such a batch
//!   out.
//! - **Recurrences leave no subnormal gradient where processors compute**: their kernels for software adapters (`*_wide`,
//!   `*_subgroup`) end in 0 what has faded below 2^-100, since processors take a hundred times as long over such numbers.
//! - **Batch norm's statistics are made once**, where a map is produced; every reader turns them into a scale and a shift
//!   of its own, which convolutions apply on load. Normalised maps are stored only where something else reads them.
//! - **Checkpoints are whole or absent**: written beside and renamed, the manifest last.
//!
//! # Layouts
//! Images are (batch, time, mel, channel), sequences (time, batch, feature), convolution weights (time, mel, in, out),
//! linear weights (in, out). Files hold PyTorch's layouts and names.
//!
//! # A new layer
//! is four files of one name: `shaders/x.wgsl`, `src/layers/x.rs`, its twin in `src/reference`, its rows in the tests.

pub mod audio;
pub mod bench;
pub mod cli;
pub mod compare;
pub mod config;
pub mod dataset;
pub mod features;
pub mod gpu;
pub mod layers;
pub mod models;
pub mod optim;
pub mod reference;
pub mod report;
pub mod selftest;
pub mod train;
