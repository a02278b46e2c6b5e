//! ISO base media (m4a): boxes within boxes; the edit list says what of the encoder's output is music.

use super::{Plan, be32, be64};

pub(super) fn inspect(bytes: &[u8]) -> Plan {
    let mut plan = Plan::default();
    let mut seen_moov = false;
    for item in Boxes(bytes) {
        plan.cut |= !item.whole;
        if item.name == *b"moov" {
            seen_moov = true;
            audio_track(item.body, &mut plan);
        }
    }
    plan.cut |= !seen_moov;
    plan
}

/// The codec, and the one edit that encoders write: skip their delay, keep the length of the music.
fn audio_track(moov: &[u8], plan: &mut Plan) {
    let movie_scale = child(moov, b"mvhd").and_then(scale);
    let audio = Boxes(moov).filter(|item| item.name == *b"trak").map(|item| item.body).find(|trak| {
        let handler = child(trak, b"mdia").and_then(|mdia| child(mdia, b"hdlr"));
        handler.is_some_and(|hdlr| hdlr.get(8..12) == Some(b"soun"))
    });
    let Some(trak) = audio else { return };
    let description = ["mdia", "minf", "stbl", "stsd"].iter().try_fold(trak, |parent, name| child(parent, name.as_bytes()));
    plan.codec = description.and_then(|stsd| super::take(stsd, 12));
    let Some(mdhd) = child(trak, b"mdia").and_then(|mdia| child(mdia, b"mdhd")) else { return };
    let media_scale = scale(mdhd);
    if let (Some(ticks), Some(scale)) = (length(mdhd), media_scale) {
        plan.promised = Some(ticks as f64 / scale);
        // The last packet may be counted whole: AAC packets have 1024 samples, 2048 with spectral band replication.
        plan.tolerance = 2048.0 / scale;
    }
    let elst = child(trak, b"edts").and_then(|edts| child(edts, b"elst"));
    let (Some(movie_scale), Some(media_scale), Some(elst)) = (movie_scale, media_scale, elst) else { return };
    if be32(elst, 4) != Some(1) {
        return;
    }
    let (duration, start) = if elst.first() == Some(&1) {
        (be64(elst, 8), be64(elst, 16).map(|start| start as i64))
    } else {
        (be32(elst, 8).map(|duration| duration as u64), be32(elst, 12).map(|start| i64::from(start as u32 as i32)))
    };
    if let (Some(duration), Some(start @ 0..)) = (duration, start) {
        plan.skip = start as f64 / media_scale;
        plan.keep = (duration > 0).then(|| duration as f64 / movie_scale);
    }
}

/// Ticks per second of an `mvhd` or `mdhd` box.
fn scale(header: &[u8]) -> Option<f64> {
    let ticks = be32(header, if header.first() == Some(&1) { 20 } else { 12 })?;
    (ticks > 0).then_some(ticks as f64)
}

/// Ticks that an `mdhd` box promises; 0 and all ones mean that the writer did not know.
fn length(mdhd: &[u8]) -> Option<u64> {
    let ticks = if mdhd.first() == Some(&1) { be64(mdhd, 24) } else { be32(mdhd, 16).map(|ticks| ticks as u64) }?;
    (ticks > 0 && ticks < u64::from(u32::MAX)).then_some(ticks)
}

fn child<'a>(parent: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    Boxes(parent).find(|item| item.name == name).map(|item| item.body)
}

struct Item<'a> {
    name: [u8; 4],
    body: &'a [u8],
    /// Whether all of it is there.
    whole: bool,
}

/// The boxes that lie side by side in a body; the bodies are cut where the bytes end.
struct Boxes<'a>(&'a [u8]);

impl<'a> Iterator for Boxes<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let bytes = self.0;
        let name = super::take(bytes, 4)?;
        let (header, size) = match be32(bytes, 0)? {
            0 => (8, bytes.len()),
            1 => (16, usize::try_from(be64(bytes, 8)?).ok()?),
            size => (8, size),
        };
        if size < header {
            return None;
        }
        let here = size.min(bytes.len());
        let body = bytes.get(header..here).unwrap_or_default();
        self.0 = &bytes[here..];
        Some(Item { name, body, whole: here == size })
    }
}
