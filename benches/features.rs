//! The front end on the CPU: ms per 30 s clip on one core, clips per second on all of them with decoding, ms to fill a
//! training batch with and without augmentation.
//!
//! `cargo bench --bench features [-- REPEATS]`; `benches/librosa_peer.py` runs this and librosa on the same input.

use melgrad::audio;
use melgrad::config::{AugmentConfig, FeatureConfig};
use melgrad::dataset::{Batch, Batches, Clip, Dataset, Sample, Split};
use melgrad::features::{Features, LogMel};
use rayon::prelude::*;
use std::time::Instant;

const RATE: u32 = 22_050;
const SECONDS: usize = 30;
const FILES: usize = 64;

fn main() {
    let repeats = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(60);
    let config = FeatureConfig::default();
    let transform = LogMel::new(&config);
    let samples = clip(1);
    time("log-mel, one core", repeats, || {
        std::hint::black_box(transform.compute(&samples).map(|features| features.data.len()).unwrap_or_default());
    });
    let file = wav(&samples);
    time("wav decode, one core", repeats, || {
        std::hint::black_box(audio::decode_bytes(file.clone(), "wav").map(|waveform| waveform.samples.len()).unwrap_or_default());
    });
    time("44.1 to 22.05 kHz (30 s), one core", repeats.min(20), || {
        let waveform = audio::Waveform { samples: samples.repeat(2), sample_rate: 2 * RATE };
        std::hint::black_box(waveform.resampled(RATE).map(|waveform| waveform.samples.len()).unwrap_or_default());
    });
    all_cores(&transform);
    batches(repeats);
}

fn time(what: &str, repeats: usize, run: impl FnMut()) {
    let [best, median] = best_and_median(repeats, run);
    println!("{what}: best {best:.3} ms, median {median:.3} ms per {SECONDS} s clip");
}

/// Milliseconds.
fn best_and_median(repeats: usize, mut run: impl FnMut()) -> [f64; 2] {
    run();
    let mut times: Vec<f64> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    [times[0], times[repeats / 2]]
}

/// One training batch of 32 x 647 x 128, by one change and by all. It is filled while the device works on the one before.
fn batches(repeats: usize) {
    const FRAMES: usize = 647;
    const BANDS: usize = 128;
    let sample = |i: usize| {
        let data = (0..2 * FRAMES * BANDS).map(|bin| ((bin * 7919 + i) % 80) as f32 - 80.0).collect();
        let clip = Clip::new(Features { frames: 2 * FRAMES, n_mels: BANDS, data }, 60.0, None).into();
        Sample {
            path: format!("{i}").into(),
            label: 0,
            split: Split::Train,
            group: i.to_string(),
            content_hash: i.to_string(),
            clip,
        }
    };
    let samples = (0..32).map(sample).collect();
    let (bad, duplicates, warnings) = (Vec::new(), Vec::new(), Vec::new());
    let data = Dataset { classes: vec!["one".into()], n_mels: BANDS, frames: FRAMES, samples, bad, duplicates, warnings };
    let off = AugmentConfig::default;
    for (what, augment) in [
        ("plain", off()),
        ("time shift", AugmentConfig { time_shift: 647, ..off() }),
        ("gain", AugmentConfig { gain_db: 6.0, ..off() }),
        ("2 time masks", AugmentConfig { time_masks: 2, ..off() }),
        ("2 mel masks", AugmentConfig { mel_masks: 2, ..off() }),
        ("all of these", AugmentConfig { time_shift: 647, gain_db: 6.0, time_masks: 2, mel_masks: 2, ..off() }),
        ("plain again", off()),
    ] {
        let batches = Batches::training(&data, 32, &augment, 0, 0);
        let mut batch = Batch::default();
        let [best, median] = best_and_median(repeats, || {
            batches.fill(0, &mut batch);
            std::hint::black_box(&batch);
        });
        println!("batch of 32 x {FRAMES} x {BANDS}, {what}: best {best:.3} ms, median {median:.3} ms");
    }
}

/// Files from disk to decibels, as `prepare` does it.
fn all_cores(transform: &LogMel) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths: Vec<_> = (0..FILES).map(|index| folder.path().join(format!("{index}.wav"))).collect();
    for (index, path) in paths.iter().enumerate() {
        std::fs::write(path, wav(&clip(index as u32))).expect("room for the clips");
    }
    let one = |path: &std::path::PathBuf| {
        let waveform = audio::decode(path).expect("the file just written").resampled(RATE).expect("the same rate");
        transform.compute(&waveform.samples).expect("long enough").data[0]
    };
    let mut best = f64::MAX;
    for _ in 0..6 {
        let start = Instant::now();
        std::hint::black_box(paths.par_iter().map(one).sum::<f32>());
        best = best.min(start.elapsed().as_secs_f64());
    }
    let rate = FILES as f64 / best;
    let cores = rayon::current_num_threads();
    println!("wav file to log-mel, {cores} threads: {rate:.0} clips/s, 1,000 clips in {:.2} s", 1000.0 / rate);
}

/// Tones over noise, the same every time.
fn clip(seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let noise = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..SECONDS * RATE as usize)
        .map(|index| {
            let t = index as f32 / RATE as f32;
            let tones = (t * 1382.3).sin() * 0.3 + (t * 6283.2).sin() * 0.2;
            tones + 0.2 * noise(&mut state)
        })
        .collect()
}

/// A 16-bit mono file.
fn wav(samples: &[f32]) -> Vec<u8> {
    let bytes = 2 * samples.len() as u32;
    let mut file = Vec::with_capacity(44 + bytes as usize);
    file.extend(b"RIFF");
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1_u16, 1].map(u16::to_le_bytes).concat());
    file.extend([RATE, 2 * RATE].map(u32::to_le_bytes).concat());
    file.extend([2_u16, 16].map(u16::to_le_bytes).concat());
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes()));
    file
}
