//! An open device: allocation, reading, waiting, and its state of health.

use super::adapter::{self, AdapterChoice, AdapterSummary};
use super::choice::{Choices, KernelPolicy};
use super::pass::Pace;
use super::pipeline_cache::PipelineCache;
use super::shader::Kernels;
use super::tensor::Held;
use super::{Element, GpuError, Precision, Tensor};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// How long a callback may take to be called once the device is idle.
pub(super) const CALLBACK_LIMIT: Duration = Duration::from_secs(10);

/// Room for data where nothing is known of the device's memory.
const LEAST_ROOM: u64 = 1 << 30;

/// How a device is opened.
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// Which adapter.
    pub choice: AdapterChoice,
    /// Compile kernels with wgpu's bounds and loop checks: for tests, 10 to 50 times slower on hardware.
    pub runtime_checks: bool,
    /// Whether kernels that do the same are measured against each other, and where the outcome is kept.
    pub kernels: KernelPolicy,
    /// Bytes that data sets may take on the device, where it is not for [`Gpu::room_for_data`] to say: with 0 every batch is
    /// streamed.
    pub room_for_data: Option<u64>,
    /// Run kernels for matrix units where the adapter has none: for tests, far slower than any other kernel.
    pub emulate_matrix_units: bool,
}

/// A device, its queue and its compiled kernels; cheap to clone. What is built through a handle multiplies in its precision.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>, Precision);

struct Inner {
    summary: AdapterSummary,
    device: wgpu::Device,
    queue: wgpu::Queue,
    runtime_checks: bool,
    emulates_matrix_units: bool,
    room_for_data: Option<u64>,
    kernels: Kernels,
    pipelines: PipelineCache,
    choices: Choices,
    pace: Mutex<Pace>,
    health: Arc<Health>,
    allocated: Arc<AtomicU64>,
}

/// The first failure that no call returned: a lost device, or an error outside every scope.
#[derive(Default)]
struct Health(OnceLock<GpuError>);

