//! Named `f32` tensors and the safetensors files that hold them.

use super::checkpoint::CheckpointError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A tensor as files hold it: PyTorch's name, shape and order of axes, independent of any GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// The parameter's name, such as `stem.conv.weight`.
    pub name: String,
    /// The length of each axis; empty for a single number.
    pub shape: Vec<usize>,
    /// The values in row-major order.
    pub data: Vec<f32>,
}

/// The bytes of a safetensors file; equal tensors in any order give equal bytes.
///
/// `path` is where they will be written: errors name it.
pub fn encode(path: &Path, tensors: &[NamedTensor]) -> Result<Vec<u8>, CheckpointError> {
    let mut seen = BTreeSet::new();
    let mut little_endian = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let wrong = |what: String| CheckpointError::Unwritable { path: path.into(), what };
        if !seen.insert(&tensor.name) {
            return Err(wrong(format!("two tensors are called `{}`", tensor.name)));
        }
        if tensor.shape.iter().product::<usize>() != tensor.data.len() {
            return Err(wrong(format!("`{}` of shape {:?} has {} values", tensor.name, tensor.shape, tensor.data.len())));
        }
        little_endian.push(tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    }
    let mut views = Vec::with_capacity(tensors.len());
    for (tensor, bytes) in tensors.iter().zip(&little_endian) {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)
            .map_err(|error| CheckpointError::Unwritable { path: path.into(), what: format!("`{}`: {error}", tensor.name) })?;
        views.push((tensor.name.as_str(), view));
    }
    safetensors::serialize(views, None)
        .map_err(|error| CheckpointError::Unwritable { path: path.into(), what: error.to_string() })
}

/// The tensors of a safetensors file, by name in alphabetical order.
///
/// PyTorch's `num_batches_tracked` counters are left out: with a fixed momentum nothing depends on them. `path` is
/// where the bytes came from: errors name it.
pub fn decode(path: &Path, bytes: &[u8]) -> Result<Vec<NamedTensor>, CheckpointError> {
    let unreadable = |what: String, remedy: &str| CheckpointError::Unreadable { path: path.into(), what, remedy: remedy.into() };
    if let Some(name) = duplicate_name(bytes) {
        return Err(unreadable(format!("two tensors are called `{name}`"), "write each parameter once"));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        unreadable(
            format!("not a whole safetensors file ({error})"),
            "it may have been cut off or be of another kind: copy or write it again",
        )
    })?;

    let mut tensors = Vec::with_capacity(file.len());
    for (name, view) in file.iter() {
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        if view.dtype() != Dtype::F32 {
            return Err(unreadable(
                format!("`{name}` is stored as {:?}", view.dtype()),
                "save it as 32-bit floats (in PyTorch: `tensor.float()`)",
            ));
        }
        let values = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        tensors.push(NamedTensor { name: name.into(), shape: view.shape().to_vec(), data: values.collect() });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// Puts `tensors` in the order of `expected` names and shapes; the error lists every one that is missing, unknown, or
/// of another shape.
///
/// `path` is where the tensors came from: the error names it.
pub fn fit(
    path: &Path,
    tensors: Vec<NamedTensor>,
    expected: &[(String, Vec<usize>)],
) -> Result<Vec<NamedTensor>, CheckpointError> {
    let mut by_name: BTreeMap<String, NamedTensor> = BTreeMap::new();
    let mut problems = Vec::new();
    for tensor in tensors {
        if let Some(twice) = by_name.insert(tensor.name.clone(), tensor) {
            problems.push(format!("`{}` is there twice", twice.name));
        }
    }
    let mut fitting = Vec::with_capacity(expected.len());
    for (name, shape) in expected {
        match by_name.remove(name) {
            None => problems.push(format!("`{name}` {shape:?} is missing")),
            Some(tensor) if tensor.shape != *shape => {
                problems.push(format!("`{name}` has shape {:?}, the model needs {shape:?}", tensor.shape));
            }
            Some(tensor) => fitting.push(tensor),
        }
    }
    problems.extend(by_name.values().map(|tensor| format!("`{}` {:?} is unknown to the model", tensor.name, tensor.shape)));
    if problems.is_empty() { Ok(fitting) } else { Err(CheckpointError::Misfit { path: path.into(), problems }) }
}

/// A name that the header holds twice: a plain JSON reader would keep the last one without a word.
fn duplicate_name(bytes: &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let header = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let Names(names) = serde_json::from_slice(header).ok()?;
    let mut seen = BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(name.clone()))
}

/// The keys of a JSON object, repeated ones included.
struct Names(Vec<String>);

impl<'de> serde::Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> serde::de::Visitor<'de> for Keys {
            type Value = Names;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<Names, M::Error> {
                let mut names = Vec::new();
                while let Some((name, serde::de::IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}
