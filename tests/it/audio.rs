//! Decoding every format to known samples, refusing the rest by name, and never taking a cut file for a short one.
//!
//! `tests/fixtures/audio/make.py` makes the files.

use melgrad::audio::{AudioError, EXTENSIONS, Waveform, decode, decode_bytes, is_audio};
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/audio")).join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

/// The mono mix of a 16-bit wave file with a 44-byte header, read without the code under test.
fn plain_wav(name: &str) -> Vec<f32> {
    let bytes = bytes(name);
    let channels = usize::from(bytes[22]);
    let sample = |b: &[u8]| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0;
    let mix = |frame: &[u8]| frame.chunks_exact(2).map(sample).sum::<f32>() / channels as f32;
    bytes[44..].chunks_exact(2 * channels).map(mix).collect()
}

fn check(name: &str, expected: &[f32], tolerance: f32) {
    let got = decode(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let worst = got.samples.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{name}: differs by {worst}");
    // ffmpeg 5 leaves the padding of some encoders at the end; we trim what the file says.
    assert!(got.samples.len() <= expected.len() && got.samples.len() > expected.len() * 9 / 10, "{name}: {}", got.samples.len());
}

#[test]
fn lossless_files_decode_exactly() {
    let source = plain_wav("source.wav");
    let exact = [
        "source.wav",
        "s24.wav",
        "s32.wav",
        "f32.wav",
        "f64.wav",
        "surround.wav",
        "s16.au",
        "s24.au",
        "s32.au",
        "f32.au",
        "f64.au",
        "s16.aiff",
        "s24.aiff",
        "f32.aifc",
        "swapped.aifc",
        "s16.flac",
        "flac.oga",
        "alac.m4a",
    ];
    for name in exact {
        check(name, &source, 1e-7);
        assert_eq!(decode(&fixture(name)).unwrap().samples.len(), source.len(), "{name}");
    }
    check("u8.wav", &source, 1.0 / 128.0);
    check("s8.au", &source, 1.0 / 128.0);
}

#[test]
fn companded_and_lossy_files_decode_as_ffmpeg_does() {
    for name in ["mulaw.au", "alaw.au", "mulaw.wav", "alaw.wav", "ms.wav", "ima.wav"] {
        check(name, &plain_wav(&format!("{name}.expected.wav")), 1.0 / 32_768.0);
    }
    for name in ["mpeg1.mp3", "mpeg2.mp3", "vbr.mp3", "untagged.mp3", "vorbis.ogg", "aac.m4a", "adts.aac"] {
        check(name, &plain_wav(&format!("{name}.expected.wav")), 3e-4);
    }
}

#[test]
fn the_content_decides_and_not_the_name() {
    let expected = decode(&fixture("s16.flac")).unwrap();
    for wrong in ["mp3", "wav", "txt", ""] {
        assert_eq!(decode_bytes(bytes("s16.flac"), wrong).unwrap(), expected);
    }
    let tag = [&b"ID3\x04\x00\x00\x00\x00\x00\x0a0123456789"[..], &bytes("s16.flac")].concat();
    assert_eq!(decode_bytes(tag, "flac").unwrap(), expected);
}

#[test]
fn other_formats_are_refused_by_name() {
    let named = [
        ("opus.ogg", "Opus"),
        ("opus.webm", "Opus in WebM"),
        ("opus.mp4", "Opus in mp4"),
        ("speech.wma", "Windows Media"),
        ("layer2.mp2", "mp2"),
        ("dolby.ac3", "Dolby"),
        ("dolby.m4a", "Dolby"),
        ("wavpack.wv", "WavPack"),
        ("core.caf", "caf"),
        ("film.avi", "AVI"),
    ];
    for (file, name) in named {
        let error = decode(&fixture("refused").join(file)).unwrap_err();
        assert!(matches!(error, AudioError::Unsupported { .. }), "{file}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains("ffmpeg"), "{file}: {text}");
    }
    let no_sound = decode(&fixture("refused").join("silent_film.mp4")).unwrap_err();
    assert!(matches!(no_sound, AudioError::NotAudio { .. }), "{no_sound:?}");
    for (content, found) in
        [(&b""[..], "0 bytes"), (b"<!DOCTYPE html>", "web page"), (b"\x89PNG\r\n", "PNG"), (b"hello, world", "68 65 6c")]
    {
        let error = decode_bytes(content.to_vec(), "wav").unwrap_err();
        assert!(matches!(error, AudioError::NotAudio { .. }) && error.to_string().contains(found), "{error}");
    }
    assert!(matches!(decode(Path::new("no such file.wav")), Err(AudioError::Read(_))));
}

#[test]
fn names_of_audio_are_known_in_any_case() {
    assert!(EXTENSIONS.iter().all(|extension| is_audio(&PathBuf::from(format!("a.{extension}")))));
    assert!(is_audio(Path::new("x/Y.FLAC")) && is_audio(Path::new("y.Opus")));
    assert!(!is_audio(Path::new("flac")) && !is_audio(Path::new("a.txt")) && !is_audio(Path::new("a.wav.npy")));
}

#[test]
fn a_cut_file_is_an_error_and_not_a_shorter_clip() {
    let files = [
        "source.wav",
        "s24.wav",
        "ms.wav",
        "s16.au",
        "f64.au",
        "s16.aiff",
        "f32.aifc",
        "s16.flac",
        "flac.oga",
        "alac.m4a",
        "aac.m4a",
        "mpeg1.mp3",
        "mpeg2.mp3",
        "vbr.mp3",
        "untagged.mp3",
        "vorbis.ogg",
    ];
    for name in files {
        let whole = bytes(name);
        for percent in [40, 60, 80, 95] {
            let error = decode_bytes(whole[..whole.len() * percent / 100].to_vec(), "").err();
            assert!(matches!(error, Some(AudioError::Truncated { .. })), "{name} at {percent} %: {error:?}");
        }
    }
    let Err(AudioError::Truncated { seconds, promised }) = decode_bytes(bytes("s16.au")[..2000].to_vec(), "au") else { panic!() };
    assert!((seconds - 0.0447).abs() < 1e-3 && (promised.unwrap() - 0.12).abs() < 1e-4, "{seconds} {promised:?}");
}

#[test]
fn sizes_that_a_streaming_writer_left_open_mean_to_the_end() {
    let expected = decode(&fixture("source.wav")).unwrap();
    for (riff, data) in [(0_u32, 0_u32), (u32::MAX, u32::MAX), (0x7fff_f024, 0x7fff_f000), (36, 0)] {
        let mut file = bytes("source.wav");
        file[4..8].copy_from_slice(&riff.to_le_bytes());
        file[40..44].copy_from_slice(&data.to_le_bytes());
        assert_eq!(decode_bytes(file, "wav").unwrap(), expected, "{riff:x} {data:x}");
    }
    let mut file = bytes("s16.au");
    file[8..12].fill(0xff);
    file.push(7);
    assert_eq!(decode_bytes(file, "au").unwrap(), expected);
}

#[test]
fn an_au_header_may_be_longer_and_the_tail_is_ignored() {
    let expected = decode(&fixture("s24.au")).unwrap();
    let mut file = bytes("s24.au");
    let offset = u32::from_be_bytes([file[4], file[5], file[6], file[7]]);
    file[4..8].copy_from_slice(&(offset + 9).to_be_bytes());
    file.splice(offset as usize..offset as usize, *b"annotated");
    file.extend(b"trailing text");
    assert_eq!(decode_bytes(file, "snd").unwrap(), expected);
}

#[test]
fn empty_nan_and_absurd_headers_are_named() {
    let mut empty = bytes("source.wav")[..44].to_vec();
    empty[4..8].copy_from_slice(&36_u32.to_le_bytes());
    empty[40..44].fill(0);
    assert!(matches!(decode_bytes(empty, "wav"), Err(AudioError::Empty)));
    let mut nan = bytes("f32.au");
    let last = nan.len() - 8;
    nan[last..last + 4].copy_from_slice(&f32::NAN.to_be_bytes());
    assert!(matches!(decode_bytes(nan, "au"), Err(AudioError::NonFinite { index: 1322, .. })));
    let mut slow = bytes("s16.au");
    slow[16..20].copy_from_slice(&1_u32.to_be_bytes());
    assert!(matches!(decode_bytes(slow, "au"), Err(AudioError::Damaged { .. })));
}

/// Numerical Recipes' generator: the same files are broken in the same way every time.
struct Dice(u32);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % bound.max(1)
    }
}