impl Gpu {
    /// Opens the adapter that `options` mean, with its own limits and the optional features that kernels use.
    pub fn open(options: &GpuOptions) -> Result<Self, GpuError> {
        let (summary, adapter) = adapter::choose(&options.choice)?;
        if summary.immediate_bytes < 128 {
            let missing = format!("they need 128 bytes of immediates, it has {}", summary.immediate_bytes);
            return Err(GpuError::Unsuitable { adapter: summary.name, missing });
        }
        let optional = wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::SUBGROUP
            | wgpu::Features::SHADER_F16
            | wgpu::Features::SHADER_INT64
            | wgpu::Features::PIPELINE_CACHE
            | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("melgrad"),
            required_features: wgpu::Features::IMMEDIATES | (adapter.features() & optional),
            // SAFETY: of what is experimental only matrix units are asked for, and kernels with them are used where they have
            // given the results of plain ones.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| GpuError::Open { adapter: summary.name.clone(), message: error.to_string() })?;
        let health = Arc::new(Health::default());
        let (lost, uncaptured) = (health.clone(), health.clone());
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                let _ = lost.0.set(GpuError::DeviceLost { message });
            }
        });
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            tracing::error!(%error, "wgpu");
            let _ = uncaptured.0.set(typed("a submission", 0, error));
        }));
        let pace = Mutex::new(Pace::new(&summary));
        let choices = Choices::new(&summary, options);
        let pipelines = PipelineCache::open(&device, &adapter.get_info(), &summary, options);
        let emulates_matrix_units = options.emulate_matrix_units && !summary.has_matrix_units();
        Ok(Self(
            Arc::new(Inner {
                summary,
                device,
                queue,
                runtime_checks: options.runtime_checks,
                emulates_matrix_units,
                room_for_data: options.room_for_data,
                kernels: Kernels::default(),
                pipelines,
                choices,
                pace,
                health,
                allocated: Arc::default(),
            }),
            Precision::F32,
        ))
    }

    /// A handle of the same device through which networks are built that multiply in `precision`.
    pub fn with_precision(&self, precision: Precision) -> Self {
        Self(self.0.clone(), precision)
    }

    /// What is multiplied in what is built through this handle: f32 unless told otherwise.
    pub fn precision(&self) -> Precision {
        self.1
    }

    /// What the adapter says of itself.
    pub fn summary(&self) -> &AdapterSummary {
        &self.0.summary
    }

    /// Whether kernels are compiled with runtime checks.
    pub fn runtime_checks(&self) -> bool {
        self.0.runtime_checks
    }

    /// Whether kernels for matrix units run, on those of the adapter or on none.
    pub fn has_matrix_units(&self) -> bool {
        self.emulates_matrix_units() || self.summary().has_matrix_units()
    }

    pub(super) fn emulates_matrix_units(&self) -> bool {
        self.0.emulates_matrix_units
    }

    /// Bytes of all tensors that are held.
    pub fn allocated_bytes(&self) -> u64 {
        self.0.allocated.load(Ordering::Relaxed)
    }

    /// The bytes that a tensor's start must be a multiple of.
    pub fn alignment(&self) -> u64 {
        u64::from(self.device().limits().min_storage_buffer_offset_alignment)
    }

    /// A zeroed tensor in a buffer of its own.
    ///
    /// Fails if one buffer cannot hold it or memory runs out. Whether one *binding* can hold it is up to the kernel: see
    /// [`Gpu::rows_per_binding`].
    pub fn tensor(&self, label: &str, element: Element, shape: &[usize]) -> Result<Tensor, GpuError> {
        self.tensor_for(wgpu::BufferUsages::STORAGE, label, element, shape)
    }

    /// As [`Gpu::tensor`]; [`Gpu::uniform_bytes`] of it may be bound as a uniform buffer, too.
    pub fn uniform_tensor(&self, label: &str, element: Element, shape: &[usize]) -> Result<Tensor, GpuError> {
        self.tensor_for(wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::UNIFORM, label, element, shape)
    }

    /// The largest uniform binding in bytes.
    pub fn uniform_bytes(&self) -> u64 {
        self.device().limits().max_uniform_buffer_binding_size
    }

    fn tensor_for(&self, usage: wgpu::BufferUsages, label: &str, element: Element, shape: &[usize]) -> Result<Tensor, GpuError> {
        let bytes = (shape.iter().product::<usize>().max(1) * element.bytes()) as u64;
        let limit = self.0.summary.max_buffer_bytes;
        if bytes > limit {
            return Err(GpuError::TooLarge { label: label.into(), bytes, limit });
        }
        let usage = usage | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let buffer = self.scoped(label, bytes, |device| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes.next_multiple_of(16),
                usage,
                mapped_at_creation: false,
            })
        })?;
        Ok(Tensor::whole(label, buffer, element, shape, Held::new(bytes, &self.0.allocated)))
    }

    /// How many rows of `row_bytes` one binding holds, at most `rows`: 0 if not even one fits.
    pub fn rows_per_binding(&self, rows: usize, row_bytes: usize) -> usize {
        rows.min((self.0.summary.max_binding_bytes / row_bytes.max(1) as u64) as usize)
    }

    /// Writes `data` into the first elements of `tensor`; done before any pass that is submitted later.
    pub fn write<T: bytemuck::NoUninit>(&self, tensor: &Tensor, data: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        assert!(bytes.len() as u64 <= tensor.bytes(), "{}: {} bytes do not fit {}", tensor.label(), bytes.len(), tensor.bytes());
        self.0.queue.write_buffer(tensor.buffer(), tensor.offset(), bytes);
    }

    /// Waits for everything submitted and reads `tensor` back.
    pub fn read<T: bytemuck::Pod>(&self, tensor: &Tensor) -> Result<Vec<T>, GpuError> {
        let size = tensor.bytes();
        let staging = self.scoped(tensor.label(), size, |device| {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            device.create_buffer(&wgpu::BufferDescriptor { label: Some("read"), size, usage, mapped_at_creation: false })
        })?;
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("read") });
        encoder.copy_buffer_to_buffer(tensor.buffer(), tensor.offset(), &staging, 0, size);
        self.0.queue.submit([encoder.finish()]);
        let (sender, receiver) = std::sync::mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |outcome| {
            let _ = sender.send(outcome);
        });
        self.wait()?;
        let failed = |message: String| GpuError::Validation { label: tensor.label().into(), message };
        // A thread that shares the device may have taken the callback over: it is then about to be called.
        match receiver.recv_timeout(CALLBACK_LIMIT) {
            Ok(Ok(())) => {}
            other => return Err(failed(format!("reading back failed: {other:?}"))),
        }
        let view = staging.get_mapped_range(..).map_err(|error| failed(error.to_string()))?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }

    /// Waits until everything written is where it belongs: until then it lies at the host's, too.
    pub fn flush(&self) -> Result<(), GpuError> {
        self.0.queue.submit([]);
        self.wait()
    }

    /// Bytes that data sets may take, so that most is left for networks: of memory of the device's own half, of memory that
    /// it shares with the host a quarter, or what nearly every device has where the size is not known.
    pub fn room_for_data(&self) -> u64 {
        let AdapterSummary { memory_bytes, kind, .. } = self.0.summary;
        let share = if kind == "discrete" { 2 } else { 4 };
        self.0.room_for_data.unwrap_or_else(|| memory_bytes.map_or(LEAST_ROOM, |bytes| bytes / share))
    }

    /// Waits for everything submitted; a failure that no call has returned yet is returned here.
    pub fn wait(&self) -> Result<(), GpuError> {
        let outcome = self.device().poll(wgpu::PollType::wait_indefinitely());
        self.health()?;
        outcome.map(drop).map_err(|error| GpuError::DeviceLost { message: error.to_string() })
    }

    /// The first failure that no call has returned yet.
    pub fn health(&self) -> Result<(), GpuError> {
        self.0.health.0.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Runs `work` inside error scopes and turns what they caught into an error.
    pub(super) fn scoped<T>(&self, label: &str, bytes: u64, work: impl FnOnce(&wgpu::Device) -> T) -> Result<T, GpuError> {
        let device = self.device();
        let scopes = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal]
            .map(|filter| device.push_error_scope(filter));
        let result = work(device);
        let mut caught = None;
        for scope in scopes.into_iter().rev() {
            caught = caught.or(pollster::block_on(scope.pop()));
        }
        match caught {
            Some(error) => Err(typed(label, bytes, error)),
            None => Ok(result),
        }
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    pub(super) fn kernels(&self) -> &Kernels {
        &self.0.kernels
    }

    pub(super) fn pipelines(&self) -> &PipelineCache {
        &self.0.pipelines
    }

    pub(super) fn choice_state(&self) -> &Choices {
        &self.0.choices
    }

    pub(super) fn pace(&self) -> &Mutex<Pace> {
        &self.0.pace
    }
}

fn typed(label: &str, bytes: u64, error: wgpu::Error) -> GpuError {
    match error {
        wgpu::Error::OutOfMemory { .. } => GpuError::OutOfMemory { label: label.into(), bytes },
        other => GpuError::Validation { label: label.into(), message: other.to_string() },
    }
}
