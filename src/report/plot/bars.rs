//! Axes of plots whose bars lie on their side.

use super::axes::{MARGIN, Panel, SMALL, Scale};
use super::palette::{GRID, INK, QUIET};
use super::scene::{Anchor, Scene, Stroke, Style, WIDTH};

/// The area right of names `longest` units wide, from `top` on `height` units down.
pub(super) fn panel(longest: f64, top: f64, height: f64, values: [f64; 2]) -> Panel {
    Panel {
        x: Scale { values, units: [MARGIN + longest + 12.0, WIDTH - 30.0] },
        y: Scale { values: [0.0, 1.0], units: [top + height, top] },
    }
}

/// Lines down at `ticks` with their labels below, and the axis' name; the y below them.
pub(super) fn axis(scene: &mut Scene, panel: &Panel, ticks: &[(f64, String)], name: &str) -> f64 {
    let ([left, right], [bottom, top]) = (panel.x.units, panel.y.units);
    for (tick, _) in ticks {
        let x = panel.x.at(*tick);
        scene.line(vec![[x, bottom], [x, top]], Stroke::new(GRID, 1.0));
    }
    for (tick, label) in ticks {
        scene.text([panel.x.at(*tick), bottom + 4.0 + SMALL], label, Style::new(SMALL, INK, Anchor::Middle));
    }
    scene.line(vec![[left, bottom], [left, top]], Stroke::new(QUIET, 1.0));
    let below = bottom + 2.0 * SMALL + 9.0;
    scene.text([0.5 * (left + right), below], name, Style::new(SMALL, INK, Anchor::Middle));
    below + 6.0
}
