//! What a container promises, read before anything is decoded.
//!
//! Symphonia plays what is there and stays silent about what is missing. A data set wants to know: each walker here
//! follows the structure to its end and says whether the file is whole, how long it claims to be, and what is to be
//! trimmed. None of them looks into the audio itself.

mod aiff;
mod mp3;
mod mp4;
mod ogg;
mod wav;

pub(super) use mp3::starts_here as is_mp3;

use super::{AudioError, recognise::Container};

/// What the decoder should expect.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    /// The structure ends before its own end mark.
    pub(super) cut: bool,
    /// Seconds that the header promises.
    pub(super) promised: Option<f64>,
    /// Seconds by which honest files fall short of that.
    pub(super) tolerance: f64,
    /// Seconds of encoder delay to drop from the start.
    pub(super) skip: f64,
    /// Seconds to keep after that.
    pub(super) keep: Option<f64>,
    /// The four letters by which an mp4 file names its audio codec.
    pub(super) codec: Option<[u8; 4]>,
    /// The decoder's length is a guess, so it must not trim by it.
    pub(super) guessed_length: bool,
}

/// Walks the container. Sizes that a streaming writer left open are filled in, which is why the bytes may change.
pub(super) fn inspect(bytes: &mut [u8], container: Container) -> Result<Plan, AudioError> {
    match container {
        Container::Wav => wav::inspect(bytes),
        Container::Aiff => aiff::inspect(bytes),
        Container::Mp3 => Ok(mp3::inspect(bytes)),
        Container::Mp4 => Ok(mp4::inspect(bytes)),
        Container::Ogg => Ok(ogg::inspect(bytes)),
        // FLAC states its length in the stream, where the decoder sees it; ADTS states none.
        Container::Flac | Container::Adts => Ok(Plan::default()),
    }
}

/// `N` bytes at an offset, if they are there.
fn take<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

fn le16(bytes: &[u8], offset: usize) -> Option<usize> {
    take(bytes, offset).map(|b| u16::from_le_bytes(b).into())
}

fn le32(bytes: &[u8], offset: usize) -> Option<usize> {
    take(bytes, offset).map(|b| u32::from_le_bytes(b) as usize)
}

fn be16(bytes: &[u8], offset: usize) -> Option<usize> {
    take(bytes, offset).map(|b| u16::from_be_bytes(b).into())
}

fn be32(bytes: &[u8], offset: usize) -> Option<usize> {
    take(bytes, offset).map(|b| u32::from_be_bytes(b) as usize)
}

fn be64(bytes: &[u8], offset: usize) -> Option<u64> {
    take(bytes, offset).map(u64::from_be_bytes)
}
