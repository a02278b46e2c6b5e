//! AIFF and AIFC: the sound chunk must be as long as it says.

use super::{Plan, be16, be32, take};
use crate::audio::{AudioError, recognise::after_id3};

pub(super) fn inspect(bytes: &mut [u8]) -> Result<Plan, AudioError> {
    let start = bytes.len() - after_id3(bytes).len();
    let bytes = &mut bytes[start..];
    let mut at = 12;
    let mut seconds = 0.0;
    let mut sound = None;
    while let (Some(tag), Some(size)) = (bytes.get(at..at + 4), be32(bytes, at + 4)) {
        let body = at + 8;
        match tag {
            b"COMM" => {
                let frames = be32(bytes, body + 2).unwrap_or(0) as f64;
                seconds = take(bytes, body + 8).map_or(0.0, |rate| frames / extended(rate));
            }
            b"SSND" => sound = Some((size, bytes.len() - body)),
            _ => {}
        }
        at = body.saturating_add(size).saturating_add(size & 1);
    }
    match sound {
        Some((size, there)) if there < size => {
            let there = seconds * there.saturating_sub(8) as f64 / (size as f64 - 8.0).max(1.0);
            Err(AudioError::Truncated { seconds: there, promised: Some(seconds) })
        }
        None => Err(AudioError::Truncated { seconds: 0.0, promised: (seconds > 0.0).then_some(seconds) }),
        Some(_) => {
            // What is missing behind the sound (a pad byte, a tag) is no loss: let the form end where the file does.
            let form = u32::try_from(bytes.len() - 8).unwrap_or(u32::MAX).min(be32(bytes, 4).unwrap_or(0) as u32);
            bytes[4..8].copy_from_slice(&form.to_be_bytes());
            Ok(Plan { promised: (seconds > 0.0).then_some(seconds), ..Plan::default() })
        }
    }
}

/// An 80-bit extended float, the sample rate's format; at least 1 so that it divides.
fn extended(bytes: [u8; 10]) -> f64 {
    let exponent = be16(&bytes, 0).unwrap_or(0) as i32 & 0x7fff;
    let mantissa = u64::from_be_bytes([2, 3, 4, 5, 6, 7, 8, 9].map(|index: usize| bytes[index]));
    (mantissa as f64 * 2_f64.powi((exponent - 16_383 - 63).clamp(-1000, 1000))).max(1.0)
}
