//! Sun and NeXT `.au`: a big-endian header of at least 24 bytes, then interleaved big-endian samples.
//!
//! Magic `.snd`, offset of the data, its size in bytes (`0xffffffff`: to the end of the file), encoding, sample rate,
//! channels. GTZAN is distributed so.

use super::{AudioError, Waveform, plausible_rate, recognise::unsupported};

const UNKNOWN_SIZE: u32 = u32::MAX;

/// The mono mix of an `.au` file that is complete in memory.
pub(super) fn decode(bytes: &[u8]) -> Result<Waveform, AudioError> {
    let Some(header) = bytes.get(..24) else {
        return Err(AudioError::Truncated { seconds: 0.0, promised: None });
    };
    let word = |index: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| header[4 * index + byte]));
    let (offset, size, encoding, channels) = (word(1), word(2), word(3), word(5) as usize);
    let rate = plausible_rate(word(4))?;
    let (width, sample) = encoding_of(encoding)?;
    if !(1..=256).contains(&channels) {
        return Err(AudioError::Damaged { reason: format!("its header states {channels} channels") });
    }
    if offset < 24 {
        return Err(AudioError::Damaged { reason: format!("its samples are said to begin at byte {offset}, inside the header") });
    }
    let there = bytes.get(offset as usize..).unwrap_or_default();
    let frame = width * channels;
    let seconds = |bytes: usize| (bytes / frame) as f64 / f64::from(rate);
    let data = match size {
        UNKNOWN_SIZE => there,
        size if there.len() / frame < size as usize / frame => {
            return Err(AudioError::Truncated { seconds: seconds(there.len()), promised: Some(seconds(size as usize)) });
        }
        size => &there[..there.len().min(size as usize)],
    };
    let samples = data.chunks_exact(frame).map(|frame| mix(frame, width, channels, sample)).collect();
    Ok(Waveform { samples, sample_rate: rate })
}

fn mix(frame: &[u8], width: usize, channels: usize, sample: Read) -> f32 {
    if channels == 1 { sample(frame) } else { frame.chunks_exact(width).map(sample).sum::<f32>() / channels as f32 }
}

/// Reads one sample from its bytes.
type Read = fn(&[u8]) -> f32;

/// Bytes per sample and how one is read.
fn encoding_of(code: u32) -> Result<(usize, Read), AudioError> {
    Ok(match code {
        1 => (1, |b| mu_law(b[0])),
        2 => (1, |b| f32::from(b[0] as i8) / 128.0),
        3 => (2, |b| f32::from(i16::from_be_bytes([b[0], b[1]])) / 32_768.0),
        4 => (3, |b| (i32::from_be_bytes([b[0], b[1], b[2], 0]) >> 8) as f32 / 8_388_608.0),
        5 => (4, |b| (f64::from(i32::from_be_bytes([b[0], b[1], b[2], b[3]])) / 2_147_483_648.0) as f32),
        6 => (4, |b| f32::from_be_bytes([b[0], b[1], b[2], b[3]])),
        7 => (8, |b| f64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32),
        27 => (1, |b| a_law(b[0])),
        23..=26 => return Err(unsupported("G.72x ADPCM in an .au file")),
        other => return Err(unsupported(format!("encoding {other} in an .au file"))),
    })
}

/// ITU-T G.711 mu-law: 14 bits, scaled to 16.
fn mu_law(code: u8) -> f32 {
    let code = !code;
    let exponent = (code >> 4) & 7;
    let magnitude = (((i32::from(code & 15) << 3) + 0x84) << exponent) - 0x84;
    (if code & 0x80 != 0 { -magnitude } else { magnitude }) as f32 / 32_768.0
}

/// ITU-T G.711 A-law: 13 bits, scaled to 16.
fn a_law(code: u8) -> f32 {
    let code = code ^ 0x55;
    let step = i32::from(code & 15) << 4;
    let magnitude = match (code >> 4) & 7 {
        0 => step + 8,
        exponent => (step + 0x108) << (exponent - 1),
    };
    (if code & 0x80 != 0 { magnitude } else { -magnitude }) as f32 / 32_768.0
}
