//! The way from files to batches: every rule about folders, manifests, splits, the cache and crops.

mod augment;
mod batches;
mod builtin;
mod cache;
mod content;
mod fixtures;
mod folders;
mod gtzan;
mod kept;
mod lengths;
mod manifests;
mod near_duplicates;
mod protocols;
mod records;
mod splits;
mod tags;
mod unusable;
