//! The front end on the CPU: ms per 30 s clip on one core, clips per second on all of them with decoding.
//!
//! `cargo bench --bench features [-- REPEATS]`; `benches/librosa_peer.py` runs this and librosa on the same input.

use melgrad::audio;
use melgrad::config::FeatureConfig;
use melgrad::features::LogMel;
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
}

fn time(what: &str, repeats: usize, mut run: impl FnMut()) {
    run();
    let mut times: Vec<f64> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{what}: best {:.3} ms, median {:.3} ms per {SECONDS} s clip", times[0], times[repeats / 2]);
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
