//! Features in NumPy's `.npy`: `(frames, n_mels)`, little-endian f32, C order.
//!
//! The format (NEP 1): magic, version, length of a header, the header as a Python dictionary, the values. Files come from
//! anywhere, so nothing in the header is believed before it is compared with the bytes that follow.

use super::{FeatureError, Features};
use std::io::Write;
use std::path::Path;

const MAGIC: &[u8] = b"\x93NUMPY";
/// The header is padded so that the values begin at a multiple of it.
const ALIGNMENT: usize = 64;

/// Reads features; 64-bit floats are narrowed.
pub fn read_npy(path: &Path) -> Result<Features, FeatureError> {
    read_npy_bytes(&std::fs::read(path).map_err(FeatureError::Io)?)
}

/// The same from memory.
pub fn read_npy_bytes(bytes: &[u8]) -> Result<Features, FeatureError> {
    let (header, values) = parts(bytes)?;
    let width = match dtype(header)? {
        "<f4" => 4,
        "<f8" => 8,
        other => return Err(FeatureError::Dtype { found: other.into() }),
    };
    let shape = shape(header)?;
    let (frames, n_mels) = match *shape.as_slice() {
        [frames, n_mels] if frames > 0 && n_mels > 0 => (frames, n_mels),
        _ => return Err(FeatureError::Shape { shape }),
    };
    if field(header, "fortran_order").is_none_or(|value| !value.starts_with("False")) && frames > 1 && n_mels > 1 {
        return Err(FeatureError::FortranOrder);
    }
    let promised = frames.checked_mul(n_mels).and_then(|count| count.checked_mul(width));
    let Some(values) = promised.and_then(|promised| values.get(..usize::try_from(promised).ok()?)) else {
        let there = values.len();
        return Err(broken(format!("cut off, {frames} x {n_mels} values of {width} bytes do not fit into {there} bytes")));
    };
    let data: Vec<f32> = match width {
        4 => values.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect(),
        _ => values.as_chunks::<8>().0.iter().map(|&value| f64::from_le_bytes(value) as f32).collect(),
    };
    let (frames, n_mels) = (frames as usize, n_mels as usize);
    match data.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(FeatureError::NonFinite { frame: at / n_mels, band: at % n_mels }),
        None => Ok(Features { frames, n_mels, data }),
    }
}

fn broken(reason: impl Into<String>) -> FeatureError {
    FeatureError::Npy { reason: reason.into() }
}

/// The header's text and the bytes behind it.
fn parts(bytes: &[u8]) -> Result<(&str, &[u8]), FeatureError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| broken("it does not begin like one"))?;
    let (length, rest) = match *rest {
        [1, _, a, b, ..] => (usize::from(u16::from_le_bytes([a, b])), &rest[4..]),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]) as usize, &rest[6..]),
        [version, ..] => return Err(broken(format!("version {version} of the format is not known"))),
        [] => return Err(broken("cut off within its header")),
    };
    let (header, values) = rest.split_at_checked(length).ok_or_else(|| broken("cut off within its header"))?;
    Ok((std::str::from_utf8(header).map_err(|_| broken("its header is not text"))?, values))
}

/// What follows a key of the dictionary.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}':"))?;
    Some(rest.trim_start())
}

/// NumPy's name of the element type, or the beginning of a structured one.
fn dtype(header: &str) -> Result<&str, FeatureError> {
    let value = field(header, "descr").ok_or_else(|| broken("its header lacks 'descr'"))?;
    let name = value.strip_prefix('\'').and_then(|value| value.split_once('\'')).map(|(name, _)| name);
    Ok(name.unwrap_or_else(|| value.split_inclusive(']').next().unwrap_or(value)))
}

fn shape(header: &str) -> Result<Vec<u64>, FeatureError> {
    let value = field(header, "shape").and_then(|value| value.strip_prefix('(')?.split_once(')'));
    let (sizes, _) = value.ok_or_else(|| broken("its header lacks 'shape'"))?;
    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().map_err(|_| broken(format!("{size:?} in its shape is no size")))).collect()
}

/// Writes features to a file.
pub fn write_npy(path: &Path, features: &Features) -> Result<(), FeatureError> {
    let mut bytes = Vec::with_capacity(2 * ALIGNMENT + 4 * features.data.len());
    write_npy_to(&mut bytes, features)?;
    std::fs::write(path, bytes).map_err(FeatureError::Io)
}

/// Writes features to anything.
pub fn write_npy_to(mut output: impl Write, features: &Features) -> Result<(), FeatureError> {
    let Features { frames, n_mels, data } = features;
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({frames}, {n_mels}), }}");
    // Magic, version and length take ten bytes, the newline one.
    let length = (10 + header.len() + 1).next_multiple_of(ALIGNMENT) - 10;
    let mut bytes = [MAGIC, &[1, 0], &(length as u16).to_le_bytes()].concat();
    bytes.extend(format!("{header:<width$}\n", width = length - 1).into_bytes());
    bytes.extend(data.iter().flat_map(|value| value.to_le_bytes()));
    output.write_all(&bytes).map_err(FeatureError::Io)
}
