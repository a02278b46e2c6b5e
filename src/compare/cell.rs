//! One training of a study, and shares of a study.

use super::Contestant;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

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
                z ^ (z >> 31)
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

/// A share of a study's cells: every `count`-th, beginning with number `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: usize,
    /// Shares in all.
    pub count: usize,
}

impl Default for Shard {
    /// Everything.
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl Shard {
    /// Whether cell number `place` of the study is its own.
    pub fn has(self, place: usize) -> bool {
        place % self.count == self.index
    }
}

impl FromStr for Shard {
    type Err = String;

    /// `2/4`, from 1.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.trim().parse::<usize>().ok()?, n.trim().parse().ok()?)));
        match numbers {
            Some((i, count)) if 1 <= i && i <= count => Ok(Self { index: i - 1, count }),
            _ => Err("give the number of the shard and how many there are, like 2/4".into()),
        }
    }
}
