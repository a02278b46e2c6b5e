//! Shader texts and the one way they are varied: whole lines are replaced, `const NAME: type = value;` and those that say what
//! operands of products are ([`Precision`]) and how maps are stored ([`Storage`]).

use super::storage::{self, Storage};
use super::{GpuError, Precision, Tensor};
use std::fmt::Write;

macro_rules! shaders {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../../shaders/", $name, ".wgsl")))),*] };
}

/// Every file of the folder `shaders`, sorted (a test compares).
const SHADERS: &[(&str, &str)] = shaders![
    "accumulate",
    "adam",
    "add",
    "average_pool",
    "batch_norm",
    "batch_norm_vectors",
    "batch_norm_wide",
    "bottleneck",
    "bottleneck_matrix",
    "bottleneck_matrix_back",
    "bottleneck_matrix_weight",
    "bottleneck_tiled",
    "bottleneck_tiled_back",
    "bottleneck_tiled_weight",
    "ceiling",
    "convolution",
    "convolution_matrix",
    "convolution_matrix_back",
    "convolution_matrix_weight",
    "convolution_subgroup",
    "convolution_tiled",
    "convolution_tiled_back",
    "convolution_tiled_weight",
    "convolution_wide",
    "convolution_wide_back",
    "convolution_wide_weight",
    "dropout",
    "gather",
    "global_average_pool",
    "gradient_clip",
    "gru",
    "gru_matrix",
    "gru_register",
    "gru_subgroup",
    "gru_wide",
    "indrnn",
    "indrnn_fold",
    "indrnn_scan",
    "indrnn_wide",
    "last_step",
    "lstm",
    "lstm_matrix",
    "lstm_register",
    "lstm_subgroup",
    "lstm_wide",
    "max_pool",
    "max_pool_vectors",
    "max_pool_wide",
    "pack_halves",
    "pooled",
    "reduce",
    "relu",
    "rnn",
    "rnn_matrix",
    "rnn_register",
    "rnn_subgroup",
    "rnn_wide",
    "sgd",
    "softmax_cross_entropy",
    "standardise",
    "stem",
    "wavefront",
    "wavefront_matrix",
];

/// A compile-time constant of a shader.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant {
    /// `u32`
    U32(u32),
    /// `f32`
    F32(f32),
    /// `bool`
    Bool(bool),
}

impl Constant {
    fn wgsl(self) -> (&'static str, String) {
        match self {
            Self::U32(value) => ("u32", format!("{value}u")),
            Self::F32(value) => ("f32", format!("{value:?}f")),
            Self::Bool(value) => ("bool", value.to_string()),
        }
    }
}

impl From<usize> for Constant {
    fn from(value: usize) -> Self {
        Self::U32(u32::try_from(value).expect("sizes in shaders fit 32 bits"))
    }
}
impl From<u32> for Constant {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}
impl From<f32> for Constant {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}
impl From<bool> for Constant {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// The names of all shaders, sorted.
pub fn shader_names() -> impl Iterator<Item = &'static str> {
    SHADERS.iter().map(|(name, _)| *name)
}

/// A fingerprint of all shaders: what was measured with other texts says nothing.
pub(super) fn shaders_hash() -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for (name, text) in SHADERS {
        hasher.update(name.as_bytes()).update(&[0]).update(text.as_bytes()).update(&[0]);
    }
    for text in storage::texts() {
        hasher.update(text.as_bytes()).update(&[0]);
    }
    hasher.finalize()
}

/// What a shader finds its maps stored as, given tensors by the names of its variables.
pub(super) fn storage_of(name: &str, tensors: &[(&str, &Tensor)]) -> Result<Storage, String> {
    let text = SHADERS.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| *text);
    storage::of(text, tensors)
}

/// As [`specialise`], with products of operands in that precision and maps stored like that, if the shader says how it stores
/// them: see `gpu/storage.rs`.
pub fn specialise_for(
    name: &str,
    constants: &[(&str, Constant)],
    precision: Precision,
    storage: Storage,
) -> Result<String, GpuError> {
    let problem = || GpuError::Constant { shader: name.into(), problem: format!("it does not store {storage:?}") };
    storage::varied(specialise(name, constants)?, precision, storage).ok_or_else(problem)
}

/// The text of shader `name` with its constants replaced. Every constant must stand in the file on a line of its own,
/// `const NAME: type = value;`, with the same type.
pub fn specialise(name: &str, constants: &[(&str, Constant)]) -> Result<String, GpuError> {
    let (_, text) =
        SHADERS.iter().find(|(known, _)| *known == name).ok_or_else(|| GpuError::UnknownShader { name: name.into() })?;
    let problem = |problem: String| GpuError::Constant { shader: name.into(), problem };
    let mut replaced = vec![false; constants.len()];
    let mut output = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        let declared = declaration(line);
        let place = declared.and_then(|(declared, _)| constants.iter().position(|(name, _)| *name == declared));
        match (place, declared) {
            (Some(place), Some((declared, kind))) => {
                let (wanted, value) = constants[place].1.wgsl();
                if kind != wanted {
                    return Err(problem(format!("constant {declared} is {kind}, not {wanted}")));
                }
                replaced[place] = true;
                let _ = writeln!(output, "const {declared}: {kind} = {value};");
            }
            _ => {
                output.push_str(line);
                output.push('\n');
            }
        }
    }
    if let Some(missing) = replaced.iter().position(|done| !done) {
        let known: Vec<_> = text.lines().filter_map(declaration).map(|(name, _)| name).collect();
        return Err(problem(format!("it has no constant {}; it has {}", constants[missing].0, known.join(", "))));
    }
    Ok(output)
}

/// Name and type of a line `const NAME: type = value;`.
fn declaration(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("const ")?.split_once(':')?;
    let (kind, _) = rest.split_once('=')?;
    Some((name.trim(), kind.trim()))
}
