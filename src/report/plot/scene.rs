//! A picture as a list of shapes: what a plot draws, and what [`svg`](super::svg) and [`png`](super::png) write.

use super::font;

/// Width of most plots in units; a phone shows one at about 0.8 of a pixel, so text of 12 units can be read there.
pub(super) const WIDTH: f64 = 480.0;

/// Red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour(pub u8, pub u8, pub u8);

impl Colour {
    /// Whether white text can be read on it better than black: by its relative luminance, roughly.
    pub(super) fn is_dark(self) -> bool {
        let Self(r, g, b) = self;
        0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b) < 140.0
    }

    /// As much of `other` as `share` (0..1) says, the rest of this.
    pub(super) fn mixed(self, other: Self, share: f64) -> Self {
        let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as u8;
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }
}

/// Which part of a text stands at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A line's looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stroke {
    pub colour: Colour,
    pub width: f64,
    pub opacity: f64,
    /// Lengths of stroke and gap; unbroken if absent.
    pub dash: Option<[f64; 2]>,
}

/// A text's looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    pub size: f64,
    pub colour: Colour,
    pub anchor: Anchor,
    /// Degrees clockwise about its point.
    pub turn: f64,
}

/// Pixels, row by row from the top: red, green, blue.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Image {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

/// One shape; later ones lie on top. Points are (x, y) in units from the upper left corner.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Area {
        points: Vec<[f64; 2]>,
        fill: Colour,
        opacity: f64,
    },
    Line {
        points: Vec<[f64; 2]>,
        stroke: Stroke,
    },
    /// `at` is on the text's base line.
    Text {
        at: [f64; 2],
        text: String,
        style: Style,
    },
    /// Fills the rectangle of `size` at `at`.
    Image {
        at: [f64; 2],
        size: [f64; 2],
        image: Image,
    },
}

/// A picture. It is as high as what is drawn last says.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    pub(super) width: f64,
    pub(super) height: f64,
    /// What it shows, for those who cannot see it.
    pub(super) title: String,
    pub(super) items: Vec<Item>,
}

impl Scene {
    pub(super) fn new(width: f64, title: &str) -> Self {
        Self { width, height: 0.0, title: title.into(), items: Vec::new() }
    }

    pub(super) fn rect(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], fill: Colour) {
        let points = vec![[x, y], [x + width, y], [x + width, y + height], [x, y + height]];
        self.area(points, fill, 1.0);
    }

    pub(super) fn area(&mut self, points: Vec<[f64; 2]>, fill: Colour, opacity: f64) {
        self.items.push(Item::Area { points, fill, opacity });
    }

    pub(super) fn line(&mut self, points: Vec<[f64; 2]>, stroke: Stroke) {
        self.items.push(Item::Line { points, stroke });
    }

    pub(super) fn text(&mut self, at: [f64; 2], text: &str, style: Style) {
        self.items.push(Item::Text { at, text: text.into(), style });
    }

    pub(super) fn image(&mut self, at: [f64; 2], size: [f64; 2], image: Image) {
        self.items.push(Item::Image { at, size, image });
    }

    /// Lines of `text` that are no wider than `width`, the first with its base at `y`; the base of the line below them.
    pub(super) fn paragraph(&mut self, [x, mut y]: [f64; 2], width: f64, text: &str, style: Style) -> f64 {
        for line in font::wrapped(text, style.size, width) {
            self.text([x, y], &line, style);
            y += 1.3 * style.size;
        }
        y
    }
}

impl Stroke {
    pub(super) fn new(colour: Colour, width: f64) -> Self {
        Self { colour, width, opacity: 1.0, dash: None }
    }
}

impl Style {
    pub(super) fn new(size: f64, colour: Colour, anchor: Anchor) -> Self {
        Self { size, colour, anchor, turn: 0.0 }
    }
}
