//! Everything that moves numbers more than it computes: norms, pools, element-wise layers, the loss, the optimiser.

use super::Table;
use crate::gpu::{Element, GpuError};
use crate::layers::{
    Add, AveragePool, BatchNorm, BatchNormBackward, BatchNormGradients, ChannelStatistics, Declarations, Dropout, FileLayout,
    GlobalAveragePool, Gradient, GradientScale, Initial, LastStep, Layer, MaxPool, Mode, Normalise, Parameters, PoolShape, Relu,
    Size, Slices, SoftmaxCrossEntropy, Standardise, StandardiseTo,
};
use crate::optim::{Optimizer, OptimizerSettings};

const EPSILON: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;
/// Parameters of the largest of the usual networks: an LSTM of 5 x 128.
const PARAMETERS: usize = 661_125;

/// What BBNN does beside its convolutions.
pub(super) fn images(table: &mut Table<'_>, batch: usize) -> Result<(), GpuError> {
    let (gpu, slices) = (table.gpu, Slices::one(batch));
    batch_norm(table, &format!("{batch} x 161 x 128 x 128, folded"), [batch, 161 * 128, 128], false)?;
    if table.wants("max_pool") {
        let (stem, map) = (table.map("stem", &[batch, 647, 128, 32])?, table.map("map", &[batch, 161, 128, 32])?);
        let wide = [table.map("wide", &[batch, 161, 128, 128])?, table.map("pooled", &[batch, 161, 128, 128])?];
        for (shape, [x, y], words, frames) in [
            (PoolShape::valid([4, 1]), [&stem, &map], format!("4x1, {batch} x 647 x 128 x 32"), 647),
            (PoolShape::same([3, 3]), [&wide[0], &wide[1]], format!("3x3 same, {batch} x 161 x 128 x 128"), 161),
        ] {
            let pool = MaxPool::new(gpu, shape, slices, x, y, Gradient::Write)?;
            table.case("max_pool", "max_pool", &words, |pass| {
                pool.forward(pass, batch, frames);
                pool.backward(pass, batch, frames);
            })?;
        }
    }
    if table.wants("average_pool") {
        let (x, y) = (table.map("map", &[batch, 161, 128, 32])?, table.map("head", &[batch, 80, 64, 32])?);
        let pool = AveragePool::new(gpu, [2, 2], slices, &x, &y)?;
        table.case("average_pool", "average_pool", &format!("2x2, {batch} x 161 x 128 x 32"), |pass| {
            pool.forward(pass, batch, 161);
            pool.backward(pass, batch, 161);
        })?;
    }
    if table.wants("global_average_pool") {
        let (x, y) = (table.map("head", &[batch, 80, 64, 32])?, table.map("means", &[batch, 32])?);
        let pool = GlobalAveragePool::image(gpu, slices, &x, &y)?;
        table.case("global_average_pool", "global_average_pool", &format!("{batch} x 80 x 64 x 32"), |pass| {
            pool.forward(pass, batch, 80 * 64);
            pool.backward(pass, batch, 80 * 64);
        })?;
    }
    Ok(())
}

/// What the recurrent networks do beside their products and recurrences.
pub(super) fn sequences(table: &mut Table<'_>, frames: usize, batch: usize, hidden: usize) -> Result<(), GpuError> {
    let (gpu, size, shape) = (table.gpu, Size { batch, frames }, [frames, batch, hidden]);
    let words = format!("{frames} frames x {batch} x {hidden}");
    batch_norm(table, &format!("{words}, stored"), [1, frames * batch, hidden], true)?;
    if table.wants("elementwise") {
        let (x, y, last) = (table.map("x", &shape)?, table.map("y", &shape)?, table.map("last", &[batch, hidden])?);
        let (elements, seed) = (frames * batch * hidden, gpu.tensor("seed", Element::U32, &[2])?);
        let (relu, last) = (Relu::new(gpu, &x, &y)?, LastStep::new(gpu, &x, &last)?);
        let add = Add::new(gpu, &x.value.tensor, &x.grad.tensor, &y.value.tensor)?;
        let dropout = Dropout::new(gpu, &x, &y, &seed, 0.3, 1)?;
        table.case("elementwise", "elementwise", &words, |pass| {
            relu.forward(pass, elements);
            relu.backward(pass, elements);
            add.forward(pass, elements);
            dropout.forward(pass, size, Mode::Train);
            dropout.backward(pass, size);
            last.forward(pass, size);
            last.backward(pass, size);
        })?;
    }
    if table.wants("standardise") {
        let (features, y) = (table.tensor("features", &[batch, frames, hidden])?, table.tensor("y", &shape)?);
        let standardise = Standardise::new(gpu, &features, StandardiseTo::Sequence, &y)?;
        table.case("standardise", "standardise", &words, |pass| standardise.forward(pass, size))?;
    }
    Ok(())
}

