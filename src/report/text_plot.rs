//! A curve in the terminal: columns of block characters, or of `#` where those cannot be shown.

use super::words;
use crate::train::event::EpochMetrics;

/// What columns are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symbols {
    /// Eighths of a character cell.
    Blocks,
    /// Whole cells.
    Ascii,
}

impl Symbols {
    /// Blocks where the locale says UTF-8, as `LC_ALL`, `LC_CTYPE` and `LANG` do in this order, and on Windows and macOS.
    pub fn suited() -> Self {
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok()).find(|l| !l.is_empty());
        Self::for_locale(locale.as_deref(), cfg!(any(windows, target_os = "macos")))
    }

    /// As [`Symbols::suited`], for a locale and what holds where there is none.
    pub fn for_locale(locale: Option<&str>, otherwise: bool) -> Self {
        let utf8 = locale.map_or(otherwise, |locale| {
            let locale = locale.to_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        if utf8 { Self::Blocks } else { Self::Ascii }
    }

    /// A cell of which `eighths` (0..=8) are filled from below.
    fn cell(self, eighths: usize) -> char {
        match self {
            Self::Blocks => [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][eighths.min(8)],
            Self::Ascii => {
                if eighths >= 4 {
                    '#'
                } else {
                    ' '
                }
            }
        }
    }
}

/// `shares` (0..1) over epochs 1, 2, ..: at most `width` columns and exactly `height` rows, from 0 to the round tenth
/// above the highest, and a line with the first and the last epoch. Each column is the mean of its epochs; what is not
/// finite leaves a gap. Empty without values.
pub fn text_plot(shares: &[f64], width: usize, height: usize, symbols: Symbols) -> String {
    if shares.is_empty() || width == 0 || height == 0 {
        return String::new();
    }
    let columns = columns(shares, width);
    let highest = columns.iter().copied().flatten().fold(0.0, f64::max);
    let top = ((10.0 * highest - 1e-9).ceil() / 10.0).clamp(0.1, 1.0);
    let mut lines: Vec<String> = (0..height)
        .map(|row| {
            let below = height - 1 - row;
            let label = if row == 0 {
                percent(top)
            } else if below == 0 {
                percent(0.0)
            } else {
                String::new()
            };
            let cells: String = columns.iter().map(|share| symbols.cell(filled(*share, top, height, below))).collect();
            format!("{label:>5} {}", cells.trim_end()).trim_end().into()
        })
        .collect();
    let (first, last) = ("1", shares.len().to_string());
    let between = columns.len().saturating_sub(first.len() + last.len());
    lines.push(match shares.len() {
        1 => format!("{:6}{first}", ""),
        _ => format!("{:6}{first}{:between$}{last} epochs", "", ""),
    });
    lines.join("\n")
}

/// How a run's accuracy came about, under its heading: in validation, or in training where there is no validation part.
/// None where there is no course to see.
pub fn accuracy(epochs: &[EpochMetrics], symbols: Symbols) -> Option<String> {
    let validated: Option<Vec<f64>> = epochs.iter().map(|epoch| epoch.val_accuracy).collect();
    let (part, shares) = match validated {
        Some(shares) => ("validation", shares),
        None => ("training", epochs.iter().map(|epoch| epoch.train_accuracy).collect()),
    };
    (epochs.len() > 1).then(|| format!("{part} accuracy\n{}", text_plot(&shares, 60, 5, symbols)))
}

fn percent(share: f64) -> String {
    words::percent(share).replace(".0%", "%")
}

/// Means of as many neighbours as are needed for at most `width` columns.
fn columns(shares: &[f64], width: usize) -> Vec<Option<f64>> {
    let count = shares.len().min(width);
    let column = |i: usize| {
        let part = &shares[i * shares.len() / count..(i + 1) * shares.len() / count];
        let finite: Vec<f64> = part.iter().copied().filter(|share| share.is_finite()).collect();
        (!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64)
    };
    (0..count).map(column).collect()
}

/// Eighths of the cell with `below` cells under it. What there is, is seen: one eighth at least.
fn filled(share: Option<f64>, top: f64, height: usize, below: usize) -> usize {
    let Some(share) = share else { return 0 };
    let eighths = (share / top * (8 * height) as f64).round().max(1.0) as usize;
    eighths.saturating_sub(8 * below).min(8)
}
