//! Accuracy against the length of what is heard: the test clips cut to their middle.

use super::CompareError;
use crate::config::{Config, FeatureConfig};
use crate::dataset::{Clip, Dataset, Split};
use crate::models::{Dimensions, Network, declare};
use crate::train::baseline::Baseline;
use crate::train::metrics::most_likely;
use crate::train::predict_part;
use crate::train::predictions::Prediction;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Seconds that are heard of each test clip.
const SECONDS: [f64; 4] = [3.0, 6.0, 15.0, 30.0];
/// A clip is as long as a length if it lacks no more than this share of it: GTZAN's last 29.9 s, not 30.
const TOLERANCE: f64 = 0.05;
/// A length is left out where more than this share of the test clips is shorter.
const SHORTER: f64 = 0.05;

/// What is known of the test part by one length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LengthResult {
    /// Seconds that were heard of each clip, its middle.
    pub seconds: f64,
    /// Frames of the network's window: those of training, or fewer where the length has no more.
    pub frames: usize,
    /// Test clips of that length.
    pub clips: usize,
    /// 0..1; absent where the network cannot take so few frames.
    pub test_accuracy: Option<f64>,
}

/// Accuracy of a network with its final weights on each length that the test clips have.
pub(super) fn of_network(network: &Network, config: &Config, data: &Dataset) -> Result<Vec<LengthResult>, CompareError> {
    let dimensions = network.dimensions();
    each(data, &config.features, |data| {
        if declare(&config.model, Dimensions { frames: data.frames, ..dimensions }).is_err() {
            return Ok(None);
        }
        Ok(Some(predict_part(network, data, Split::Test)?))
    })
}

/// The same of the baseline.
pub(super) fn of_baseline(
    baseline: &Baseline,
    features: &FeatureConfig,
    data: &Dataset,
) -> Result<Vec<LengthResult>, CompareError> {
    each(data, features, |data| Ok(Some(baseline.predict_part(data, Split::Test))))
}

fn each(
    data: &Dataset,
    features: &FeatureConfig,
    mut predict: impl FnMut(&Dataset) -> Result<Option<Vec<Prediction>>, CompareError>,
) -> Result<Vec<LengthResult>, CompareError> {
    let mut results = Vec::new();
    for seconds in SECONDS {
        let frames = features.frames((seconds * f64::from(features.sample_rate)).round() as usize);
        let sound = |clip: &Clip| features.frames((clip.seconds() * f64::from(features.sample_rate)).round() as usize);
        let Some(shortened) = shortened(data, frames, sound) else { continue };
        let predictions = predict(&shortened)?;
        let right = |said: &[Prediction]| said.iter().filter(|one| most_likely(&one.probabilities) == one.label).count();
        results.push(LengthResult {
            seconds,
            frames: shortened.frames,
            clips: shortened.samples.len(),
            test_accuracy: predictions.map(|said| right(&said) as f64 / said.len().max(1) as f64),
        });
    }
    Ok(results)
}

/// The test clips cut to their middle `frames`, where `sound` gives those of a clip without its padding; none where too
/// many of them are shorter.
fn shortened(data: &Dataset, frames: usize, sound: impl Fn(&Clip) -> usize) -> Option<Dataset> {
    let mut samples: Vec<_> = data.part(Split::Test).into_iter().map(|i| data.samples[i].clone()).collect();
    let (enough, all) = ((frames as f64 * (1.0 - TOLERANCE)).ceil() as usize, samples.len());
    samples.retain(|sample| sound(&sample.clip) >= enough);
    if samples.is_empty() || (all - samples.len()) as f64 > SHORTER * all as f64 {
        return None;
    }
    let mut window = data.frames.min(frames);
    for sample in &mut samples {
        let (clip, sound) = (&sample.clip, sound(&sample.clip).min(sample.clip.frames()));
        if sound > frames {
            sample.clip = Arc::new(clip.segment((sound - frames) / 2, frames));
        }
        window = window.min(sample.clip.frames());
    }
    Some(Dataset { frames: window, samples, duplicates: Vec::new(), warnings: Vec::new(), ..data.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Sample;
    use crate::features::Features;

    fn data(lengths: &[usize], window: usize) -> Dataset {
        let sample = |(i, &frames): (usize, &usize)| {
            let features = Features { frames, n_mels: 1, data: (0..frames).map(|frame| frame as f32).collect() };
            Sample {
                path: format!("{i}.wav").into(),
                label: 0,
                split: if i == 0 { Split::Train } else { Split::Test },
                group: i.to_string(),
                content_hash: i.to_string(),
                clip: Arc::new(Clip::new(features, frames as f64, None)),
            }
        };
        Dataset {
            classes: vec!["a".into()],
            n_mels: 1,
            frames: window,
            samples: lengths.iter().enumerate().map(sample).collect(),
            bad: Vec::new(),
            duplicates: Vec::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn test_clips_are_cut_to_their_middle_and_the_window_with_them() {
        let cut = shortened(&data(&[100, 100, 60], 30), 40, Clip::frames).unwrap();
        assert_eq!((cut.samples.len(), cut.frames), (2, 30), "the test part alone");
        assert_eq!(cut.samples[0].clip.decibels()[0], 30.0);
        assert!(cut.samples.iter().all(|sample| sample.clip.frames() == 40));
        assert_eq!(shortened(&data(&[100, 100], 30), 20, Clip::frames).unwrap().frames, 20);
    }

    #[test]
    fn a_length_that_the_clips_lack_is_left_out() {
        assert!(shortened(&data(&[100, 100, 60], 30), 80, Clip::frames).is_none());
        assert!(shortened(&data(&[100, 100], 100), 100, |_| 50).is_none(), "padding is no sound");
        let nearly = shortened(&data(&[100, 100, 97], 100), 100, Clip::frames).unwrap();
        assert_eq!(nearly.frames, 97, "within the tolerance, and no window reaches past an end");
    }
}
