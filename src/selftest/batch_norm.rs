//! `batch_norm.wgsl` beside [`reference::batch_norm`].

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Gpu, GpuError, Tensor};
use crate::layers::{
    BatchNorm, BatchNormBackward, BatchNormGradients, ChannelStatistics, Declarations, Gradient, LEAST_CHUNK, Mode, Normalise,
    Parameters, Size, Slices,
};
use crate::reference;
use crate::reference::noise::Noise;

const EPSILON: f32 = 1e-3;
const MOMENTUM: f32 = 0.01;

/// One batch norm to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Samples and frames of this batch; a frame is one row.
    pub size: Size,
    /// Samples and frames that the layer is built for; at least `size`.
    pub capacity: Size,
    /// Channels.
    pub channels: usize,
    /// Channels that come before these in the statistics and the parameters: the map is one part of the input.
    pub behind: usize,
    /// The rows lie among this many more channels, of x, y, dy and dx.
    pub among: usize,
    /// Mean and deviation of x.
    pub distribution: [f64; 2],
    /// What the first row holds in place of its numbers: a corner of an image, where padding reaches furthest in.
    pub corner: Option<f64>,
    /// A ReLU follows.
    pub relu: bool,
    /// Whether dx is written or added to.
    pub gradient: Gradient,
    /// Training, evaluation or recalibration.
    pub mode: Mode,
    /// Samples that a slice of the batch holds.
    pub per_slice: usize,
}

impl Case {
    /// The plain one of these sizes.
    pub fn new([batch, frames, channels]: [usize; 3]) -> Self {
        let size = Size { batch, frames };
        let (distribution, gradient, mode) = ([0.3, 1.0], Gradient::Write, Mode::Train);
        Self {
            size,
            capacity: size,
            channels,
            behind: 0,
            among: 0,
            distribution,
            corner: None,
            relu: false,
            gradient,
            mode,
            per_slice: usize::MAX,
        }
    }

    fn slices(self) -> Slices {
        Slices::one(self.capacity.batch).at_most(self.per_slice)
    }

    fn layout(self, before: usize) -> Layout {
        Layout::images(self.capacity, 1, self.channels, self.slices())
            .among(before.min(self.among), self.among.saturating_sub(before))
    }

    fn scratch(self) -> usize {
        2 * self.channels * ((self.capacity.batch * self.capacity.frames).div_ceil(LEAST_CHUNK) + self.slices().count())
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Size { batch, frames }, [mean, deviation]) = (self.size, self.distribution);
        write!(f, "{batch} x {frames} x {}, mean {mean} deviation {deviation}, {:?}", self.channels, self.mode)?;
        super::describe_capacity(f, self.size, self.capacity, self.per_slice)?;
        let adds = self.gradient == Gradient::Add;
        for (present, word) in
            [(self.relu, "ReLU"), (self.among > 0, "channel parts"), (adds, "adding"), (self.corner.is_some(), "a far first row")]
        {
            if present {
                write!(f, ", {word}")?;
            }
        }
        if self.behind > 0 {
            write!(f, ", behind {} channels", self.behind)?;
        }
        Ok(())
    }
}

/// The numbers of a case.
struct Numbers {
    x: Vec<f64>,
    dy: Vec<f64>,
    dx_before: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    running_mean: Vec<f64>,
    running_var: Vec<f64>,
}

impl Numbers {
    fn new(case: Case) -> Self {
        let all = case.behind + case.channels;
        let count = case.size.batch * case.size.frames * case.channels;
        let mut noise = Noise::new(count as u64);
        let [mean, deviation] = case.distribution;
        // Uniform in [-1, 1) has a deviation of 1 / sqrt 3.
        let mut x: Vec<f64> =
            noise.numbers(count).into_iter().map(|x| f64::from((mean + 3f64.sqrt() * deviation * x) as f32)).collect();
        if let Some(corner) = case.corner {
            x[..case.channels].fill(corner);
        }
        Self {
            x,
            dy: noise.numbers(count),
            dx_before: noise.numbers(count),
            gamma: noise.numbers(all),
            beta: noise.numbers(all),
            running_mean: noise.numbers(all).into_iter().map(|number| number + mean).collect(),
            running_var: noise.numbers(all).into_iter().map(|number| 1.5 + number).collect(),
        }
    }
}

