//! Which adapters there are and which one is meant.

use super::GpuError;

/// A graphics interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum BackendName {
    /// Vulkan: Linux, Windows, Android.
    Vulkan,
    /// Metal: macOS, iOS.
    Metal,
    /// Direct3D 12: Windows.
    Dx12,
}

impl BackendName {
    fn of(backend: wgpu::Backend) -> Option<Self> {
        match backend {
            wgpu::Backend::Vulkan => Some(Self::Vulkan),
            wgpu::Backend::Metal => Some(Self::Metal),
            wgpu::Backend::Dx12 => Some(Self::Dx12),
            _ => None,
        }
    }
}

impl std::fmt::Display for BackendName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Dx12 => "dx12",
        })
    }
}

/// Which adapter is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdapterChoice {
    /// An index of [`list_adapters`], or part of a name in either case; the first one if absent.
    pub name: Option<String>,
    /// Only adapters of this backend.
    pub backend: Option<BackendName>,
}

/// What an adapter says of itself.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AdapterSummary {
    /// Its place in [`list_adapters`].
    pub index: usize,
    /// The marketing name.
    pub name: String,
    /// The interface that it is reached through.
    pub backend: BackendName,
    /// `discrete`, `integrated`, `virtual`, `other` or `software`.
    pub kind: &'static str,
    /// Driver name and version.
    pub driver: String,
    /// Fewest and most invocations that a subgroup has.
    pub subgroup_sizes: [u32; 2],
    /// Subgroup operations in compute shaders.
    pub subgroups: bool,
    /// 16-bit floats in shaders.
    pub f16: bool,
    /// 64-bit integers in shaders.
    pub integers_64: bool,
    /// Cooperative-matrix shapes, as `MxNxK input->accumulator`.
    pub cooperative_matrix: Vec<String>,
    /// Timestamps at the ends of a pass.
    pub timestamps: bool,
    /// Constants set per dispatch, which every kernel needs: bytes.
    pub immediate_bytes: u32,
    /// Bytes of the memory nearest to it, where the interface says so.
    pub memory_bytes: Option<u64>,
    /// The largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// The largest storage binding in bytes.
    pub max_binding_bytes: u64,
    /// Most storage buffers of a kernel.
    pub storage_buffers: u32,
    /// Memory that a workgroup shares, in bytes.
    pub workgroup_bytes: u32,
    /// Most invocations in a workgroup.
    pub workgroup_invocations: u32,
}

impl AdapterSummary {
    fn new(index: usize, adapter: &wgpu::Adapter, backend: BackendName) -> Self {
        let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
        let driver =
            [info.driver.as_str(), info.driver_info.as_str()].iter().filter(|s| !s.is_empty()).copied().collect::<Vec<_>>();
        let matrices = if features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            let shape = |m: wgpu::CooperativeMatrixProperties| {
                format!("{}x{}x{} {:?}->{:?}", m.m_size, m.n_size, m.k_size, m.ab_type, m.cr_type).to_lowercase()
            };
            adapter.cooperative_matrix_properties().into_iter().map(shape).collect()
        } else {
            Vec::new()
        };
        Self {
            index,
            name: info.name,
            backend,
            kind: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => "discrete",
                wgpu::DeviceType::IntegratedGpu => "integrated",
                wgpu::DeviceType::VirtualGpu => "virtual",
                wgpu::DeviceType::Cpu => "software",
                wgpu::DeviceType::Other => "other",
            },
            driver: driver.join(" "),
            subgroup_sizes: [info.subgroup_min_size, info.subgroup_max_size],
            subgroups: features.contains(wgpu::Features::SUBGROUP),
            f16: features.contains(wgpu::Features::SHADER_F16),
            integers_64: features.contains(wgpu::Features::SHADER_INT64),
            cooperative_matrix: matrices,
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            immediate_bytes: if features.contains(wgpu::Features::IMMEDIATES) { limits.max_immediate_size } else { 0 },
            memory_bytes: memory(adapter, backend),
            max_buffer_bytes: limits.max_buffer_size,
            // Indices in kernels are 32-bit; some adapters offer more than those reach.
            max_binding_bytes: limits.max_storage_buffer_binding_size.min(i32::MAX as u64),
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            workgroup_invocations: limits.max_compute_invocations_per_workgroup,
        }
    }

    /// Whether no hardware stands behind it.
    pub fn is_software(&self) -> bool {
        self.kind == "software"
    }

    /// Whether it gets the kernels that load and store two numbers as one of 64 bits: software does that lane after lane, and each
    /// component of a vector costs it a check and a jump.
    pub fn loads_in_pairs(&self) -> bool {
        self.is_software() && self.integers_64
    }

    /// Whether subgroups of 32 multiply matrices of 16 x 16 halves, as kernels for matrix units do.
    pub fn has_matrix_units(&self) -> bool {
        let shape = self.cooperative_matrix.iter().any(|shape| shape == "16x16x16 f16->f32");
        shape && self.f16 && self.subgroups && self.subgroup_sizes == [32; 2]
    }

    fn rank(&self) -> usize {
        ["discrete", "integrated", "virtual", "other", "software"].iter().position(|k| *k == self.kind).unwrap_or(usize::MAX)
    }

    fn words(&self) -> String {
        format!("{} = {} ({})", self.index, self.name, self.backend)
    }
}

