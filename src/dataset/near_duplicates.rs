//! The same recording in more than one file: copied at another loudness, encoded anew, or cut elsewhere. Found and named,
//! never merged: a person decides which of them to keep.

use super::collection::Recording;
use super::correlation::Spectra;
use super::fingerprint::{Fingerprint, Grain, overlap};
use super::source::portable;
use super::{Collection, Dataset, Split};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// 1 - correlation at which two clips count as one recording. Of 40 clips of game music (30 s) every copy at 12 dB less,
/// faded in, as mp3 from 48 to 128 kbit/s or as Vorbis at its lowest quality was found, none above 0.09; 37 of the copies
/// that begin 5.1 s later, 39 of the excerpts of 10 s and of those driven 10 dB into clipping. Over 289 such clips no pair
/// from different tracks comes below 0.45. Repetitions within a sequenced track do: they are the same sound again.
const NEAR: f64 = 0.2;
/// Coarse correlation from which a pair is looked at closely.
const CANDIDATE: f64 = 0.45;
/// Seconds of a coarse step.
const COARSE_SECONDS: f64 = 0.186;
const COARSE_BANDS: usize = 16;
const FINE: Grain = Grain { frames: 1, bands: 32, blurred: true };
/// Seconds that two clips must share at the least, and half of the shorter one: less sound is not enough to tell.
const SHARED_SECONDS: f64 = 3.0;

/// Two files that hold the same recording, or much of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearDuplicate {
    /// Index into [`Collection::recordings`].
    pub first: usize,
    /// Another one, above it.
    pub second: usize,
    /// 1 - correlation of the mel bands' course over what they share: 0 for equal sound.
    pub distance: f64,
    /// Seconds into the first at which the second begins; negative if it begins before.
    pub shift_seconds: f64,
    /// Seconds that were compared: what they share, but for its edges.
    pub shared_seconds: f64,
}

/// A pair as a table shows it, with the sides on which a split has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearDuplicateRow {
    /// The first file, with `/`.
    pub first: String,
    /// The second.
    pub second: String,
    /// See [`NearDuplicate::distance`].
    pub distance: f64,
    /// See [`NearDuplicate::shift_seconds`].
    pub shift_seconds: f64,
    /// See [`NearDuplicate::shared_seconds`].
    pub shared_seconds: f64,
    /// Whether both are of one group.
    pub same_group: bool,
    /// The first's part, or parts joined by `+` where it is cut into segments; empty if it is left out.
    pub first_part: String,
    /// The second's.
    pub second_part: String,
    /// Whether something of it was trained on that is validated or tested on, or validated that is tested.
    pub separated: bool,
}

impl Collection {
    /// Every pair of files that hold the same recording or much of it, by ascending distance; those of equal content are in
    /// [`Collection::duplicates`] instead. Looks at the first four minutes of each and at nothing shorter than 3 s; takes some seconds for 1,000 clips
    /// of 30 s.
    pub fn near_duplicates(&self) -> Vec<NearDuplicate> {
        let step = ((COARSE_SECONDS / self.frame_seconds).round() as usize).max(1);
        let coarse = Grain { frames: step, bands: COARSE_BANDS, blurred: false };
        let print = |recording: &Recording, grain| Fingerprint::of(&recording.clip, grain, self.frame_seconds);
        let spectra = Spectra::of(self.recordings.par_iter().map(|recording| print(recording, coarse)).collect());
        let equal: BTreeSet<(usize, usize)> = self.duplicates.iter().flat_map(|set| pairs(set)).collect();
        let n = self.recordings.len();
        let of_first = |first: usize| {
            let mut work = spectra.workspace();
            let mut found = Vec::new();
            for second in (first + 1..n).filter(|&second| !equal.contains(&(first, second))) {
                let shared = self.shared_frames(first, second);
                let peaks = spectra.peaks(first, second, (shared / step).saturating_sub(1), CANDIDATE, &mut work);
                if peaks.is_empty() {
                    continue;
                }
                let fine = [first, second].map(|i| print(&self.recordings[i], FINE));
                found.extend(self.closest(first, second, &fine, &peaks, step, shared));
            }
            found
        };
        let mut found: Vec<NearDuplicate> = (0..n).into_par_iter().flat_map_iter(of_first).collect();
        found.sort_by(|a, b| a.distance.total_cmp(&b.distance).then((a.first, a.second).cmp(&(b.first, b.second))));
        found
    }

