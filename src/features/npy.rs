//! Features in NumPy's `.npy`: `(frames, n_mels)`, little-endian f32, C order.

use super::{FeatureError, Features};
use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder};
use std::io::Write;
use std::path::Path;

/// Real headers take about a hundred bytes; a longer one is no plain array.
const LONGEST_HEADER: usize = 4096;

/// Reads features; 64-bit floats are narrowed.
pub fn read_npy(path: &Path) -> Result<Features, FeatureError> {
    read_npy_bytes(&std::fs::read(path).map_err(FeatureError::Io)?)
}

/// The same from memory.
pub fn read_npy_bytes(bytes: &[u8]) -> Result<Features, FeatureError> {
    let broken = |reason: String| FeatureError::Npy { reason };
    let data = &bytes[data_offset(bytes)?..];
    let file = NpyFile::new(bytes).map_err(|error| broken(error.to_string()))?;
    let dtype = file.dtype();
    let width = match &dtype {
        DType::Plain(plain) if plain.type_char() == TypeChar::Float && !plain.to_string().starts_with('>') => plain.size_field(),
        _ => 0,
    };
    if width != 4 && width != 8 {
        return Err(FeatureError::Dtype { found: dtype.descr() });
    }
    let shape = file.shape().to_vec();
    let (frames, n_mels) = match *shape.as_slice() {
        [frames, n_mels] if frames > 0 && n_mels > 0 => (frames, n_mels),
        _ => return Err(FeatureError::Shape { shape }),
    };
    if file.order() != Order::C && frames > 1 && n_mels > 1 {
        return Err(FeatureError::FortranOrder);
    }
    // Compared before anything of that size is allocated.
    let promised = frames.checked_mul(n_mels).and_then(|count| count.checked_mul(width));
    if promised.is_none_or(|promised| promised > data.len() as u64) {
        return Err(broken(format!("cut off: {frames} x {n_mels} values do not fit into its {} bytes", data.len())));
    }
    let data: Result<Vec<f32>, _> = match width {
        4 => file.into_vec::<f32>(),
        _ => file.into_vec::<f64>().map(|wide| wide.into_iter().map(|value| value as f32).collect()),
    };
    let data = data.map_err(|error| broken(error.to_string()))?;
    let (frames, n_mels) = (frames as usize, n_mels as usize);
    if let Some(at) = data.iter().position(|value| !value.is_finite()) {
        return Err(FeatureError::NonFinite { frame: at / n_mels, band: at % n_mels });
    }
    Ok(Features { frames, n_mels, data })
}

/// Where the data begin, behind the magic, the version and a header of a sane size.
fn data_offset(bytes: &[u8]) -> Result<usize, FeatureError> {
    let (start, header) = match *bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([a, b]))),
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        _ => return Err(FeatureError::Npy { reason: "it does not begin like one".into() }),
    };
    if header > LONGEST_HEADER {
        return Err(FeatureError::Npy { reason: format!("its header takes {header} bytes") });
    }
    if start + header > bytes.len() {
        return Err(FeatureError::Npy { reason: "cut off within its header".into() });
    }
    Ok(start + header)
}

/// Writes features to a file.
pub fn write_npy(path: &Path, features: &Features) -> Result<(), FeatureError> {
    let mut bytes = Vec::with_capacity(features.data.len() * 4 + 128);
    write_npy_to(&mut bytes, features)?;
    std::fs::write(path, bytes).map_err(FeatureError::Io)
}

/// Writes features to anything.
pub fn write_npy_to(output: impl Write, features: &Features) -> Result<(), FeatureError> {
    let shape = [features.frames as u64, features.n_mels as u64];
    let mut writer =
        npyz::WriteOptions::<f32>::new().default_dtype().shape(&shape).writer(output).begin_nd().map_err(FeatureError::Io)?;
    writer.extend(features.data.iter().copied()).map_err(FeatureError::Io)?;
    writer.finish().map_err(FeatureError::Io)
}
