//! Where labels and groups are taken from.

use serde::{Deserialize, Serialize};
use std::fmt::{Display, Formatter};
use std::str::FromStr;

const GIVEN: &str = "given";
const TAG: &str = "tag:";

/// Where a label or a group is taken from: `given`, or `tag:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NameSource {
    /// What the folder or the manifest says.
    #[default]
    Given,
    /// A tag of the file itself, by its name in lower case: `genre`, `artist`, `album`, ..
    Tag(String),
}

impl NameSource {
    /// The tag's name, where it is one.
    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Given => None,
            Self::Tag(name) => Some(name),
        }
    }
}

impl Display for NameSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given => f.write_str(GIVEN),
            Self::Tag(name) => write!(f, "{TAG}{name}"),
        }
    }
}

impl FromStr for NameSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(TAG).map(str::trim) {
            _ if text == GIVEN => Ok(Self::Given),
            Some(name) if !name.is_empty() => Ok(Self::Tag(name.to_lowercase())),
            _ => Err(format!("`{text}` is unknown; use tag:NAME, like tag:genre or tag:artist, or {GIVEN}")),
        }
    }
}

impl TryFrom<String> for NameSource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<NameSource> for String {
    fn from(source: NameSource) -> Self {
        source.to_string()
    }
}
