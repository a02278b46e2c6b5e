//! What plots share: headings, axes with round numbers, legends and marks.

use super::font;
use super::palette::{self, GRID, INK, QUIET};
use super::scene::{Anchor, Colour, Scene, Stroke, Style};

/// Size of text within a plot.
pub(super) const SMALL: f64 = 12.0;
/// Free space around a plot.
pub(super) const MARGIN: f64 = 12.0;

/// Title and note over the whole width; the y below them.
pub(super) fn heading(scene: &mut Scene, title: &str, note: &str) -> f64 {
    let width = scene.width - 2.0 * MARGIN;
    let y = scene.paragraph([MARGIN, 24.0], width, title, Style::new(16.0, INK, Anchor::Start));
    let y = scene.paragraph([MARGIN, y - 2.0], width, note, Style::new(SMALL, QUIET, Anchor::Start));
    y - 4.0
}

/// Values to units, in proportion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub values: [f64; 2],
    pub units: [f64; 2],
}

impl Scale {
    pub(super) fn at(&self, value: f64) -> f64 {
        let ([a, b], [from, to]) = (self.values, self.units);
        if a == b { 0.5 * (from + to) } else { from + (value - a) / (b - a) * (to - from) }
    }
}

/// The ends of the finite `values`; 0 and 1 if there are none.
pub(super) fn range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let grow =
        |ends: Option<[f64; 2]>, value: f64| Some(ends.map_or([value; 2], |[low, high]| [low.min(value), high.max(value)]));
    values.filter(|value| value.is_finite()).fold(None, grow).unwrap_or([0.0, 1.0])
}

/// Round numbers from `low` to `high`, at most about `most` of them, and the decimals that they need.
pub(super) fn ticks([low, high]: [f64; 2], most: usize, least_step: f64) -> (Vec<f64>, usize) {
    let rough = ((high - low) / most.max(1) as f64).max(least_step).max(f64::MIN_POSITIVE);
    let magnitude = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * magnitude).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * magnitude);
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    let count = (last - first).max(0.0) as usize;
    let ticks = (0..=count).map(|i| (first + i as f64) * step).filter(|tick| *tick <= high + 1e-9 * step).collect();
    (ticks, (-step.log10().floor()).max(0.0) as usize)
}

/// The area of a plot, with its axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Panel {
    pub x: Scale,
    /// From the lower to the upper end.
    pub y: Scale,
}

impl Panel {
    pub(super) fn at(&self, x: f64, y: f64) -> [f64; 2] {
        [self.x.at(x), self.y.at(y)]
    }

    /// Lines across at `ticks` with their labels on the left, the axis' name on its side.
    pub(super) fn left_axis(&self, scene: &mut Scene, ticks: &[(f64, String)], name: &str) {
        let ([left, right], [bottom, top]) = (self.x.units, self.y.units);
        for (tick, label) in ticks {
            let y = self.y.at(*tick);
            scene.line(vec![[left, y], [right, y]], Stroke::new(GRID, 1.0));
            scene.text([left - 6.0, y + 0.36 * SMALL], label, Style::new(SMALL, INK, Anchor::End));
        }
        let style = Style { turn: -90.0, ..Style::new(SMALL, INK, Anchor::Middle) };
        scene.text([MARGIN + 8.0, 0.5 * (bottom + top)], name, style);
    }

    /// Labels below at `ticks`, and the axis' name; the y below them.
    pub(super) fn bottom_axis(&self, scene: &mut Scene, ticks: &[(f64, String)], name: &str) -> f64 {
        let ([left, right], bottom) = (self.x.units, self.y.units[0]);
        scene.line(vec![[left, bottom], [right, bottom]], Stroke::new(QUIET, 1.0));
        for (tick, label) in ticks {
            let x = self.x.at(*tick);
            scene.line(vec![[x, bottom], [x, bottom + 4.0]], Stroke::new(QUIET, 1.0));
            scene.text([x, bottom + 6.0 + SMALL], label, Style::new(SMALL, INK, Anchor::Middle));
        }
        let below = bottom + 8.0 + SMALL;
        if name.is_empty() {
            return below;
        }
        scene.text([0.5 * (left + right), below + SMALL + 2.0], name, Style::new(SMALL, INK, Anchor::Middle));
        below + SMALL + 6.0
    }
}

