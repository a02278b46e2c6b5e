//! What the driver made of our kernels, kept between runs where it lets us.
//!
//! A file for each adapter, driver and version of the kernels, beside the choices between them and as disposable: one that is
//! damaged, or another driver's, is not used.

use super::choice::{self, KernelPolicy};
use super::{AdapterSummary, Gpu, GpuOptions, source};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A file begins with the hash of the rest: drivers need not survive what they have not written.
const HASH_BYTES: usize = blake3::OUT_LEN;

/// The driver's cache, and the file that it comes from.
pub(super) struct PipelineCache {
    kept: Option<Arc<Kept>>,
    /// Whether a kernel was compiled since it was last looked at.
    is_newer: AtomicBool,
    writing: Mutex<Option<JoinHandle<()>>>,
}

struct Kept {
    cache: wgpu::PipelineCache,
    file: PathBuf,
    /// Bytes that the file is known to hold.
    bytes: AtomicUsize,
}

impl PipelineCache {
    fn new(kept: Option<Arc<Kept>>) -> Self {
        Self { kept, is_newer: AtomicBool::new(false), writing: Mutex::default() }
    }

    /// What an earlier run kept, or nothing yet; nothing ever where the adapter has no such thing, and for kernels with runtime
    /// checks, which are for tests.
    pub fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo, summary: &AdapterSummary, options: &GpuOptions) -> Self {
        if options.runtime_checks || !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return Self::new(None);
        }
        let Some(file) = file(info, summary, &options.kernels) else { return Self::new(None) };
        let data = read(&file);
        let cache = data.as_deref().and_then(|data| {
            let cache = create(device, Some(data));
            if cache.is_none() {
                tracing::debug!(file = %file.display(), "the driver does not take its pipelines back");
            }
            cache
        });
        let bytes = if cache.is_some() { data.map_or(0, |data| data.len()) } else { 0 };
        let kept = cache.or_else(|| create(device, None)).map(|cache| Arc::new(Kept { cache, file, bytes: bytes.into() }));
        Self::new(kept)
    }

    /// What a pipeline is made with, and goes into.
    pub fn for_compiling(&self) -> Option<&wgpu::PipelineCache> {
        self.is_newer.store(true, Ordering::Release);
        self.kept.as_ref().map(|kept| &kept.cache)
    }

    /// Writes the file in a thread of its own if kernels were compiled since, and if that made the cache grow.
    fn keep(&self) {
        if !self.is_newer.swap(false, Ordering::AcqRel) {
            return;
        }
        let Some(kept) = self.kept.clone() else { return };
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = writing.take();
        *writing = Some(std::thread::spawn(move || {
            if let Some(before) = before {
                let _ = before.join();
            }
            kept.write();
        }));
    }
}

impl Drop for PipelineCache {
    fn drop(&mut self) {
        if let Some(thread) = self.writing.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl Gpu {
    /// Keeps what the driver made of the kernels compiled so far; to be called once they have run, as some drivers compile
    /// no earlier.
    pub(super) fn keep_pipelines(&self) {
        self.pipelines().keep();
    }
}

impl Kept {
    fn write(&self) {
        let Some(data) = self.cache.get_data() else { return };
        if data.len() == self.bytes.swap(data.len(), Ordering::AcqRel) {
            return;
        }
        if let Err(error) = write(&self.file, &data) {
            tracing::debug!(file = %self.file.display(), %error, "pipelines cannot be kept: the next run compiles them again");
        }
    }
}

fn create(device: &wgpu::Device, data: Option<&[u8]>) -> Option<wgpu::PipelineCache> {
    let scopes = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal].map(|filter| device.push_error_scope(filter));
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("kernels"), data, fallback: data.is_none() };
    // SAFETY: the data are what this function's cache gave, under the same driver, and whole: their hash says so.
    let cache = unsafe { device.create_pipeline_cache(&descriptor) };
    let failed = scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop())).count() > 0;
    (!failed).then_some(cache)
}

fn file(info: &wgpu::AdapterInfo, summary: &AdapterSummary, policy: &KernelPolicy) -> Option<PathBuf> {
    let key = wgpu::util::pipeline_cache_key(info)?;
    let AdapterSummary { name, driver, .. } = summary;
    let holds_for = blake3::hash(format!("{name}, {driver}, kernels {}", source::shaders_hash()).as_bytes()).to_hex();
    Some(choice::folder(policy)?.join("pipelines").join(format!("{key}_{}.bin", &holds_for[..16])))
}

/// The data of a whole file.
fn read(file: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(file).ok()?;
    let rest = bytes.split_off(HASH_BYTES.min(bytes.len()));
    if blake3::hash(&rest).as_bytes() != bytes.as_slice() {
        tracing::debug!(file = %file.display(), "damaged: pipelines are compiled again");
        return None;
    }
    Some(rest)
}

/// Writes a file whole or not at all: beside its place, then renamed.
fn write(file: &Path, data: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut part = tempfile::Builder::new().prefix(".part-").tempfile_in(folder)?;
    part.write_all(blake3::hash(data).as_bytes())?;
    part.write_all(data)?;
    part.persist(file).map(drop).map_err(|error| error.error)
}
