//! RIFF WAVE: a chunk that promises more bytes than follow is a cut file; an open size means "to the end".

use super::{Plan, le16, le32};
use crate::audio::{AudioError, recognise::after_id3, recognise::unsupported};

/// Writers to a pipe cannot go back and fill in the size: they leave 0, all ones, or the largest signed number, some
/// rounded down to whole blocks.
fn is_open(size: usize) -> bool {
    size >= 0x7fff_0000
}

pub(super) fn inspect(bytes: &mut [u8]) -> Result<Plan, AudioError> {
    let start = bytes.len() - after_id3(bytes).len();
    let bytes = &mut bytes[start..];
    let riff_size = le32(bytes, 4).unwrap_or(0);
    let mut at = 12;
    let mut format = None;
    while let (Some(tag), Some(size)) = (bytes.get(at..at + 4), le32(bytes, at + 4)) {
        let body = at + 8;
        let there = bytes.len() - body;
        match tag {
            b"fmt " => format = Some(Format::read(bytes, body)?),
            b"data" => {
                let Some(format) = format else {
                    return Err(AudioError::Damaged { reason: "its data stand before the format chunk".into() });
                };
                let to_the_end = size > there && is_open(size) || size == 0 && riff_size + 8 < bytes.len();
                let size = if to_the_end { there } else { size };
                if there / format.block < size / format.block {
                    return Err(AudioError::Truncated { seconds: format.seconds(there), promised: Some(format.seconds(size)) });
                }
                close(bytes, at, size.min(there) / format.block * format.block);
                return Ok(Plan::default());
            }
            _ => {}
        }
        at = body.saturating_add(size).saturating_add(size & 1);
    }
    Err(AudioError::Truncated { seconds: 0.0, promised: None })
}

/// States the size of the data, and leaves that of the file open, so that the two cannot contradict each other.
fn close(bytes: &mut [u8], data: usize, size: usize) {
    bytes[4..8].fill(0xff);
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    bytes[data + 4..data + 8].copy_from_slice(&size.to_le_bytes());
}

#[derive(Clone, Copy)]
struct Format {
    /// Bytes per frame, or per block where frames are packed.
    block: usize,
    bytes_per_second: usize,
}

impl Format {
    fn read(bytes: &[u8], body: usize) -> Result<Self, AudioError> {
        let (Some(tag), Some(rate), Some(bytes_per_second), Some(block)) =
            (le16(bytes, body), le32(bytes, body + 4), le32(bytes, body + 8), le16(bytes, body + 12))
        else {
            return Err(AudioError::Truncated { seconds: 0.0, promised: None });
        };
        // PCM, MS ADPCM, float, A-law, mu-law, IMA ADPCM, extensible.
        if !matches!(tag, 1 | 2 | 3 | 6 | 7 | 0x11 | 0xfffe) {
            return Err(unsupported(match tag {
                0x31 => "GSM 6.10 in a wave file".into(),
                0x50 => "MPEG audio in a wave file".into(),
                0x55 => "mp3 in a wave file".into(),
                0x160..=0x163 => "Windows Media in a wave file".into(),
                other => format!("wave format 0x{other:04x}"),
            }));
        }
        if block == 0 {
            return Err(AudioError::Damaged { reason: "its header states blocks of 0 bytes".into() });
        }
        let pcm = matches!(tag, 1 | 3 | 0xfffe);
        Ok(Self { block, bytes_per_second: if pcm { rate * block } else { bytes_per_second } })
    }

    fn seconds(&self, bytes: usize) -> f64 {
        bytes as f64 / self.bytes_per_second.max(1) as f64
    }
}
