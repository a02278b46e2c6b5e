//! Dropout beside its reference, and its masks as random numbers.

use crate::kernels::try_all;
use melgrad::layers::{Mode, Size};
use melgrad::reference::dropout::{factors, philox};
use melgrad::selftest::dropout::{Case, check};

#[test]
fn dropout_agrees_with_its_reference() {
    let case = |frames, batch, channels| {
        let size = Size { batch, frames };
        Case { size, capacity: size, channels, p: 0.3, seed: [7, 0], stream: 1, mode: Mode::Train }
    };
    let odd = case(7, 3, 13);
    let mut cases = vec![case(1, 1, 1), case(2, 1, 128), case(16, 3, 33), case(17, 2, 5), case(647, 3, 13)];
    cases.extend([
        odd,
        Case { capacity: Size { batch: 5, frames: 9 }, ..odd },
        Case { p: 0.0, ..odd },
        Case { p: 0.999, ..odd },
        Case { seed: [u32::MAX, 0x9e37_79b9], stream: u32::MAX, ..odd },
        Case { mode: Mode::Recalibrate(0.25), capacity: Size { batch: 5, frames: 9 }, ..odd },
        Case { mode: Mode::Evaluate, ..odd },
        Case { mode: Mode::Evaluate, capacity: Size { batch: 5, frames: 9 }, ..odd },
    ]);
    try_all(&cases, check);
}

/// The known answers of the authors' Random123 (`tests/kat_vectors`).
#[test]
fn the_words_are_those_of_philox4x32_10() {
    let ones = u32::MAX;
    for (counter, key, expected) in [
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([ones; 4], [ones; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ] {
        assert_eq!(philox(counter, key), expected);
    }
}

const BATCH: usize = 64;
const CHANNELS: usize = 256;

fn kept(p: f32, seed: [u32; 2], stream: u32) -> Vec<bool> {
    factors(BATCH, CHANNELS, p, seed, stream).into_iter().map(|factor| factor > 0.0).collect()
}

/// Whether `hits` of `trials` is within 4 standard deviations of a share of `expected`.
fn plausible(hits: usize, trials: usize, expected: f64) -> bool {
    let (hits, trials) = (hits as f64, trials as f64);
    (hits - trials * expected).abs() <= 4.0 * (trials * expected * (1.0 - expected)).sqrt()
}

#[test]
fn the_share_kept_is_one_minus_p_in_every_mask_channel_and_sample() {
    for p in [0.1f32, 0.5, 0.8] {
        let share = 1.0 - f64::from(p);
        let (mut of_channel, mut of_sample) = (vec![0; CHANNELS], vec![0; BATCH]);
        for seed in 0..16 {
            let mask = kept(p, [seed, 0], 3);
            let count = mask.iter().filter(|&&kept| kept).count();
            assert!(plausible(count, mask.len(), share), "p {p}, seed {seed}: {count} of {}", mask.len());
            for (i, _) in mask.iter().enumerate().filter(|(_, kept)| **kept) {
                of_channel[i % CHANNELS] += 1;
                of_sample[i / CHANNELS] += 1;
            }
        }
        assert!(of_channel.iter().all(|&count| plausible(count, 16 * BATCH, share)), "p {p}: {of_channel:?}");
        assert!(of_sample.iter().all(|&count| plausible(count, 16 * CHANNELS, share)), "p {p}: {of_sample:?}");
    }
}

#[test]
fn masks_of_other_seeds_streams_samples_and_channels_have_nothing_in_common() {
    let equal = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| a == b).count();
    for p in [0.2f32, 0.5] {
        // Two independent draws agree with this probability.
        let share = f64::from(p * p + (1.0 - p) * (1.0 - p));
        let check = |what: &str, a: &[bool], b: &[bool]| {
            let count = equal(a, b);
            assert!(plausible(count, a.len(), share), "p {p}, {what}: {count} of {} are equal", a.len());
        };
        for seed in 0..32 {
            let mask = kept(p, [seed, 5], 0);
            check("the next seed", &mask, &kept(p, [seed + 1, 5], 0));
            check("the next high word", &mask, &kept(p, [seed, 6], 0));
            check("the next stream", &mask, &kept(p, [seed, 5], 1));
            check("the next channel", &mask[1..], &mask[..mask.len() - 1]);
            check("the next sample", &mask[CHANNELS..], &mask[..mask.len() - CHANNELS]);
            assert!(mask == kept(p, [seed, 5], 0), "a mask is a function of its numbers");
        }
    }
}
