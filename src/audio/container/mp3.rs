//! MPEG audio layer III: a chain of frames; a Xing, Info or VBRI frame at the start may state how many follow.

use super::{Plan, be16, be32};
use crate::audio::recognise::after_id3;

const BIT_RATES_V1: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const BIT_RATES_V2: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

#[derive(Clone, Copy, PartialEq)]
struct Frame {
    bytes: usize,
    samples: usize,
    rate: usize,
    /// Where the information tag would stand: behind the side information.
    tag: usize,
}

/// ISO 11172-3 and 13818-3, layer III.
fn frame(at: &[u8]) -> Option<Frame> {
    let &[0xff, b, c, d, ..] = at else { return None };
    let version = b >> 3 & 3;
    let (bit_rate, rate) = (usize::from(c >> 4), usize::from(c >> 2 & 3));
    if b & 0xe6 != 0xe2 || version == 1 || bit_rate == 0 || bit_rate == 15 || rate == 3 {
        return None;
    }
    let v1 = version == 3;
    let rate = [44_100, 48_000, 32_000][rate] >> [2, 0, 1, 0][usize::from(version)];
    let samples = if v1 { 1152 } else { 576 };
    let bit_rate = 1000 * if v1 { BIT_RATES_V1[bit_rate] } else { BIT_RATES_V2[bit_rate] };
    let mono = d >> 6 == 3;
    let side = [[32, 17], [17, 9]][usize::from(!v1)][usize::from(mono)];
    Some(Frame { bytes: samples / 8 * bit_rate / rate + usize::from(c >> 1 & 1), samples, rate, tag: 4 + side })
}

/// Whether two frames in a row begin here, or one that ends the file.
pub(crate) fn starts_here(bytes: &[u8]) -> bool {
    frame(bytes).is_some_and(|first| bytes.len() <= first.bytes || frame(&bytes[first.bytes..]).is_some())
}

pub(super) fn inspect(bytes: &[u8]) -> Plan {
    let mut rest = after_id3(bytes);
    let Some(start) = (0..rest.len().min(64 * 1024)).find(|&start| starts_here(&rest[start..])) else {
        return Plan::default();
    };
    rest = &rest[start..];
    let Some(first) = frame(rest) else { return Plan::default() };
    let stated = stated_frames(rest, first);
    let mut plan = Plan { guessed_length: stated.is_none(), ..Plan::default() };
    if let Some(frames) = stated.filter(|&frames| frames > 0) {
        plan.promised = Some((frames * first.samples) as f64 / first.rate as f64);
        // Encoder delay and padding may be counted or not: up to three frames.
        plan.tolerance = 3.0 * first.samples as f64 / first.rate as f64;
    }
    while let Some(next) = frame(rest) {
        // A chain that runs into the end of the file was cut; what follows a tag or junk is not a chain.
        if next.bytes > rest.len() {
            plan.cut = next.rate == first.rate;
            break;
        }
        rest = &rest[next.bytes..];
    }
    plan
}

/// The number of frames behind the information frame.
fn stated_frames(bytes: &[u8], first: Frame) -> Option<usize> {
    let tag = bytes.get(first.tag..)?;
    if tag.starts_with(b"Xing") || tag.starts_with(b"Info") {
        return if be32(tag, 4)? & 1 != 0 { be32(tag, 8) } else { None };
    }
    let vbri = bytes.get(36..)?;
    if vbri.starts_with(b"VBRI") && be16(vbri, 4)? == 1 { be32(vbri, 14) } else { None }
}
