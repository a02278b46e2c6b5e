//! A plain IndRNN whose batch norms are folded into products (`indrnn_fold.wgsl`), or stand by themselves, beside
//! [`reference::indrnn`], [`reference::batch_norm`] and [`reference::linear`] one on top of the other.

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons, TOLERANCE};
use crate::gpu::{Element, Gpu, GpuError};
use crate::layers::{
    Channels, Declarations, DropoutSeed, FoldedIndrnn, IndrnnBlock, IndrnnPath, Layer, LinearShape, Map, Mode, NormFold,
    NormPlace, Parameters, Readout, RecurrentWeights, SequenceContext, SequenceHead, Size,
};
use crate::reference::noise::Noise;
use crate::reference::{batch_norm, global_average_pool, indrnn, linear};
use std::collections::BTreeMap;

const CLASSES: usize = 3;
/// As [`SequenceNorm`](crate::layers::SequenceNorm) has them.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;
/// Of the gradients of shifts where states lie far from 0: the batch norm behind lets no constant through, so that nearly all of
/// what is added up cancels. Without folding it is a third of that.
const SHIFT_TOLERANCE: f64 = 2e-3;

/// One network to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Samples and frames of this batch.
    pub size: Size,
    /// Samples and frames that the network is built for; at least `size`.
    pub capacity: Size,
    /// Features of a row of x.
    pub inputs: usize,
    /// Units of a layer.
    pub hidden: usize,
    /// How many layers there are.
    pub layers: usize,
    /// What is classified.
    pub readout: Readout,
    /// The recurrence's kernels.
    pub path: IndrnnPath,
    /// Added to every bias of an input: it takes states away from 0, further than they spread.
    pub offset: f64,
    /// What the forward pass before the gradients is for.
    pub mode: Mode,
}

impl Case {
    /// `[layers, frames, batch, inputs, hidden]`
    pub fn new([layers, frames, batch, inputs, hidden]: [usize; 5]) -> Self {
        let size = Size { batch, frames };
        let (readout, path, mode) = (Readout::Last, IndrnnPath::Sequential, Mode::Train);
        Self { size, capacity: size, inputs, hidden, layers, readout, path, offset: 0.0, mode }
    }

    /// What declares, and builds, a layer.
    fn shape(&self, layer: usize) -> LinearShape {
        LinearShape { inputs: if layer == 0 { self.inputs } else { self.hidden }, outputs: self.hidden }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { size: Size { batch, frames }, inputs, hidden, layers, readout, path, offset, mode, .. } = self;
        write!(
            f,
            "{layers} layers, {frames} x {batch} x {inputs} -> {hidden}, {readout:?}, {path:?}, {mode:?}, biases {offset}"
        )?;
        super::describe_capacity(f, self.size, self.capacity, usize::MAX)
    }
}

/// The numbers that go into a case.
struct Given {
    declarations: Declarations,
    /// Parameters and running statistics.
    values: BTreeMap<String, Vec<f64>>,
    x: Vec<f64>,
    dlogits: Vec<f64>,
}

impl Given {
    fn new(case: Case) -> Self {
        let Case { size: Size { batch, frames }, inputs, hidden, layers, .. } = case;
        let mut declarations = Declarations::default();
        let weights = RecurrentWeights { initial: [0.0, 1.0], limit: 1.0 };
        for layer in 0..layers {
            IndrnnBlock::declare(&mut declarations, &format!("layers.{layer}"), case.shape(layer), NormPlace::After, weights);
        }
        SequenceHead::declare(&mut declarations, LinearShape { inputs: hidden, outputs: CLASSES });
        let mut noise = Noise::new((batch * frames * hidden + layers) as u64);
        let mut scaled = |count, offset: f64, scale: f64| {
            noise.numbers(count).into_iter().map(|n| f64::from((offset + scale * n) as f32)).collect::<Vec<_>>()
        };
        let mut values = BTreeMap::new();
        for spec in &declarations.parameters {
            let offset = if spec.name.ends_with("input.bias") { case.offset } else { 0.0 };
            let scale = if spec.shape.len() > 1 { (spec.shape[0] as f64).sqrt().recip() } else { 0.5 };
            values.insert(spec.name.clone(), scaled(spec.shape.iter().product(), offset, scale));
        }
        for spec in &declarations.statistics {
            values.insert(spec.name.clone(), scaled(spec.length, 1.0, 0.5));
        }
        let (x, dlogits) = (scaled(frames * batch * inputs, 0.0, 1.0), scaled(batch * CLASSES, 0.0, 1.0));
        Self { declarations, values, x, dlogits }
    }
}

