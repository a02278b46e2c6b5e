//! Shares of a study's cells, for machines that work side by side.

use std::str::FromStr;

const SLURM_ID: &str = "SLURM_ARRAY_TASK_ID";
const KUBERNETES_INDEX: &str = "JOB_COMPLETION_INDEX";

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
    /// The share that a task of a Slurm job array or of an indexed Kubernetes Job is there for, by the variables that `get`
    /// gives, and which of them said so; none outside of both.
    ///
    /// An array may begin anywhere and go in steps. Kubernetes does not tell a pod how many there are: `JOB_COMPLETIONS` or
    /// `MELGRAD_SHARDS` has to.
    ///
    /// # Errors
    /// Variables that say no share, in words with the remedy.
    pub fn from_environment(get: impl Fn(&str) -> Option<String>) -> Result<Option<(Self, &'static str)>, String> {
        let number = |name: &'static str| match get(name).filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => match text.trim().parse::<usize>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(format!("{name}={text} is no number: unset it, or say which share this is with --shard I/N")),
            },
        };
        if let Some(id) = number(SLURM_ID)? {
            let least = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
            let Some(count) = number("SLURM_ARRAY_TASK_COUNT")? else {
                return Err(format!(
                    "{SLURM_ID} is set, but not SLURM_ARRAY_TASK_COUNT: say which share this is with --shard I/N"
                ));
            };
            let index = id.checked_sub(least).filter(|above| above % step == 0).map(|above| above / step);
            return match index.filter(|&index| index < count) {
                Some(index) => Ok(Some((Self { index, count }, SLURM_ID))),
                None => Err(format!(
                    "task {id} of an array of {count} that begins at {least} and goes in steps of {step}: an array with gaps \
                     does not say which share this is; use --array=0-{}, or --shard I/N",
                    count.max(1) - 1
                )),
            };
        }
        let Some(index) = number(KUBERNETES_INDEX)? else { return Ok(None) };
        let count = match number("MELGRAD_SHARDS")? {
            Some(count) => Some(count),
            None => number("JOB_COMPLETIONS")?,
        };
        match count {
            Some(count) if index < count => Ok(Some((Self { index, count }, KUBERNETES_INDEX))),
            Some(count) => Err(format!(
                "{KUBERNETES_INDEX}={index}, counted from 0, but there are {count}: set MELGRAD_SHARDS to the Job's completions"
            )),
            None => Err(format!(
                "{KUBERNETES_INDEX} is set, but not how many there are: set MELGRAD_SHARDS to the Job's completions, or say \
                 which share this is with --shard I/N (1/1 is everything)"
            )),
        }
    }

    /// Whether cell number `place` of the study is its own.
    pub fn has(self, place: usize) -> bool {
        place % self.count == self.index
    }
}

impl std::fmt::Display for Shard {
    /// `2/4`, from 1.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
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
