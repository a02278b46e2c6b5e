//! What a file is, from its first bytes.

use super::AudioError;

/// Who decodes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Our own reader.
    Au,
    /// Symphonia.
    Container(Container),
}

/// The containers that Symphonia opens for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Wav,
    Aiff,
    Flac,
    Mp3,
    Ogg,
    Mp4,
    Adts,
}

impl Container {
    /// The extension that tells Symphonia's probe where to start.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Aiff => "aiff",
            Self::Flac => "flac",
            Self::Mp3 => "mp3",
            Self::Ogg => "ogg",
            Self::Mp4 => "m4a",
            Self::Adts => "aac",
        }
    }
}

pub(super) const CONVERT: &str = "convert it first, for example with `ffmpeg -i INPUT OUTPUT.flac`";

pub(super) fn unsupported(format: impl Into<String>) -> AudioError {
    AudioError::Unsupported { format: format.into(), hint: CONVERT.into() }
}

/// Signatures at offset 0 that are named and refused.
const REFUSED: &[(&[u8], &str)] = &[
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (wma, wmv)"),
    (b"RF64", "RF64 (wave over 4 GB)"),
    (b"BW64", "BW64 (wave over 4 GB)"),
    (b"RIFX", "big-endian wave (RIFX)"),
    (b"caff", "Core Audio Format (caf)"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio (ape)"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"TTA1", "True Audio (tta)"),
    (b"DSD ", "DSD audio (dsf)"),
    (b"FRM8", "DSD audio (dff)"),
    (b"#!AMR", "AMR"),
    (b".RMF", "RealMedia"),
    (b".ra\xfd", "RealAudio"),
    (b"\x0b\x77", "Dolby Digital (ac3)"),
    (b"\x7f\xfe\x80\x01", "DTS"),
    (b"ADIF", "AAC in an ADIF file"),
    (b"MThd", "MIDI (notes, not sound)"),
    (b"FLV\x01", "Flash video"),
    (b"\x00\x00\x01\xba", "MPEG video"),
    (b"\x00\x00\x01\xb3", "MPEG video"),
];

/// Signatures at offset 0 of things that people keep beside their music.
const OTHER: &[(&[u8], &str)] = &[
    (b"\x93NUMPY", "a NumPy array; as features it must be named .npy"),
    (b"PK\x03\x04", "a zip archive; unpack it"),
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (b"Rar!", "a rar archive; unpack it"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"version https://git-lfs", "a Git LFS pointer; run `git lfs pull`"),
    (b"<", "text that begins like a web page, perhaps a failed download"),
    (b"{", "text that begins like JSON, perhaps a failed download"),
];

/// Names the content, or says why it cannot be used.
pub(super) fn recognise(bytes: &[u8], extension: &str) -> Result<Kind, AudioError> {
    if bytes.is_empty() {
        return Err(AudioError::NotAudio { found: "the file is empty (0 bytes)".into() });
    }
    let body = after_id3(bytes);
    let at = |offset: usize, mark: &[u8]| body.get(offset..).is_some_and(|rest| rest.starts_with(mark));
    let container = |kind| Ok(Kind::Container(kind));
    if at(0, b".snd") {
        return Ok(Kind::Au);
    }
    if at(0, b"RIFF") {
        return match body.get(8..12) {
            Some(b"WAVE") => container(Container::Wav),
            Some(b"AVI ") => Err(unsupported("AVI video")),
            _ => Err(AudioError::NotAudio { found: "a RIFF file that holds no WAVE".into() }),
        };
    }
    if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        return container(Container::Aiff);
    }
    if at(0, b"fLaC") {
        return container(Container::Flac);
    }
    if at(0, b"OggS") {
        return ogg(body);
    }
    if at(4, b"ftyp") {
        return container(Container::Mp4);
    }
    if at(0, b"\x1a\x45\xdf\xa3") {
        return Err(matroska(body));
    }
    if let Some((_, name)) = REFUSED.iter().find(|(mark, _)| at(0, mark)) {
        return Err(unsupported(*name));
    }
    if let Some((_, name)) = OTHER.iter().find(|(mark, _)| at(0, mark)) {
        return Err(AudioError::NotAudio { found: (*name).into() });
    }
    if let Some(kind) = mpeg(body, extension)? {
        return container(kind);
    }
    Err(AudioError::NotAudio { found: format!("no known audio format begins with these bytes: {}", head(bytes)) })
}

/// The bytes behind a leading ID3v2 tag, or all of them.
pub(super) fn after_id3(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [b'I', b'D', b'3', _, _, flags, a, b, c, d, ..] = *rest {
        let size = [a, b, c, d].iter().fold(0_usize, |size, &byte| size << 7 | usize::from(byte & 0x7f));
        let footer = if flags & 0x10 != 0 { 10 } else { 0 };
        match rest.get(10 + size + footer..) {
            Some(body) if !body.is_empty() => rest = body,
            _ => break,
        }
    }
    rest
}

/// The codec of an Ogg file stands at the start of its first packet.
fn ogg(body: &[u8]) -> Result<Kind, AudioError> {
    let segments = usize::from(*body.get(26).unwrap_or(&0));
    let packet = body.get(27 + segments..).unwrap_or_default();
    for (mark, name) in [
        (&b"OpusHead"[..], "Opus"),
        (b"Speex   ", "Speex"),
        (b"\x80theora", "Ogg video (Theora)"),
        (b"\x01video", "Ogg video"),
        (b"CELT    ", "CELT"),
        (b"fishead\0", "Ogg with a skeleton stream"),
    ] {
        if packet.starts_with(mark) {
            return Err(unsupported(name));
        }
    }
    Ok(Kind::Container(Container::Ogg))
}

/// Matroska and WebM, with the codec where it is stated near the beginning.
fn matroska(body: &[u8]) -> AudioError {
    let head = &body[..body.len().min(4096)];
    let holds = |mark: &[u8]| head.windows(mark.len()).any(|window| window == mark);
    let family = if holds(b"webm") { "WebM" } else { "Matroska" };
    unsupported(if holds(b"A_OPUS") { format!("Opus in {family}") } else { format!("{family} (mkv, mka, webm)") })
}

/// Bare MPEG frames: layer III is mp3, AAC comes in ADTS frames, layers I and II are refused.
fn mpeg(body: &[u8], extension: &str) -> Result<Option<Container>, AudioError> {
    if let [0xff, second, ..] = *body {
        match second & 0xf6 {
            0xf0 => return Ok(Some(Container::Adts)),
            layer if layer & 0xe6 == 0xe4 => return Err(unsupported("MPEG audio layer II (mp2)")),
            layer if layer & 0xe6 == 0xe6 => return Err(unsupported("MPEG audio layer I (mp1)")),
            _ => {}
        }
    }
    // Padding before the first frame is common, so a file named mp3 is searched a little way in.
    let reach = if extension.eq_ignore_ascii_case("mp3") { body.len().min(64 * 1024) } else { 1 };
    let found = (0..reach).any(|start| super::container::is_mp3(&body[start..]));
    Ok(found.then_some(Container::Mp3))
}

fn head(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