/// Ticks with plain numbers.
pub(super) fn numbers(ends: [f64; 2], most: usize, least_step: f64) -> Vec<(f64, String)> {
    let (ticks, decimals) = ticks(ends, most, least_step);
    ticks.into_iter().map(|tick| (tick, format!("{:.decimals$}", tick + 0.0))).collect()
}

/// Ticks of shares, as percentages.
pub(super) fn percentages([low, high]: [f64; 2], most: usize) -> Vec<(f64, String)> {
    let (ticks, decimals) = ticks([100.0 * low, 100.0 * high], most, 0.0);
    ticks.into_iter().map(|tick| (tick / 100.0, format!("{:.decimals$} %", tick + 0.0))).collect()
}

/// The form of a series' marks, so that colour need not tell all.
pub(super) fn mark(scene: &mut Scene, [x, y]: [f64; 2], series: usize, radius: f64) {
    let corners = |count: usize, turn: f64, radius: f64| -> Vec<[f64; 2]> {
        let angle = |i: usize| (i as f64 / count as f64 + turn) * std::f64::consts::TAU;
        (0..count).map(|i| [x + radius * angle(i).sin(), y - radius * angle(i).cos()]).collect()
    };
    let points = match series % 5 {
        0 => corners(16, 0.0, radius),
        1 => corners(4, 0.125, 1.2 * radius),
        2 => corners(3, 0.0, 1.35 * radius),
        3 => corners(4, 0.0, 1.3 * radius),
        _ => corners(3, 0.5, 1.35 * radius),
    };
    scene.area(points, palette::series(series), 1.0);
}

/// How a series shows in a legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// A line with its marks.
    Marked,
    /// A dashed line with its marks.
    Dashed,
    /// A filled square.
    Square,
}

/// Names of series side by side, in as many rows as they need; the y below them.
pub(super) fn legend(scene: &mut Scene, y: f64, names: &[&str], sign: impl Fn(usize) -> Sign) -> f64 {
    const BESIDE: f64 = 30.0;
    let most = scene.width - 2.0 * MARGIN;
    let (mut x, mut y) = (MARGIN, y + SMALL);
    for (i, name) in names.iter().enumerate() {
        let name = font::shortened(name, SMALL, most - BESIDE);
        let width = BESIDE + font::width(&name, SMALL);
        if x > MARGIN && x + width > MARGIN + most {
            (x, y) = (MARGIN, y + 1.5 * SMALL);
        }
        let middle = y - 0.36 * SMALL;
        let colour = palette::series(i);
        match sign(i) {
            Sign::Square => scene.rect([x + 6.0, middle - 6.0], [14.0, 12.0], colour),
            line => {
                scene.line(vec![[x, middle], [x + 24.0, middle]], series_stroke(colour, line == Sign::Dashed));
                mark(scene, [x + 12.0, middle], i, 3.5);
            }
        }
        scene.text([x + BESIDE - 2.0, y], &name, Style::new(SMALL, INK, Anchor::Start));
        x += width + 14.0;
    }
    y + 10.0
}

/// The line of a series.
pub(super) fn series_stroke(colour: Colour, dashed: bool) -> Stroke {
    Stroke { dash: dashed.then_some([6.0, 3.0]), ..Stroke::new(colour, 2.0) }
}

/// `points` as lines, broken where one is missing or not finite.
pub(super) fn broken(points: impl Iterator<Item = Option<[f64; 2]>>) -> Vec<Vec<[f64; 2]>> {
    let mut lines = vec![Vec::new()];
    for point in points {
        match point.filter(|point| point.iter().all(|value| value.is_finite())) {
            Some(point) => lines.last_mut().expect("one at least").push(point),
            None => lines.push(Vec::new()),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}
