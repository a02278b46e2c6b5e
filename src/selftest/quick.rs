//! The few cases that `melgrad doctor` runs: each kernel family once, with sizes that no tile divides.

use super::{
    Comparison, accumulate, batch_norm, convolution, dropout, elementwise, gather, global_average_pool, indrnn, indrnn_folded,
    linear, optimizer, pool, recurrent, recurrent_stack, softmax_cross_entropy, stem, unit,
};
use crate::gpu::{Element, Gpu, GpuError, Precision};
use crate::layers::{
    Cell, ConvolutionVariant, ConvolutionVariants, Gradient, IndrnnPath, Mode, NormFold, PoolShape, ProductTile,
    RecurrenceVariant, Size, StackOrder, WavefrontPlan,
};
use crate::optim::{OptimizerSettings, Rule};
use std::time::Instant;

/// What became of one kernel family.
#[derive(Debug)]
pub struct Outcome {
    /// The family.
    pub kernel: &'static str,
    /// The shader that the adapter gets.
    pub shader: &'static str,
    /// Compilation included.
    pub seconds: f64,
    /// Every tensor that was compared, or why the kernels did not run.
    pub comparisons: Result<Vec<Comparison>, GpuError>,
}

impl Outcome {
    /// Whether the kernels ran and agree with the reference.
    pub fn passes(&self) -> bool {
        self.comparisons.as_ref().is_ok_and(|list| list.iter().all(Comparison::passes))
    }
}

type Check = fn(&Gpu) -> Result<Vec<Comparison>, GpuError>;

const SIZE: Size = Size { batch: 2, frames: 7 };
const CAPACITY: Size = Size { batch: 3, frames: 9 };

const RECURRENT: Size = Size { batch: 5, frames: 70 };
const RECURRENT_HIDDEN: usize = 34;
const CAPACITY_OF_STACKS: Size = Size { batch: 4, frames: 45 };

const ELEMENTS: elementwise::Case = elementwise::Case { size: SIZE, capacity: CAPACITY, channels: 13, per_slice: usize::MAX };

const FAMILIES: [(&str, Check); 23] = [
    ("convolution", |gpu| {
        // In eights, and in fours.
        let mut list = Vec::new();
        for (among, channels) in [(16, [24, 40]), (12, [12, 20])] {
            let case = convolution::Case::new([3, 3], channels, [2, 7, 13]);
            let folded = convolution::Case { fold: true, among, gradient: Gradient::Add, capacity: CAPACITY, ..case };
            list.extend(convolution::check(gpu, folded)?);
        }
        list.extend(check_halves(&gpu.with_precision(Precision::Mixed))?);
        Ok(list)
    }),
    ("linear", |gpu| linear::check(gpu, linear::Case { rows: 33, capacity: 40, inputs: 130, outputs: 10 })),
    ("stem", |gpu| {
        let (element, lift) = (Element::F32, 0.0);
        let windows =
            stem::Case { size: SIZE, capacity: CAPACITY, mel: 13, width: 12, pool: [4, 1], per_slice: usize::MAX, element, lift };
        let mut list = stem::check(gpu, windows)?;
        list.extend(stem::check(gpu, stem::Case { element: Element::F16, ..windows })?);
        Ok(list)
    }),
    ("max_pool", |gpu| {
        let same = pool::Case { ties: true, ..pool::Case::new(PoolShape::same([3, 3]), [2, 7, 13, 5]) };
        pool::check_max(gpu, pool::Case { capacity: CAPACITY, ..same })
    }),
    ("average_pool", |gpu| pool::check_average(gpu, pool::Case::new(PoolShape::valid([2, 2]), [2, 7, 13, 5]))),
    ("global_average_pool", |gpu| {
        let case =
            global_average_pool::Case { size: SIZE, capacity: CAPACITY, mel: Some(13), channels: 33, per_slice: usize::MAX };
        global_average_pool::check(gpu, case)
    }),
    ("batch_norm", |gpu| {
        let case = batch_norm::Case { relu: true, among: 3, distribution: [-60.0, 0.5], ..batch_norm::Case::new([2, 650, 33]) };
        batch_norm::check(gpu, case)
    }),
    ("relu", |gpu| elementwise::check_relu(gpu, ELEMENTS)),
    ("last_step", |gpu| elementwise::check_last_step(gpu, ELEMENTS)),
    ("gather", |gpu| {
        let whole = gather::Case { size: SIZE, capacity: CAPACITY, mel: 12, chunks: 2, masks: [2, 1], changed: true };
        let mut list = gather::check(gpu, whole)?;
        list.extend(gather::check(gpu, gather::Case { mel: 13, ..whole })?);
        Ok(list)
    }),
    ("standardise", |gpu| {
        let mut list = elementwise::check_standardise(gpu, ELEMENTS)?;
        list.extend(elementwise::check_standardise(gpu, elementwise::Case { channels: 12, ..ELEMENTS })?);
        Ok(list)
    }),
    ("indrnn", |gpu| {
        // Units in eights, and not.
        let case = recurrence(IndrnnPath::Sequential);
        let mut list = indrnn::check(gpu, indrnn::Case { hidden: 40, ..case })?;
        list.extend(indrnn::check(gpu, case)?);
        Ok(list)
    }),
    ("indrnn_scan", |gpu| indrnn::check(gpu, recurrence(IndrnnPath::Scan))),
    ("dropout", |gpu| {
        let (seed, stream, mode) = ([7, 0], 1, Mode::Train);
        dropout::check(gpu, dropout::Case { size: SIZE, capacity: CAPACITY, channels: 13, p: 0.3, seed, stream, mode })
    }),
    ("rnn", |gpu| check_recurrent(gpu, Cell::RnnTanh)),
    ("lstm", |gpu| check_recurrent(gpu, Cell::Lstm)),
    ("gru", |gpu| check_recurrent(gpu, Cell::Gru)),
    ("indrnn_fold", |gpu| {
        let case = indrnn_folded::Case { capacity: CAPACITY_OF_STACKS, ..indrnn_folded::Case::new([2, 40, 3, 13, 33]) };
        let mut list = indrnn_folded::check(gpu, case, Some(NormFold::Whole))?;
        list.extend(indrnn_folded::check(gpu, case, Some(NormFold::Affine))?);
        Ok(list)
    }),
    ("wavefront", check_wavefront),
    ("softmax_cross_entropy", |gpu| {
        let plain = softmax_cross_entropy::Case { capacity: 100, ..softmax_cross_entropy::Case::new(70, 10, 40.0) };
        let broken = softmax_cross_entropy::Case { broken: Some(f32::NAN), ..plain };
        let mut list = softmax_cross_entropy::check(gpu, broken)?;
        let weighted = softmax_cross_entropy::Case { smoothing: 0.1, weighted: true, divisor: Some(99.0), ..plain };
        list.extend(softmax_cross_entropy::check(gpu, weighted)?);
        Ok(list)
    }),
    ("adam", |gpu| {
        let mut list = updates(gpu, Rule::ADAM)?;
        list.extend(updates(gpu, Rule::ADAMW)?);
        Ok(list)
    }),
    ("accumulate", |gpu| accumulate::check(gpu, accumulate::Case { elements: 4321, batches: 3 })),
    ("sgd", |gpu| updates(gpu, Rule::Sgd { momentum: 0.9 })),
];

