//! Augmentation, seen through the batches that training gets.

use melgrad::config::AugmentConfig;
use melgrad::dataset::{Batch, Batches, Clip, Dataset, Sample, Split, Windows};
use melgrad::features::Features;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

const FRAMES: usize = 50;
const BANDS: usize = 6;
const CLIPS: usize = 20;
/// Of the numbers 0 to 299: in between two of them, so that what is masked can be told from what is not.
const MEAN: f32 = 149.5;

const OFF: AugmentConfig = AugmentConfig {
    random_crop: true,
    gain_db: 0.0,
    time_shift: 0,
    time_masks: 0,
    time_mask_frames: 10,
    mel_masks: 0,
    mel_mask_bands: 4,
};
const EVERYTHING: AugmentConfig = AugmentConfig { gain_db: 6.0, time_shift: 20, time_masks: 2, mel_masks: 2, ..OFF };

/// Bin `i` of every clip holds the number `i`: all that differs between clips is what was drawn for them.
fn clip(frames: usize, window_top_db: Option<f32>) -> Arc<Clip> {
    let data = (0..frames * BANDS).map(|i| i as f32).collect();
    Arc::new(Clip::new(Features { frames, n_mels: BANDS, data }, 100.0, window_top_db))
}

fn dataset(clips: impl IntoIterator<Item = (Split, Arc<Clip>)>) -> Dataset {
    let sample = |(i, (split, clip)): (usize, (Split, Arc<Clip>))| Sample {
        path: format!("{i}.npy").into(),
        label: i % 2,
        split,
        group: i.to_string(),
        content_hash: i.to_string(),
        clip,
    };
    Dataset {
        classes: vec!["even".into(), "odd".into()],
        n_mels: BANDS,
        frames: FRAMES,
        samples: clips.into_iter().enumerate().map(sample).collect(),
        bad: Vec::new(),
        duplicates: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Clips exactly as long as a crop, so that nothing is drawn but what augmentation draws.
fn exact() -> Dataset {
    dataset((0..CLIPS).map(|_| (Split::Train, clip(FRAMES, None))))
}

fn by_clip(batches: impl Iterator<Item = Batch>) -> BTreeMap<usize, Vec<f32>> {
    let crops = |batch: Batch| {
        let crops = batch.features.chunks(batch.frames * batch.n_mels).map(<[f32]>::to_vec).collect::<Vec<_>>();
        batch.indices.into_iter().zip(crops)
    };
    batches.flat_map(crops).collect()
}

/// The crops of 200 epochs.
fn many(data: &Dataset, augment: &AugmentConfig) -> Vec<Vec<f32>> {
    let epoch = |epoch| by_clip(Batches::training(data, 8, augment, 1, epoch).iter()).into_values();
    (0..200).flat_map(epoch).collect()
}

fn plain() -> Vec<f32> {
    (0..FRAMES * BANDS).map(|i| i as f32).collect()
}

/// Which frames and which bands hold nothing but `mean`; no other bin may hold it.
fn masked(crop: &[f32], mean: f32) -> (Vec<usize>, Vec<usize>) {
    let hidden = |t: usize, band: usize| crop[t * BANDS + band] == mean;
    let frames: Vec<usize> = (0..FRAMES).filter(|&t| (0..BANDS).all(|band| hidden(t, band))).collect();
    let bands: Vec<usize> = (0..BANDS).filter(|&band| (0..FRAMES).all(|t| hidden(t, band))).collect();
    for (t, band) in (0..FRAMES).flat_map(|t| (0..BANDS).map(move |band| (t, band))) {
        assert_eq!(hidden(t, band), frames.contains(&t) || bands.contains(&band), "frame {t}, band {band}");
    }
    (frames, bands)
}

fn stretch(places: &[usize]) -> Range<usize> {
    let range = places.first().map_or(0..0, |first| *first..places[places.len() - 1] + 1);
    assert_eq!(range.len(), places.len(), "one mask hides one stretch: {places:?}");
    range
}

/// How likely each place is to be under one mask of a uniform width up to `most`, at a uniform place.
fn covered(length: usize, most: usize) -> Vec<f64> {
    let mut covered = vec![0.0; length];
    for width in 0..=most {
        let places = length - width + 1;
        for start in 0..places {
            covered[start..start + width].iter_mut().for_each(|p| *p += 1.0 / ((most + 1) * places) as f64);
        }
    }
    covered
}

/// 4,000 masks over an axis of `length` that go up to `most`.
fn check_single_masks(length: usize, most: usize, masks: &[Range<usize>]) {
    let count = |fits: &dyn Fn(&Range<usize>) -> bool| masks.iter().filter(|mask| fits(mask)).count() as f64 / masks.len() as f64;
    assert!(masks.iter().all(|mask| mask.len() <= most && mask.end <= length));
    for width in 0..=most {
        let share = count(&|mask| mask.len() == width);
        assert!((share * (most + 1) as f64 - 1.0).abs() < 0.3, "width {width} of {most}: {share}");
    }
    for (place, expected) in covered(length, most).into_iter().enumerate() {
        let share = count(&|mask| mask.contains(&place));
        assert!((share - expected).abs() < 0.035, "place {place} of {length}: {share} and not {expected}");
    }
}

#[test]
fn a_time_mask_hides_whole_frames_behind_the_mean_and_leaves_the_rest() {
    // The last is wider than the crop, and cut to it.
    for (most, widest) in [(1, 1), (10, 10), (1000, FRAMES)] {
        let crops = many(&exact(), &AugmentConfig { time_masks: 1, time_mask_frames: most, ..OFF });
        let masks = crops.iter().map(|crop| {
            let (frames, bands) = masked(crop, MEAN);
            assert!(bands.is_empty() || frames.len() == FRAMES);
            crop.iter().zip(plain()).for_each(|(&value, before)| assert!(value == MEAN || value == before));
            stretch(&frames)
        });
        let masks: Vec<_> = masks.collect();
        assert_eq!(masks.len(), 200 * CLIPS);
        if widest < FRAMES {
            check_single_masks(FRAMES, widest, &masks);
        }
        assert_eq!(masks.iter().map(|mask| mask.len()).max(), Some(widest));
    }
}

#[test]
fn a_mel_mask_hides_whole_bands_behind_the_mean_and_leaves_the_rest() {
    for (most, widest) in [(1, 1), (4, 4), (1000, BANDS)] {
        let crops = many(&exact(), &AugmentConfig { mel_masks: 1, mel_mask_bands: most, ..OFF });
        let masks = crops.iter().map(|crop| {
            let (frames, bands) = masked(crop, MEAN);
            assert!(frames.is_empty() || bands.len() == BANDS);
            crop.iter().zip(plain()).for_each(|(&value, before)| assert!(value == MEAN || value == before));
            stretch(&bands)
        });
        check_single_masks(BANDS, widest, &masks.collect::<Vec<_>>());
    }
}

#[test]
fn several_masks_hide_as_much_as_independent_ones() {
    let crops = many(&exact(), &AugmentConfig { time_masks: 3, mel_masks: 2, mel_mask_bands: 2, ..OFF });
    let share = |sizes: usize, length: usize| sizes as f64 / (crops.len() * length) as f64;
    let (frames, bands): (Vec<_>, Vec<_>) = crops.iter().map(|crop| masked(crop, MEAN)).unzip();
    let found = [share(frames.iter().map(Vec::len).sum(), FRAMES), share(bands.iter().map(Vec::len).sum(), BANDS)];
    let expected = |length: usize, most: usize, masks: i32| {
        covered(length, most).into_iter().map(|p| 1.0 - (1.0 - p).powi(masks)).sum::<f64>() / length as f64
    };
    let expected = [expected(FRAMES, 10, 3), expected(BANDS, 2, 2)];
    assert!((found[0] - expected[0]).abs() < 0.01 && (found[1] - expected[1]).abs() < 0.02, "{found:?} and not {expected:?}");
}

#[test]
fn gain_moves_every_bin_by_one_number_within_the_bound() {
    // Cut per window, the floor is relative to the window's loudest bin: it moves with it.
    for top_db in [None, Some(80.0)] {
        let data = dataset((0..CLIPS).map(|_| (Split::Train, clip(FRAMES, top_db))));
        let before = by_clip(Batches::training(&data, 8, &OFF, 0, 0).iter()).remove(&0).unwrap();
        let crops = many(&data, &AugmentConfig { gain_db: 6.0, ..OFF });
        let gains: Vec<f32> = crops.iter().map(|crop| crop[299] - before[299]).collect();
        for (crop, gain) in crops.iter().zip(&gains) {
            assert!(gain.abs() <= 6.0 + 1e-4, "{gain}");
            crop.iter().zip(&before).for_each(|(after, before)| assert!((after - before - gain).abs() < 1e-4));
        }
        let mean = gains.iter().sum::<f32>() / gains.len() as f32;
        let square = gains.iter().map(|gain| gain * gain).sum::<f32>() / gains.len() as f32;
        assert!(mean.abs() < 0.3 && (square - 12.0).abs() < 1.0, "not uniform: mean {mean}, mean square {square}");
    }
}

#[test]
fn a_time_shift_is_a_rotation_within_the_bound_whatever_the_bound() {
    let rotations = |time_shift| -> BTreeSet<usize> {
        let crops = many(&exact(), &AugmentConfig { time_shift, ..OFF });
        let rotation = |crop: &Vec<f32>| {
            let later = (FRAMES - crop[0] as usize / BANDS) % FRAMES;
            let mut expected = plain();
            expected.rotate_right(later * BANDS);
            assert!(*crop == expected, "not a rotation by {later}: {crop:?}");
            later
        };
        crops.iter().map(rotation).collect()
    };
    assert_eq!(rotations(3), [0, 1, 2, 3, FRAMES - 3, FRAMES - 2, FRAMES - 1].into());
    for shift in [FRAMES / 2, FRAMES, 1000, usize::MAX] {
        assert_eq!(rotations(shift), (0..FRAMES).collect(), "{shift}");
    }
}

#[test]
fn what_one_change_draws_does_not_depend_on_the_others_and_masks_come_last() {
    let data = exact();
    let of = |augment: AugmentConfig| by_clip(Batches::training(&data, 8, &augment, 4, 2).iter());
    let shifted = of(AugmentConfig { time_shift: 20, ..OFF });
    let louder = of(AugmentConfig { gain_db: 6.0, ..OFF });
    let (time, mel) = (of(AugmentConfig { time_masks: 2, ..OFF }), of(AugmentConfig { mel_masks: 2, ..OFF }));
    for (clip, crop) in of(EVERYTHING) {
        // Bin 0 holds 0: what is there now is the gain itself.
        let gain = louder[&clip][0];
        let (frames, bands) = (masked(&time[&clip], MEAN).0, masked(&mel[&clip], MEAN).1);
        for (i, (&value, before)) in crop.iter().zip(&shifted[&clip]).enumerate() {
            if frames.contains(&(i / BANDS)) || bands.contains(&(i % BANDS)) {
                assert!((value - (MEAN + gain)).abs() < 1e-4, "clip {clip}, bin {i}: {value}");
            } else {
                assert_eq!(value, before + gain, "clip {clip}, bin {i}");
            }
        }
    }
}

#[test]
fn the_changes_are_drawn_independently_of_each_other() {
    let data = exact();
    let of = |augment: AugmentConfig, number: &dyn Fn(&[f32]) -> f32| -> Vec<f64> {
        let numbers: Vec<f64> = many(&data, &augment).iter().map(|crop| f64::from(number(crop))).collect();
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let deviation = (numbers.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / numbers.len() as f64).sqrt();
        numbers.iter().map(|n| (n - mean) / deviation).collect()
    };
    let draws = [
        of(AugmentConfig { time_shift: 20, ..OFF }, &|crop| crop[0] + if crop[0] > 150.0 { -300.0 } else { 0.0 }),
        of(AugmentConfig { gain_db: 6.0, ..OFF }, &|crop| crop[0]),
        of(AugmentConfig { time_masks: 1, ..OFF }, &|crop| masked(crop, MEAN).0.len() as f32),
        of(AugmentConfig { mel_masks: 1, ..OFF }, &|crop| masked(crop, MEAN).1.len() as f32),
    ];
    for (a, b) in (0..4).flat_map(|a| (0..a).map(move |b| (a, b))) {
        let correlation = draws[a].iter().zip(&draws[b]).map(|(x, y)| x * y).sum::<f64>() / draws[a].len() as f64;
        assert!(correlation.abs() < 0.08, "draws {a} and {b}: {correlation}");
    }
}

#[test]
fn seed_epoch_and_clip_alone_decide_what_happens_to_a_clip() {
    let data = exact();
    let of = |batch_size, seed, epoch| by_clip(Batches::training(&data, batch_size, &EVERYTHING, seed, epoch).iter());
    let crops = of(8, 4, 2);
    assert_eq!(crops.len(), CLIPS);
    for batch_size in [1, 3, 20, 64] {
        assert!(of(batch_size, 4, 2) == crops, "in batches of {batch_size}");
    }
    let batches = Batches::training(&data, 3, &EVERYTHING, 4, 2);
    let mut batch = Batch::default();
    let backwards = (0..batches.len()).rev().map(|i| {
        batches.fill(i, &mut batch);
        batch.clone()
    });
    assert!(by_clip(backwards) == crops, "in reverse");
    let fewer = Dataset { samples: data.samples[..7].to_vec(), ..data.clone() };
    for (clip, crop) in by_clip(Batches::training(&fewer, 8, &EVERYTHING, 4, 2).iter()) {
        assert!(crop == crops[&clip], "clip {clip} without the others");
    }
    let mut all: Vec<Vec<f32>> = [crops, of(8, 4, 3), of(8, 5, 2)].into_iter().flat_map(BTreeMap::into_values).collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all.dedup();
    assert_eq!(all.len(), 3 * CLIPS, "clips, epochs and seeds differ");
}

#[test]
fn with_everything_off_the_crops_are_the_drawn_ones_bit_for_bit() {
    assert_eq!(AugmentConfig::default(), AugmentConfig { time_mask_frames: 64, mel_mask_bands: 16, ..OFF }, "all off by default");
    let lengths: Vec<usize> = (0..CLIPS).map(|i| FRAMES + 7 * i).collect();
    let data = dataset(lengths.iter().map(|&length| (Split::Train, clip(length, None))));
    for (seed, epoch) in [(0u64, 1u64), (5, 2), (u64::MAX, 300)] {
        // As the first version drew them: crops in the order of the samples, then the order of the clips.
        let mut rng = ChaCha8Rng::from_seed(*blake3::hash(format!("{seed} epoch {epoch}").as_bytes()).as_bytes());
        let mut plan: Vec<(usize, usize)> =
            lengths.iter().enumerate().map(|(i, l)| (i, rng.random_range(0..=(l - FRAMES) as u64) as usize)).collect();
        plan.shuffle(&mut rng);
        let windows = plan.iter().flat_map(|&(_, start)| (start * BANDS..(start + FRAMES) * BANDS).map(|i| i as f32));
        let batches = Batches::training(&data, 8, &AugmentConfig::default(), seed, epoch);
        assert!(batches.iter().flat_map(|batch| batch.features).eq(windows), "seed {seed}, epoch {epoch}");
        assert!(batches.iter().flat_map(|batch| batch.indices).eq(plan.iter().map(|(clip, _)| *clip)));

        let centred = Batches::training(&data, 8, &AugmentConfig { random_crop: false, ..OFF }, seed, epoch);
        let middles = Batches::evaluation(&data, Split::Train, 8, Windows::Centre);
        assert!(by_clip(centred.iter()) == by_clip(middles.iter()), "in the middle, where evaluation looks");
        assert!(centred.iter().flat_map(|batch| batch.indices).eq(plan.iter().map(|(clip, _)| *clip)), "in the same order");
    }
}

#[test]
fn evaluation_never_changes_a_window() {
    let parts = [Split::Train, Split::Valid, Split::Test];
    let data = dataset((0..CLIPS).map(|i| (parts[i % 3], clip(2 * FRAMES, None))));
    let stretch = |start: usize| (start * BANDS..(start + FRAMES) * BANDS).map(|i| i as f32);
    // What training does to the same clips before has no influence.
    let changed = by_clip(Batches::training(&data, 4, &EVERYTHING, 0, 1).iter());
    assert!(changed.values().all(|crop| !crop.windows(2).all(|pair| pair[1] == pair[0] + 1.0)), "this test would see it");
    for split in parts {
        let count = data.part(split).len();
        let all = Batches::evaluation(&data, split, 4, Windows::All);
        let expected = (0..count).flat_map(|_| stretch(0).chain(stretch(FRAMES)));
        assert!(all.iter().flat_map(|batch| batch.features).eq(expected), "{split}, all windows");
        let centre = Batches::evaluation(&data, split, 4, Windows::Centre);
        assert!(centre.iter().flat_map(|batch| batch.features).eq((0..count).flat_map(|_| stretch(FRAMES / 2))), "{split}");
    }
    let clips: Vec<_> = data.samples.iter().map(|sample| sample.clip.clone()).collect();
    let unlabelled = Batches::unlabelled(&clips, FRAMES, 4, Windows::Centre);
    assert!(unlabelled.iter().flat_map(|batch| batch.features).eq((0..CLIPS).flat_map(|_| stretch(FRAMES / 2))));
}