/// The largest heap that is local to the device. wgpu itself does not say.
#[cfg(not(target_vendor = "apple"))]
fn memory(adapter: &wgpu::Adapter, backend: BackendName) -> Option<u64> {
    /// VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
    const LOCAL: u32 = 1;
    if backend != BackendName::Vulkan {
        return None;
    }
    // SAFETY: nothing is destroyed, and the handle does not leave this function.
    let inner = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = inner.shared_instance().raw_instance();
    // SAFETY: a question about a device of that instance.
    let properties = unsafe { instance.get_physical_device_memory_properties(inner.raw_physical_device()) };
    let heaps = &properties.memory_heaps[..properties.memory_heap_count as usize];
    heaps.iter().filter(|heap| heap.flags.as_raw() & LOCAL != 0).map(|heap| heap.size).max()
}

#[cfg(target_vendor = "apple")]
fn memory(_: &wgpu::Adapter, _: BackendName) -> Option<u64> {
    None
}

/// Every adapter that can compute, hardware before software; the order that indices refer to.
pub fn list_adapters() -> Vec<AdapterSummary> {
    enumerate().into_iter().map(|(summary, _)| summary).collect()
}

fn enumerate() -> Vec<(AdapterSummary, wgpu::Adapter)> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let flags = wgpu::InstanceFlags::empty().with_env();
    let descriptor = wgpu::InstanceDescriptor { backends, flags, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let instance = wgpu::Instance::new(descriptor);
    let mut found: Vec<_> = pollster::block_on(instance.enumerate_adapters(backends))
        .into_iter()
        .filter_map(|adapter| {
            BackendName::of(adapter.get_info().backend).map(|backend| (AdapterSummary::new(0, &adapter, backend), adapter))
        })
        .collect();
    found.sort_by_key(|(summary, _)| summary.rank());
    for (index, (summary, _)) in found.iter_mut().enumerate() {
        summary.index = index;
    }
    found
}

/// The adapter that `choice` means.
pub(super) fn choose(choice: &AdapterChoice) -> Result<(AdapterSummary, wgpu::Adapter), GpuError> {
    let mut found = enumerate();
    if let Some(backend) = choice.backend {
        found.retain(|(summary, _)| summary.backend == backend);
    }
    let place = {
        let summaries: Vec<_> = found.iter().map(|(summary, _)| summary).collect();
        pick(&summaries, choice)?
    };
    Ok(found.swap_remove(place))
}

/// The place in `found` of the adapter that `choice` means.
fn pick(found: &[&AdapterSummary], choice: &AdapterChoice) -> Result<usize, GpuError> {
    if found.is_empty() {
        let wanted = choice.backend.map(|backend| format!(" for {backend}")).unwrap_or_default();
        return Err(GpuError::NoAdapter { wanted });
    }
    let Some(wanted) = &choice.name else { return Ok(0) };
    let words = |places: &[usize]| places.iter().map(|&i| found[i].words()).collect::<Vec<_>>().join(", ");
    if let Ok(index) = wanted.parse::<usize>()
        && let Some(place) = found.iter().position(|summary| summary.index == index)
    {
        return Ok(place);
    }
    let lower = wanted.to_lowercase();
    let fits: Vec<usize> = (0..found.len()).filter(|&i| found[i].name.to_lowercase().contains(&lower)).collect();
    match fits.as_slice() {
        [one] => Ok(*one),
        [] => Err(GpuError::UnknownAdapter { wanted: wanted.clone(), found: words(&(0..found.len()).collect::<Vec<_>>()) }),
        several => Err(GpuError::AmbiguousAdapter { wanted: wanted.clone(), found: words(several) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(index: usize, name: &str, backend: BackendName) -> AdapterSummary {
        AdapterSummary {
            index,
            name: name.into(),
            backend,
            kind: "discrete",
            driver: String::new(),
            subgroup_sizes: [32, 32],
            subgroups: true,
            f16: true,
            integers_64: true,
            cooperative_matrix: Vec::new(),
            timestamps: true,
            immediate_bytes: 128,
            memory_bytes: None,
            max_buffer_bytes: 1 << 30,
            max_binding_bytes: 1 << 30,
            storage_buffers: 32,
            workgroup_bytes: 32 << 10,
            workgroup_invocations: 1024,
        }
    }

    #[test]
    fn a_name_or_an_index_picks_one_adapter_and_never_guesses() {
        let all = [
            summary(0, "NVIDIA GeForce RTX 4070", BackendName::Vulkan),
            summary(1, "NVIDIA GeForce RTX 4070", BackendName::Dx12),
            summary(2, "Intel Arc A770", BackendName::Vulkan),
        ];
        let all: Vec<_> = all.iter().collect();
        let pick = |name: Option<&str>| pick(&all, &AdapterChoice { name: name.map(String::from), backend: None });
        assert_eq!(pick(None).unwrap(), 0);
        assert_eq!(pick(Some("2")).unwrap(), 2);
        assert_eq!(pick(Some("arc")).unwrap(), 2);
        assert_eq!(pick(Some("770")).unwrap(), 2, "a number that is no index is part of a name");
        assert!(matches!(pick(Some("rtx")), Err(GpuError::AmbiguousAdapter { .. })));
        assert!(matches!(pick(Some("radeon")), Err(GpuError::UnknownAdapter { .. })));
    }
}
