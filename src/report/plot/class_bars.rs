//! One figure per class and network: bars side by side, classes below one another so that long names have room.

use super::Plot;
use super::axes::{self, MARGIN, Sign};
use super::bars;
use super::font;
use super::palette::{self, GRID, INK, QUIET};
use super::scene::{Anchor, Scene, Stroke, Style, WIDTH};
use serde::{Deserialize, Serialize};

/// Recall, F1 or another share per class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassBars {
    /// Names the data.
    pub title: String,
    /// Adapter, part of the data, or whatever else belongs to it; may be empty.
    pub note: String,
    /// What is shown, such as `recall`.
    pub metric: String,
    /// In the order of the values.
    pub classes: Vec<String>,
    /// One bar per class for each.
    pub models: Vec<ModelBars>,
}

/// A network's bars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelBars {
    /// Its name.
    pub name: String,
    /// Of each class, 0..1; none where there is nothing to divide by.
    pub values: Vec<Option<f64>>,
}

const WIDEST_NAME: f64 = 130.0;

impl Plot for ClassBars {
    fn scene(&self) -> Scene {
        let mut scene = Scene::new(WIDTH, &self.title);
        let y = axes::heading(&mut scene, &self.title, &self.note);
        let names: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
        let top = axes::legend(&mut scene, y, &names, |_| Sign::Square) + 4.0;

        let labels: Vec<String> = self.classes.iter().map(|class| font::shortened(class, axes::SMALL, WIDEST_NAME)).collect();
        let longest = labels.iter().map(|label| font::width(label, axes::SMALL)).fold(0.0, f64::max);
        let panel = bars::panel(longest, top, self.classes.len() as f64 * self.row(), [0.0, 1.0]);
        let below = bars::axis(&mut scene, &panel, &axes::percentages([0.0, 1.0], 5), &self.metric);
        for (class, label) in labels.iter().enumerate() {
            let from = top + class as f64 * self.row();
            let middle = from + 0.5 * self.row() + 0.36 * axes::SMALL;
            scene.text([panel.x.units[0] - 8.0, middle], label, Style::new(axes::SMALL, INK, Anchor::End));
            for (i, model) in self.models.iter().enumerate() {
                let at = [panel.x.units[0], from + 5.0 + i as f64 * self.thickness()];
                bar(&mut scene, at, self.thickness(), i, panel.x.at(model.values.get(class).copied().flatten().unwrap_or(0.0)));
                if model.values.get(class).is_none_or(Option::is_none) {
                    let words = Style::new(9.0, QUIET, Anchor::Start);
                    scene.text([at[0] + 4.0, at[1] + 0.5 * self.thickness() + 3.2], "none", words);
                }
            }
            if class > 0 {
                scene.line(vec![[MARGIN, from], [panel.x.units[1], from]], Stroke::new(GRID, 0.8));
            }
        }
        scene.height = below + MARGIN;
        scene
    }
}

impl ClassBars {
    /// Of one bar: one network's bars are not thin, five networks' not too long a list.
    fn thickness(&self) -> f64 {
        (36.0 / self.models.len().max(1) as f64).clamp(8.0, 16.0)
    }

    /// Height of a class.
    fn row(&self) -> f64 {
        (self.models.len() as f64 * self.thickness()).max(16.0) + 10.0
    }
}

fn bar(scene: &mut Scene, [x, y]: [f64; 2], thickness: f64, series: usize, end: f64) {
    if end > x {
        scene.rect([x, y + 0.5], [end - x, thickness - 1.0], palette::series(series));
    }
}
