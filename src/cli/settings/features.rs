//! Flags and variables of the log-mel features (librosa's names).

use super::{set, with_file};
use crate::cli::Global;
use crate::config::{Config, FeatureConfig, MelNorm, ModelName, PadMode};
use clap::Args;

/// Settings of the log-mel features (librosa's names).
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Features")]
pub struct FeatureArgs {
    /// Hertz that audio is resampled to [default: 22050]
    #[arg(long, env = "MELGRAD_SAMPLE_RATE", value_name = "HZ")]
    sample_rate: Option<u32>,
    /// FFT length in samples [default: 2048]
    #[arg(long, env = "MELGRAD_N_FFT", value_name = "N")]
    n_fft: Option<usize>,
    /// Samples between frames [default: 1024]
    #[arg(long, env = "MELGRAD_HOP_LENGTH", value_name = "N")]
    hop_length: Option<usize>,
    /// Mel bands [default: 128]
    #[arg(long, env = "MELGRAD_N_MELS", value_name = "N")]
    n_mels: Option<usize>,
    /// Lowest frequency [default: 0]
    #[arg(long, env = "MELGRAD_FMIN", value_name = "HZ")]
    fmin: Option<f32>,
    /// Highest frequency [default: half the sample rate]
    #[arg(long, env = "MELGRAD_FMAX", value_name = "HZ")]
    fmax: Option<f32>,
    /// The HTK mel scale instead of Slaney's
    #[arg(long, env = "MELGRAD_HTK", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    htk: Option<bool>,
    /// Scaling of the mel filters [default: slaney]
    #[arg(long, env = "MELGRAD_NORM")]
    norm: Option<MelNorm>,
    /// Centre frames on their samples [default: true]
    #[arg(long, env = "MELGRAD_CENTER", value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    center: Option<bool>,
    /// What lies beyond the ends of centred audio [default: constant]
    #[arg(long, env = "MELGRAD_PAD_MODE")]
    pad_mode: Option<PadMode>,
    /// Decibels kept below the loudest bin; 0 keeps all [default: 80]
    #[arg(long, env = "MELGRAD_TOP_DB", value_name = "DB")]
    top_db: Option<f32>,
}

impl FeatureArgs {
    pub(super) fn apply(&self, features: &mut FeatureConfig) {
        set(&mut features.sample_rate, &self.sample_rate);
        set(&mut features.n_fft, &self.n_fft);
        set(&mut features.hop_length, &self.hop_length);
        set(&mut features.n_mels, &self.n_mels);
        set(&mut features.fmin, &self.fmin);
        features.fmax = self.fmax.or(features.fmax);
        set(&mut features.htk, &self.htk);
        set(&mut features.norm, &self.norm);
        set(&mut features.center, &self.center);
        set(&mut features.pad_mode, &self.pad_mode);
        set(&mut features.top_db, &self.top_db);
    }

    /// The features that flags, variables and the configuration file (if any) ask for.
    pub fn resolve(&self, global: &Global) -> anyhow::Result<FeatureConfig> {
        let config = self.resolve_all(global)?;
        config.features.validate()?;
        Ok(config.features)
    }

    /// The same, with everything else that the file says; the network does not matter.
    pub fn resolve_all(&self, global: &Global) -> anyhow::Result<Config> {
        let mut config = match &global.config {
            Some(path) => with_file(path, None, Some(ModelName::Bbnn))?,
            None => Config::new(ModelName::Bbnn),
        };
        self.apply(&mut config.features);
        Ok(config)
    }
}
