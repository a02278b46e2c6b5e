//! Everything that follows from what is finished: tables, statistics, pictures, page.

use super::page::write_page;
use super::{Conclusion, Outcomes, Study, StudyDirectory, StudyError, conclude, write_outcomes, write_tables};

/// Writes all of it; none is concluded before anything is finished.
pub fn publish(study: &Study, directory: &StudyDirectory) -> Result<Option<(Outcomes, Conclusion)>, StudyError> {
    // Of shards that end at the same time, whoever writes last must have seen what all of them finished.
    loop {
        let seen = directory.finished(study);
        write_tables(study, directory)?;
        let concluded = conclude(study, directory)?;
        if let Some((outcomes, conclusion)) = &concluded {
            write_outcomes(study, directory, outcomes, conclusion)?;
            write_page(study, directory, outcomes, conclusion)?;
        }
        if directory.finished(study) == seen {
            return Ok(concluded);
        }
    }
}
