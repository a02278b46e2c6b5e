//! How a network's numbers begin: the same for one seed on every adapter, and for a tensor whatever the others are.

use crate::layers::{Declarations, Initial};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The values of every parameter, in the order of the declarations and in memory layout.
pub(super) fn parameters(declarations: &Declarations, seed: u64) -> Vec<Vec<f32>> {
    let values = |(stream, spec): (usize, &crate::layers::ParameterSpec)| {
        let count: usize = spec.shape.iter().product();
        match spec.initial {
            Initial::Constant(value) => vec![value; count],
            Initial::Uniform(low, high) => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(stream as u64 + 1);
                (0..count).map(|_| low + (high - low) * unit(&mut rng)).collect()
            }
        }
    };
    declarations.parameters.iter().enumerate().map(values).collect()
}

/// Uniform in [0, 1) with 24 bits.
fn unit(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / (1 << 24) as f32
}
