//! Accuracy over the epochs trained, several networks in one plot: the mean of each in full, its runs faintly.

use super::Plot;
use super::axes::{self, MARGIN, Panel, Scale, Sign};
use super::palette;
use super::scene::{Scene, Stroke, WIDTH};
use serde::{Deserialize, Serialize};

/// What networks reach after so many epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccuracyCurves {
    /// Names the data.
    pub title: String,
    /// How it was measured, the adapter; may be empty.
    pub note: String,
    /// What lies across: `epochs trained`.
    pub axis: String,
    /// The epochs at which was measured, or what else lies across, ascending.
    pub marks: Vec<usize>,
    /// In the order of the legend.
    pub models: Vec<ModelCurves>,
}

/// A network's curves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCurves {
    /// Its name.
    pub name: String,
    /// One curve per seed or fold: the accuracy at each mark, 0..1, none where there is none.
    pub runs: Vec<Vec<Option<f64>>>,
}

const HEIGHT: f64 = 260.0;
const MOST_MARKS: usize = 40;

impl Plot for AccuracyCurves {
    fn scene(&self) -> Scene {
        let mut scene = Scene::new(WIDTH, &self.title);
        let y = axes::heading(&mut scene, &self.title, &self.note);
        let names: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
        let top = axes::legend(&mut scene, y, &names, |_| Sign::Marked) + 12.0;
        let [first, last] = axes::range(self.marks.iter().map(|&mark| mark as f64));
        let ends = if first == last { [first - 0.5, last + 0.5] } else { [first, last] };
        let values = [self.lowest(), 1.0];
        let panel =
            Panel { x: Scale { values: ends, units: [76.0, WIDTH - 20.0] }, y: Scale { values, units: [top + HEIGHT, top] } };
        panel.left_axis(&mut scene, &axes::percentages(values, 8), "accuracy");
        for (i, model) in self.models.iter().enumerate().filter(|(_, model)| model.runs.len() > 1) {
            let faint = Stroke { opacity: 0.3, ..Stroke::new(palette::series(i), 1.0) };
            for run in &model.runs {
                self.lines(&panel, |mark| run.get(mark).copied().flatten()).into_iter().for_each(|line| scene.line(line, faint));
            }
        }
        // Where there are many, marks would hide the lines.
        let apart = self.marks.len().div_ceil(MOST_MARKS).max(1);
        for (i, model) in self.models.iter().enumerate() {
            for line in self.lines(&panel, |mark| model.mean(mark)) {
                line.iter().step_by(apart).for_each(|point| axes::mark(&mut scene, *point, i, 3.4));
                scene.line(line, axes::series_stroke(palette::series(i), false));
            }
        }
        let y = panel.bottom_axis(&mut scene, &axes::numbers(ends, 8, 1.0), &self.axis);
        scene.height = y + MARGIN;
        scene
    }
}

impl AccuracyCurves {
    fn lines(&self, panel: &Panel, accuracy: impl Fn(usize) -> Option<f64>) -> Vec<Vec<[f64; 2]>> {
        axes::broken(self.marks.iter().enumerate().map(|(i, &mark)| Some(panel.at(mark as f64, accuracy(i)?))))
    }

    /// The axis begins at a round share below all values.
    fn lowest(&self) -> f64 {
        let all = self.models.iter().flat_map(|model| model.runs.iter().flatten().copied().flatten());
        let [low, high] = axes::range(all.map(|accuracy| accuracy.clamp(0.0, 1.0)));
        if low == high { 0.0 } else { (10.0 * low - 1e-9).floor().max(0.0) / 10.0 }
    }
}

impl ModelCurves {
    /// Over the runs that have a value at mark number `mark`, from 0.
    pub fn mean(&self, mark: usize) -> Option<f64> {
        let values: Vec<f64> = self.runs.iter().filter_map(|run| run.get(mark).copied().flatten()).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}
