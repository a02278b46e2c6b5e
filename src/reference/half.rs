//! Rounding to f16, as operands are under mixed precision.

/// `value` rounded to the nearest number of f16, ties to even: infinite from 65,520 on, a multiple of 2^-24 below 2^-14.
pub fn round(value: f64) -> f64 {
    if !value.is_finite() || value == 0.0 {
        return value;
    }
    if value.abs() >= 65_520.0 {
        return f64::INFINITY.copysign(value);
    }
    let exponent = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let step = 2f64.powi(exponent.max(-14) - 10);
    (value / step).round_ties_even() * step
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_become_those_of_f16() {
        // numpy: np.float64(np.float16(value))
        let cases = [
            (1.0, 1.0),
            (0.1, 0.0999755859375),
            (-1.0 / 3.0, -0.333251953125),
            (2049.0, 2048.0),
            (2051.0, 2052.0),
            (65_519.0, 65_504.0),
            (65_520.0, f64::INFINITY),
            (-1e9, f64::NEG_INFINITY),
            (6.1e-5, 6.097555160522461e-5),
            (1e-7, 1.1920928955078125e-7),
            (2.9e-8, 0.0),
        ];
        for (value, expected) in cases {
            assert_eq!(super::round(value), expected, "{value}");
        }
        assert!(super::round(f64::NAN).is_nan());
    }
}
