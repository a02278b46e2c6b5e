//! Whether a capsule's split is the one that its protocol and seed draw, and not one that was picked.

use super::{Capsule, Cell, VerifyError};
use crate::dataset::{Collection, KeptSplits};
use crate::report::words::count;

/// Draws a run's split again from the files at hand that it names. A split holds every clip that it was drawn from, so those
/// decide it, whatever else the data have by now. Returns what a person should know, in words.
///
/// # Errors
/// [`VerifyError::OtherSplit`] where the clips are all there and are not parted as they were.
pub(super) fn redraw(
    capsule: &Capsule,
    cell: &Cell,
    collection: &Collection,
    kept: &KeptSplits,
) -> Result<Option<String>, VerifyError> {
    let known = collection.known(kept);
    if known.fewer > 0 || known.regrouped {
        let why = match known.regrouped {
            true => "copies or new names may have given clips other groups",
            false => "what is there draws another split",
        };
        return Ok(Some(format!(
            "the split could not be drawn again: the data have {} more and {} fewer clips, and {why}",
            known.more, known.fewer
        )));
    }
    let drawn = known.collection.dataset(capsule.study.protocol, capsule.study.draw(cell))?;
    let others = kept.other_sides(&drawn);
    if others > 0 {
        let (cell, left_out) = (cell.to_string(), known.more);
        return Err(VerifyError::OtherSplit { cell, others, clips: kept.clips(), left_out });
    }
    let words = "that are no part of the study; why they were left out of it cannot be seen here";
    Ok((known.more > 0).then(|| format!("the data have {} {words}", count(known.more, "file"))))
}
