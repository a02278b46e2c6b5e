//! A study: several networks trained on the same splits with the same seeds, looked at after the same epochs.
//!
//! A [`Study`] is its settings; its [`Cell`]s are the trainings that it consists of, each in a directory of its own below
//! `cells/` and finished when its `result.json` is there, which is written last. Whatever ends a study, started again it
//! trains the cells that are not finished and no others. Tables are made from the results alone and in the order of the
//! cells, so that shards of a study, or one that was interrupted, give the bytes of an undisturbed one; times stand in a
//! table of their own.

mod capsule;
mod cell;
mod conclusion;
mod consistency;
mod data;
mod entry;
mod estimate;
mod evidence;
mod lengths;
mod merge;
mod mistakes;
mod outcomes;
pub mod page;
mod predictions;
mod publish;
mod redraw;
mod results;
mod retrain;
mod run;
mod same_data;
mod shard;
pub mod statistics;
mod study;
mod summary;
mod tables;
mod timing;
mod verify;

pub use capsule::{Capsule, CapsuleError, check_place, write_capsule};
pub use cell::Cell;
pub use conclusion::{Conclusion, Headline, conclude};
pub use data::StudyData;
pub use entry::{Contestant, Entry, Reading};
pub use estimate::estimate;
pub use lengths::LengthResult;
pub use merge::{MergeError, merge};
pub use mistakes::{MistakeRow, by_all, mistakes};
pub use outcomes::{EntryOutcome, Outcomes, RunOutcome, Said, TestClip};
pub use publish::publish;
pub use results::{CellResult, MarkResult, StudyDirectory, StudyError};
pub use retrain::{Outcome, Retrained, Retraining, retrain};
pub use run::{CompareError, run};
pub use same_data::same_data;
pub use shard::Shard;
pub use study::Study;
pub use summary::{LengthSummary, Summary, summarise, time_rows};
pub use tables::{write_outcomes, write_tables};
pub use timing::{ModelTiming, Quartiles, Timing, TimingRow, time_epochs};
pub use verify::{Verdict, Verification, VerifyError, verify};