/// What a network with that much of its batch norms folded, or nothing, leaves: logits, every gradient but in evaluation, and the running statistics, in the order of declaration.
pub fn run(gpu: &Gpu, case: Case, fold: Option<NormFold>) -> Result<Vec<Vec<f32>>, GpuError> {
    let Case { size, capacity, inputs, hidden, layers, readout, .. } = case;
    let (bench, given) = (Bench::new(gpu), Given::new(case));
    let parameters = Parameters::new(gpu, given.declarations.clone())?;
    for spec in &given.declarations.parameters {
        bench.put(&parameters.parameter(&spec.name).value, &given.values[&spec.name]);
    }
    for spec in &given.declarations.statistics {
        bench.put(&parameters.statistic(&spec.name), &given.values[&spec.name]);
    }
    let x = bench.poisoned("x", &[capacity.frames, capacity.batch, inputs])?;
    let scratch = (0..layers).map(|layer| IndrnnBlock::scratch(case.shape(layer), capacity.frames, capacity.batch)).max();
    let head = LinearShape { inputs: hidden, outputs: CLASSES }.scratch();
    let scratch = bench.poisoned("scratch", &[scratch.unwrap_or(0).max(head)])?;
    let seed = gpu.tensor("seed", Element::U32, &[2])?;
    let context = SequenceContext {
        gpu,
        parameters: &parameters,
        scratch: &scratch,
        frames: capacity.frames,
        batch: capacity.batch,
        dropout: DropoutSeed { p: 0.0, seed: &seed, streams: &std::cell::Cell::new(0) },
    };
    let logits = Map::new(gpu, "logits", &[capacity.batch, CLASSES])?;
    let mut network: Vec<Box<dyn Layer>> = Vec::new();
    if let Some(fold) = fold {
        let x = Channels::whole(&x);
        network.push(Box::new(FoldedIndrnn::with_path(&context, case.path, fold, layers, hidden, readout, &x, &logits)?));
    } else {
        let (mut value, mut below): (Channels, Option<Map>) = (Channels::whole(&x), None);
        for layer in 0..layers {
            let y = context.map("layer", hidden)?;
            let dx = below.as_ref().map(|map| &map.grad);
            network.push(Box::new(IndrnnBlock::new(&context, &format!("layers.{layer}"), NormPlace::After, &value, dx, &y)?));
            (value, below) = (y.value.clone(), Some(y));
        }
        let top = below.unwrap_or_else(|| panic!("no layers"));
        network.push(Box::new(SequenceHead::new(&context, readout, &top, &logits)?));
    }
    let forward = |size, mode| bench.run(|pass| network.iter().for_each(|layer| layer.forward(pass, size, mode)));
    let backward = |size| bench.run(|pass| network.iter().rev().for_each(|layer| layer.backward(pass, size)));
    let statistics: Vec<f32> = bench.get(parameters.statistics().whole())?;
    // What the network keeps to itself is full of NaN from a batch of that.
    bench.poison(&logits.grad.tensor);
    forward(capacity, Mode::Train)?;
    backward(capacity)?;
    gpu.write(parameters.statistics().whole(), &statistics);
    for tensor in [&x, &scratch, &logits.value.tensor, &logits.grad.tensor, parameters.gradients().whole()] {
        bench.poison(tensor);
    }
    bench.put(&x, &given.x);
    bench.put(&logits.grad.tensor, &given.dlogits);
    forward(size, case.mode)?;
    let mut outputs = vec![bench.get(&logits.value.tensor)?];
    if case.mode != Mode::Evaluate {
        backward(size)?;
        for spec in &given.declarations.parameters {
            outputs.push(bench.get(&parameters.parameter(&spec.name).grad)?);
        }
    }
    for spec in &given.declarations.statistics {
        outputs.push(bench.get(&parameters.statistic(&spec.name))?);
    }
    Ok(outputs)
}

/// All of [`run`].
pub fn check(gpu: &Gpu, case: Case, fold: Option<NormFold>) -> Result<Vec<Comparison>, GpuError> {
    let given = Given::new(case);
    let expected = expected(case, &given);
    let gradients = given.declarations.parameters.iter().filter(|_| case.mode != Mode::Evaluate).map(|spec| &spec.name);
    let names = gradients.chain(given.declarations.statistics.iter().map(|spec| &spec.name));
    let actual = run(gpu, case, fold)?;
    let mut result = Comparisons::new(if fold.is_some() { "indrnn_fold" } else { "indrnn" }, &case);
    let (logits, rows) = (Layout::rows(case.capacity.batch, CLASSES), Size { batch: case.size.batch, frames: 1 });
    result.add("logits", &logits.spread(rows, &expected["logits"]), &actual[0]);
    for (name, actual) in names.zip(&actual[1..]) {
        let kinds =
            ["input.weight", "input.bias", "recurrent.weight", "bn.weight", "bn.bias", "classifier.weight", "classifier.bias"];
        let kind = kinds.into_iter().find(|kind| name.ends_with(kind)).unwrap_or("running statistics");
        let shifts = case.offset != 0.0 && (kind == "input.bias" || kind == "bn.bias");
        result.add_within(if shifts { SHIFT_TOLERANCE } else { TOLERANCE }, kind, &expected[name.as_str()], actual);
    }
    Ok(result.done())
}

