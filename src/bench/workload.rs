//! Workloads by name: `bbnn_b8_t647_m128`, `indrnn_t647_b32_i128_h128_l5`.

use crate::config::{ModelConfig, ModelName};
use crate::models::Dimensions;
use std::str::FromStr;

/// A network and the size of its batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// As it was named.
    pub name: String,
    /// The network.
    pub model: ModelConfig,
    /// Batch, frames, bands; 10 classes.
    pub dimensions: Dimensions,
}

/// A name that is no workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "workload `{name}`: {problem}; workloads are named like bbnn_b8_t647_m128 (batch, frames, mel bands) or indrnn_t647_b32_i128_h128_l5 (frames, batch, inputs, hidden, layers; also rnn, gru, lstm)"
)]
pub struct WorkloadError {
    name: String,
    problem: String,
}

impl FromStr for Workload {
    type Err = WorkloadError;

    fn from_str(name: &str) -> Result<Self, WorkloadError> {
        let error = |problem: String| WorkloadError { name: name.into(), problem };
        let mut parts = name.split('_');
        let network = parts.next().unwrap_or_default();
        let Some(model) = ModelName::ALL.into_iter().find(|model| model.to_string() == network) else {
            return Err(error(format!("there is no network `{network}`")));
        };
        let (mels, optional) = if model == ModelName::Bbnn { ('m', "") } else { ('i', "hl") };
        let mut model = ModelConfig::new(model);
        let (mut batch, mut frames, mut bands) = (None, None, None);
        for part in parts {
            let letter = part.chars().next().unwrap_or('?');
            let value: usize = part
                .get(letter.len_utf8()..)
                .and_then(|digits| digits.parse().ok())
                .filter(|v| *v > 0)
                .ok_or_else(|| error(format!("`{part}` is no letter with a number")))?;
            match letter {
                'b' => batch = Some(value),
                't' => frames = Some(value),
                'h' if optional.contains('h') => model.hidden = value,
                'l' if optional.contains('l') => model.layers = value,
                c if c == mels => bands = Some(value),
                c => return Err(error(format!("{network} has no `{c}`"))),
            }
        }
        if model.hidden > 4096 || model.layers > 64 {
            return Err(error("at most 4096 hidden units and 64 layers".into()));
        }
        if [batch, frames, bands].iter().flatten().any(|size| *size > 1 << 24) {
            return Err(error("sizes up to 16777216".into()));
        }
        let need = |value: Option<usize>, what: &str| value.ok_or_else(|| error(format!("{what} is missing")));
        let dimensions = Dimensions {
            batch: need(batch, "the batch (b)")?,
            frames: need(frames, "the frames (t)")?,
            mels: need(bands, "the number of bands")?,
            classes: 10,
        };
        Ok(Self { name: name.into(), model, dimensions })
    }
}

impl Workload {
    /// The workloads that are measured where none is named: small ones on adapters without hardware.
    pub fn defaults(software: bool) -> Vec<Self> {
        let names: &[&str] = if software {
            &[
                "indrnn_t647_b32_i128_h128_l5",
                "rnn_t647_b32_i128_h128_l5",
                "gru_t647_b32_i128_h128_l5",
                "lstm_t647_b32_i128_h128_l5",
                "bbnn_b2_t647_m128",
            ]
        } else {
            &[
                "indrnn_t647_b32_i128_h128_l5",
                "rnn_t647_b32_i128_h128_l5",
                "gru_t647_b32_i128_h128_l5",
                "lstm_t647_b32_i128_h128_l5",
                "indrnn_t1292_b32_i128_h128_l3",
                "lstm_t1292_b32_i128_h128_l3",
                "bbnn_b8_t647_m128",
                "bbnn_b32_t647_m128",
            ]
        };
        names.iter().map(|name| name.parse().expect("the names are right")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_measured_and_wrong_ones_say_why() {
        let workload: Workload = "indrnn_t647_b32_i100_h64_l3".parse().unwrap();
        assert_eq!(workload.dimensions, Dimensions { batch: 32, frames: 647, mels: 100, classes: 10 });
        assert_eq!((workload.model.hidden, workload.model.layers), (64, 3));
        let lstm: Workload = "lstm_t7_b2_i3_h5_l1".parse().unwrap();
        assert_eq!(lstm.model, ModelConfig { hidden: 5, layers: 1, ..ModelConfig::new(ModelName::Lstm) });
        for (name, problem) in [
            ("cnn_b8", "no network `cnn`"),
            ("bbnn_b8_t647", "bands is missing"),
            ("bbnn_b8_t647_m128_h3", "no `h`"),
            ("bbnn_b0_t6_m3", "`b0`"),
        ] {
            let error = name.parse::<Workload>().unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
