//! What can go wrong on a GPU, with the values and the remedy.

/// An error of the GPU floor.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GpuError {
    /// No adapter that can compute is visible to the program.
    #[error(
        "no GPU adapter found{wanted}; on Linux install a Vulkan driver (software: `apt-get install mesa-vulkan-drivers`), then try `melgrad doctor`"
    )]
    NoAdapter {
        /// The backend that was asked for, as words; empty if any would do.
        wanted: String,
    },
    /// Nothing fits the name or index that was asked for.
    #[error("no adapter fits `{wanted}`; there are: {found}")]
    UnknownAdapter {
        /// The name or index as given.
        wanted: String,
        /// What there is, with indices.
        found: String,
    },
    /// The name fits more than one adapter.
    #[error("`{wanted}` fits more than one adapter ({found}); give its index, or `--backend` as well")]
    AmbiguousAdapter {
        /// The name as given.
        wanted: String,
        /// The ones that fit, with indices and backends.
        found: String,
    },
    /// The adapter lacks something that every kernel needs.
    #[error("{adapter} cannot run the kernels: {missing}; choose another with `--adapter` (see `melgrad doctor`)")]
    Unsuitable {
        /// Its name.
        adapter: String,
        /// What it lacks.
        missing: String,
    },
    /// The driver refused to open the device.
    #[error("{adapter} could not be opened: {message}")]
    Open {
        /// The adapter's name.
        adapter: String,
        /// What the driver said.
        message: String,
    },
    /// The device went away (driver reset, unplugged, timed out).
    #[error("the GPU device was lost: {message}")]
    DeviceLost {
        /// What the driver said.
        message: String,
    },
    /// An allocation failed.
    #[error(
        "{label}: the adapter is out of memory for {bytes} more bytes; use a smaller --batch-size, fewer --frames or a smaller network"
    )]
    OutOfMemory {
        /// What was to be allocated.
        label: String,
        /// Its size.
        bytes: u64,
    },
    /// A tensor is larger than the adapter can hold in one buffer or bind at once.
    #[error(
        "{label} needs {bytes} bytes where the adapter takes at most {limit}; use a smaller --batch-size, fewer --frames or a smaller network"
    )]
    TooLarge {
        /// The tensor.
        label: String,
        /// Its size.
        bytes: u64,
        /// The adapter's limit.
        limit: u64,
    },
    /// wgpu refused a call.
    #[error("{label}: {message}")]
    Validation {
        /// What was being done.
        label: String,
        /// What wgpu said.
        message: String,
    },
    /// There is no shader file of that name.
    #[error("there is no shader `{name}`")]
    UnknownShader {
        /// The name as given.
        name: String,
    },
    /// A shader does not parse or validate.
    #[error("shader {name}: {message}")]
    Shader {
        /// Its file name without the extension.
        name: String,
        /// What naga said, with the line.
        message: String,
    },
    /// A constant that the shader does not have, or of another type.
    #[error("shader {shader}: {problem}")]
    Constant {
        /// The shader.
        shader: String,
        /// The constant and what is wrong with it.
        problem: String,
    },
    /// An entry point that the shader does not have.
    #[error("shader {shader} has no entry point `{entry}`; it has {known}")]
    UnknownEntry {
        /// The shader.
        shader: String,
        /// The name as given.
        entry: String,
        /// Those that it has.
        known: String,
    },
    /// A tensor bound under a name that the entry point does not use, or one that it uses left out.
    #[error("shader {shader}, entry {entry}: {problem}")]
    Binding {
        /// The shader.
        shader: String,
        /// The entry point.
        entry: String,
        /// The name and what is wrong with it.
        problem: String,
    },
}
