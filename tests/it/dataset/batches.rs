use super::fixtures::*;
use melgrad::config::AugmentConfig;
use melgrad::dataset::{Batch, Batches, Clip, Dataset, LoadOptions, Split, Windows, window_starts};
use melgrad::features::Features;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Clip `i` has `lengths[i]` frames; frame `t` of it is `1000 i + t` in both bands: a value tells clip and frame.
fn ramps(lengths: &[usize], frames: usize, part: &str) -> Dataset {
    let root = folder();
    let mut text = String::from("path,label,split\n");
    for (i, &length) in lengths.iter().enumerate() {
        ramp(&root.path().join(format!("{i:02}.npy")), 2, length, 1000.0 * i as f32);
        text += &format!("{i:02}.npy,class {},{part}\n", i % 2);
    }
    // Something in every part, so that no part is made up from another.
    for (i, split) in ["train", "valid", "test"].iter().enumerate().filter(|(_, split)| **split != part) {
        ramp(&root.path().join(format!("other {i}.npy")), 2, frames, -1000.0 * (i + 1) as f32);
        text += &format!("other {i}.npy,class {i},{split}\n");
    }
    manifest(root.path(), &text);
    let mut options = LoadOptions { frames, ..options() };
    options.features.n_mels = 2;
    options.data.min_seconds = 0.0;
    load_with(root.path(), &options).expect("a data set")
}

/// `(clip, first frame)` of every window of a batch, each checked to be one stretch of one clip.
fn decoded(batch: &Batch) -> Vec<(usize, usize)> {
    assert_eq!(batch.features.len(), batch.len() * batch.frames * batch.n_mels);
    assert_eq!(batch.labels.len(), batch.indices.len());
    let window = |values: &[f32]| {
        let first = values[0] as usize;
        let expected: Vec<f32> = (0..batch.frames).flat_map(|t| [(first + t) as f32; 2]).collect();
        assert_eq!(values, expected);
        (first / 1000, first % 1000)
    };
    batch.features.chunks(batch.frames * batch.n_mels).map(window).collect()
}

const LENGTHS: [usize; 11] = [8, 9, 20, 8, 31, 100, 12, 8, 17, 64, 40];

#[test]
fn an_epoch_crops_every_training_clip_once_and_keeps_the_smaller_last_batch() {
    let data = ramps(&LENGTHS, 8, "train");
    let mut crops = BTreeSet::new();
    for epoch in 0..50 {
        let batches = Batches::training(&data, 4, &AugmentConfig::default(), 5, epoch);
        assert_eq!((batches.len(), batches.windows(), batches.is_empty()), (3, 11, false));
        assert_eq!(batches.iter().map(|batch| batch.len()).collect::<Vec<_>>(), [4, 4, 3]);
        let mut seen = Vec::new();
        for batch in batches.iter() {
            for ((clip, start), (&label, &index)) in decoded(&batch).into_iter().zip(batch.labels.iter().zip(&batch.indices)) {
                assert!(start + 8 <= LENGTHS[clip], "clip {clip} of {} frames from {start}", LENGTHS[clip]);
                assert_eq!(
                    (data.samples[index].path.to_str(), label as usize),
                    (Some(format!("{clip:02}.npy").as_str()), clip % 2)
                );
                seen.push(clip);
                crops.insert((clip, start));
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..11).collect::<Vec<_>>(), "epoch {epoch}");
    }
    // Clip 1 has two places for a crop, and both are used; so is nearly every place of clip 2.
    assert!(crops.contains(&(1, 0)) && crops.contains(&(1, 1)));
    assert!(crops.iter().filter(|(clip, _)| *clip == 2).count() >= 11, "{crops:?}");
}

#[test]
fn seed_and_epoch_decide_the_order_and_the_crops() {
    let data = ramps(&LENGTHS, 8, "train");
    let of = |seed, epoch| Batches::training(&data, 4, &AugmentConfig::default(), seed, epoch).iter().collect::<Vec<_>>();
    assert_eq!(of(1, 3), of(1, 3));
    assert_ne!(of(1, 3), of(1, 4));
    assert_ne!(of(1, 3), of(2, 3));
    let order = |batches: &[Batch]| batches.iter().flat_map(|batch| batch.indices.clone()).collect::<Vec<_>>();
    assert_ne!(order(&of(1, 3)), order(&of(1, 4)));
}

#[test]
fn a_batch_can_be_filled_in_any_order_into_used_memory() {
    let data = ramps(&LENGTHS, 8, "train");
    let batches = Batches::training(&data, 4, &AugmentConfig::default(), 0, 0);
    let in_turn: Vec<Batch> = batches.iter().collect();
    let mut batch = Batch::default();
    for i in [2, 0, 1, 2] {
        batches.fill(i, &mut batch);
        assert_eq!(batch, in_turn[i]);
    }
}

