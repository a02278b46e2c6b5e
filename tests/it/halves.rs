//! BBNN's maps and their gradients in mixed precision: stored as halves, and the same numbers where they are stored as floats.

use melgrad::config::{ModelConfig, ModelName};
use melgrad::gpu::{Element, Gpu, GpuOptions, KernelPolicy, Pass, Precision};
use melgrad::layers::{
    AveragePool, Channels, Convolution, ConvolutionShape, ConvolutionTensors, ConvolutionVariant, ConvolutionVariants, Gradient,
    Map, MaxPool, Mode, Param, PoolShape, Size, Slices,
};
use melgrad::models::{Dimensions, Network};
use melgrad::optim::{Optimizer, OptimizerSettings};
use melgrad::reference::half;
use melgrad::reference::noise::Noise;

use crate::training::small_model;

// Slices begin where adapters can bind them.
const DIMENSIONS: Dimensions = Dimensions { batch: 5, frames: 40, mels: 8, classes: 4 };

fn open(words: &[&str]) -> Gpu {
    let kernels = match words {
        [] => KernelPolicy::default(),
        words => KernelPolicy::Preferring(words.iter().map(|word| (*word).to_owned()).collect()),
    };
    let emulate_matrix_units = words.contains(&"matrix");
    let options = GpuOptions { kernels, choice: crate::chosen(), emulate_matrix_units, ..GpuOptions::default() };
    Gpu::open(&options).expect("the tests need a GPU adapter").with_precision(Precision::Mixed)
}

fn network_of_one_block() -> ModelConfig {
    ModelConfig { blocks: 1, ..small_model(ModelName::Bbnn) }
}

/// Ties, numbers that f16 has only as multiples of 2^-24 or not at all, and what is none.
fn odd_numbers() -> Vec<f32> {
    let mut numbers = vec![0.0, 1.0, 2049.0, 2051.0, 65_504.0, 65_519.0, 65_520.0, 1e9, f32::INFINITY, f32::NAN];
    numbers.extend([6.1e-5, 6.103e-5, 1e-7, 2.9e-8, 2.99e-8, 8.9e-8, 1e-30, 0.1, 1.0 / 3.0]);
    numbers.extend(numbers.clone().iter().map(|number| -number));
    numbers.extend(Noise::new(5).numbers(82).iter().map(|number| (number * 300.0) as f32));
    numbers
}

#[test]
fn the_host_rounds_to_f16_as_the_reference_does() {
    let gpu = open(&[]);
    let numbers = odd_numbers();
    for element in [Element::F16, Element::Rounded] {
        let tensor = gpu.tensor("numbers", element, &[numbers.len()]).unwrap();
        gpu.write_numbers(&tensor, &numbers);
        check_rounded(&numbers, &gpu.read_numbers(&tensor).unwrap(), &format!("{element:?}"));
    }
    let halves = gpu.tensor("halves", Element::F16, &[1 << 16]).unwrap();
    let all: Vec<u16> = (0..=u16::MAX).collect();
    gpu.write(&halves, &all);
    let numbers = gpu.read_numbers(&halves).unwrap();
    check_rounded(&numbers, &numbers, "every half");
    gpu.write_numbers(&halves, &numbers);
    let again: Vec<u16> = gpu.read(&halves).unwrap();
    assert!(all.iter().zip(&again).zip(&numbers).all(|((a, b), number)| a == b || number.is_nan()));
}

fn check_rounded(numbers: &[f32], found: &[f32], what: &str) {
    for (number, found) in numbers.iter().zip(found) {
        let expected = half::round(f64::from(*number)) as f32;
        assert!(*found == expected || (found.is_nan() && expected.is_nan()), "{what}: {number} became {found}, not {expected}");
    }
}

/// What a bias of these numbers is stored as.
#[test]
fn kernels_round_what_they_store_to_the_nearest_half_and_keep_what_is_infinite_or_no_number() {
    let gpu = open(&[]);
    let numbers = odd_numbers();
    let shape = ConvolutionShape { kernel: [1, 1], inputs: 8, outputs: numbers.len(), mel: 3 };
    let mut tried = Vec::new();
    for variant in ConvolutionVariant::available(&gpu) {
        if tried.contains(&variant.name()) {
            continue;
        }
        tried.push(variant.name());
        for element in [Element::Rounded, Element::F16] {
            if element == Element::F16 && !variant.takes_halves() {
                continue;
            }
            let map = |element, channels| {
                let tensor = gpu.tensor("map", element, &[1, 2, 3, channels]).unwrap();
                Channels::whole(&tensor)
            };
            let param = |count: usize| {
                let tensor = || gpu.tensor("parameter", Element::F32, &[count]).unwrap();
                Param { value: tensor(), grad: tensor() }
            };
            let (weight, bias) = (param(8 * numbers.len()), param(numbers.len()));
            gpu.write(&bias.value, &numbers);
            let scratch = gpu.tensor("scratch", Element::F32, &[shape.scratch(Slices::one(1))]).unwrap();
            let (x, y, dy) = (map(element, 8), map(element, numbers.len()), map(element, numbers.len()));
            let tensors = ConvolutionTensors {
                x: &x,
                fold: None,
                dx: None,
                y: &y,
                dy: &dy,
                weight: &weight,
                bias: &bias,
                first_input: 0,
                scratch: &scratch,
            };
            let variants = ConvolutionVariants::fitting(&gpu, variant, shape, element);
            let layer = Convolution::with_variants(&gpu, variants, shape, Slices::one(1), &tensors).unwrap();
            let mut pass = Pass::new(&gpu);
            layer.forward(&mut pass, 1, 2);
            pass.submit().unwrap();
            for row in gpu.read_numbers(&y.tensor).unwrap().chunks(numbers.len()) {
                check_rounded(&numbers, row, &format!("{}, {element:?}", variant.name()));
            }
        }
    }
}

