//! What a file says of itself: ID3, Vorbis comments and MP4 metadata, through Symphonia. Of wav files it reads none, and
//! `.au` has none.

use super::AudioError;
use super::recognise::{Kind, recognise};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use symphonia::core::formats::FormatReader;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::{MetadataRevision, RawValue, StandardTag, Tag};

/// Tags by name, in lower case: the usual ones (`genre`, `artist`, `albumartist`, `album`, `composer`, `title`) by these
/// names in every format, each also by the name that its format gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    values: HashMap<String, String>,
}

impl Tags {
    /// The first value of a tag, without space around it; none if there is none or it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let plain = |name: &str| name.to_lowercase().replace(['_', ' '], "");
        self.values.get(&plain(name)).map(String::as_str)
    }

    /// Adds what is not there yet.
    fn add(&mut self, name: &str, value: &str) {
        let (name, value) = (name.to_lowercase().replace(['_', ' '], ""), value.trim());
        if !name.is_empty() && !value.is_empty() {
            self.values.entry(name).or_insert_with(|| value.to_owned());
        }
    }

    fn add_all(&mut self, revision: &MetadataRevision) {
        let of_tracks = revision.per_track.iter().flat_map(|track| &track.metadata.tags);
        for tag in revision.media.tags.iter().chain(of_tracks) {
            if let Some((name, value)) = tag.std.as_ref().and_then(usual) {
                self.add(name, value);
            }
            let Some(value) = text(&tag.raw.value) else { continue };
            self.add(own_name(tag), &value);
        }
    }
}

fn usual(tag: &StandardTag) -> Option<(&'static str, &str)> {
    Some(match tag {
        StandardTag::Genre(value) => ("genre", value),
        StandardTag::Artist(value) => ("artist", value),
        StandardTag::AlbumArtist(value) => ("albumartist", value),
        StandardTag::Album(value) => ("album", value),
        StandardTag::Composer(value) => ("composer", value),
        StandardTag::TrackTitle(value) => ("title", value),
        _ => return None,
    })
}

fn text(value: &RawValue) -> Option<String> {
    match value {
        RawValue::String(text) => Some(text.to_string()),
        RawValue::StringList(list) => list.first().cloned(),
        RawValue::UnsignedInt(number) => Some(number.to_string()),
        RawValue::SignedInt(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `TXXX` frames and iTunes' freeform items carry their name in a field of its own or behind colons.
fn own_name(tag: &Tag) -> &str {
    if let ("TXXX", Some([field, ..])) = (tag.raw.key.as_str(), tag.raw.sub_fields.as_deref())
        && let RawValue::String(name) = &field.value
    {
        return name;
    }
    tag.raw.key.rsplit(':').next().unwrap_or_default()
}

/// The tags of a file; none where its format has none. The file is not decoded.
pub fn tags(path: &Path) -> Result<Tags, AudioError> {
    if !std::fs::metadata(path).map_err(AudioError::Read)?.is_file() {
        return Err(AudioError::Read(std::io::Error::other("not a regular file")));
    }
    let mut file = File::open(path).map_err(AudioError::Read)?;
    let mut magic = [0; 4];
    let read = file.read(&mut magic).map_err(AudioError::Read)?;
    if magic[..read] == *b".snd" {
        return Ok(Tags::default());
    }
    let file = File::open(path).map_err(AudioError::Read)?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let tags = read_from(Box::new(file), extension);
    if tags.is_none() {
        // Whatever is wrong with it has a better name than that Symphonia makes nothing of it.
        recognise(&std::fs::read(path).map_err(AudioError::Read)?, extension)?;
    }
    tags.ok_or_else(unreadable)
}

/// The same for a file in memory.
pub fn tags_of_bytes(bytes: Vec<u8>, extension: &str) -> Result<Tags, AudioError> {
    match recognise(&bytes, extension)? {
        Kind::Au => Ok(Tags::default()),
        Kind::Container(_) => read_from(Box::new(Cursor::new(bytes)), extension).ok_or_else(unreadable),
    }
}

fn unreadable() -> AudioError {
    AudioError::Damaged { reason: "its tags cannot be read".into() }
}

fn read_from(source: Box<dyn MediaSource>, extension: &str) -> Option<Tags> {
    let mut hint = Hint::new();
    hint.with_extension(extension);
    let read = || {
        let stream = MediaSourceStream::new(source, Default::default());
        let probe = symphonia::default::get_probe();
        probe.probe(&hint, stream, Default::default(), Default::default()).ok().map(|mut format| collect(&mut *format))
    };
    // A reader that trips over broken data must not take the run with it.
    catch_unwind(AssertUnwindSafe(read)).ok().flatten()
}

/// The newest revision counts: ID3v2 after ID3v1, which cuts names off after 30 letters.
fn collect(format: &mut dyn FormatReader) -> Tags {
    let mut metadata = format.metadata();
    let mut revisions = Vec::new();
    while let Some(older) = metadata.pop() {
        revisions.push(older);
    }
    let mut tags = Tags::default();
    metadata.current().into_iter().chain(revisions.iter().rev()).for_each(|revision| tags.add_all(revision));
    tags
}
