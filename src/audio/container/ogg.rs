//! Ogg: every logical stream ends with a page that carries the end-of-stream flag (RFC 3533).

use super::{Plan, take};

const END_OF_STREAM: u8 = 4;

pub(super) fn inspect(bytes: &[u8]) -> Plan {
    let mut at = 0;
    // The streams seen, and whether each has ended.
    let mut streams: Vec<([u8; 4], bool)> = Vec::new();
    let mut cut = false;
    while at < bytes.len() {
        let page = &bytes[at..];
        if !page.starts_with(b"OggS") {
            // Tags and zeros between pages are skipped; behind the last one they mean nothing.
            match page.windows(4).position(|window| window == b"OggS") {
                Some(offset) => at += offset,
                None => break,
            }
            continue;
        }
        let (Some(&flags), Some(serial)) = (page.get(5), take::<4>(page, 14)) else {
            cut = true;
            break;
        };
        let segments = page.get(26).and_then(|&count| page.get(27..27 + usize::from(count)));
        let end = segments.map(|table| 27 + table.len() + table.iter().map(|&size| usize::from(size)).sum::<usize>());
        let Some(end) = end.filter(|&end| end <= page.len()) else {
            cut = true;
            break;
        };
        let ended = flags & END_OF_STREAM != 0;
        match streams.iter_mut().find(|(known, _)| *known == serial) {
            Some(stream) => stream.1 = ended,
            None => streams.push((serial, ended)),
        }
        at += end;
    }
    Plan { cut: cut || streams.iter().any(|(_, ended)| !ended), ..Plan::default() }
}
