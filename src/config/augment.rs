//! Settings of augmentation: what happens to training crops before the network sees them. All off by default.

use super::ConfigError;
use super::error::invalid;
use serde::{Deserialize, Serialize};

/// As many as `train.frames` may be.
const MOST_FRAMES: usize = 1 << 24;

/// Random changes of training crops, drawn anew for each clip and epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Crop at a random place; otherwise in the middle, as validation does.
    pub random_crop: bool,
    /// Louder or softer by up to this many decibels.
    pub gain_db: f32,
    /// Rotate the crop in time by up to this many frames either way: what leaves at one end enters at the other.
    pub time_shift: usize,
    /// SpecAugment (Park et al. 2019): number of masks over time.
    pub time_masks: usize,
    /// The most frames of a time mask; no mask is wider than the crop.
    pub time_mask_frames: usize,
    /// SpecAugment: number of masks over mel bands.
    pub mel_masks: usize,
    /// The most bands of a mel mask.
    pub mel_mask_bands: usize,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            random_crop: true,
            gain_db: 0.0,
            time_shift: 0,
            time_masks: 0,
            time_mask_frames: 64,
            mel_masks: 0,
            mel_mask_bands: 16,
        }
    }
}

impl AugmentConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(0.0..=60.0).contains(&self.gain_db) {
            return invalid("augment.gain_db", self.gain_db, "use 0 to 60 decibels; 6 is a good start");
        }
        for (name, masks) in [("augment.time_masks", self.time_masks), ("augment.mel_masks", self.mel_masks)] {
            if masks > 16 {
                return invalid(name, masks, "use 0 to 16 masks; 2 is usual");
            }
        }
        for (name, width) in
            [("augment.time_mask_frames", self.time_mask_frames), ("augment.mel_mask_bands", self.mel_mask_bands)]
        {
            if !(1..=MOST_FRAMES).contains(&width) {
                return invalid(name, width, format!("use 1 to {MOST_FRAMES}; to have no masks, set their number to 0"));
            }
        }
        if self.time_shift > MOST_FRAMES {
            return invalid("augment.time_shift", self.time_shift, format!("use 0 to {MOST_FRAMES} frames"));
        }
        Ok(())
    }
}