#[test]
fn broken_bytes_never_panic() {
    let folders = [fixture(""), fixture("refused")];
    let mut files: Vec<PathBuf> =
        folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut dice = Dice(20_260_101);
    for file in files.iter().filter(|file| is_audio(file) && !file.to_string_lossy().contains(".expected.")) {
        let whole = std::fs::read(file).unwrap();
        for round in 0..40 {
            let mut broken = whole.clone();
            // Headers are where a flipped bit means something: half of the hits go there.
            for hit in 0..1 + round % 3 {
                let reach = if hit % 2 == 0 { broken.len().min(128) } else { broken.len() };
                let at = dice.below(reach);
                broken[at] ^= 1 << dice.below(8);
            }
            if round % 4 == 0 {
                broken.truncate(dice.below(whole.len()));
            }
            if let Ok(Waveform { samples, .. }) = decode_bytes(broken, "") {
                assert!(!samples.is_empty() && samples.iter().all(|sample| sample.is_finite()), "{}", file.display());
            }
        }
    }
}

fn tone(hertz: f64, rate: u32, count: usize) -> Vec<f32> {
    (0..count).map(|index| (0.5 * (TAU * hertz * index as f64 / f64::from(rate)).sin()) as f32).collect()
}

#[test]
fn resampled_tones_stay_where_they_were() {
    // Rates without a common divisor get a filter of a second, in which the ends of so short a clip still ring.
    let pairs = [
        (44_100, 22_050, 2e-6),
        (48_000, 22_050, 2e-6),
        (32_000, 22_050, 2e-6),
        (16_000, 22_050, 2e-6),
        (11_025, 22_050, 2e-6),
        (22_050, 16_000, 2e-6),
        (96_000, 8_000, 2e-6),
        (44_101, 22_050, 5e-4),
    ];
    for (from, to, tolerance) in pairs {
        for share in [0.02, 0.3, 0.85] {
            let hertz = share * f64::from(from.min(to)) / 2.0;
            let count = from as usize / 2 + 7;
            let waveform = Waveform { samples: tone(hertz, from, count), sample_rate: from };
            let got = waveform.resampled(to).unwrap();
            assert_eq!(got.samples.len(), (count * to as usize).div_ceil(from as usize));
            let expected = tone(hertz, to, got.samples.len());
            let inside = got.samples.len() / 10..got.samples.len() * 9 / 10;
            let worst = inside.map(|index| (got.samples[index] - expected[index]).abs()).fold(0.0, f32::max);
            assert!(worst < tolerance, "{from} to {to} at {hertz:.0} Hz: {worst}");
        }
    }
}

#[test]
fn what_the_new_rate_cannot_hold_is_gone() {
    for (from, to) in [(44_100, 22_050), (48_000, 22_050), (44_100, 16_000)] {
        let waveform = Waveform { samples: tone(f64::from(to) * 0.55, from, from as usize / 2), sample_rate: from };
        let got = waveform.resampled(to).unwrap().samples;
        let inside = &got[got.len() / 10..got.len() * 9 / 10];
        let loudest = inside.iter().fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()));
        assert!(loudest < 1e-5, "{from} to {to}: {loudest}");
    }
}

#[test]
fn any_length_resamples_and_absurd_rates_do_not() {
    for count in [0, 1, 2, 3, 100, 1023, 1025] {
        let waveform = Waveform { samples: vec![0.25; count], sample_rate: 44_100 };
        assert_eq!(waveform.resampled(22_050).unwrap().samples.len(), count.div_ceil(2));
    }
    for rate in [0, 1, u32::MAX] {
        let waveform = Waveform { samples: vec![0.0; 10], sample_rate: 44_100 };
        assert!(matches!(waveform.resampled(rate), Err(AudioError::Resample { .. })));
    }
}