/// How far the gradients of [`run`] are from those of exact numbers, as a share of these.
pub fn distance(gpu: &Gpu, case: Case, fold: Option<NormFold>) -> Result<f64, GpuError> {
    let given = Given::new(case);
    let expected = expected(case, &given);
    let actual = run(gpu, case, fold)?;
    let (mut apart, mut all) = (0.0, 0.0);
    for (spec, actual) in given.declarations.parameters.iter().zip(&actual[1..]) {
        for (expected, actual) in expected[&spec.name].iter().zip(actual) {
            apart += (expected - f64::from(*actual)).powi(2);
            all += expected.powi(2);
        }
    }
    Ok((apart / all).sqrt())
}

/// What [`run`] should bring, tensors of just the batch, by name.
fn expected(case: Case, given: &Given) -> BTreeMap<String, Vec<f64>> {
    let Case { size: Size { batch, frames }, hidden, layers, mode, .. } = case;
    let (rows, get) = (batch * frames, |name: String| &given.values[&name]);
    let recurrence = indrnn::Size { time: frames, batch, hidden };
    let norm = batch_norm::Size { rows, channels: hidden };
    let product = |layer: usize| linear::Size { rows, inputs: case.shape(layer).inputs, outputs: hidden };
    let mut found = BTreeMap::new();
    let mut x = vec![given.x.clone()];
    let mut states = Vec::new();
    for layer in 0..layers {
        let name = |part: &str| format!("layers.{layer}.{part}");
        let a = linear::forward(product(layer), &x[layer], get(name("input.weight")), Some(get(name("input.bias"))));
        let h = indrnn::forward(recurrence, &a, get(name("recurrent.weight")), None);
        let [mut mean, mut var] = ["mean", "var"].map(|which| get(name(&format!("bn.running_{which}"))).clone());
        let statistics = match mode {
            Mode::Evaluate => batch_norm::Statistics::given(&mean, &var, EPSILON),
            Mode::Train | Mode::Recalibrate(_) => {
                let statistics = batch_norm::Statistics::of_batch(norm, &h, EPSILON);
                let momentum = if let Mode::Recalibrate(share) = mode { f64::from(share) } else { MOMENTUM };
                statistics.update_running(norm, momentum, &mut mean, &mut var);
                statistics
            }
        };
        found.extend([(name("bn.running_mean"), mean), (name("bn.running_var"), var)]);
        x.push(batch_norm::forward(norm, &h, &statistics, get(name("bn.weight")), get(name("bn.bias"))));
        states.push((h, statistics));
    }
    let pool = global_average_pool::Size::sequence(frames, batch, hidden);
    let read = match case.readout {
        Readout::Last => x[layers][(frames - 1) * batch * hidden..].to_vec(),
        Readout::Mean => global_average_pool::forward(pool, &x[layers]),
    };
    let classifier = linear::Size { rows: batch, inputs: hidden, outputs: CLASSES };
    let [weight, bias] = ["classifier.weight", "classifier.bias"].map(|name| get(name.into()));
    found.insert("logits".into(), linear::forward(classifier, &read, weight, Some(bias)));
    found.insert("classifier.weight".into(), linear::backward_weight(classifier, &read, &given.dlogits));
    found.insert("classifier.bias".into(), linear::backward_bias(classifier, &given.dlogits));
    let dread = linear::backward_input(classifier, &given.dlogits, weight);
    let mut dy = match case.readout {
        Readout::Last => [vec![0.0; (frames - 1) * batch * hidden], dread].concat(),
        Readout::Mean => global_average_pool::backward(pool, &dread),
    };
    for layer in (0..layers).rev() {
        let name = |part: &str| format!("layers.{layer}.{part}");
        let (h, statistics) = &states[layer];
        let through = batch_norm::backward_training(norm, h, &dy, statistics, get(name("bn.weight")));
        let gradients = indrnn::backward(recurrence, get(name("recurrent.weight")), None, h, &through.dx);
        dy = linear::backward_input(product(layer), &gradients.da, get(name("input.weight")));
        found.extend([
            (name("bn.weight"), through.dgamma),
            (name("bn.bias"), through.dbeta),
            (name("recurrent.weight"), gradients.du),
            (name("input.weight"), linear::backward_weight(product(layer), &x[layer], &gradients.da)),
            (name("input.bias"), linear::backward_bias(product(layer), &gradients.da)),
        ]);
    }
    found
}
