//! Colours that people with any kind of colour vision can tell apart.

use super::scene::Colour;

pub(super) const INK: Colour = Colour(0x22, 0x22, 0x22);
pub(super) const QUIET: Colour = Colour(0x5c, 0x5c, 0x5c);
pub(super) const GRID: Colour = Colour(0xdd, 0xdd, 0xdd);
pub(super) const PAPER: Colour = Colour(255, 255, 255);

/// Okabe and Ito (Color Universal Design, 2008), without the yellow that white paper swallows.
const SERIES: [Colour; 7] = [
    Colour(0x00, 0x72, 0xb2),
    Colour(0xd5, 0x5e, 0x00),
    Colour(0x00, 0x9e, 0x73),
    Colour(0xcc, 0x79, 0xa7),
    Colour(0xe6, 0x9f, 0x00),
    Colour(0x56, 0xb4, 0xe9),
    Colour(0x00, 0x00, 0x00),
];

/// The colour of a series; they return after seven, when marks still differ.
pub(super) fn series(index: usize) -> Colour {
    SERIES[index % SERIES.len()]
}

/// Matplotlib's viridis (Smith and van der Walt, 2015) at even steps: light grows with the value.
const VIRIDIS: [Colour; 11] = [
    Colour(0x44, 0x01, 0x54),
    Colour(0x48, 0x24, 0x75),
    Colour(0x41, 0x44, 0x87),
    Colour(0x35, 0x5f, 0x8d),
    Colour(0x2a, 0x78, 0x8e),
    Colour(0x21, 0x91, 0x8c),
    Colour(0x22, 0xa8, 0x84),
    Colour(0x44, 0xbf, 0x70),
    Colour(0x7a, 0xd1, 0x51),
    Colour(0xbd, 0xdf, 0x26),
    Colour(0xfd, 0xe7, 0x25),
];

/// The colour of a value in 0..1.
pub(super) fn viridis(value: f64) -> Colour {
    let place = value.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let below = (place as usize).min(VIRIDIS.len() - 2);
    VIRIDIS[below].mixed(VIRIDIS[below + 1], place - below as f64)
}

/// White to dark blue for a share in 0..1.
pub(super) fn blues(share: f64) -> Colour {
    let (middle, dark) = (Colour(0x6b, 0xae, 0xd6), Colour(0x08, 0x30, 0x6b));
    let share = share.clamp(0.0, 1.0);
    if share < 0.5 { PAPER.mixed(middle, 2.0 * share) } else { middle.mixed(dark, 2.0 * share - 1.0) }
}
