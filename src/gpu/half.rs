//! Numbers of tensors whatever they are stored as: the host has them as f32.

use super::{Element, Gpu, GpuError, Tensor};

impl Gpu {
    /// Writes `numbers` into the first elements of a tensor of floats, rounded to the nearest that it holds.
    pub fn write_numbers(&self, tensor: &Tensor, numbers: &[f32]) {
        match tensor.element() {
            Element::F16 => {
                let mut halves: Vec<u16> = numbers.iter().map(|&number| to_half(number)).collect();
                // Only whole words can be written.
                halves.resize(numbers.len().next_multiple_of(2), 0);
                self.write(tensor, &halves);
            }
            Element::Rounded => {
                let rounded: Vec<f32> = numbers.iter().map(|&number| from_half(to_half(number))).collect();
                self.write(tensor, &rounded);
            }
            Element::F32 | Element::U32 => self.write(tensor, numbers),
        }
    }

    /// Waits for everything submitted and reads a tensor of floats back.
    pub fn read_numbers(&self, tensor: &Tensor) -> Result<Vec<f32>, GpuError> {
        match tensor.element() {
            Element::F16 => Ok(self.read::<u16>(tensor)?.into_iter().map(from_half).collect()),
            Element::F32 | Element::U32 | Element::Rounded => self.read(tensor),
        }
    }
}

/// The bits of the nearest half, ties to even: infinite from 65,520 on, a multiple of 2^-24 below 2^-14.
fn to_half(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    sign | match magnitude {
        0..0x3880_0000 => (number.abs() * 16_777_216.0).round_ties_even() as u16,
        0x3880_0000..=0x7f80_0000 => ((magnitude + 0xfff + (magnitude >> 13 & 1) - 0x3800_0000) >> 13).min(0x7c00) as u16,
        _ => 0x7e00,
    }
}

fn from_half(half: u16) -> f32 {
    let (sign, exponent, mantissa) = (half >> 15, i32::from(half >> 10 & 31), f32::from(half & 0x3ff));
    let magnitude = match exponent {
        0 => mantissa / 16_777_216.0,
        31 if mantissa == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + mantissa / 1024.0) * 2f32.powi(exponent - 15),
    };
    if sign == 1 { -magnitude } else { magnitude }
}
