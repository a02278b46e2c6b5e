//! WGSL kernels whose bindings are found by name.

use super::matrix_emulation;
use super::tensor::Held;
use super::{Constant, Gpu, GpuError, Tensor, source, specialise_for};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

/// A shader file, by its name without `.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shader(pub &'static str);

/// A kernel with its tensors bound: prepared once, replayed by a [`super::Pass`].
#[derive(Clone)]
pub struct Dispatch {
    pub(super) kernel: Arc<Kernel>,
    pub(super) group: wgpu::BindGroup,
    pub(super) bytes_bound: u64,
    /// The group keeps the buffers, so they count as allocated.
    _held: Arc<[Arc<Held>]>,
}

impl Dispatch {
    /// `shader.entry`, for profiles and errors.
    pub fn label(&self) -> &str {
        &self.kernel.label
    }

    /// Bytes of the tensors bound, each counted once and whole, whether or not the kernel reads and writes all of it.
    pub fn bytes_bound(&self) -> u64 {
        self.bytes_bound
    }
}

/// One entry point of one specialised shader.
pub(super) struct Kernel {
    pub(super) label: String,
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) immediate_bytes: usize,
    layout: wgpu::BindGroupLayout,
    bindings: Vec<Binding>,
}

/// A storage or uniform variable that an entry point uses.
struct Binding {
    name: String,
    index: u32,
    kind: wgpu::BufferBindingType,
}

/// Compiled kernels by specialised text and entry point.
#[derive(Default)]
pub(super) struct Kernels(Mutex<HashMap<(String, String), Arc<Kernel>>>);

impl Shader {
    /// Compiles `entry` with `constants` replaced (once per device) and binds `tensors` by their WGSL names.
    ///
    /// Exactly the storage and uniform variables that the entry point uses must be given. A tensor may stand under two names
    /// only if both read or both write; what is uniform lies in a [`Gpu::uniform_tensor`]. Operands are
    /// as precise as the handle, maps are read and written as the tensors store them.
    pub fn dispatch(
        &self,
        gpu: &Gpu,
        entry: &str,
        constants: &[(&str, Constant)],
        tensors: &[(&str, &Tensor)],
    ) -> Result<Dispatch, GpuError> {
        let storage = source::storage_of(self.0, tensors).map_err(|problem| GpuError::Binding {
            shader: self.0.into(),
            entry: entry.into(),
            problem,
        })?;
        let source = specialise_for(self.0, constants, gpu.precision(), storage)?;
        let source = if gpu.emulates_matrix_units() { matrix_emulation::emulated(source) } else { source };
        let kernel = {
            let mut kernels = gpu.kernels().0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let key = (source, entry.to_owned());
            match kernels.get(&key) {
                Some(kernel) => kernel.clone(),
                None => {
                    let kernel = Arc::new(compile(gpu, self.0, &key.0, entry)?);
                    kernels.insert(key, kernel.clone());
                    kernel
                }
            }
        };
        let group = bind(gpu, self.0, entry, &kernel, tensors)?;
        let bytes_bound = distinct_bytes(tensors);
        let held = tensors.iter().map(|(_, tensor)| tensor.held().clone()).collect();
        Ok(Dispatch { kernel, group, bytes_bound, _held: held })
    }
}

/// Bytes of `tensors`, one that stands under two names counted once.
fn distinct_bytes(tensors: &[(&str, &Tensor)]) -> u64 {
    let place = |tensor: &Tensor| (tensor.buffer().clone(), tensor.offset(), tensor.bytes());
    tensors.iter().map(|(_, tensor)| place(tensor)).collect::<HashSet<_>>().iter().map(|(_, _, bytes)| bytes).sum()
}

fn bind(gpu: &Gpu, shader: &str, entry: &str, kernel: &Kernel, tensors: &[(&str, &Tensor)]) -> Result<wgpu::BindGroup, GpuError> {
    let problem = |problem: String| GpuError::Binding { shader: shader.into(), entry: entry.into(), problem };
    if let Some((name, _)) = tensors.iter().find(|(name, _)| !kernel.bindings.iter().any(|b| b.name == *name)) {
        let known: Vec<_> = kernel.bindings.iter().map(|b| b.name.as_str()).collect();
        return Err(problem(format!("it uses no `{name}`; it uses {}", known.join(", "))));
    }
    let limit = gpu.summary().max_binding_bytes;
    let mut entries = Vec::with_capacity(kernel.bindings.len());
    for binding in &kernel.bindings {
        let Some((_, tensor)) = tensors.iter().find(|(name, _)| *name == binding.name) else {
            return Err(problem(format!("`{}` is not bound", binding.name)));
        };
        if tensor.bytes() > limit {
            return Err(GpuError::TooLarge { label: tensor.label().into(), bytes: tensor.bytes(), limit });
        }
        entries.push(wgpu::BindGroupEntry { binding: binding.index, resource: tensor.binding() });
    }
    let descriptor = wgpu::BindGroupDescriptor { label: Some(&kernel.label), layout: &kernel.layout, entries: &entries };
    gpu.scoped(&kernel.label, 0, |device| device.create_bind_group(&descriptor))
}

fn compile(gpu: &Gpu, shader: &str, source: &str, entry: &str) -> Result<Kernel, GpuError> {
    let failed = |message: String| GpuError::Shader { name: shader.into(), message };
    let module = naga::front::wgsl::parse_str(source).map_err(|error| failed(error.emit_to_string(source)))?;
    let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all())
        .validate(&module)
        .map_err(|error| failed(error.emit_to_string(source)))?;
    let Some(place) = module.entry_points.iter().position(|e| e.name == entry) else {
        let known: Vec<_> = module.entry_points.iter().map(|e| e.name.as_str()).collect();
        return Err(GpuError::UnknownEntry { shader: shader.into(), entry: entry.into(), known: known.join(", ") });
    };
    let usage = info.get_entry_point(place);
    let mut bindings = Vec::new();
    let mut immediate_bytes = 0;
    for (handle, variable) in module.global_variables.iter().filter(|(handle, _)| !usage[*handle].is_empty()) {
        let mut bind = |kind| {
            let name = variable.name.clone().unwrap_or_default();
            let index = variable.binding.as_ref().map_or(handle.index() as u32, |b| b.binding);
            bindings.push(Binding { name, index, kind });
        };
        match variable.space {
            naga::AddressSpace::Storage { access } => {
                bind(wgpu::BufferBindingType::Storage { read_only: !access.contains(naga::StorageAccess::STORE) });
            }
            naga::AddressSpace::Uniform => bind(wgpu::BufferBindingType::Uniform),
            naga::AddressSpace::Immediate => immediate_bytes = module.types[variable.ty].inner.size(module.to_ctx()) as usize,
            _ => {}
        }
    }
    let label = format!("{shader}.{entry}");
    let entries: Vec<_> = bindings
        .iter()
        .map(|b| wgpu::BindGroupLayoutEntry {
            binding: b.index,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty: b.kind, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        })
        .collect();
    let checks = if gpu.runtime_checks() { wgpu::ShaderRuntimeChecks::checked() } else { wgpu::ShaderRuntimeChecks::unchecked() };
    gpu.scoped(&label, 0, |device| {
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(shader), source: wgpu::ShaderSource::Wgsl(source.into()) };
        // SAFETY: the text is one of this crate's own shaders; its tests run every kernel with all checks on.
        let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&label), entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: immediate_bytes as u32,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: gpu.pipelines().for_compiling(),
        });
        Kernel { label: label.clone(), pipeline, immediate_bytes, layout, bindings }
    })
}
