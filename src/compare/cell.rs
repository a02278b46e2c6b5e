//! One training of a study.

use super::Contestant;
use serde::{Deserialize, Serialize};

/// One training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The place of its entry in the study.
    pub model: usize,
    /// What is trained.
    pub name: Contestant,
    /// The seed that the study gives it.
    pub seed: u64,
    /// The part that is its test part, from 0.
    pub fold: usize,
    /// Epochs, where every mark is a run of its own.
    pub length: Option<usize>,
}

impl Cell {
    /// The seed that it is trained with: where every mark is a run of its own, each has another.
    pub fn training_seed(&self) -> u64 {
        match self.length {
            None => self.seed,
            // SplitMix64's finaliser: neighbouring lengths share nothing.
            Some(length) => {
                let mut z = self.seed.wrapping_add((length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                // A configuration file holds signed numbers.
                (z ^ (z >> 31)) & i64::MAX as u64
            }
        }
    }
}

impl std::fmt::Display for Cell {
    /// `indrnn-1-seed0-fold2-epochs50`: the name of its directory.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-seed{}-fold{}", self.name, self.model + 1, self.seed, self.fold)?;
        self.length.map_or(Ok(()), |length| write!(f, "-epochs{length}"))
    }
}
