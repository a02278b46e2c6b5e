//! The font that pictures are drawn and measured with: it is in the program, so that a bare machine writes the same ones.
//!
//! DejaVu Sans is wide: what fits in it fits in the font that a browser puts in its place. It knows Latin, Greek and
//! Cyrillic; of other writing a PNG shows boxes, an SVG what the reader's machine has.

use std::sync::LazyLock;
use ttf_parser::{Face, OutlineBuilder};

static FACE: LazyLock<Face<'static>> =
    LazyLock::new(|| Face::parse(include_bytes!("fonts/DejaVuSans-subset.ttf"), 0).expect("the font in the program is a font"));

/// Width of `text` in units.
pub(super) fn width(text: &str, size: f64) -> f64 {
    glyphs(text).map(|(_, advance)| advance).sum::<f64>() * size
}

/// Draws the outline of `text` from (0, 0), in shares of its size, y upwards. `begin` is told where each glyph starts.
pub(super) fn outline<B: OutlineBuilder>(text: &str, mut begin: impl FnMut(f64) -> B, mut end: impl FnMut(B)) {
    let mut x = 0.0;
    for (glyph, advance) in glyphs(text) {
        let mut builder = begin(x);
        FACE.outline_glyph(glyph, &mut builder);
        end(builder);
        x += advance;
    }
}

/// Units of the font per size.
pub(super) fn units_per_em() -> f32 {
    f32::from(FACE.units_per_em())
}

/// Each character's glyph and its advance in shares of the size.
fn glyphs(text: &str) -> impl Iterator<Item = (ttf_parser::GlyphId, f64)> {
    let em = f64::from(FACE.units_per_em());
    text.chars().map(move |c| {
        let glyph = FACE.glyph_index(c).unwrap_or_default();
        (glyph, f64::from(FACE.glyph_hor_advance(glyph).unwrap_or_default()) / em)
    })
}

/// `text` no wider than `most`: its end gives way to an ellipsis.
pub(super) fn shortened(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.into();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.pop().is_some() {
        let short: String = kept.iter().collect::<String>().trim_end().to_string() + "…";
        if width(&short, size) <= most {
            return short;
        }
    }
    "…".into()
}

/// The words of `text` in lines no wider than `most`; a word that is wider is shortened.
pub(super) fn wrapped(text: &str, size: f64, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = shortened(word, size, most);
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size) <= most => *line = format!("{line} {word}"),
            _ => lines.push(word),
        }
    }
    lines
}