/// A unit over maps stored as halves, by the first kernels that take these.
fn check_halves(gpu: &Gpu) -> Result<Vec<Comparison>, GpuError> {
    let case = unit::Case {
        size: SIZE,
        mel: 13,
        kernel: 3,
        sources: [12, 0],
        outputs: 8,
        before: 4,
        gradient: Gradient::Add,
        per_slice: usize::MAX,
        element: Element::F16,
        lift: 0.0,
    };
    let Some(variant) = ConvolutionVariant::available(gpu).into_iter().find(ConvolutionVariant::takes_halves) else {
        return Ok(Vec::new());
    };
    unit::check(gpu, ConvolutionVariants::fitting(gpu, variant, case.shape(), case.element), case)
}

fn recurrence(path: IndrnnPath) -> indrnn::Case {
    let capacity = Size { batch: 5, frames: 70 };
    indrnn::Case { capacity, path, ..indrnn::Case::new(64, 3, 33, indrnn::Weights::Mixed) }
}

fn updates(gpu: &Gpu, rule: Rule) -> Result<Vec<Comparison>, GpuError> {
    let settings = OptimizerSettings { rule, clip_norm: 5.0, clip_value: 0.1, weight_decay: 0.01 };
    optimizer::check(gpu, optimizer::Case { weight: [70, 61], hidden: 13, settings, broken: Some(f32::NAN), gradient_scale: 1.0 })
}

fn check_recurrent(gpu: &Gpu, cell: Cell) -> Result<Vec<Comparison>, GpuError> {
    let case = recurrent::Case::new(cell, [64, 3, RECURRENT_HIDDEN]);
    let variants = RecurrenceVariant::choose(gpu, cell, RECURRENT, RECURRENT_HIDDEN);
    recurrent::check(gpu, variants, recurrent::Case { capacity: RECURRENT, inputs: 33, ..case })
}

/// A stack as a wavefront, or one level after the other where no kernel that takes part fits the adapter.
fn check_wavefront(gpu: &Gpu) -> Result<Vec<Comparison>, GpuError> {
    let (cell, hidden) = (Cell::Lstm, 20);
    let takes_part = |pair: &[RecurrenceVariant; 2]| pair.iter().all(|variant| variant.takes_levels());
    let pair = RecurrenceVariant::pairs(gpu, cell, hidden).into_iter().find(takes_part);
    let order = pair.map(|variants| {
        StackOrder::Wavefront(WavefrontPlan { variants, chunks: 5, width: 2, tile: ProductTile::tiled([64, 64, 1]) })
    });
    let case = recurrent_stack::Case {
        cell,
        order: order.unwrap_or(StackOrder::Levels([RecurrenceVariant::Plain; 2])),
        levels: 3,
        size: Size { batch: 3, frames: 41 },
        capacity: CAPACITY_OF_STACKS,
        inputs: 13,
        hidden,
        p: 0.3,
    };
    recurrent_stack::check(gpu, case)
}

/// The shader of a family that the adapter gets.
fn shader(gpu: &Gpu, kernel: &'static str) -> &'static str {
    let recurrence = |cell| RecurrenceVariant::choose(gpu, cell, RECURRENT, RECURRENT_HIDDEN)[0].name(cell);
    match kernel {
        "rnn" => recurrence(Cell::RnnTanh),
        "lstm" => recurrence(Cell::Lstm),
        "gru" => recurrence(Cell::Gru),
        _ => kernel,
    }
}

/// Tries every kernel family on `gpu`; one that fails does not keep the others from being tried.
pub fn run(gpu: &Gpu) -> Vec<Outcome> {
    let outcome = |(kernel, check): (&'static str, Check)| {
        let began = Instant::now();
        let comparisons = check(gpu);
        let ran = comparisons.as_ref().ok().and_then(|list| list.first());
        let shader = ran.map_or(shader(gpu, kernel), |comparison| comparison.kernel);
        Outcome { kernel, shader, seconds: began.elapsed().as_secs_f64(), comparisons }
    };
    FAMILIES.into_iter().map(outcome).collect()
}
