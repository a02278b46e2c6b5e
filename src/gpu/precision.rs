//! In what numbers a network multiplies.

/// The numbers that products are made of, and feature maps with their gradients stored as. Every sum, and whatever else is stored,
/// is f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// Operands of convolutions and projections are rounded to f16, which matrix units multiply; feature maps of images and their
    /// gradients, too. Recurrences round theirs where they run on matrix units.
    Mixed,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Mixed => "mixed",
        })
    }
}
