//! Crops of clips, changed as augmentation says: `gather.wgsl`.

use std::ops::Range;

/// A crop and what happens to it.
#[derive(Debug, Clone, Copy)]
pub struct Crop<'a> {
    /// Its first frame.
    pub first: usize,
    /// Decibels below this are raised to it.
    pub floor: Option<f64>,
    /// Frames that it is rotated by.
    pub later: usize,
    /// Decibels added.
    pub gain: f64,
    /// What masks are filled with.
    pub mean: f64,
    /// Frames, after the rotation, that are masked.
    pub time_masks: &'a [Range<usize>],
    /// Bands that are masked.
    pub mel_masks: &'a [Range<usize>],
}

/// The crop of `frames` frames out of `clips` (frames, mel).
pub fn forward(clips: &[f64], mel: usize, frames: usize, crop: Crop<'_>) -> Vec<f64> {
    let mut y = Vec::with_capacity(frames * mel);
    for t in 0..frames {
        let from = crop.first + (t + frames - crop.later) % frames;
        for m in 0..mel {
            let covers = |masks: &[Range<usize>], place: usize| masks.iter().any(|mask| mask.contains(&place));
            let x = clips[from * mel + m].max(crop.floor.unwrap_or(f64::NEG_INFINITY)) + crop.gain;
            y.push(if covers(crop.time_masks, t) || covers(crop.mel_masks, m) { crop.mean } else { x });
        }
    }
    y
}
