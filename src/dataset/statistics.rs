//! Mean and deviation of the mel bands, for the networks that take standardised input.

use super::Clip;

/// Deviations below this many decibels are those of a band that never changes, up to rounding.
const CONSTANT_BAND: f64 = 1e-4;

/// Per mel band, in decibels.
#[derive(Debug, Clone, PartialEq)]
pub struct MelStatistics {
    /// Mean of each band.
    pub mean: Vec<f32>,
    /// Population deviation of each band; 1 for a band that never changes, so that dividing by it is safe.
    pub std: Vec<f32>,
}

impl MelStatistics {
    /// Over every frame of the clips, each once, in f64 and in two passes; mean 0 and deviation 1 without frames.
    pub fn of<'a>(clips: impl Iterator<Item = &'a Clip> + Clone, n_mels: usize, frames: usize) -> Self {
        let (mut mean, mut variance) = (vec![0.0f64; n_mels], vec![0.0f64; n_mels]);
        let mut count = 0u64;
        each_frame(clips.clone(), frames, |frame| {
            count += 1;
            frame.iter().zip(&mut mean).for_each(|(&x, sum)| *sum += f64::from(x));
        });
        let n = count.max(1) as f64;
        mean.iter_mut().for_each(|sum| *sum /= n);
        each_frame(clips, frames, |frame| {
            for ((&x, mean), sum) in frame.iter().zip(&mean).zip(&mut variance) {
                *sum += (f64::from(x) - mean).powi(2);
            }
        });
        let deviation = |sum: f64| (sum / n).sqrt();
        Self {
            mean: mean.iter().map(|&x| x as f32).collect(),
            std: variance.iter().map(|&sum| if deviation(sum) < CONSTANT_BAND { 1.0 } else { deviation(sum) as f32 }).collect(),
        }
    }
}

/// The frames as the network will see them.
fn each_frame<'a>(clips: impl Iterator<Item = &'a Clip>, frames: usize, mut visit: impl FnMut(&[f32])) {
    for clip in clips {
        clip.evaluated(frames).chunks_exact(clip.n_mels()).for_each(&mut visit);
    }
}
