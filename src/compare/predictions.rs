//! What a finished run said of its test clips: a `predictions-N.csv`.

/// One row of a `predictions-N.csv`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// The clip, as `splits.csv` names it.
    pub path: String,
    /// Its class, as the run had it.
    pub label: usize,
    /// The class that it was given.
    pub prediction: usize,
    /// The probability of each class.
    pub probabilities: Vec<f32>,
}

/// A `predictions-N.csv`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Predictions {
    /// Class names, in the order of the probabilities.
    pub classes: Vec<String>,
    pub rows: Vec<Row>,
}

impl Predictions {
    /// Reads a table; what is wrong with it in words.
    pub fn parse(table: &[u8]) -> Result<Self, String> {
        let mut reader = csv::Reader::from_reader(table);
        let header = reader.headers().map_err(|error| error.to_string())?.clone();
        let classes: Vec<String> = header.iter().skip(3).map(str::to_owned).collect();
        let class = |name: &str| classes.iter().position(|class| class == name);
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            let row = || {
                let probabilities = record.iter().skip(3).map(|number| number.parse().ok()).collect::<Option<Vec<f32>>>()?;
                let path = record.get(0)?.to_owned();
                Some(Row { path, label: class(record.get(1)?)?, prediction: class(record.get(2)?)?, probabilities })
            };
            let nothing = || format!("row {} names a class that no column has, or is no row of probabilities", rows.len() + 1);
            rows.push(row().ok_or_else(nothing)?);
        }
        Ok(Self { classes, rows })
    }
}
