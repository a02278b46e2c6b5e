//! Tables for people: aligned columns without frames.

use comfy_table::{Cell, CellAlignment, ContentArrangement};

/// Which way a column leans, and its heading.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    /// Words.
    Left(&'a str),
    /// Numbers.
    Right(&'a str),
}

/// Rows under headings. `Display` fits them to the terminal; where standard output is none, no cell is broken.
#[derive(Debug, Clone)]
pub struct Table {
    table: comfy_table::Table,
    alignment: Vec<CellAlignment>,
}

impl Table {
    /// A table of these columns.
    pub fn new(columns: &[Column<'_>]) -> Self {
        let (headings, alignment): (Vec<&str>, Vec<CellAlignment>) = columns
            .iter()
            .map(|column| match *column {
                Column::Left(heading) => (heading, CellAlignment::Left),
                Column::Right(heading) => (heading, CellAlignment::Right),
            })
            .unzip();
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING).force_no_tty();
        table.set_header(aligned(&alignment, headings));
        table.column_iter_mut().for_each(|column| {
            column.set_padding((0, 2));
        });
        Self { table, alignment }
    }

    /// One more row; cells that are missing stay empty.
    pub fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) -> &mut Self {
        self.table.add_row(aligned(&self.alignment, cells));
        self
    }

    /// The text, cells broken so that no line is longer than `width` characters, if one is given.
    pub fn render(&self, width: Option<u16>) -> String {
        let mut table = self.table.clone();
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table.trim_fmt()
    }
}

fn aligned<T: ToString>(alignment: &[CellAlignment], cells: impl IntoIterator<Item = T>) -> Vec<Cell> {
    cells.into_iter().zip(alignment).map(|(cell, &alignment)| Cell::new(cell).set_alignment(alignment)).collect()
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A table that has not been told to ignore terminals knows the width of standard output, if that is one.
        f.write_str(&self.render(comfy_table::Table::new().width()))
    }
}
