//! Pictures of what a run or a study came to: plain data in, SVG or PNG out.
//!
//! A plot is a struct that says what it shows; [`Plot`] draws it. All are laid out for the width of a phone, in colours
//! that can be told apart with any kind of colour vision, with marks that differ as well.

pub mod accuracy_curves;
mod axes;
mod bars;
pub mod class_bars;
pub mod confusion;
pub mod epoch_times;
mod font;
pub mod learning_curves;
pub mod mel_spectrogram;
mod palette;
mod png;
mod scene;
pub(super) mod svg;

use crate::train::run_directory::{RunDirectoryError, write_atomic};
use scene::Scene;
use std::path::Path;

/// Something that can be drawn.
pub trait Plot {
    /// The picture as shapes.
    #[doc(hidden)]
    fn scene(&self) -> Scene;

    /// The picture as an SVG document, which can stand within HTML as well: it has no ids and refers to nothing.
    fn svg(&self) -> String {
        svg::write(&self.scene())
    }

    /// The picture as a PNG of three pixels per unit, which most plots are 480 of wide.
    fn png(&self) -> Vec<u8> {
        png::write(&self.scene())
    }

    /// Writes `NAME.svg` and `NAME.png` in `folder`.
    fn write(&self, folder: &Path, name: &str) -> Result<(), RunDirectoryError> {
        write_atomic(&folder.join(format!("{name}.svg")), self.svg().as_bytes())?;
        write_atomic(&folder.join(format!("{name}.png")), &self.png())
    }
}