    /// Frames that a pair must share.
    fn shared_frames(&self, first: usize, second: usize) -> usize {
        let seconds = |i: usize| self.recordings[i].clip.seconds();
        (SHARED_SECONDS.max(0.5 * seconds(first).min(seconds(second))) / self.frame_seconds) as usize
    }

    /// The closest shift around the coarse peaks, if it is near enough.
    fn closest(
        &self,
        first: usize,
        second: usize,
        [one, two]: &[Fingerprint; 2],
        peaks: &[(f64, isize)],
        step: usize,
        shared: usize,
    ) -> Option<NearDuplicate> {
        let step = step as isize;
        let frames = |lag: isize| {
            let (start, end) = overlap(one.steps(), two.steps(), lag);
            end - start
        };
        let lags = peaks.iter().flat_map(|&(_, lag)| lag * step - step..=lag * step + step);
        // A coarse step is the measure's own uncertainty.
        let lags = lags.filter(|&lag| frames(lag) + step as usize >= shared);
        let (correlation, lag) = lags
            .map(|lag| (one.correlation(two, lag), lag))
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.abs().cmp(&a.1.abs())))?;
        (1.0 - correlation <= NEAR).then(|| NearDuplicate {
            first,
            second,
            distance: (1.0 - correlation).max(0.0),
            shift_seconds: lag as f64 * self.frame_seconds,
            shared_seconds: frames(lag) as f64 * self.frame_seconds,
        })
    }

    /// The pairs as a table shows them, with the sides on which `data`, a split of this collection, has them.
    pub fn near_duplicate_rows(&self, pairs: &[NearDuplicate], data: &Dataset) -> Vec<NearDuplicateRow> {
        let parts = |i: usize| -> BTreeSet<Split> {
            let path = &self.recordings[i].path;
            data.samples.iter().filter(|sample| sample.path == *path).map(|sample| sample.split).collect()
        };
        let words = |parts: &BTreeSet<Split>| parts.iter().map(|part| part.name()).collect::<Vec<_>>().join("+");
        let row = |pair: &NearDuplicate| {
            let (one, two) = (parts(pair.first), parts(pair.second));
            let (first, second) = (&self.recordings[pair.first], &self.recordings[pair.second]);
            NearDuplicateRow {
                first: portable(&first.path),
                second: portable(&second.path),
                distance: pair.distance,
                shift_seconds: pair.shift_seconds,
                shared_seconds: pair.shared_seconds,
                same_group: first.group == second.group,
                first_part: words(&one),
                second_part: words(&two),
                separated: one.iter().any(|part| two.iter().any(|other| other != part)),
            }
        };
        pairs.iter().map(row).collect()
    }
}

/// What a person should know of near-duplicates before training, in words; none if there are none.
pub fn near_duplicate_warning(rows: &[NearDuplicateRow]) -> Option<String> {
    let separated: Vec<&NearDuplicateRow> = rows.iter().filter(|row| row.separated).collect();
    let shown = |row: &NearDuplicateRow| {
        let of = |name: &str, part: &str| if part.is_empty() { name.to_owned() } else { format!("{name} ({part})") };
        let (first, second) = (of(&row.first, &row.first_part), of(&row.second, &row.second_part));
        format!("closest: {first} and {second}, distance {:.3}", row.distance)
    };
    let first = separated.first().copied().or(rows.first())?;
    let sides = match separated.len() {
        0 => "none on two sides of the split".to_owned(),
        n => format!("{n} of them on two sides of the split, so that what is tested was trained on in another copy"),
    };
    Some(format!("{} pairs of files hold the same recording or much of it, {sides} ({})", rows.len(), shown(first)))
}

fn pairs(set: &[usize]) -> Vec<(usize, usize)> {
    set.iter().flat_map(|&a| set.iter().map(move |&b| (a, b))).filter(|(a, b)| a < b).collect()
}
