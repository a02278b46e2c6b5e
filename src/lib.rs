//! melgrad

pub mod audio;
pub mod bench;
pub mod cli;
pub mod config;
pub mod dataset;
pub mod features;
pub mod gpu;
pub mod layers;
pub mod models;
pub mod optim;
pub mod reference;
pub mod report;
pub mod selftest;
pub mod train;
