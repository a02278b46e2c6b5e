//! McNemar's test: of the clips that only one of two runs named rightly, is it the same one too often?

use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, DiscreteCDF};

/// With fewer clips that only one named rightly, the binomial distribution itself is used.
pub const FEWEST_DISCORDANT: usize = 25;

/// What McNemar's test says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct McNemar {
    /// Whether the p-value is the binomial distribution's, not the chi-square approximation.
    pub exact: bool,
    /// Two-sided p-value of neither being better.
    pub p: f64,
}

/// McNemar's test (1947) of `only_a` clips that only the first named rightly and `only_b` that only the second did.
///
/// Exact with fewer than 25 of them; else chi-square with Edwards' continuity correction (1948), as in mlxtend and
/// statsmodels, except that where both numbers are equal nothing is corrected and p is 1.
/// Clips must be independent, and nothing is said of other seeds.
pub fn mcnemar(only_a: usize, only_b: usize) -> McNemar {
    let discordant = only_a + only_b;
    if discordant < FEWEST_DISCORDANT {
        let coin = Binomial::new(0.5, discordant as u64).expect("a half is a probability");
        return McNemar { exact: true, p: (2.0 * coin.cdf(only_a.min(only_b) as u64)).min(1.0) };
    }
    let apart = only_a.abs_diff(only_b).saturating_sub(1) as f64;
    let distribution = ChiSquared::new(1.0).expect("1 is a number of degrees of freedom");
    McNemar { exact: false, p: distribution.sf(apart * apart / discordant as f64) }
}
