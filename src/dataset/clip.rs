//! The log-mel of one file, and the windows that evaluation cuts it into.

use super::batch::Windows;
use crate::config::FeatureConfig;
use crate::features::Features;
use std::borrow::Cow;
use std::sync::Arc;

/// A file is much longer than a training clip if it lasts more than this many windows of the training length ..
const MUCH_LONGER_WINDOWS: usize = 4;
/// .. and more than this many seconds: the 30 s clips of the usual sets stay whole, however short the crops are.
const MUCH_LONGER_SECONDS: f64 = 60.0;

/// Whether `top_db` is taken over each window instead of the whole: a song's loudest moment should not decide what
/// is heard of a quiet window minutes away. One rule for training, evaluation and prediction, so that a file always
/// gives the same numbers.
pub(super) fn is_much_longer(config: &FeatureConfig, seconds: f64, training_frames: usize) -> bool {
    let frames = config.frames((seconds * f64::from(config.sample_rate)).round() as usize);
    config.top_db > 0.0 && frames > MUCH_LONGER_WINDOWS * training_frames && seconds > MUCH_LONGER_SECONDS
}

/// The log-mel spectrogram of a whole file or of a segment of it, in decibels.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Of the whole file.
    features: Arc<Features>,
    /// Frames of the file that this is, where it is not the whole.
    segment: Option<std::ops::Range<usize>>,
    seconds: f64,
    window_top_db: Option<f32>,
}

impl Clip {
    /// A clip whose windows are taken as they lie, or cut off `window_top_db` below the loudest bin of each window.
    pub fn new(features: Features, seconds: f64, window_top_db: Option<f32>) -> Self {
        Self { features: Arc::new(features), segment: None, seconds, window_top_db }
    }

    /// The segment of `frames` frames from `first`; it shares the features.
    ///
    /// # Panics
    /// If it reaches past the end.
    pub fn segment(&self, first: usize, frames: usize) -> Self {
        assert!(first + frames <= self.frames(), "a segment of {frames} frames from {first}, of {}", self.frames());
        let first = first + self.first_frame().unwrap_or(0);
        let seconds = self.seconds * frames as f64 / self.frames() as f64;
        Self { segment: Some(first..first + frames), seconds, ..self.clone() }
    }

    /// Where in its file a segment begins; none for a whole file.
    pub fn first_frame(&self) -> Option<usize> {
        self.segment.as_ref().map(|range| range.start)
    }

    /// Frames, padding included.
    pub fn frames(&self) -> usize {
        self.segment.as_ref().map_or(self.features.frames, std::ops::Range::len)
    }

    /// Mel bands.
    pub fn n_mels(&self) -> usize {
        self.features.n_mels
    }

    /// Seconds of sound, padding not included.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// The whole file's log-mel, also of a segment; before any cut per window.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Its own decibels, `(frames, n_mels)`; before any cut per window.
    pub fn decibels(&self) -> &[f32] {
        self.range(0, self.frames())
    }

    /// Its decibels as the windows of evaluation show them, each frame once: where `top_db` is taken per window, frames of
    /// a last part that is shorter than a window are those of the window that ends with them.
    pub fn evaluated(&self, frames: usize) -> Cow<'_, [f32]> {
        if !self.cuts_per_window() {
            return Cow::Borrowed(self.decibels());
        }
        let (mut all, mut window) = (Vec::with_capacity(self.decibels().len()), Vec::new());
        for start in window_starts(self.frames(), frames) {
            window.clear();
            self.append_window(start, frames, &mut window);
            all.extend_from_slice(&window[all.len() - start * self.n_mels()..]);
        }
        Cow::Owned(all)
    }

    fn range(&self, start: usize, frames: usize) -> &[f32] {
        assert!(start + frames <= self.frames(), "a window of {frames} frames from {start}, of {}", self.frames());
        let start = start + self.first_frame().unwrap_or(0);
        &self.features.data[start * self.n_mels()..(start + frames) * self.n_mels()]
    }

    /// Whether `top_db` is taken per window: the file is much longer than a training clip.
    pub fn cuts_per_window(&self) -> bool {
        self.window_top_db.is_some()
    }

    /// First frames of the windows of `frames` frames. See [`window_starts`].
    pub fn starts(&self, frames: usize, windows: Windows) -> Vec<usize> {
        match windows {
            Windows::All => window_starts(self.frames(), frames),
            Windows::Centre => self.frames().checked_sub(frames).map(|rest| rest / 2).into_iter().collect(),
        }
    }

    /// Appends the window of `frames` frames from `start`: `(frames, n_mels)` decibels.
    ///
    /// # Panics
    /// If the window reaches past the end.
    pub fn append_window(&self, start: usize, frames: usize, out: &mut Vec<f32>) {
        let window = self.range(start, frames);
        match self.floor(start, frames) {
            None => out.extend_from_slice(window),
            Some(floor) => out.extend(window.iter().map(|decibels| decibels.max(floor))),
        }
    }

    /// What decibels of the window of `frames` frames from `start` are raised to, where `top_db` is taken per window.
    pub fn floor(&self, start: usize, frames: usize) -> Option<f32> {
        let top_db = self.window_top_db?;
        Some(self.range(start, frames).iter().copied().fold(f32::NEG_INFINITY, f32::max) - top_db)
    }
}

/// First frames of the windows that cover a clip: one after the other, the last one aligned to the end. Empty for a
/// clip shorter than a window.
pub fn window_starts(clip_frames: usize, frames: usize) -> Vec<usize> {
    let whole = clip_frames.checked_div(frames).unwrap_or(0);
    let mut starts: Vec<usize> = (0..whole).map(|k| k * frames).collect();
    if whole > 0 && !clip_frames.is_multiple_of(frames) {
        starts.push(clip_frames - frames);
    }
    starts
}
