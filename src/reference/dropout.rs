//! Dropout with one mask for all steps of a sequence (Gal & Ghahramani, arXiv 1512.05287): `y = x mask / (1 - p)`.
//!
//! `x` is `(time, batch, channel)`, the mask `(batch, channel)`, each of its elements drawn from a word of (seed, stream,
//! sample, channel): `dx = dy mask / (1 - p)`.

/// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let product = |a: u32, b: u32| {
        let wide = u64::from(a) * u64::from(b);
        [(wide >> 32) as u32, wide as u32]
    };
    for _ in 0..10 {
        let ([even_high, even_low], [odd_high, odd_low]) = (product(0xd251_1f53, counter[0]), product(0xcd9e_8d57, counter[2]));
        counter = [odd_high ^ counter[1] ^ key[0], odd_low, even_high ^ counter[3] ^ key[1], even_low];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

/// What each (sample, channel) is multiplied by: 0 with probability `p`, else `1 / (1 - p)`. `seed` is the low and the
/// high word.
pub fn factors(batch: usize, channels: usize, p: f32, seed: [u32; 2], stream: u32) -> Vec<f64> {
    let p = f64::from(p);
    let drop_below = (p * 4_294_967_296.0) as u32;
    let word = |i: usize| philox([(i % channels) as u32, (i / channels) as u32, stream, 0], seed)[0];
    (0..batch * channels).map(|i| if word(i) >= drop_below { 1.0 / (1.0 - p) } else { 0.0 }).collect()
}

/// `y` from `x`, and `dx` from `dy`.
pub fn apply(x: &[f64], factors: &[f64]) -> Vec<f64> {
    x.iter().zip(factors.iter().cycle()).map(|(x, factor)| x * factor).collect()
}
