//! Compressed and plain containers through Symphonia, mixed to mono packet by packet.

use super::container::{Plan, inspect};
use super::recognise::{Container, unsupported};
use super::{AudioError, Waveform, plausible_rate};
use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;

/// Undecodable places in a row after which a stream is given up.
const PATIENCE: usize = 256;

/// The mono mix of a whole file.
pub(super) fn decode(mut bytes: Vec<u8>, container: Container) -> Result<Waveform, AudioError> {
    let plan = inspect(&mut bytes, container)?;
    // A decoder that trips over broken data must not take the run with it.
    let decoded = catch_unwind(AssertUnwindSafe(|| run(bytes, container, plan)));
    decoded.unwrap_or_else(|_| Err(AudioError::Damaged { reason: "the decoder stumbled over its data".into() }))?.finish(plan)
}

/// What came out of a stream, before it is judged.
struct Decoded {
    samples: Vec<f32>,
    rate: u32,
    /// Frames in packets that could not be decoded.
    lost: u64,
    /// The bytes ended inside a packet.
    cut: bool,
    /// Frames that the stream's own header promises.
    promised: Option<u64>,
}

impl Decoded {
    fn finish(mut self, plan: Plan) -> Result<Waveform, AudioError> {
        let rate = f64::from(self.rate);
        let seconds = self.samples.len() as f64 / rate;
        let accounted = seconds + self.lost as f64 / rate;
        let promised = plan.promised.or(self.promised.map(|frames| frames as f64 / rate));
        if plan.cut || self.cut || promised.is_some_and(|promised| accounted + plan.tolerance + 0.5 / rate < promised) {
            return Err(AudioError::Truncated { seconds, promised: promised.filter(|&promised| promised > seconds) });
        }
        if self.lost > self.samples.len() as u64 {
            let reason = format!("only {seconds:.2} s of {accounted:.2} s could be decoded");
            return Err(AudioError::Damaged { reason });
        }
        let skip = (plan.skip * rate).round() as usize;
        self.samples.drain(..skip.min(self.samples.len()));
        if let Some(keep) = plan.keep {
            self.samples.truncate((keep * rate).round() as usize);
        }
        Ok(Waveform { samples: self.samples, sample_rate: self.rate })
    }
}

fn run(bytes: Vec<u8>, container: Container, plan: Plan) -> Result<Decoded, AudioError> {
    let length = bytes.len();
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let mut hint = Hint::new();
    hint.with_extension(container.extension());
    let mut format = symphonia::default::get_probe()
        .probe(&hint, stream, Default::default(), Default::default())
        .map_err(|error| explain(error, plan))?;
    let (mut track, mut decoder) = open(&*format, plan)?;
    let mut mix = Mix::new(&track, length);
    let promised = if container == Container::Flac { track.num_frames } else { None };
    let (mut lost, mut cut, mut patience) = (0, false, PATIENCE);
    while patience > 0 {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // The next link of a chained Ogg file.
            Err(Error::ResetRequired) => {
                (track, decoder) = open(&*format, plan)?;
                continue;
            }
            Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                cut = true;
                break;
            }
            Err(_) => {
                patience -= 1;
                continue;
            }
        };
        if packet.track_id != track.id {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(buffer) => {
                mix.push(&buffer)?;
                patience = PATIENCE;
            }
            Err(Error::ResetRequired) => decoder.reset(),
            Err(Error::Unsupported(what)) => return Err(unsupported(what)),
            // Symphonia's advice: drop the packet and go on.
            Err(_) => {
                lost += packet.dur.get();
                patience -= 1;
            }
        }
    }
    let Some(rate) = mix.rate else {
        let promised = plan.promised.or(seconds_stated(&track, promised));
        return Err(match promised {
            _ if cut || plan.cut => AudioError::Truncated { seconds: 0.0, promised },
            _ if lost > 0 || patience == 0 => AudioError::Damaged { reason: "none of it could be decoded".into() },
            Some(seconds) if seconds > 0.0 => AudioError::Truncated { seconds: 0.0, promised },
            _ => AudioError::Empty,
        });
    };
    let rate = plausible_rate(rate)?;
    Ok(Decoded { samples: mix.samples, rate, lost, cut, promised })
}

