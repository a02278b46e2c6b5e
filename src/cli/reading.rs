//! Reading of data, alike for all commands.

use super::progress::Counting;
use crate::compare::Reading;
use crate::config::{Config, DataConfig, NameSource};
use crate::dataset::{self, CachePolicy, Collection, Dataset, DatasetError, LoadOptions};
use crate::report::words;
use clap::Args;
use std::path::Path;

/// How files are read.
#[derive(Debug, Clone, Default, Args)]
pub struct ReadingArgs {
    /// Stop at files that cannot be used instead of leaving them out
    #[arg(long)]
    pub strict: bool,
    /// Neither read nor write the feature cache
    #[arg(long)]
    pub no_cache: bool,
}

/// Where labels and groups are taken from.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Data")]
pub struct NamingArgs {
    /// Where labels come from: given (by folder or manifest) or a tag of the files, like tag:genre [default: given]
    #[arg(long, env = "MELGRAD_LABEL", value_name = "SOURCE")]
    label: Option<NameSource>,
    /// What must stay on one side of a split: given (by the manifest, else each file) or a tag, like tag:artist
    /// [default: given]
    #[arg(long, env = "MELGRAD_GROUP", value_name = "SOURCE")]
    group: Option<NameSource>,
}

impl NamingArgs {
    /// Sets what was asked for.
    pub fn apply(&self, data: &mut DataConfig) {
        if let Some(label) = &self.label {
            data.label.clone_from(label);
        }
        if let Some(group) = &self.group {
            data.group.clone_from(group);
        }
    }
}

impl ReadingArgs {
    /// The cache that is meant.
    pub fn cache(&self) -> CachePolicy {
        if self.no_cache { CachePolicy::Off } else { CachePolicy::User }
    }

    /// The data at `source`, as `config` reads it, with progress on standard error.
    pub fn load(&self, source: &Path, config: &Config) -> Result<Dataset, DatasetError> {
        let counting = Counting::new("decoding");
        dataset::load(source, &self.options(config), &|done, total| counting.set(done, total))
    }

    /// The same before it is parted.
    pub fn collect(&self, source: &Path, config: &Config) -> Result<Collection, DatasetError> {
        let counting = Counting::new("decoding");
        dataset::collect(source, &self.options(config), &|done, total| counting.set(done, total))
    }

    /// What `config` says of reading.
    pub fn options(&self, config: &Config) -> LoadOptions {
        LoadOptions { seed: config.train.seed, ..self.options_of(Reading::of(config)) }
    }

    /// The same of a reading alone, for data that are parted later.
    pub fn options_of(&self, Reading { data, features, frames }: Reading) -> LoadOptions {
        LoadOptions { data, features, frames, seed: 0, strict: self.strict, cache: self.cache(), classes: None }
    }
}

/// Says how many files are left out and why the first few are.
pub(super) fn tell_bad_files(data: &Dataset) {
    if data.bad.is_empty() {
        return;
    }
    eprintln!("{} cannot be used (see bad_files.csv):", words::count(data.bad.len(), "file"));
    for bad in data.bad.iter().take(5) {
        eprintln!("  {}: {}", bad.path.display(), bad.reason);
    }
}
