//! What was taken for what: counts, and shares of the true class as shades.

use super::Plot;
use super::axes::{self, MARGIN};
use super::font;
use super::palette::{self, GRID, INK, PAPER, QUIET};
use super::scene::{Anchor, Scene, Stroke, Style, WIDTH};
use serde::{Deserialize, Serialize};

/// A confusion matrix with its names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// Names the network and the data.
    pub title: String,
    /// Accuracy, adapter or whatever else belongs to it; may be empty.
    pub note: String,
    /// In the order of rows and columns.
    pub classes: Vec<String>,
    /// `counts[true class][predicted class]`.
    pub counts: Vec<Vec<usize>>,
}

/// Widest and narrowest square of one pair of classes.
const CELLS: [f64; 2] = [72.0, 15.0];
/// Widest name of a class.
const WIDEST_NAME: f64 = 112.0;

impl Plot for Confusion {
    fn scene(&self) -> Scene {
        let names: Vec<String> = self.classes.iter().map(|class| font::shortened(class, axes::SMALL, WIDEST_NAME)).collect();
        let longest = names.iter().map(|name| font::width(name, axes::SMALL)).fold(0.0, f64::max);
        let left = MARGIN + 22.0 + longest + 8.0;
        let count = self.classes.len().max(1) as f64;
        let cell = ((WIDTH - left - MARGIN) / count).clamp(CELLS[1], CELLS[0]);
        let mut scene = Scene::new(WIDTH.max(left + count * cell + MARGIN), &self.title);

        let top = axes::heading(&mut scene, &self.title, &self.note) + 8.0;
        for (row, counts) in self.counts.iter().enumerate() {
            let whole: usize = counts.iter().sum();
            for (column, &clips) in counts.iter().enumerate() {
                let at = [left + column as f64 * cell, top + row as f64 * cell];
                square(&mut scene, at, cell, clips, whole);
            }
        }
        let bottom = top + count * cell;
        let side = left + count * cell;
        for i in 0..=self.classes.len() {
            let along = i as f64 * cell;
            scene.line(vec![[left, top + along], [side, top + along]], Stroke::new(GRID, 0.8));
            scene.line(vec![[left + along, top], [left + along, bottom]], Stroke::new(GRID, 0.8));
        }

        for (i, name) in names.iter().enumerate() {
            let middle = (i as f64 + 0.5) * cell + 0.36 * axes::SMALL;
            scene.text([left - 8.0, top + middle], name, Style::new(axes::SMALL, INK, Anchor::End));
            let style = Style { turn: -90.0, ..Style::new(axes::SMALL, INK, Anchor::End) };
            scene.text([left + middle, bottom + 8.0], name, style);
        }
        let style = Style { turn: -90.0, ..Style::new(axes::SMALL, QUIET, Anchor::Middle) };
        scene.text([MARGIN + 10.0, 0.5 * (top + bottom)], "true class", style);
        let below = bottom + longest + 28.0;
        scene.text([0.5 * (left + side), below], "predicted class", Style::new(axes::SMALL, QUIET, Anchor::Middle));
        let words = "Each square: clips, and their share of the true class (shade).";
        let width = scene.width - 2.0 * MARGIN;
        scene.height = scene.paragraph([MARGIN, below + 20.0], width, words, Style::new(11.0, QUIET, Anchor::Start));
        scene
    }
}

fn square(scene: &mut Scene, [x, y]: [f64; 2], cell: f64, clips: usize, whole: usize) {
    if clips == 0 {
        return;
    }
    let share = clips as f64 / whole as f64;
    let fill = palette::blues(share);
    scene.rect([x, y], [cell, cell], fill);
    let ink = if fill.is_dark() { PAPER } else { INK };
    let middle = x + 0.5 * cell;
    let count = clips.to_string();
    let size = (0.42 * cell).clamp(8.0, 15.0).min(0.9 * cell / font::width(&count, 1.0));
    let two_lines = cell >= 28.0;
    let base = y + if two_lines { 0.46 * cell } else { 0.5 * cell + 0.36 * size };
    scene.text([middle, base], &count, Style::new(size, ink, Anchor::Middle));
    if two_lines {
        let size = (0.3 * cell).clamp(8.0, 11.0);
        scene.text([middle, y + 0.82 * cell], &format!("{:.0}%", 100.0 * share), Style::new(size, ink, Anchor::Middle));
    }
}