/// The file's audio track with a decoder for it.
fn open(format: &dyn FormatReader, plan: Plan) -> Result<(Track, Box<dyn AudioDecoder>), AudioError> {
    let Some(track) = format.default_track(TrackType::Audio) else {
        return Err(AudioError::NotAudio { found: format!("the {} file holds no audio track", format.format_info().short_name) });
    };
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let Some(parameters) = parameters else { return Err(unsupported(codec_name(plan))) };
    let options = AudioDecoderOptions::default().gapless(!plan.guessed_length);
    let decoder = symphonia::default::get_codecs().make_audio_decoder(parameters, &options).map_err(|error| match error {
        Error::Unsupported(what) if plan.codec.is_none() => unsupported(what),
        Error::Unsupported(_) => unsupported(codec_name(plan)),
        other => AudioError::Damaged { reason: other.to_string() },
    })?;
    Ok((track.clone(), decoder))
}

fn seconds_stated(track: &Track, frames: Option<u64>) -> Option<f64> {
    let rate = track.codec_params.as_ref()?.audio()?.sample_rate?;
    Some(frames? as f64 / f64::from(rate))
}

fn codec_name(plan: Plan) -> String {
    match plan.codec.as_ref().map(|name| name.as_slice()) {
        None => "its audio codec".into(),
        Some(b"Opus") => "Opus in mp4".into(),
        Some(b"ac-3" | b"ec-3" | b"ac-4") => "Dolby Digital in mp4".into(),
        Some(b"mp4a") => "this kind of AAC (only the low-complexity profile is)".into(),
        Some(b"drms" | b"enca") => "copy-protected audio".into(),
        Some(other) => format!("audio codec {:?} in mp4", String::from_utf8_lossy(other)),
    }
}

/// A container that would not open.
fn explain(error: Error, plan: Plan) -> AudioError {
    match error {
        _ if plan.cut => AudioError::Truncated { seconds: 0.0, promised: plan.promised },
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            AudioError::Truncated { seconds: 0.0, promised: plan.promised }
        }
        Error::Unsupported(what) => unsupported(what),
        other => AudioError::Damaged { reason: other.to_string() },
    }
}

/// The mean of the channels, over all packets.
struct Mix {
    samples: Vec<f32>,
    rate: Option<u32>,
    planes: Vec<Vec<f32>>,
}

impl Mix {
    fn new(track: &Track, file_length: usize) -> Self {
        // A header may promise anything; a file of so many bytes hardly holds more than eight samples per byte.
        let expected = track.num_frames.unwrap_or(0).min(file_length as u64 * 8) as usize;
        Self { samples: Vec::with_capacity(expected), rate: None, planes: Vec::new() }
    }

    fn push(&mut self, buffer: &GenericAudioBufferRef<'_>) -> Result<(), AudioError> {
        let rate = buffer.spec().rate();
        if buffer.frames() == 0 {
            return Ok(());
        }
        if *self.rate.get_or_insert(rate) != rate {
            return Err(AudioError::Damaged { reason: "its sample rate changes on the way".into() });
        }
        buffer.copy_to_vecs_planar::<f32>(&mut self.planes);
        let Some((first, others)) = self.planes.split_first() else { return Ok(()) };
        let start = self.samples.len();
        self.samples.extend_from_slice(first);
        if others.is_empty() {
            return Ok(());
        }
        let mixed = &mut self.samples[start..];
        for plane in others {
            mixed.iter_mut().zip(plane).for_each(|(sum, sample)| *sum += sample);
        }
        let channels = self.planes.len() as f32;
        mixed.iter_mut().for_each(|sum| *sum /= channels);
        Ok(())
    }
}
