//! Random numbers that a seed and a purpose decide, on every system alike.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A generator of its own for each purpose, so that no two draws depend on each other's order.
pub(super) fn generator(seed: u64, purpose: &str) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(*blake3::hash(format!("{seed} {purpose}").as_bytes()).as_bytes())
}
