//! Clips that lie on the device, for all runs that share them.

use crate::dataset::{Clip, Dataset};
use crate::features::Features;
use crate::gpu::{Element, Gpu, GpuError, Tensor};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are handed over before the device is waited for: they lie at the host's twice until then.
const PORTION: u64 = 64 << 20;

/// The decibels of whole files on the device, sent there once by the first run that uses them.
///
/// They are those of the last data set that was not a part of the one before. Where there is no room, there are none, and
/// batches are streamed.
#[derive(Default)]
pub struct DeviceClips(Mutex<Option<Held>>);

struct Held {
    /// Absent where they do not fit.
    clips: Option<Arc<Clips>>,
    /// Keeps the addresses alive that files are known by.
    files: HashMap<usize, Arc<Clip>>,
}

/// Clips in chunks of (frames, mel), none in two of them.
pub(super) struct Clips {
    pub chunks: Vec<Tensor>,
    places: HashMap<usize, Place>,
}

/// Where a file begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub chunk: usize,
    pub frame: usize,
}

impl Clips {
    /// Where a clip begins, if it is there.
    pub fn place(&self, clip: &Clip) -> Option<Place> {
        let place = self.places.get(&file(clip))?;
        Some(Place { frame: place.frame + clip.first_frame().unwrap_or(0), ..*place })
    }
}

impl DeviceClips {
    /// The clips of `data`, which are sent to the device if they are not there and if it has room.
    pub(super) fn of(&self, gpu: &Gpu, data: &Dataset) -> Option<Arc<Clips>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |held: &Held| data.samples.iter().all(|sample| held.files.contains_key(&file(&sample.clip)));
        if !held.as_ref().is_some_and(has) {
            // Freed first: both may be too much.
            *held = None;
            *held = Some(Held::new(gpu, data));
        }
        held.as_ref()?.clips.clone()
    }

    /// Bytes that lie on the device.
    pub fn bytes(&self) -> u64 {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let clips = held.as_ref().and_then(|held| held.clips.as_ref());
        clips.map_or(0, |clips| clips.chunks.iter().map(Tensor::bytes).sum())
    }

    /// Gives the memory back and from now on has none for this data; whether there was any.
    pub(super) fn release(&self) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_mut().is_some_and(|held| held.clips.take().is_some())
    }
}

/// The address of a clip's file, which all its segments share.
fn file(clip: &Clip) -> usize {
    std::ptr::from_ref::<Features>(clip.features()).addr()
}

impl Held {
    fn new(gpu: &Gpu, data: &Dataset) -> Self {
        let mut files = HashMap::new();
        let mut order = Vec::new();
        for sample in &data.samples {
            files.entry(file(&sample.clip)).or_insert_with(|| {
                order.push(sample.clip.clone());
                sample.clip.clone()
            });
        }
        let clips = match send(gpu, &order, data.n_mels) {
            Ok(clips) => clips.map(Arc::new),
            Err(error) => {
                tracing::info!(%error, "the data does not fit the device: batches are streamed");
                None
            }
        };
        Self { clips, files }
    }
}

/// Sends whole files to the device; nothing if they are more than it has room for.
fn send(gpu: &Gpu, files: &[Arc<Clip>], n_mels: usize) -> Result<Option<Clips>, GpuError> {
    let (row, room) = ((n_mels * Element::F32.bytes()) as u64, gpu.room_for_data());
    let frames: Vec<usize> = files.iter().map(|clip| clip.features().frames).collect();
    let bytes = row * frames.iter().sum::<usize>() as u64;
    let most = gpu.summary().max_binding_bytes.min(gpu.summary().max_buffer_bytes) / row.max(1);
    let packed = pack(&frames, most as usize);
    let (Some((places, lengths)), true) = (packed, bytes <= room) else {
        tracing::info!(bytes, room, "the data is not kept on the device: batches are streamed");
        return Ok(None);
    };
    let chunk = |&frames: &usize| gpu.tensor("clips", Element::F32, &[frames, n_mels]);
    let chunks = lengths.iter().map(chunk).collect::<Result<Vec<_>, _>>()?;
    let mut written = 0;
    for (clip, place) in files.iter().zip(&places) {
        let features = clip.features();
        gpu.write(&chunks[place.chunk].rows(place.frame, features.frames), &features.data);
        written += row * features.frames as u64;
        if written > PORTION {
            gpu.flush()?;
            written = 0;
        }
    }
    gpu.flush()?;
    let places = files.iter().map(|clip| file(clip)).zip(places).collect();
    Ok(Some(Clips { chunks, places }))
}

/// Where files of so many frames lie one after the other, and the frames of each chunk, at most `most`; none if a file is
/// longer.
fn pack(frames: &[usize], most: usize) -> Option<(Vec<Place>, Vec<usize>)> {
    let (mut places, mut lengths) = (Vec::with_capacity(frames.len()), Vec::new());
    for &frames in frames {
        if frames > most {
            return None;
        }
        match lengths.last() {
            Some(length) if length + frames <= most => {}
            _ => lengths.push(0),
        }
        let chunk = lengths.len() - 1;
        places.push(Place { chunk, frame: lengths[chunk] });
        lengths[chunk] += frames;
    }
    Some((places, lengths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_lies_in_two_chunks_and_none_over_another() {
        let (places, lengths) = pack(&[3, 4, 2, 9, 1], 9).unwrap();
        let at = |chunk, frame| Place { chunk, frame };
        assert_eq!(places, [at(0, 0), at(0, 3), at(0, 7), at(1, 0), at(2, 0)]);
        assert_eq!(lengths, [9, 9, 1]);
        assert!(pack(&[3, 10], 9).is_none(), "a file that is longer than a chunk");
    }
}
