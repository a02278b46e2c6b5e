//! Networks against each other on the same clips, and how far each number can be believed.

pub mod statistics;
