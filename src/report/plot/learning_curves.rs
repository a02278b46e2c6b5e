//! Loss and accuracy over the epochs of a run.

use super::Plot;
use super::axes::{self, MARGIN, Panel, Scale, Sign};
use super::palette::{self, QUIET};
use super::scene::{Anchor, Scene, Stroke, Style, WIDTH};
use crate::train::event::EpochMetrics;
use serde::{Deserialize, Serialize};

/// A run as its epochs tell it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearningCurves {
    /// Names the network and the data.
    pub title: String,
    /// Adapter and sizes, or whatever else belongs to it; may be empty.
    pub note: String,
    /// In order.
    pub epochs: Vec<EpochMetrics>,
    /// The epoch whose weights were kept.
    pub best_epoch: Option<usize>,
}

/// A figure of an epoch.
type Figure = fn(&EpochMetrics) -> Option<f64>;

const LOSSES: [Figure; 2] = [|epoch| Some(epoch.train_loss), |epoch| epoch.val_loss];
const ACCURACIES: [Figure; 2] = [|epoch| Some(epoch.train_accuracy), |epoch| epoch.val_accuracy];
const HEIGHT: f64 = 170.0;

impl Plot for LearningCurves {
    fn scene(&self) -> Scene {
        let mut scene = Scene::new(WIDTH, &self.title);
        let y = axes::heading(&mut scene, &self.title, &self.note);
        let validated = self.epochs.iter().any(|epoch| epoch.val_loss.is_some());
        let names = ["training", "validation"];
        let y = axes::legend(&mut scene, y, if validated { &names } else { &names[..1] }, sign);
        let [_, highest] = axes::range(LOSSES.iter().flat_map(|loss| self.epochs.iter().filter_map(loss)));
        let losses = [0.0, if highest > 0.0 { 1.05 * highest } else { 1.0 }];
        let y = self.panel(&mut scene, y + 14.0, LOSSES, losses, &axes::numbers(losses, 6, 0.0), "loss");
        let percentages = axes::percentages([0.0, 1.0], 5);
        let y = self.panel(&mut scene, y + 14.0, ACCURACIES, [0.0, 1.0], &percentages, "accuracy");
        scene.height = y + MARGIN;
        scene
    }
}

impl LearningCurves {
    /// One figure of training and validation; the y below.
    fn panel(
        &self,
        scene: &mut Scene,
        top: f64,
        figures: [Figure; 2],
        values: [f64; 2],
        ticks: &[(f64, String)],
        name: &str,
    ) -> f64 {
        let [first, last] = axes::range(self.epochs.iter().map(|epoch| epoch.epoch as f64));
        // One epoch stands in the middle.
        let ends = if first == last { [first - 0.5, last + 0.5] } else { [first, last] };
        let panel = Panel {
            x: Scale { values: ends, units: [76.0, WIDTH - 20.0] },
            y: Scale { values, units: [top + HEIGHT, top + 6.0] },
        };
        panel.left_axis(scene, ticks, name);
        if let Some(best) = self.best_epoch.filter(|&best| (first..=last).contains(&(best as f64))) {
            best_epoch(scene, &panel, best, name == "loss");
        }
        let marked = self.epochs.len() <= 40;
        for (i, figure) in figures.into_iter().enumerate() {
            let points = self.epochs.iter().map(|epoch| Some(panel.at(epoch.epoch as f64, figure(epoch)?)));
            for line in axes::broken(points) {
                if marked || line.len() == 1 {
                    line.iter().for_each(|point| axes::mark(scene, *point, i, 2.8));
                }
                scene.line(line, axes::series_stroke(palette::series(i), sign(i) == Sign::Dashed));
            }
        }
        panel.bottom_axis(scene, &axes::numbers(ends, 8, 1.0), "epoch")
    }
}

fn sign(series: usize) -> Sign {
    if series == 0 { Sign::Marked } else { Sign::Dashed }
}

/// A line at the epoch whose weights were kept; its name stands above it, towards the side that has room.
fn best_epoch(scene: &mut Scene, panel: &Panel, epoch: usize, named: bool) {
    let ([bottom, top], x) = (panel.y.units, panel.x.at(epoch as f64));
    scene.line(vec![[x, bottom], [x, top]], Stroke { dash: Some([2.0, 3.0]), ..Stroke::new(QUIET, 1.2) });
    if named {
        let anchor = if x > 0.5 * WIDTH { Anchor::End } else { Anchor::Start };
        scene.text([x, top - 5.0], &format!("kept: epoch {epoch}"), Style::new(11.0, QUIET, anchor));
    }
}
