//! `report.html`: one page with everything in it. It needs no network and no script, fits a phone, and prints.

use super::plot::svg::escaped;
use super::table::{Column, Table};
use serde::{Deserialize, Serialize};

/// What the page says, from top to bottom; what is empty is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Names networks and data.
    pub title: String,
    /// Paragraphs in plain words.
    pub conclusion: Vec<String>,
    /// The figures that matter.
    pub headline: Option<HtmlTable>,
    /// Further tables under headings of their own.
    pub tables: Vec<(String, HtmlTable)>,
    /// In order.
    pub plots: Vec<Picture>,
    /// Figures of each class.
    pub classes: Option<HtmlTable>,
    /// Clips that were named wrongly.
    pub mistakes: Vec<Mistake>,
    /// Mistakes beyond those listed.
    pub more_mistakes: usize,
    /// What was done: settings and their values.
    pub settings: Vec<[String; 2]>,
    /// Adapter, driver, versions and their values.
    pub environment: Vec<[String; 2]>,
}

/// A table with a heading per column; the first column holds names, the others numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HtmlTable {
    /// One for each column.
    pub columns: Vec<String>,
    /// One cell for each column.
    pub rows: Vec<Vec<String>>,
    /// How to read it; may be empty.
    pub note: String,
}

/// A plot on the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Its heading.
    pub caption: String,
    /// The SVG document that [`Plot::svg`](super::plot::Plot::svg) gives. It is not escaped.
    pub svg: String,
}

/// A clip that was named wrongly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// The clip.
    pub path: String,
    /// Its class.
    pub label: String,
    /// What it was taken for, and by whom if there are several networks.
    pub prediction: String,
    /// How sure the network was, 0..1.
    pub probability: f64,
}

const STYLE: &str = include_str!("html/style.css");

impl Report {
    /// The page.
    pub fn html(&self) -> String {
        let plots: String = self.plots.iter().map(Picture::html).collect();
        let body = [
            section("Conclusion", &self.conclusion.iter().map(|text| format!("<p>{}</p>\n", escaped(text))).collect::<String>()),
            section("Results", &self.headline.as_ref().map(HtmlTable::html).unwrap_or_default()),
            self.tables.iter().map(|(heading, table)| section(&escaped(heading), &table.html())).collect(),
            section("Pictures", &plots),
            section("Classes", &self.classes.as_ref().map(HtmlTable::html).unwrap_or_default()),
            section("Mistakes", &self.mistakes()),
            section("What was done", &pairs(&self.settings)),
            section("Environment", &pairs(&self.environment)),
        ]
        .concat();
        let title = escaped(&self.title);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n"
        )
    }

    fn mistakes(&self) -> String {
        if self.mistakes.is_empty() {
            return String::new();
        }
        let row = |mistake: &Mistake| {
            let Mistake { path, label, prediction, probability } = mistake;
            vec![path.clone(), label.clone(), prediction.clone(), super::words::percent(*probability)]
        };
        let note = match self.more_mistakes {
            0 => String::new(),
            more => format!("And {} more.", super::words::thousands(more)),
        };
        let columns = ["clip", "class", "taken for", "probability"].map(String::from).to_vec();
        HtmlTable { columns, rows: self.mistakes.iter().map(row).collect(), note }.html()
    }
}

impl HtmlTable {
    /// The same for a terminal, without its note.
    pub fn text(&self) -> Table {
        let column = |(i, heading)| if i == 0 { Column::Left(heading) } else { Column::Right(heading) };
        let headings = self.columns.iter().map(String::as_str);
        let mut table = Table::new(&headings.enumerate().map(column).collect::<Vec<_>>());
        self.rows.iter().for_each(|row| {
            table.row(row);
        });
        table
    }

    fn html(&self) -> String {
        let row = |tag: &str, cells: &[String]| {
            let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let rows: String = self.rows.iter().map(|cells| row("td", cells)).collect();
        let head = row("th", &self.columns);
        let note = if self.note.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>\n", escaped(&self.note)) };
        format!("<div class=\"wide\"><table>\n<thead>\n{head}</thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n{note}")
    }
}

impl Picture {
    fn html(&self) -> String {
        // Within HTML the namespace is known.
        let svg = self.svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
        format!("<figure>\n<figcaption>{}</figcaption>\n{svg}</figure>\n", escaped(&self.caption))
    }
}

fn section(heading: &str, contents: &str) -> String {
    if contents.is_empty() { String::new() } else { format!("<section>\n<h2>{heading}</h2>\n{contents}</section>\n") }
}

fn pairs(pairs: &[[String; 2]]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let pair = |[name, value]: &[String; 2]| format!("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value));
    format!("<dl>\n{}</dl>\n", pairs.iter().map(pair).collect::<String>())
}
