//! Audio files to mono samples.
//!
//! [`decode`] reads wav, aiff, flac, mp3, ogg/vorbis, m4a (AAC, ALAC) through Symphonia and Sun `.au` through our own
//! reader; [`Waveform::resampled`] brings the result to the rate that the features want. What the bytes hold decides,
//! not the file's name. A file that promises more audio than it holds is an error, never a shorter clip.

mod au;
mod container;
mod decode;
mod recognise;
mod resample;
mod tags;

pub use tags::{Tags, tags, tags_of_bytes};

use std::path::Path;

/// Mono audio, nominally within -1 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    /// One value per sample: the mean of the channels.
    pub samples: Vec<f32>,
    /// Samples per second.
    pub sample_rate: u32,
}

impl Waveform {
    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate)
    }

    /// The same sound at another rate, `ceil(samples * rate / sample_rate)` samples long and aligned in time.
    pub fn resampled(self, rate: u32) -> Result<Self, AudioError> {
        if rate == self.sample_rate {
            return Ok(self);
        }
        let samples = resample::resample(&self.samples, self.sample_rate, rate)?;
        Ok(Self { samples, sample_rate: rate })
    }
}

/// Why a file gives no waveform. The path is the caller's to add.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// The system would not give the bytes.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// Audio or video, but of a kind that is not decoded here.
    #[error("{format} is not supported: {hint}")]
    Unsupported {
        /// What it is.
        format: String,
        /// What to do about it.
        hint: String,
    },
    /// Something else altogether.
    #[error("not audio: {found}")]
    NotAudio {
        /// What the bytes look like.
        found: String,
    },
    /// Audio whose structure or content is broken.
    #[error("damaged: {reason}; get a fresh copy of the file")]
    Damaged {
        /// What was found.
        reason: String,
    },
    /// Less audio than the file promises.
    #[error("cut off: {seconds:.2} s of audio are there{}; get a complete copy of the file", of_promised(*.promised))]
    Truncated {
        /// Seconds that can still be decoded.
        seconds: f64,
        /// Seconds that the header promises, where it says.
        promised: Option<f64>,
    },
    /// A well-formed file of no length.
    #[error("holds no audio: its length is 0 samples")]
    Empty,
    /// A sample that is not a number.
    #[error("sample {index} (at {seconds:.3} s) is NaN or infinite; export the file again")]
    NonFinite {
        /// Position in the mono mix.
        index: usize,
        /// The same in seconds.
        seconds: f64,
    },
    /// A pair of rates that the resampler refuses.
    #[error("cannot resample {from} Hz to {to} Hz: {reason}")]
    Resample {
        /// The waveform's rate.
        from: u32,
        /// The rate asked for.
        to: u32,
        /// What stands against it.
        reason: String,
    },
}

fn of_promised(promised: Option<f64>) -> String {
    promised.map(|seconds| format!(", {seconds:.2} s were promised")).unwrap_or_default()
}

/// File name extensions that [`decode`] reads, lower case.
pub const EXTENSIONS: &[&str] =
    &["wav", "wave", "au", "snd", "aiff", "aif", "aifc", "flac", "mp3", "ogg", "oga", "m4a", "m4b", "aac"];

/// Extensions of audio that is recognised only to be refused by name, lower case.
pub const REFUSED_EXTENSIONS: &[&str] = &[
    "opus", "wma", "ape", "wv", "mpc", "tta", "ac3", "eac3", "dts", "amr", "ra", "mka", "weba", "caf", "spx", "mp2", "dsf", "dff",
];

/// Whether the name says audio: one of [`EXTENSIONS`] or [`REFUSED_EXTENSIONS`], in any case.
///
/// Refused kinds count, so that a folder's Opus file is reported instead of silently missing.
pub fn is_audio(path: &Path) -> bool {
    let Some(extension) = path.extension().and_then(|extension| extension.to_str()) else { return false };
    EXTENSIONS.iter().chain(REFUSED_EXTENSIONS).any(|known| extension.eq_ignore_ascii_case(known))
}

/// The mono mix of a file at its own sample rate.
pub fn decode(path: &Path) -> Result<Waveform, AudioError> {
    // A named pipe would be waited for without end.
    if !std::fs::metadata(path).map_err(AudioError::Read)?.is_file() {
        return Err(AudioError::Read(std::io::Error::other("not a regular file")));
    }
    let bytes = std::fs::read(path).map_err(AudioError::Read)?;
    decode_bytes(bytes, path.extension().and_then(|extension| extension.to_str()).unwrap_or_default())
}

/// The same for a file in memory; `extension` only words the error where the content is unknown.
pub fn decode_bytes(bytes: Vec<u8>, extension: &str) -> Result<Waveform, AudioError> {
    let waveform = match recognise::recognise(&bytes, extension)? {
        recognise::Kind::Au => au::decode(&bytes)?,
        recognise::Kind::Container(kind) => decode::decode(bytes, kind)?,
    };
    if let Some(index) = waveform.samples.iter().position(|sample| !sample.is_finite()) {
        return Err(AudioError::NonFinite { index, seconds: index as f64 / f64::from(waveform.sample_rate) });
    }
    if waveform.samples.is_empty() { Err(AudioError::Empty) } else { Ok(waveform) }
}

/// Rates that a header may state: below, frames make no music; above, no converter exists.
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 100..=768_000;

fn plausible_rate(rate: u32) -> Result<u32, AudioError> {
    if SAMPLE_RATES.contains(&rate) {
        Ok(rate)
    } else {
        Err(AudioError::Damaged { reason: format!("its header states {rate} samples per second") })
    }
}
