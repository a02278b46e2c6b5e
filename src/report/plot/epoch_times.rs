//! Seconds per epoch: the median of each network as a bar, the quartiles as a whisker.

use super::Plot;
use super::axes::{self, MARGIN};
use super::bars;
use super::font;
use super::palette::{self, INK};
use super::scene::{Anchor, Scene, Stroke, Style, WIDTH};
use serde::{Deserialize, Serialize};

/// How long the epochs of each network take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochTimes {
    /// Names the data.
    pub title: String,
    /// The adapter: times mean nothing without it.
    pub note: String,
    /// From top to bottom.
    pub models: Vec<ModelTime>,
}

/// Seconds of one network's epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelTime {
    /// Its name.
    pub name: String,
    /// Half of the epochs took longer.
    pub median: f64,
    /// Lower and upper quartile.
    pub quartiles: [f64; 2],
}

const ROW: f64 = 34.0;
const WIDEST_NAME: f64 = 120.0;

impl Plot for EpochTimes {
    fn scene(&self) -> Scene {
        let mut scene = Scene::new(WIDTH, &self.title);
        let top = axes::heading(&mut scene, &self.title, &self.note) + 6.0;
        let names: Vec<String> = self.models.iter().map(|model| font::shortened(&model.name, axes::SMALL, WIDEST_NAME)).collect();
        let longest = names.iter().map(|name| font::width(name, axes::SMALL)).fold(0.0, f64::max);
        let [_, highest] = axes::range(self.models.iter().flat_map(|model| [model.median, model.quartiles[1]]));
        // Room for the number behind the longest bar.
        let ends = [0.0, if highest > 0.0 { 1.25 * highest } else { 1.0 }];
        let panel = bars::panel(longest, top, self.models.len() as f64 * ROW, ends);
        let below = bars::axis(&mut scene, &panel, &axes::numbers(ends, 6, 0.0), "seconds per epoch");
        let left = panel.x.units[0];
        for (i, (model, name)) in self.models.iter().zip(&names).enumerate() {
            let middle = top + (i as f64 + 0.5) * ROW;
            let base = middle + 0.36 * axes::SMALL;
            scene.text([left - 8.0, base], name, Style::new(axes::SMALL, INK, Anchor::End));
            if !model.median.is_finite() {
                scene.text([left + 6.0, base], "none", Style::new(axes::SMALL, INK, Anchor::Start));
                continue;
            }
            scene.rect([left, middle - 9.0], [(panel.x.at(model.median) - left).max(0.5), 18.0], palette::series(i));
            let [low, high] = model.quartiles.map(|value| panel.x.at(value));
            let stroke = Stroke::new(INK, 1.4);
            if high > low {
                scene.line(vec![[low, middle], [high, middle]], stroke);
            }
            [low, high].into_iter().for_each(|x| scene.line(vec![[x, middle - 4.0], [x, middle + 4.0]], stroke));
            let label = crate::report::words::seconds(model.median);
            let beside = panel.x.at(model.median.max(model.quartiles[1])) + 7.0;
            scene.text([beside, base], &label, Style::new(axes::SMALL, INK, Anchor::Start));
        }
        scene.height = below + MARGIN;
        scene
    }
}
