//! A log-mel spectrogram with its axes: seconds, hertz on the mel scale, decibels.

use super::Plot;
use super::axes::{self, MARGIN, Panel, SMALL, Scale};
use super::palette::{self, INK, QUIET};
use super::scene::{Anchor, Colour, Image, Scene, Stroke, Style, WIDTH};
use crate::config::FeatureConfig;
use crate::features;
use serde::{Deserialize, Serialize};

/// What the networks see of a clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MelSpectrogram {
    /// Names the clip.
    pub title: String,
    /// How it was made; may be empty.
    pub note: String,
    /// `(frames, bands)` in decibels.
    pub decibels: Vec<f32>,
    /// Centre of each band in hertz, ascending.
    pub band_hertz: Vec<f64>,
    /// Between two frames.
    pub seconds_per_frame: f64,
}

impl MelSpectrogram {
    /// Of `decibels`, `(frames, n_mels)`, made as `config` says.
    pub fn of(title: &str, config: &FeatureConfig, decibels: &[f32]) -> Self {
        let FeatureConfig { n_mels, sample_rate, n_fft, hop_length, .. } = config;
        Self {
            title: title.into(),
            note: format!("{n_mels} mel bands of {sample_rate} Hz, windows of {n_fft} samples every {hop_length}"),
            decibels: decibels.to_vec(),
            band_hertz: features::band_hertz(config),
            seconds_per_frame: *hop_length as f64 / f64::from(*sample_rate),
        }
    }
}

/// Most columns of pixels; of a longer clip each shows the loudest of its frames.
const MOST_COLUMNS: usize = 1_200;
const HEIGHT: f64 = 230.0;
/// Shades of the scale beside the picture.
const SHADES: usize = 128;

impl Plot for MelSpectrogram {
    fn scene(&self) -> Scene {
        let mut scene = Scene::new(WIDTH, &self.title);
        let top = axes::heading(&mut scene, &self.title, &self.note) + 6.0;
        let (bands, bottom) = (self.band_hertz.len(), top + HEIGHT);
        let frames = self.decibels.len() / bands.max(1);
        let seconds = frames as f64 * self.seconds_per_frame;
        let panel = Panel {
            x: Scale { values: [0.0, seconds], units: [76.0, WIDTH - 80.0] },
            // Band b fills b to b + 1.
            y: Scale { values: [0.0, bands.max(1) as f64], units: [bottom, top] },
        };
        panel.left_axis(&mut scene, &self.hertz(panel.y), "hertz (mel scale)");
        let levels = axes::range(self.decibels.iter().map(|&level| f64::from(level)));
        let [left, right] = panel.x.units;
        if frames > 0 {
            scene.image([left, top], [right - left, HEIGHT], self.image(frames, levels));
        }
        let y = panel.bottom_axis(&mut scene, &axes::numbers([0.0, seconds], 7, 0.0), "seconds");
        shades(&mut scene, [right + 18.0, top], levels);
        scene.height = y + MARGIN;
        scene
    }
}

impl MelSpectrogram {
    fn image(&self, frames: usize, levels: [f64; 2]) -> Image {
        let bands = self.band_hertz.len();
        let width = frames.min(MOST_COLUMNS);
        let shade = Scale { values: levels, units: [0.0, 1.0] };
        let mut rgb = Vec::with_capacity(3 * width * bands);
        for band in (0..bands).rev() {
            for column in 0..width {
                let shown = column * frames / width..(column + 1) * frames / width;
                let loudest = shown.map(|frame| self.decibels[frame * bands + band]).fold(f32::NEG_INFINITY, f32::max);
                let Colour(r, g, b) = palette::viridis(shade.at(f64::from(loudest)));
                rgb.extend([r, g, b]);
            }
        }
        Image { width, height: bands, rgb }
    }

    /// Powers of two, from the highest down as far as their labels do not touch.
    fn hertz(&self, scale: Scale) -> Vec<(f64, String)> {
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for hertz in (7..18).rev().map(|power| f64::from(1 << power)) {
            let Some(place) = self.place(hertz) else { continue };
            let free = ticks.last().is_none_or(|(above, _)| scale.at(place) - scale.at(*above) >= 1.2 * SMALL);
            if free {
                ticks.push((place, format!("{hertz:.0}")));
            }
        }
        ticks
    }

    /// Where a frequency lies on the axis: the centre of band b at b + 1/2, between two in proportion.
    fn place(&self, hertz: f64) -> Option<f64> {
        let above = self.band_hertz.iter().position(|&centre| centre >= hertz)?;
        let below = above.checked_sub(1)?;
        let (low, high) = (self.band_hertz[below], self.band_hertz[above]);
        Some(below as f64 + 0.5 + (hertz - low) / (high - low))
    }
}

/// The scale of decibels beside the picture.
fn shades(scene: &mut Scene, [x, top]: [f64; 2], levels: [f64; 2]) {
    let colour = |i: usize| palette::viridis(1.0 - (i as f64 + 0.5) / SHADES as f64);
    let rgb = (0..SHADES).map(colour).flat_map(|Colour(r, g, b)| [r, g, b]).collect();
    scene.image([x, top], [12.0, HEIGHT], Image { width: 1, height: SHADES, rgb });
    let scale = Scale { values: levels, units: [top + HEIGHT, top] };
    for (tick, label) in axes::numbers(levels, 6, 1.0) {
        let y = scale.at(tick);
        scene.line(vec![[x + 12.0, y], [x + 15.0, y]], Stroke::new(QUIET, 1.0));
        scene.text([x + 18.0, y + 0.36 * SMALL], &label, Style::new(SMALL, INK, Anchor::Start));
    }
    scene.text([x - 2.0, top + HEIGHT + 6.0 + SMALL], "decibels", Style::new(SMALL, INK, Anchor::Start));
}
