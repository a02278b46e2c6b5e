//! Settings of the log-mel features.

use super::ConfigError;
use super::error::invalid;
use serde::{Deserialize, Serialize};

/// How a mel filter bank is scaled (librosa's `norm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum MelNorm {
    /// Each triangle has unit area: its peak is `2 / (upper - lower)` in hertz.
    #[default]
    Slaney,
    /// Each triangle peaks at 1.
    None,
}

/// How audio is extended at its ends when frames are centred (numpy's `pad` modes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum PadMode {
    /// Zeros: librosa's default since 0.10.
    #[default]
    Constant,
    /// Mirrored without repeating the edge sample: librosa's default before 0.10, and the BBNN authors' features.
    Reflect,
}

/// The log-mel spectrogram: librosa's names, and the BBNN authors' values as defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// Samples per second that all audio is resampled to.
    pub sample_rate: u32,
    /// FFT length in samples.
    pub n_fft: usize,
    /// Samples between frames.
    pub hop_length: usize,
    /// Mel bands.
    pub n_mels: usize,
    /// Lowest frequency in hertz.
    pub fmin: f32,
    /// Highest frequency in hertz; half the sample rate if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fmax: Option<f32>,
    /// The HTK mel scale instead of Slaney's.
    pub htk: bool,
    /// Scaling of the filters.
    pub norm: MelNorm,
    /// Frame `t` is centred on sample `t * hop_length`.
    pub center: bool,
    /// What lies beyond the ends of the audio when frames are centred.
    pub pad_mode: PadMode,
    /// Decibels below the loudest bin of the clip at which values are cut; 0 keeps all.
    pub top_db: f32,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self {
            sample_rate: 22_050,
            n_fft: 2048,
            hop_length: 1024,
            n_mels: 128,
            fmin: 0.0,
            fmax: None,
            htk: false,
            norm: MelNorm::Slaney,
            center: true,
            pad_mode: PadMode::Constant,
            top_db: 80.0,
        }
    }
}

impl FeatureConfig {
    /// `fmax` in hertz, with its default filled in.
    pub fn fmax(&self) -> f32 {
        self.fmax.unwrap_or(self.sample_rate as f32 / 2.0)
    }

    /// Frames that `samples` samples give, 0 if there are too few for one.
    pub fn frames(&self, samples: usize) -> usize {
        if self.center {
            // Half a window of padding at both ends; an odd window has one sample less of it.
            if samples == 0 { 0 } else { 1 + (samples - samples.min(self.n_fft % 2)) / self.hop_length }
        } else if samples < self.n_fft {
            0
        } else {
            1 + (samples - self.n_fft) / self.hop_length
        }
    }

    /// The fewest samples that give `frames` frames.
    pub fn samples(&self, frames: usize) -> usize {
        match (frames, self.center) {
            (0, _) => 0,
            (n, true) => ((n - 1) * self.hop_length + self.n_fft % 2).max(1),
            (n, false) => self.n_fft + (n - 1) * self.hop_length,
        }
    }

    /// Checks every value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1_000..=384_000).contains(&self.sample_rate) {
            return invalid("features.sample_rate", self.sample_rate, "use 1000 to 384000 Hz; 22050 is usual");
        }
        if !(2..=1 << 16).contains(&self.n_fft) {
            return invalid("features.n_fft", self.n_fft, "use 2 to 65536 samples; 2048 is usual");
        }
        if self.hop_length == 0 {
            return invalid("features.hop_length", 0, "use at least 1 sample; 1024 is usual");
        }
        if !(1..=1024).contains(&self.n_mels) {
            return invalid("features.n_mels", self.n_mels, "use 1 to 1024 bands; 128 is usual");
        }
        if !(self.fmin >= 0.0 && self.fmin < self.fmax()) {
            return invalid("features.fmin", self.fmin, format!("use 0 up to, not including, fmax ({} Hz)", self.fmax()));
        }
        if self.fmax() > self.sample_rate as f32 / 2.0 {
            return invalid(
                "features.fmax",
                self.fmax(),
                format!("use at most half the sample rate ({} Hz)", self.sample_rate / 2),
            );
        }
        if !(self.top_db >= 0.0 && self.top_db.is_finite()) {
            return invalid("features.top_db", self.top_db, "use decibels above 0, or 0 to keep all; 80 is usual");
        }
        Ok(())
    }
}
