//! A network's numbers by name and in PyTorch's layout, to and from the device.

use super::checkpoint::NamedTensor;
use super::permute;
use crate::gpu::{GpuError, Precision};
use crate::layers::{Declarations, FileLayout, ParameterSpec};
use crate::models::Network;
use crate::optim::Optimizer;

/// Standardisation of the input bands, as a model file keeps it.
pub const INPUT_MEAN: &str = "input.mean";
/// See [`INPUT_MEAN`].
pub const INPUT_STD: &str = "input.std";

const STEPS: &str = "steps";
const GRADIENT_SCALE: &str = "gradient_scale";

/// Names and file shapes of everything in a model file.
pub fn expected(declarations: &Declarations, mels: usize, standardised: bool) -> Vec<(String, Vec<usize>)> {
    let parameters = declarations.parameters.iter().map(|spec| (spec.name.clone(), file_shape(spec)));
    let statistics = declarations.statistics.iter().map(|spec| (spec.name.clone(), vec![spec.length]));
    let input = [INPUT_MEAN, INPUT_STD].into_iter().filter(|_| standardised).map(|name| (name.to_owned(), vec![mels]));
    parameters.chain(statistics).chain(input).collect()
}

/// Reads every parameter and running statistic; with `standardisation` (mean and deviation per band) as well.
pub fn export(network: &Network, standardisation: Option<(&[f32], &[f32])>) -> Result<Vec<NamedTensor>, GpuError> {
    let parameters = network.parameters();
    let mut tensors = export_arena(network, network.gpu().read(parameters.values().whole())?, "");
    let statistics: Vec<f32> = network.gpu().read(parameters.statistics().whole())?;
    let plan = parameters.statistics().plan();
    for (place, spec) in parameters.declarations().statistics.iter().enumerate() {
        let data = statistics[plan.start(place)..plan.start(place) + spec.length].to_vec();
        tensors.push(NamedTensor { name: spec.name.clone(), shape: vec![spec.length], data });
    }
    if let Some((mean, std)) = standardisation {
        for (name, data) in [(INPUT_MEAN, mean), (INPUT_STD, std)] {
            tensors.push(NamedTensor { name: name.into(), shape: vec![data.len()], data: data.to_vec() });
        }
    }
    Ok(tensors)
}

/// Reads every gradient under the name of its parameter, without the scale that it has on its way.
pub fn export_gradients(network: &Network) -> Result<Vec<NamedTensor>, GpuError> {
    let (gpu, parameters) = (network.gpu(), network.parameters());
    let scale = gpu.read::<f32>(parameters.gradient_scale().tensor())?[0];
    let gradients = gpu.read::<f32>(parameters.gradients().whole())?.into_iter().map(|value| value / scale).collect();
    Ok(export_arena(network, gradients, ""))
}

/// Reads what an optimiser keeps, as `first_moment.<parameter>` and `second_moment.<parameter>` or
/// `momentum.<parameter>`, and its step count; under mixed precision the scale of the gradients as well, and the updates since
/// it changed.
pub fn export_optimizer(network: &Network, optimizer: &Optimizer) -> Result<Vec<NamedTensor>, GpuError> {
    let mut tensors = Vec::new();
    for (name, tensor) in optimizer.tensors() {
        tensors.extend(export_arena(network, network.gpu().read(tensor)?, &format!("{name}.")));
    }
    let steps = optimizer.state(network.gpu())?.steps as f32;
    tensors.push(NamedTensor { name: STEPS.into(), shape: vec![1], data: vec![steps] });
    if network.gpu().precision() == Precision::Mixed {
        let data = network.gpu().read(network.parameters().gradient_scale().tensor())?;
        tensors.push(NamedTensor { name: GRADIENT_SCALE.into(), shape: vec![2], data });
    }
    Ok(tensors)
}

/// Writes what [`export_optimizer`] read back to the device, in any order; what is missing stays as it is. The shapes must be
/// those that were exported.
pub fn import_optimizer(network: &Network, optimizer: &Optimizer, tensors: &[NamedTensor]) {
    let (gpu, parameters) = (network.gpu(), network.parameters());
    let data = |name: &str| tensors.iter().find(|tensor| tensor.name == name).map(|tensor| tensor.data.as_slice());
    for (kept, arena) in optimizer.tensors() {
        for (place, spec) in parameters.declarations().parameters.iter().enumerate() {
            if let Some(data) = data(&format!("{kept}.{}", spec.name)) {
                gpu.write(&arena.view(parameters.values().plan().start(place), &spec.shape), &from_file(spec, data));
            }
        }
    }
    if let Some(&[steps]) = data(STEPS) {
        optimizer.set_steps(gpu, steps);
    }
    if let Some(scale) = data(GRADIENT_SCALE) {
        gpu.write(parameters.gradient_scale().tensor(), scale);
    }
}

fn export_arena(network: &Network, values: Vec<f32>, prefix: &str) -> Vec<NamedTensor> {
    let parameters = network.parameters();
    let plan = parameters.values().plan();
    let tensor = |(place, spec): (usize, &ParameterSpec)| {
        let count: usize = spec.shape.iter().product();
        let memory = &values[plan.start(place)..plan.start(place) + count];
        NamedTensor { name: format!("{prefix}{}", spec.name), shape: file_shape(spec), data: to_file(spec, memory) }
    };
    parameters.declarations().parameters.iter().enumerate().map(tensor).collect()
}

/// Writes tensors that are in the order of [`expected`] to the device.
pub fn import(network: &Network, tensors: &[NamedTensor]) {
    let (gpu, parameters) = (network.gpu(), network.parameters());
    let declarations = parameters.declarations();
    let (values, rest) = tensors.split_at(declarations.parameters.len());
    for (place, (spec, tensor)) in declarations.parameters.iter().zip(values).enumerate() {
        gpu.write(&parameters.values().tensor(place), &from_file(spec, &tensor.data));
    }
    let (statistics, input) = rest.split_at(declarations.statistics.len());
    for (place, tensor) in statistics.iter().enumerate() {
        gpu.write(&parameters.statistics().tensor(place), &tensor.data);
    }
    if let [mean, std] = input {
        network.set_standardisation(&mean.data, &std.data);
    }
}

fn file_shape(spec: &ParameterSpec) -> Vec<usize> {
    match (spec.layout, spec.shape.as_slice()) {
        (FileLayout::Convolution, &[time, mel, inputs, outputs]) => vec![outputs, inputs, time, mel],
        (FileLayout::Linear, &[inputs, outputs]) => vec![outputs, inputs],
        (_, shape) => shape.to_vec(),
    }
}

fn to_file(spec: &ParameterSpec, memory: &[f32]) -> Vec<f32> {
    match (spec.layout, spec.shape.as_slice()) {
        (FileLayout::Convolution, &[time, mel, inputs, outputs]) => {
            permute::convolution_to_file(memory, [time, mel, inputs, outputs])
        }
        (FileLayout::Linear, &[inputs, outputs]) => permute::linear_to_file(memory, [inputs, outputs]),
        _ => memory.to_vec(),
    }
}

fn from_file(spec: &ParameterSpec, file: &[f32]) -> Vec<f32> {
    match (spec.layout, spec.shape.as_slice()) {
        (FileLayout::Convolution, &[time, mel, inputs, outputs]) => {
            permute::convolution_from_file(file, [outputs, inputs, time, mel])
        }
        (FileLayout::Linear, &[inputs, outputs]) => permute::linear_from_file(file, [outputs, inputs]),
        _ => file.to_vec(),
    }
}
