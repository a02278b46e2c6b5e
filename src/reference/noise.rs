//! Seeded numbers for comparisons: the same on every machine, and exact in `f32`.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[derive(Debug, Clone)]
pub struct Noise {
    state: u64,
}

impl Noise {
    /// A stream of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `[-1, 1)`, a multiple of 2^-20: a kernel in `f32` and its reference in `f64` read the same number.
    pub fn number(&mut self) -> f64 {
        (self.bits() >> 43) as f64 / f64::from(1 << 20) - 1.0
    }

    /// `count` numbers in `[-1, 1)`.
    pub fn numbers(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.number()).collect()
    }

    /// `count` labels in `0..classes`.
    pub fn labels(&mut self, count: usize, classes: usize) -> Vec<u32> {
        (0..count).map(|_| (self.bits() % classes as u64) as u32).collect()
    }

    /// `count` different multiples of `2 / count` in shuffled order, none nearer than `1 / count` to zero: a step
    /// smaller than that passes no kink of a maximum or of a ReLU.
    pub fn separated(&mut self, count: usize) -> Vec<f64> {
        let mut values: Vec<f64> = (0..count).map(|i| (2.0 * i as f64 + 1.0 - (count & !1) as f64) / count as f64).collect();
        for i in (1..count).rev() {
            values.swap(i, (self.bits() % (i as u64 + 1)) as usize);
        }
        values
    }
}
