//! One training-mode forward and backward of a network at full size, written out for `pytorch_twins.py` to compare.
//!
//! `cargo bench --bench twins -- FOLDER [WORKLOAD..]` writes FOLDER/WORKLOAD.safetensors: features, labels, every weight,
//! the logits, the loss and every gradient.

use anyhow::Context;
use melgrad::bench::Workload;
use melgrad::gpu::{Gpu, GpuOptions, Pass};
use melgrad::layers::{Mode, Size};
use melgrad::models::{Dimensions, Network};
use melgrad::reference::noise::Noise;
use melgrad::train::named_tensor::{NamedTensor, encode};
use melgrad::train::weights;
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let folder = arguments.next().context("give a folder to write to")?;
    let names: Vec<String> = arguments.collect();
    let gpu = Gpu::open(&GpuOptions::default())?;
    let workloads = match names.as_slice() {
        [] => Workload::defaults(true),
        names => names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
    };
    std::fs::create_dir_all(&folder)?;
    for workload in workloads {
        let path = Path::new(&folder).join(format!("{}.safetensors", workload.name));
        std::fs::write(&path, encode(&path, &run(&gpu, &workload)?)?)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn run(gpu: &Gpu, workload: &Workload) -> anyhow::Result<Vec<NamedTensor>> {
    let Dimensions { batch, frames, mels, classes } = workload.dimensions;
    let network = Network::new(gpu, &workload.model, workload.dimensions)?;
    network.initialise(0);
    let mut noise = Noise::new(1);
    let features: Vec<f32> = noise.numbers(batch * frames * mels).into_iter().map(|v| v as f32).collect();
    let labels = noise.labels(batch, classes);
    network.upload(&features, &labels);
    let weights = weights::export(&network, None)?;
    let mut pass = Pass::new(gpu);
    let size = Size { batch, frames };
    network.forward(&mut pass, size, Mode::Train);
    network.backward(&mut pass, size);
    pass.submit()?;
    let tensor = |name: &str, shape: &[usize], data| NamedTensor { name: name.into(), shape: shape.to_vec(), data };
    let mut tensors = vec![
        tensor("features", &[batch, frames, mels], features),
        tensor("labels", &[batch], labels.iter().map(|&label| label as f32).collect()),
        tensor("logits", &[batch, classes], gpu.read(network.logits())?),
        tensor("loss", &[1], vec![gpu.read::<f32>(&network.loss().results)?[0] / batch as f32]),
    ];
    let prefixed = |prefix: &str, tensors: Vec<NamedTensor>| {
        let rename = |tensor: NamedTensor| NamedTensor { name: format!("{prefix}.{}", tensor.name), ..tensor };
        tensors.into_iter().map(rename).collect::<Vec<_>>()
    };
    tensors.extend(prefixed("weight", weights));
    tensors.extend(prefixed("grad", weights::export_gradients(&network)?));
    Ok(tensors)
}