/// Thirds, and sums of several: a quarter of one or a sum of some is no number of f16.
#[test]
fn pooling_rounds_gradients_as_they_are_stored() {
    let gpu = open(&[]);
    let numbers = |count: usize| (0..count).map(|i| (i % 97) as f32 / 3.0 - 11.0).collect::<Vec<_>>();
    for (element, channels) in [(Element::F16, 8), (Element::Rounded, 8), (Element::Rounded, 5)] {
        let map = |element, [frames, mel]: [usize; 2]| Map::image_of(&gpu, "map", element, [2, frames, mel, channels]).unwrap();
        let x = map(element, [6, 8]);
        gpu.write_numbers(&x.value.tensor, &numbers(x.value.tensor.elements()));
        let (averages, maxima) = (map(Element::F32, [3, 4]), map(element, [6, 8]));
        for y in [&averages, &maxima] {
            gpu.write_numbers(&y.grad.tensor, &numbers(y.grad.tensor.elements()));
        }
        let held = |pooled: &dyn Fn(&mut Pass<'_>)| {
            let mut pass = Pass::new(&gpu);
            pooled(&mut pass);
            pass.submit().unwrap();
            gpu.read_numbers(&x.grad.tensor).unwrap()
        };
        let average = AveragePool::new(&gpu, [2, 2], Slices::one(2), &x, &averages).unwrap();
        let found = held(&|pass| average.backward(pass, 2, 6));
        let dy = gpu.read_numbers(&averages.grad.tensor).unwrap();
        for (place, found) in found.iter().enumerate() {
            let (c, m, t) = (place % channels, place / channels % 8, place / channels / 8);
            let expected = half::round(f64::from(dy[((t / 2) * 4 + m / 2) * channels + c] / 4.0)) as f32;
            assert_eq!(*found, expected, "{element:?} x {channels}, place {place}");
        }
        let largest = MaxPool::new(&gpu, PoolShape::same([3, 3]), Slices::one(2), &x, &maxima, Gradient::Write).unwrap();
        let found = held(&|pass| {
            largest.forward(pass, 2, 6);
            largest.backward(pass, 2, 6);
        });
        check_rounded(&found, &found, &format!("{element:?} x {channels}"));
        assert!(found.iter().filter(|value| **value != 0.0).count() > 10);
    }
}

struct Trained {
    losses: Vec<u32>,
    logits: Vec<f32>,
    weights: Vec<u32>,
    gradients: Vec<f32>,
    bytes: u64,
}

/// So many steps from the same start, then an evaluation.
fn trained(gpu: &Gpu, build: impl FnOnce() -> Network, steps: u64) -> Trained {
    let before = gpu.allocated_bytes();
    let network = build();
    let bytes = gpu.allocated_bytes() - before;
    network.initialise(11);
    let optimizer = Optimizer::new(gpu, network.parameters(), OptimizerSettings::default()).unwrap();
    let Dimensions { batch, frames, mels, classes } = network.dimensions();
    let size = Size { batch, frames };
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let (mut losses, mut gradients) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let mut noise = Noise::new(step);
        let features: Vec<f32> = noise.numbers(batch * frames * mels).into_iter().map(|v| v as f32).collect();
        network.upload(&features, &noise.labels(batch, classes));
        let mut pass = Pass::new(gpu);
        network.forward(&mut pass, size, Mode::Train);
        network.backward(&mut pass, size);
        pass.submit().unwrap();
        losses.extend(bits(gpu.read(&network.loss().results).unwrap()));
        if step == 0 {
            let scale = gpu.read::<f32>(network.parameters().gradient_scale().tensor()).unwrap()[0];
            let scaled: Vec<f32> = gpu.read(network.parameters().gradients().whole()).unwrap();
            gradients = scaled.iter().map(|gradient| gradient / scale).collect();
        }
        let mut pass = Pass::new(gpu);
        optimizer.step(&mut pass, 1e-2);
        pass.submit().unwrap();
    }
    let mut pass = Pass::new(gpu);
    network.forward(&mut pass, size, Mode::Evaluate);
    pass.submit().unwrap();
    Trained {
        losses,
        logits: gpu.read(network.logits()).unwrap(),
        weights: bits(gpu.read(network.parameters().values().whole()).unwrap()),
        gradients,
        bytes,
    }
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}