/// Statistics, running statistics, scale, shift, forward and, in training, every gradient.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let (bench, slices, all) = (Bench::new(gpu), case.slices(), case.behind + case.channels);
    let mut numbers = Numbers::new(case);
    let expected = Expected::new(case, &mut numbers);
    let [in_x, in_y, in_dy, in_dx] = [0, 1, 2, 3].map(|before| case.layout(before));

    let mut declarations = Declarations::default();
    BatchNorm::declare(&mut declarations, "bn", all);
    let parameters = Parameters::new(gpu, declarations)?;
    bench.poison(parameters.gradients().whole());
    let [running_mean, running_var] = ["bn.running_mean", "bn.running_var"].map(|name| parameters.statistic(name));
    bench.put(&running_mean, &numbers.running_mean);
    bench.put(&running_var, &numbers.running_var);
    // What the maps before this one would have left: mean 0, inverse deviation 1.
    let statistics = bench.given("statistics", &[all, 2], &[0.0, 1.0].repeat(case.behind))?;
    let scratch = bench.poisoned("scratch", &[case.scratch()])?;
    let x = bench.channels("x", in_x, &in_x.spread(case.size, &numbers.x))?;
    let y = bench.channels("y", in_y, &in_y.nothing())?;
    let dy = bench.channels("dy", in_dy, &in_dy.spread(case.size, &numbers.dy))?;
    let adds = case.gradient == Gradient::Add;
    let dx_start = if adds { in_dx.spread(case.size, &numbers.dx_before) } else { in_dx.nothing() };
    let dx = bench.channels("dx", in_dx, &dx_start)?;
    let norm = BatchNorm::new(gpu, &parameters, "bn", &statistics, EPSILON, MOMENTUM)?;
    bench.put(&norm.gamma.value, &numbers.gamma);
    bench.put(&norm.beta.value, &numbers.beta);
    bench.poison(&norm.scale);
    bench.poison(&norm.shift);
    let moments = ChannelStatistics::new(gpu, &x, slices, &statistics, case.behind, EPSILON, &scratch)?;
    // A stored forward is only there for batch norms of one whole map.
    let normalise = if case.behind == 0 { Some(Normalise::new(gpu, &norm, &x, &y, case.relu, slices)?) } else { None };
    let gradients = BatchNormGradients {
        x: &x,
        dy: &dy,
        dx: &dx,
        statistics: &statistics,
        statistics_first: case.behind,
        parameters_first: case.behind,
        relu: case.relu,
        gradient: case.gradient,
    };
    let backward = BatchNormBackward::new(gpu, &norm, slices, &gradients, &scratch)?;
    let trains = case.mode != Mode::Evaluate;
    bench.run(|pass| {
        if trains {
            moments.compute(pass, case.size.batch, case.size.frames);
        }
        norm.fold(pass, case.size.batch * case.size.frames, case.mode);
        if let Some(normalise) = &normalise {
            normalise.forward(pass, case.size.batch, case.size.frames);
        }
        if trains {
            backward.backward(pass, case.size.batch, case.size.frames);
        }
    })?;

    let mut result = Comparisons::new("batch_norm", &case);
    let own = |tensor: &Tensor| bench.get(tensor).map(|values| values[case.behind..].to_vec());
    if trains {
        let pairs = bench.get(&statistics)?;
        let [mean, inv_std] =
            [0, 1].map(|which| pairs.iter().skip(2 * case.behind + which).step_by(2).copied().collect::<Vec<f32>>());
        result.add("mean", &expected.mean, &mean);
        result.add("inv_std", &expected.inv_std, &inv_std);
    }
    result.add("running_mean", &expected.running_mean, &own(&running_mean)?);
    result.add("running_var", &expected.running_var, &own(&running_var)?);
    result.add("scale", &expected.scale, &own(&norm.scale)?);
    result.add("shift", &expected.shift, &own(&norm.shift)?);
    if case.behind == 0 {
        result.add("y", &in_y.spread(case.size, &expected.y), &bench.get(&y.tensor)?);
    }
    if trains {
        result.add_sums(expected.terms, "dx", &in_dx.spread(case.size, &expected.dx), &bench.get(&dx.tensor)?);
        result.add_sums(1.0, "dgamma", &expected.dgamma, &own(&norm.gamma.grad)?);
        result.add_sums(1.0, "dbeta", &expected.dbeta, &own(&norm.beta.grad)?);
    }
    Ok(result.done())
}

