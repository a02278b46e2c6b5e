//! Log-mel against librosa 0.11 (`tests/fixtures/features/make.py`), and the `.npy` reader against what people hand it.

use melgrad::audio;
use melgrad::config::FeatureConfig;
use melgrad::features::{FeatureError, Features, LogMel, read_npy, read_npy_bytes, write_npy};
use std::path::PathBuf;

const RATE: usize = 22_050;
/// The largest difference that is allowed anywhere, in decibels.
const TOLERANCE: f32 = 1e-3;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/features")).join(name)
}

#[derive(serde::Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    features: FeatureConfig,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(fixture("cases.toml")).unwrap();
    toml::from_str::<Cases>(&text).unwrap().case
}

/// The signals of make.py.
fn noise(count: usize, mut state: u32) -> Vec<f32> {
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn chirp(count: usize) -> Vec<f32> {
    let at = |index: usize| {
        let t = index as f64 / RATE as f64;
        0.8 * (std::f64::consts::TAU * (30.0 * t + 4500.0 * t * t)).sin()
    };
    (0..count).map(|index| at(index) as f32).collect()
}

fn burst(count: usize) -> Vec<f32> {
    let mut samples = vec![0.0; count];
    samples[count / 3..count / 3 + count / 5].copy_from_slice(&noise(count / 5, 7));
    samples
}

fn signals() -> Vec<(&'static str, Vec<f32>)> {
    let music = audio::decode(&fixture("music.wav")).unwrap();
    assert_eq!(music.sample_rate as usize, RATE);
    vec![
        ("music", music.samples),
        ("noise", noise(RATE, 1)),
        ("chirp", chirp(RATE)),
        ("burst", burst(RATE)),
        ("short", noise(1300, 3)),
    ]
}

fn worst(ours: &Features, theirs: &Features) -> f32 {
    assert_eq!((ours.frames, ours.n_mels), (theirs.frames, theirs.n_mels));
    ours.data.iter().zip(&theirs.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn log_mel_agrees_with_librosa_in_every_configuration() {
    let mut misses = Vec::new();
    for case in cases() {
        case.features.validate().unwrap();
        let transform = LogMel::new(&case.features);
        let mut line = format!("{:16}", case.name);
        for (signal, samples) in signals() {
            let Ok(expected) = read_npy(&fixture(&format!("{}.{signal}.npy", case.name))) else {
                assert!(matches!(transform.compute(&samples), Err(FeatureError::TooShort { .. })), "{} {signal}", case.name);
                continue;
            };
            let difference = worst(&transform.compute(&samples).unwrap(), &expected);
            line += &format!(" {signal} {difference:.1e}");
            if difference.is_nan() || difference > TOLERANCE {
                misses.push(format!("{} {signal}: {difference} dB", case.name));
            }
        }
        println!("{line}");
    }
    assert!(misses.is_empty(), "{misses:#?}");
}

#[test]
fn frames_are_those_that_the_configuration_announces() {
    for case in cases() {
        let transform = LogMel::new(&case.features);
        for samples in [1, 2, 500, 1025, 2047, 2048, 2049, 6153, 10_000, RATE] {
            let frames = transform.compute(&noise(samples, 5)).map_or(0, |features| features.frames);
            assert_eq!(frames, case.features.frames(samples), "{} {samples}", case.name);
        }
    }
}

#[test]
fn a_silent_frame_stays_silent_beside_a_loud_one() {
    let config = FeatureConfig { top_db: 0.0, ..FeatureConfig::default() };
    let features = LogMel::new(&config).compute(&burst(RATE)).unwrap();
    let silent = features.rows().filter(|row| row.iter().all(|&value| (value + 100.0).abs() < 1e-4)).count();
    assert!(silent >= features.frames / 2, "{silent} of {} frames", features.frames);
}

#[test]
fn an_empty_clip_and_a_huge_sample_are_errors() {
    let transform = LogMel::new(&FeatureConfig::default());
    assert!(matches!(transform.compute(&[]), Err(FeatureError::TooShort { needed: 1, .. })));
    for bad in [f32::NAN, f32::INFINITY, 1e30] {
        let mut samples = vec![0.1; 5000];
        samples[4000] = bad;
        assert!(matches!(transform.compute(&samples), Err(FeatureError::NonFinite { .. })), "{bad}");
    }
}

#[test]
fn npy_round_trip_keeps_every_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.npy");
    let features = Features { frames: 3, n_mels: 5, data: noise(15, 9) };
    write_npy(&path, &features).unwrap();
    assert_eq!(read_npy(&path).unwrap(), features);
}

/// An array as NumPy would write it.
fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}");
    let header = format!("{header:<117}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn npy_of_another_kind_is_refused_by_name() {
    let data = [0_u8; 64];
    let check = |bytes: &[u8], expected: &str| {
        let error = read_npy_bytes(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    };
    check(&npy("'<i2'", "False", "(2, 3)", &data), "<i2");
    check(&npy("'>f4'", "False", "(2, 3)", &data), ">f4");
    check(&npy("[('x', '<f4')]", "False", "(2, 3)", &data), "wanted little-endian");
    check(&npy("'<f4'", "True", "(2, 3)", &data), "Fortran");
    check(&npy("'<f4'", "False", "(6,)", &data), "[6]");
    check(&npy("'<f4'", "False", "(1, 2, 3)", &data), "[1, 2, 3]");
    check(&npy("'<f4'", "False", "(0, 3)", &data), "[0, 3]");
    check(&npy("'<f4'", "False", "(4, 5)", &data), "cut off");
    check(&npy("'<f4'", "False", "(4611686018427387904, 4)", &data), "cut off");
    check(&npy("'<f4'", "False", "(1, 2)", &[f32::NAN.to_le_bytes(); 2].concat()), "NaN");
    check(b"RIFF", "does not begin");
    check(&[&b"\x93NUMPY\x01\x00\xff\xff"[..], &[b'('; 70_000]].concat(), "lacks");
    assert_eq!(read_npy_bytes(&npy("'<f8'", "False", "(1, 2)", &[1.5_f64.to_le_bytes(); 2].concat())).unwrap().data, [1.5, 1.5]);
}

#[test]
fn damaged_npy_never_panics() {
    let good = npy("'<f4'", "False", "(2, 3)", &[0; 24]);
    for position in 0..good.len() {
        let _ = read_npy_bytes(&good[..position]);
        for flip in [1, 0x20, 0xff] {
            let mut bytes = good.clone();
            bytes[position] ^= flip;
            let _ = read_npy_bytes(&bytes);
        }
    }
}