#[test]
fn windows_follow_each_other_and_the_last_one_ends_with_the_clip() {
    for (clip, frames, expected) in [
        (8, 8, vec![0]),
        (16, 8, vec![0, 8]),
        (17, 8, vec![0, 8, 9]),
        (15, 8, vec![0, 7]),
        (9, 8, vec![0, 1]),
        (23, 8, vec![0, 8, 15]),
        (7, 8, vec![]),
        (0, 8, vec![]),
        (3, 1, vec![0, 1, 2]),
    ] {
        assert_eq!(window_starts(clip, frames), expected, "{clip} frames in windows of {frames}");
    }
}

#[test]
fn evaluation_takes_every_window_or_the_one_in_the_middle() {
    let data = ramps(&[8, 9, 20, 8, 31], 8, "valid");
    let all = Batches::evaluation(&data, Split::Valid, 4, Windows::All);
    let found: Vec<_> = all.iter().flat_map(|batch| decoded(&batch)).collect();
    assert_eq!(found, [(0, 0), (1, 0), (1, 1), (2, 0), (2, 8), (2, 12), (3, 0), (4, 0), (4, 8), (4, 16), (4, 23)]);
    assert_eq!(all.iter().map(|batch| batch.len()).collect::<Vec<_>>(), [4, 4, 3]);
    let indices: Vec<usize> = all.iter().flat_map(|batch| batch.indices).collect();
    assert_eq!(indices, [0, 1, 1, 2, 2, 2, 3, 4, 4, 4, 4]);
    let centre = Batches::evaluation(&data, Split::Valid, 2, Windows::Centre);
    let found: Vec<_> = centre.iter().flat_map(|batch| decoded(&batch)).collect();
    assert_eq!(found, [(0, 0), (1, 0), (2, 6), (3, 0), (4, 11)]);
    assert_eq!(centre.iter().flat_map(|batch| batch.labels).collect::<Vec<_>>(), [0, 1, 0, 1, 0]);
}

#[test]
fn clips_without_labels_are_batched_in_their_order() {
    let data = ramps(&[9, 8, 16], 8, "test");
    let clips: Vec<Arc<Clip>> = data.part(Split::Test).iter().map(|&i| data.samples[i].clip.clone()).collect();
    let batches = Batches::unlabelled(&clips, 8, 3, Windows::All);
    let found: Vec<_> = batches.iter().flat_map(|batch| decoded(&batch).into_iter().zip(batch.indices)).collect();
    assert_eq!(found, [((0, 0), 0), ((0, 1), 0), ((1, 0), 1), ((2, 0), 2), ((2, 8), 2)]);
    assert_eq!(Batches::unlabelled([], 8, 3, Windows::All).len(), 0);
}

#[test]
fn an_empty_part_gives_no_batches() {
    let data = ramps(&[8], 8, "train");
    let only_train =
        Dataset { samples: data.samples.iter().filter(|sample| sample.split == Split::Train).cloned().collect(), ..data };
    assert!(Batches::evaluation(&only_train, Split::Test, 4, Windows::All).is_empty());
}

#[test]
fn mel_statistics_are_those_of_the_training_part_alone() {
    let root = folder();
    let clip = |name: &str, bands: [[f32; 2]; 2]| {
        features(&root.path().join(name), &Features { frames: 2, n_mels: 2, data: bands.concat() });
    };
    clip("a.npy", [[1.0, -7.0], [3.0, -7.0]]);
    clip("b.npy", [[5.0, -7.0], [7.0, -7.0]]);
    clip("c.npy", [[500.0, 1.0], [900.0, 2.0]]);
    clip("d.npy", [[800.0, 3.0], [700.0, 4.0]]);
    manifest(root.path(), "path,label,split\na.npy,x,train\nb.npy,y,train\nc.npy,x,valid\nd.npy,y,test\n");
    let mut options = LoadOptions { frames: 2, ..options() };
    options.features.n_mels = 2;
    options.data.min_seconds = 0.0;
    let statistics = load_with(root.path(), &options).expect("a data set").mel_statistics();
    assert_eq!(statistics.mean, [4.0, -7.0]);
    // sqrt((9 + 1 + 1 + 9) / 4); a band that never changes is divided by 1.
    assert_eq!(statistics.std, [5.0f32.sqrt(), 1.0]);
}

#[test]
fn mel_statistics_of_a_much_longer_file_count_each_frame_once_as_cut_in_its_window() {
    // Windows of 2 frames: (0, -90), (-50, -60) and, aligned to the end, (-60, -200).
    let data = vec![0.0, -90.0, -50.0, -60.0, -200.0];
    let clip = Clip::new(Features { frames: 5, n_mels: 1, data }, 100.0, Some(80.0));
    let statistics = melgrad::dataset::MelStatistics::of([&clip].into_iter(), 1, 2);
    assert_eq!(statistics.mean, [(0.0 - 80.0 - 50.0 - 60.0 - 140.0) / 5.0]);
}
