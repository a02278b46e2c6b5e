//! melgrad

pub mod config;
pub mod gpu;
pub mod layers;
pub mod models;
pub mod optim;
pub mod reference;
pub mod train;