/// What every network ends with.
pub(super) fn network(table: &mut Table<'_>) -> Result<(), GpuError> {
    let gpu = table.gpu;
    if table.wants("softmax_cross_entropy") {
        let loss = SoftmaxCrossEntropy::new(gpu, &table.map("logits", &[32, 10])?, &GradientScale::new(gpu)?)?;
        table.case("softmax_cross_entropy", "softmax_cross_entropy", "32 x 10", |pass| loss.forward(pass, 32, None))?;
    }
    if table.wants("adam") {
        let mut declarations = Declarations::default();
        declarations.parameter("weight".into(), &[PARAMETERS], FileLayout::Vector, Initial::Constant(0.0));
        let parameters = Parameters::new(gpu, declarations)?;
        gpu.write(parameters.gradients().whole(), &table.noise[..PARAMETERS]);
        let optimizer = Optimizer::new(gpu, &parameters, OptimizerSettings { clip_norm: 1.0, ..OptimizerSettings::default() })?;
        table.case("adam", "adam", &format!("{PARAMETERS} parameters"), |pass| optimizer.step(pass, 1e-4))?;
    }
    Ok(())
}

/// Statistics, the fold into scale and shift, and every gradient; the forward itself where a normalised map is stored.
fn batch_norm(table: &mut Table<'_>, words: &str, [batch, rows, channels]: [usize; 3], stored: bool) -> Result<(), GpuError> {
    if !table.wants("batch_norm") {
        return Ok(());
    }
    let (gpu, slices) = (table.gpu, Slices::one(batch));
    let mut declarations = Declarations::default();
    BatchNorm::declare(&mut declarations, "bn", channels);
    let parameters = Parameters::new(gpu, declarations)?;
    let (x, y) = (table.map("x", &[batch, rows, channels])?, table.map("y", &[batch, rows, channels])?);
    let statistics = table.tensor("statistics", &[channels, 2])?;
    let scratch = table.tensor("scratch", &[2 * channels * (batch * rows).div_ceil(256)])?;
    let norm = BatchNorm::new(gpu, &parameters, "bn", &statistics, EPSILON, MOMENTUM)?;
    gpu.write(&norm.gamma.value, &vec![1.0f32; channels]);
    let moments = ChannelStatistics::new(gpu, &x.value, slices, &statistics, 0, EPSILON, &scratch)?;
    let normalise = if stored { Some(Normalise::new(gpu, &norm, &x.value, &y.value, false, slices)?) } else { None };
    let gradients = BatchNormGradients {
        x: &x.value,
        dy: &y.grad,
        dx: &x.grad,
        statistics: &statistics,
        statistics_first: 0,
        parameters_first: 0,
        relu: !stored,
        gradient: Gradient::Write,
    };
    let backward = BatchNormBackward::new(gpu, &norm, slices, &gradients, &scratch)?;
    table.case("batch_norm", "batch_norm", words, |pass| {
        moments.compute(pass, batch, rows);
        norm.fold(pass, batch * rows, Mode::Train);
        if let Some(normalise) = &normalise {
            normalise.forward(pass, batch, rows);
        }
        backward.backward(pass, batch, rows);
    })
}