/// What the reference makes of a case.
struct Expected {
    mean: Vec<f64>,
    inv_std: Vec<f64>,
    running_mean: Vec<f64>,
    running_var: Vec<f64>,
    scale: Vec<f64>,
    shift: Vec<f64>,
    y: Vec<f64>,
    dx: Vec<f64>,
    /// The largest of the terms that dx is the difference of; over a few rows they nearly cancel.
    terms: f64,
    dgamma: Vec<f64>,
    dbeta: Vec<f64>,
}

impl Expected {
    /// Takes the gradient away where a ReLU's input is too near zero to say on which side rounding puts it.
    fn new(case: Case, numbers: &mut Numbers) -> Self {
        let size = reference::batch_norm::Size { rows: case.size.batch * case.size.frames, channels: case.channels };
        let own = |values: &[f64]| values[case.behind..].to_vec();
        let (gamma, beta) = (own(&numbers.gamma), own(&numbers.beta));
        let (mut running_mean, mut running_var) = (own(&numbers.running_mean), own(&numbers.running_var));
        let batch = reference::batch_norm::Statistics::of_batch(size, &numbers.x, f64::from(EPSILON));
        let statistics = match case.mode {
            Mode::Evaluate => reference::batch_norm::Statistics::given(&running_mean, &running_var, f64::from(EPSILON)),
            Mode::Train | Mode::Recalibrate(_) => batch.clone(),
        };
        match case.mode {
            Mode::Train => batch.update_running(size, f64::from(MOMENTUM), &mut running_mean, &mut running_var),
            Mode::Recalibrate(share) => batch.update_running(size, f64::from(share), &mut running_mean, &mut running_var),
            Mode::Evaluate => {}
        }
        let z = reference::batch_norm::forward(size, &numbers.x, &statistics, &gamma, &beta);
        if case.relu {
            numbers.dy.iter_mut().zip(&z).filter(|(_, z)| z.abs() < 1e-3).for_each(|(dy, _)| *dy = 0.0);
        }
        let dz = if case.relu { reference::relu::backward(&z, &numbers.dy) } else { numbers.dy.clone() };
        let gradients = reference::batch_norm::backward_training(size, &numbers.x, &dz, &statistics, &gamma);
        let mut dx = gradients.dx;
        if case.gradient == Gradient::Add {
            dx.iter_mut().zip(&numbers.dx_before).for_each(|(dx, before)| *dx += before);
        }
        let scale: Vec<f64> = gamma.iter().zip(&statistics.inv_std).map(|(gamma, inv_std)| gamma * inv_std).collect();
        Self {
            running_mean,
            running_var,
            shift: beta.iter().zip(statistics.mean.iter().zip(&scale)).map(|(beta, (mean, scale))| beta - mean * scale).collect(),
            terms: scale.iter().map(|scale| scale.abs()).fold(0.0, f64::max),
            scale,
            y: if case.relu { reference::relu::forward(&z) } else { z },
            mean: statistics.mean,
            inv_std: statistics.inv_std,
            dx,
            dgamma: gradients.dgamma,
            dbeta: gradients.dbeta,
        }
    }
}