/// Of gradients, as a share of all.
fn apart(one: &Trained, other: &Trained) -> f64 {
    let difference = one.gradients.iter().zip(&other.gradients).map(|(a, b)| a - b);
    norm(difference) / norm(one.gradients.iter().copied())
}

#[test]
fn halves_train_to_the_bits_of_floats_that_are_rounded_alike() {
    let gpu = open(&["tiled", "together"]);
    // Two blocks, so that one reads what the other stored.
    let model = small_model(ModelName::Bbnn);
    let with_maps = |maps| trained(&gpu, || Network::with_maps(&gpu, &model, DIMENSIONS, maps).unwrap(), 4);
    let chosen = trained(&gpu, || Network::new(&gpu, &model, DIMENSIONS).unwrap(), 4);
    let (halves, rounded) = (with_maps(Element::F16), with_maps(Element::Rounded));
    assert!(chosen.weights == halves.weights && chosen.bytes == halves.bytes, "halves are what is stored");
    assert_eq!(halves.losses, rounded.losses);
    assert!(halves.logits == rounded.logits && halves.logits.iter().all(|value| value.is_finite()));
    assert!(halves.weights == rounded.weights && halves.gradients == rounded.gradients);
    assert!(halves.weights == with_maps(Element::F16).weights, "two runs differ");
    println!("{} of {} bytes", halves.bytes, rounded.bytes);
    assert!(halves.bytes < rounded.bytes);
    // Of the same kernels: as tests of their own these would have them compiled beside this one.
    kernels_of_software_have_the_numbers_of_halves_and_slices_do_not_matter();
    what_overflows_f16_on_its_way_forward_is_seen_in_the_gradients_and_leaves_no_trace_in_statistics();
}

fn kernels_of_software_have_the_numbers_of_halves_and_slices_do_not_matter() {
    let (hardware, software) = (open(&["tiled", "together"]), open(&[]));
    let model = network_of_one_block();
    let once = |gpu: &Gpu, build: &dyn Fn(&Gpu) -> Network| trained(gpu, || build(gpu), 1);
    let halves = once(&hardware, &|gpu| Network::new(gpu, &model, DIMENSIONS).unwrap());
    let sliced = once(&hardware, &|gpu| Network::with_slices(gpu, &model, DIMENSIONS, 2).unwrap());
    let rounded = once(&software, &|gpu| Network::new(gpu, &model, DIMENSIONS).unwrap());
    let floats = once(&software, &|gpu| Network::with_maps(gpu, &model, DIMENSIONS, Element::F32).unwrap());
    let units = open(&["matrix", "together"]);
    let matrices = once(&units, &|gpu| Network::new(gpu, &model, DIMENSIONS).unwrap());
    assert!(units.choices().values().all(|kernel| kernel.starts_with("matrix")), "{:?}", units.choices());
    let [others, slices, matrices, unrounded] = [&rounded, &sliced, &matrices, &floats].map(|other| apart(&halves, other));
    println!("other kernels {others:.1e}, slices {slices:.1e}, matrices {matrices:.1e}, maps not rounded {unrounded:.1e}");
    // Sums in another order round some number to its other neighbour.
    assert!(others < 5e-3 && slices < 5e-3 && matrices < 5e-3, "{others} {slices} {matrices}");
    assert!(unrounded > 1e-5 && unrounded < 0.1, "{unrounded}");
    assert_eq!(rounded.bytes, floats.bytes);
    assert!(others < 0.2 * unrounded, "{others} {unrounded}: the maps of one of them are not rounded");
}

fn what_overflows_f16_on_its_way_forward_is_seen_in_the_gradients_and_leaves_no_trace_in_statistics() {
    let gpu = open(&["tiled", "together"]);
    for maps in [Element::F16, Element::Rounded] {
        let network = Network::with_maps(&gpu, &network_of_one_block(), DIMENSIONS, maps).unwrap();
        network.initialise(11);
        gpu.write(&network.parameters().parameter("blocks.0.branch1x1.conv.bias").value, &[1e6f32]);
        let Dimensions { batch, frames, mels, classes } = DIMENSIONS;
        let mut noise = Noise::new(1);
        let features: Vec<f32> = noise.numbers(batch * frames * mels).into_iter().map(|v| v as f32).collect();
        network.upload(&features, &noise.labels(batch, classes));
        let mut pass = Pass::new(&gpu);
        let size = Size { batch, frames };
        network.forward(&mut pass, size, Mode::Train);
        network.backward(&mut pass, size);
        pass.submit().unwrap();
        // The update is withheld, then.
        let gradients: Vec<f32> = gpu.read(network.parameters().gradients().whole()).unwrap();
        assert!(gradients.iter().any(|value| !value.is_finite()), "{maps:?}");
        // What outlasts the step is whole.
        let statistics: Vec<f32> = gpu.read(network.parameters().statistics().whole()).unwrap();
        assert!(statistics.iter().all(|value| value.is_finite()), "{maps:?}");
    }
}
