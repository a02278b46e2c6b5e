//! `melgrad features FILE --out F.npy`, or a picture of them

use super::Global;
use super::exit::{DataError, UsageError};
use super::settings::FeatureArgs;
use crate::config::FeatureConfig;
use crate::report::plot::{Plot, mel_spectrogram::MelSpectrogram};
use crate::train::run_directory::write_atomic;
use crate::{audio, features};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `features`.
#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// An audio file
    file: PathBuf,
    /// Where the features go: .npy, (frames, n_mels), 32-bit floats in decibels; or a picture, .png or .svg
    #[arg(long, value_name = "F.npy|png|svg")]
    out: PathBuf,
    #[command(flatten)]
    features: FeatureArgs,
}

#[derive(serde::Serialize)]
struct Written<'a> {
    file: &'a PathBuf,
    out: &'a PathBuf,
    frames: usize,
    n_mels: usize,
    seconds: f64,
    min_db: f32,
    max_db: f32,
}

pub(super) fn run(global: &Global, args: &FeaturesArgs) -> anyhow::Result<ExitCode> {
    let config = args.features.resolve(global)?;
    let kind = args.out.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !["npy", "png", "svg"].contains(&kind) {
        return Err(UsageError(format!("{}: the output's name must end in .npy, .png or .svg", args.out.display())).into());
    }
    let unusable = |reason: String| DataError(format!("{}: {reason}", args.file.display()));
    let waveform = audio::decode(&args.file).map_err(|error| unusable(error.to_string()))?;
    let seconds = waveform.seconds();
    let waveform = waveform.resampled(config.sample_rate).map_err(|error| unusable(error.to_string()))?;
    let log_mel = features::LogMel::new(&config).compute(&waveform.samples).map_err(|error| unusable(error.to_string()))?;
    let bytes = match kind {
        "png" => picture(&args.file, &config, &log_mel).png(),
        "svg" => picture(&args.file, &config, &log_mel).svg().into_bytes(),
        _ => {
            let mut bytes = Vec::new();
            features::write_npy_to(&mut bytes, &log_mel)?;
            bytes
        }
    };
    write_atomic(&args.out, &bytes)?;
    let written = Written {
        file: &args.file,
        out: &args.out,
        frames: log_mel.frames,
        n_mels: log_mel.n_mels,
        seconds,
        min_db: log_mel.data.iter().copied().fold(f32::INFINITY, f32::min),
        max_db: log_mel.data.iter().copied().fold(f32::NEG_INFINITY, f32::max),
    };
    if global.json {
        super::say(format_args!("{}", serde_json::to_string(&written)?));
    } else {
        let Written { frames, n_mels, min_db, max_db, .. } = written;
        super::say(format_args!(
            "{}: {frames} frames x {n_mels} bands of {seconds:.2} s, {min_db:.1} to {max_db:.1} dB",
            args.out.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn picture(file: &Path, config: &FeatureConfig, log_mel: &features::Features) -> MelSpectrogram {
    MelSpectrogram::of(&file.file_name().unwrap_or_default().to_string_lossy(), config, &log_mel.data)
}
