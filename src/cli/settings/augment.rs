//! Flags and variables of augmentation.

use super::set;
use crate::config::AugmentConfig;
use clap::Args;

/// Settings of augmentation.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Augmentation of training crops")]
pub struct AugmentArgs {
    /// Crop clips at a random place, not in the middle [default: true]
    #[arg(long, env = "MELGRAD_RANDOM_CROP", value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    random_crop: Option<bool>,
    /// Louder or softer by up to this many decibels [default: 0]
    #[arg(long, env = "MELGRAD_GAIN_DB", value_name = "DB")]
    gain_db: Option<f32>,
    /// Rotate crops in time by up to this many frames [default: 0]
    #[arg(long, env = "MELGRAD_TIME_SHIFT", value_name = "FRAMES")]
    time_shift: Option<usize>,
    /// SpecAugment: masks over time [default: 0]
    #[arg(long, env = "MELGRAD_TIME_MASKS", value_name = "N")]
    time_masks: Option<usize>,
    /// SpecAugment: the most frames of a time mask [default: 64]
    #[arg(long, env = "MELGRAD_TIME_MASK_FRAMES", value_name = "FRAMES")]
    time_mask_frames: Option<usize>,
    /// SpecAugment: masks over mel bands [default: 0]
    #[arg(long, env = "MELGRAD_MEL_MASKS", value_name = "N")]
    mel_masks: Option<usize>,
    /// SpecAugment: the most bands of a mel mask [default: 16]
    #[arg(long, env = "MELGRAD_MEL_MASK_BANDS", value_name = "BANDS")]
    mel_mask_bands: Option<usize>,
}

impl AugmentArgs {
    pub(super) fn apply(&self, augment: &mut AugmentConfig) {
        set(&mut augment.random_crop, &self.random_crop);
        set(&mut augment.gain_db, &self.gain_db);
        set(&mut augment.time_shift, &self.time_shift);
        set(&mut augment.time_masks, &self.time_masks);
        set(&mut augment.time_mask_frames, &self.time_mask_frames);
        set(&mut augment.mel_masks, &self.mel_masks);
        set(&mut augment.mel_mask_bands, &self.mel_mask_bands);
    }
}
