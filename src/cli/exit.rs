//! Errors as words and as exit codes: 1 failed (of a capsule: checked and found wrong), 2 usage, 3 data, 4 no usable adapter, 5 device lost, 6 diverged, 7 disk.

use crate::bench::SavedError;
use crate::compare::{CapsuleError, CompareError, MergeError, StudyError, VerifyError};
use crate::config::ConfigError;
use crate::dataset::DatasetError;
use crate::gpu::GpuError;
use crate::models::{BuildError, ModelError};
use crate::report::WriteError;
use crate::report::record::RecordError;
use crate::train::TrainError;
use crate::train::checkpoint::CheckpointError;
use crate::train::predictions::PredictionsError;
use crate::train::run_directory::RunDirectoryError;

/// An error of usage that no argument parser can see, exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Files that cannot be used, exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DataError(pub String);

/// The error and those of its causes that it does not already quote.
pub fn words(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The exit code that an error stands for.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code).unwrap_or(1)
}

fn code(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    None.or_else(|| error.downcast_ref().map(train))
        .or_else(|| error.downcast_ref().map(compare))
        .or_else(|| error.downcast_ref().map(study))
        .or_else(|| error.downcast_ref().map(merge))
        .or_else(|| error.downcast_ref().map(capsule))
        .or_else(|| error.downcast_ref().map(verify))
        .or_else(|| error.downcast_ref().map(gpu))
        .or_else(|| error.downcast_ref().map(build))
        .or_else(|| error.downcast_ref().map(dataset))
        .or_else(|| error.downcast_ref().map(checkpoint))
        .or_else(|| error.downcast_ref().map(predictions))
        .or_else(|| error.downcast_ref().map(run_directory))
        .or_else(|| error.downcast_ref().map(record))
        .or_else(|| {
            error.downcast_ref::<std::io::Error>().filter(|e| e.get_ref().is_some_and(|e| e.is::<WriteError>())).map(|_| 7)
        })
        .or_else(|| error.downcast_ref::<ModelError>().map(|_| 2))
        .or_else(|| error.downcast_ref::<ConfigError>().map(|_| 2))
        .or_else(|| error.downcast_ref::<UsageError>().map(|_| 2))
        .or_else(|| error.downcast_ref::<DataError>().map(|_| 3))
        .or_else(|| error.downcast_ref::<SavedError>().map(|_| 3))
}

fn train(error: &TrainError) -> u8 {
    match error {
        TrainError::Gpu(error) => gpu(error),
        TrainError::Build(error) => build(error),
        TrainError::Dataset(error) => dataset(error),
        TrainError::Checkpoint(error) => checkpoint(error),
        TrainError::Predictions(error) => predictions(error),
        TrainError::RunDirectory(error) => run_directory(error),
        TrainError::Observer(_) => 7,
        TrainError::Diverged { .. } => 6,
    }
}

fn compare(error: &CompareError) -> u8 {
    match error {
        CompareError::Train { source, .. } => train(source),
        CompareError::Study(error) => study(error),
        CompareError::RunDirectory(error) => run_directory(error),
        CompareError::Dataset(error) => dataset(error),
        CompareError::Baseline(_) => 3,
        CompareError::Look(error) => train(error),
    }
}

fn study(error: &StudyError) -> u8 {
    match error {
        StudyError::Other { .. } | StudyError::NotAStudy { .. } | StudyError::NoStudy { .. } => 2,
        StudyError::Unreadable { .. } | StudyError::OtherSchema { .. } | StudyError::OtherData { .. } => 3,
        StudyError::Lost { .. } | StudyError::Changed { .. } => 3,
        StudyError::Write(error) => run_directory(error),
        StudyError::Predictions(error) => predictions(error),
        StudyError::Table { .. } => 7,
    }
}

fn merge(error: &MergeError) -> u8 {
    match error {
        MergeError::Study(error) => study(error),
        MergeError::OtherStudy { .. } => 2,
        MergeError::OtherResult { .. } | MergeError::OtherData { .. } => 3,
        MergeError::Copy { .. } => 7,
    }
}

fn capsule(error: &CapsuleError) -> u8 {
    match error {
        CapsuleError::File { .. } => 7,
        CapsuleError::Unfinished { .. } | CapsuleError::NoPlace { .. } => 2,
        // Read as it was written, and wrong: checked and failed, like predictions that differ.
        CapsuleError::Contradiction { .. } => 1,
        CapsuleError::Tampered { .. } => 3,
    }
}

fn verify(error: &VerifyError) -> u8 {
    match error {
        VerifyError::Capsule(error) => capsule(error),
        VerifyError::OtherLabels { .. } | VerifyError::OtherSplit { .. } => 1,
        VerifyError::Config(_) | VerifyError::MissingClips { .. } => 3,
        VerifyError::Dataset(error) => dataset(error),
        VerifyError::Train(error) => train(error),
        VerifyError::Compare(error) => compare(error),
    }
}

fn gpu(error: &GpuError) -> u8 {
    match error {
        GpuError::UnknownAdapter { .. } | GpuError::AmbiguousAdapter { .. } => 2,
        GpuError::NoAdapter { .. } | GpuError::Unsuitable { .. } | GpuError::Open { .. } => 4,
        GpuError::TooLarge { .. } | GpuError::OutOfMemory { .. } => 4,
        GpuError::DeviceLost { .. } => 5,
        _ => 1,
    }
}

fn build(error: &BuildError) -> u8 {
    match error {
        BuildError::Model(_) => 2,
        BuildError::Gpu(error) => gpu(error),
    }
}

fn dataset(error: &DatasetError) -> u8 {
    match error {
        DatasetError::Write { .. } => 7,
        _ => 3,
    }
}

fn checkpoint(error: &CheckpointError) -> u8 {
    match error {
        CheckpointError::Write { .. } => 7,
        _ => 3,
    }
}

fn predictions(error: &PredictionsError) -> u8 {
    match error {
        PredictionsError::Empty { .. } => 3,
        PredictionsError::NotProbabilities { .. } => 6,
        PredictionsError::Write { .. } => 7,
    }
}

fn record(error: &RecordError) -> u8 {
    match error {
        RecordError::Run(error) => run_directory(error),
        RecordError::Damaged { .. } => 3,
    }
}

fn run_directory(error: &RunDirectoryError) -> u8 {
    match error {
        RunDirectoryError::Write { .. } => 7,
        _ => 2,
    }
}
