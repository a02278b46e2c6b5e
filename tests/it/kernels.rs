//! Every kernel of a layer beside its `f64` reference over a table of odd shapes, compiled without runtime checks as in use, and
//! again with them: a read or write out of bounds shows as a difference between the two.

use melgrad::gpu::{Gpu, GpuError, GpuOptions, Precision};
use melgrad::layers::{ConvolutionVariant, ConvolutionVariants, Gradient, Mode, PoolShape, Size};
use melgrad::selftest::{Comparison, batch_norm, convolution, elementwise, global_average_pool, linear, pool, unit};
use std::fmt::Write;
use std::sync::OnceLock;

/// The adapter without and with runtime checks; opened once.
pub(crate) fn devices() -> [&'static Gpu; 2] {
    static DEVICES: [OnceLock<Gpu>; 2] = [OnceLock::new(), OnceLock::new()];
    [false, true].map(|runtime_checks| {
        DEVICES[usize::from(runtime_checks)].get_or_init(|| {
            let options = GpuOptions { runtime_checks, choice: crate::chosen(), ..GpuOptions::default() };
            Gpu::open(&options).unwrap_or_else(|error| panic!("these tests need an adapter, a software one will do: {error}"))
        })
    })
}

/// Runs `check` over `cases` on both devices; fails with the table of everything that disagrees.
pub(crate) fn try_all<C: Copy + Sync + std::fmt::Display>(
    cases: &[C],
    check: impl Fn(&Gpu, C) -> Result<Vec<Comparison>, GpuError> + Sync,
) {
    try_each([cases, cases], check);
}

/// As [`try_all`], with cases of its own for the device with runtime checks: drivers take seconds to compile large kernels
/// with them.
pub(crate) fn try_each<C: Copy + Sync + std::fmt::Display>(
    cases: [&[C]; 2],
    check: impl Fn(&Gpu, C) -> Result<Vec<Comparison>, GpuError> + Sync,
) {
    let (mut misses, mut compared) = (String::new(), Vec::new());
    let check = &check;
    std::thread::scope(|scope| {
        let runs = [0, 1].map(|i| (devices()[i], cases[i])).map(|(gpu, cases)| {
            (gpu, cases, scope.spawn(move || cases.iter().map(|&case| check(gpu, case)).collect::<Vec<_>>()))
        });
        for (gpu, cases, run) in runs {
            let mode = if gpu.runtime_checks() { "checked" } else { "unchecked" };
            for (case, outcome) in cases.iter().zip(run.join().unwrap()) {
                match outcome {
                    Ok(list) => compared.extend(list.into_iter().map(|comparison| (mode, comparison))),
                    Err(error) => writeln!(misses, "{case}, {mode}: {error}").unwrap(),
                }
            }
        }
    });
    for (mode, c) in compared.iter().filter(|(_, c)| !c.passes()) {
        let (absolute, relative) = (c.worst_absolute, c.worst_relative);
        writeln!(
            misses,
            "{:<13} off by {absolute:<9.2e} = {relative:<9.2e} (allowed {:.0e})  {mode}: {}",
            c.compared, c.tolerance, c.case
        )
        .unwrap();
    }
    if let Some((_, c)) = compared.iter().max_by(|(_, a), (_, b)| a.worst_relative.total_cmp(&b.worst_relative)) {
        println!(
            "{}: {} tensors compared, worst {:.1e} ({} of {})",
            c.kernel,
            compared.len(),
            c.worst_relative,
            c.compared,
            c.case
        );
    }
    assert!(misses.is_empty(), "\n{misses}");
}

pub(crate) fn size(batch: usize, frames: usize) -> Size {
    Size { batch, frames }
}

/// Every kernel size, with sizes of channels, images and batches that tiles do not divide.
fn convolutions() -> Vec<convolution::Case> {
    use convolution::Case;
    let plain = Case::new;
    let folded = Case { fold: true, gradient: Gradient::Add, among: 5, ..plain([3, 3], [5, 10], [3, 7, 13]) };
    let part = Case { fold: true, first_input: 7, gradient: Gradient::Add, among: 3, ..plain([1, 1], [33, 32], [3, 7, 13]) };
    let sliced = Case { per_slice: 2, ..plain([3, 3], [4, 16], [3, 4, 16]) };
    vec![
        folded,
        // The last batch is smaller, and of other lengths.
        Case { capacity: size(5, 9), ..folded },
        part,
        Case { capacity: size(5, 9), ..part },
        // Slices begin at multiples of 256 bytes, which every adapter takes.
        sliced,
        Case { per_slice: 1, ..sliced },
        Case { size: size(2, 3), capacity: size(5, 4), ..sliced },
        Case { size: size(4, 3), capacity: size(5, 4), ..sliced },
        // Kernels are compiled for the sizes of tap and channel alone: further batches and lengths cost little.
        plain([1, 1], [1, 1], [1, 1, 1]),
        plain([1, 1], [2, 3], [3, 7, 3]),
        plain([1, 1], [2, 3], [1, 1, 3]),
        plain([1, 1], [33, 40], [1, 64, 13]),
        plain([1, 1], [33, 40], [3, 2, 13]),
        plain([1, 1], [130, 10], [1, 1, 1]),
        plain([1, 1], [130, 10], [3, 64, 1]),
        plain([3, 3], [1, 32], [1, 7, 128]),
        plain([3, 3], [1, 32], [3, 1, 128]),
        Case { fold: true, gradient: Gradient::Add, among: 3, ..plain([5, 3], [1, 10], [2, 7, 13]) },
        plain([3, 3], [33, 40], [3, 2, 3]),
        plain([3, 3], [33, 40], [1, 64, 3]),
        plain([5, 5], [32, 32], [1, 7, 13]),
        plain([5, 5], [32, 32], [3, 1, 13]),
        plain([5, 5], [5, 3], [3, 1, 1]),
        plain([5, 5], [5, 3], [1, 7, 1]),
        plain([1, 7], [2, 10], [3, 7, 13]),
        plain([3, 1], [5, 3], [3, 64, 3]),
        Case { fold: true, ..plain([7, 3], [3, 33], [1, 2, 13]) },
        // More pixels than one split of the weight gradient holds, and more than 64 splits of the least size.
        Case { per_slice: 2, ..plain([1, 1], [16, 16], [3, 64, 128]) },
    ]
}

/// Runs the kernels of one variant in one precision, if the adapter has it.
fn try_variant(shader: &str, precision: Precision, cases: [&[convolution::Case]; 2]) {
    let mut variants = ConvolutionVariant::available(&devices()[0].with_precision(precision));
    variants.retain(|variant| variant.name() == shader);
    if variants.is_empty() {
        println!("{} cannot run {shader} in {precision}", devices()[0].summary().name);
    }
    for (i, variant) in variants.into_iter().enumerate() {
        // Of tiles after the first, which is the same text, a few cases.
        let few = if i == 0 { cases } else { [&cases[0][..cases[0].len().min(4)], &[]] };
        let cases = few.map(|cases| cases.iter().copied().filter(|case| case.fits(variant)).collect::<Vec<_>>());
        try_each([&cases[0], &cases[1]], |gpu, case| {
            let gpu = gpu.with_precision(precision);
            convolution::check_variants(&gpu, ConvolutionVariants::fitting(&gpu, variant, case.shape()), case)
        });
    }
}

#[test]
fn convolution_agrees_with_its_reference() {
    let cases = convolutions();
    try_variant("convolution", Precision::F32, [&cases, &cases]);
    try_variant("convolution", Precision::Mixed, [&cases[..6], &cases[..6]]);
}

#[test]
fn convolution_subgroup_agrees_with_its_reference() {
    let cases = convolutions();
    // Its text is long: fewer sizes of tap and channel, and with runtime checks, where lavapipe compiles a kernel in ten
    // seconds, the one case that holds most.
    let few = [[5, 10], [33, 32], [4, 16], [33, 40], [130, 10], [1, 32], [5, 3]];
    let some: Vec<_> = cases.into_iter().filter(|case| few.contains(&case.channels) && case.mel != 3).collect();
    try_variant("convolution_subgroup", Precision::F32, [&some, &some[..2]]);
    try_variant("convolution_subgroup", Precision::Mixed, [&some[..2], &some[..1]]);
}

#[test]
fn convolution_aligned_subgroup_agrees_with_its_reference() {
    let cases = convolutions_in_fours();
    try_variant("convolution_aligned_subgroup", Precision::F32, [&cases, &cases[..2]]);
    try_variant("convolution_aligned_subgroup", Precision::Mixed, [&cases[..3], &cases[..1]]);
}

#[test]
fn convolution_single_agrees_with_its_reference() {
    let cases = convolutions();
    try_variant("convolution_single", Precision::F32, [&cases, &cases]);
}

#[test]
fn convolution_tiled_agrees_with_its_reference() {
    let cases = convolutions_in_fours();
    try_variant("convolution_tiled", Precision::F32, [&cases, &cases]);
    try_variant("convolution_tiled", Precision::Mixed, [&cases[..3], &cases[..3]]);
}

/// Matrix units are of few adapters: elsewhere the shaders are only validated.
#[test]
fn convolution_matrix_agrees_with_its_reference() {
    let plain = convolution::Case::new;
    // Tiles and steps that lie within lines of mel, of frames that have neighbours, and of several workgroups.
    let mut cases = convolutions_in_fours();
    for mel in [32, 64, 128] {
        let folded = convolution::Case { fold: true, gradient: Gradient::Add, among: 32, ..plain([5, 5], [32, 32], [2, 6, mel]) };
        cases.extend([folded, plain([3, 3], [36, 40], [1, 3, mel]), plain([1, 3], [16, 4], [2, 2, mel])]);
    }
    // Projections of sequences; and wide inputs, in part.
    cases.push(plain([1, 1], [128, 512], [3, 77, 1]));
    cases.push(convolution::Case { fold: true, first_input: 32, ..plain([1, 1], [288, 32], [2, 5, 128]) });
    try_variant("convolution_matrix", Precision::Mixed, [&cases, &cases]);
}

/// Channels in fours, and sizes that tiles do not divide.
fn convolutions_in_fours() -> Vec<convolution::Case> {
    use convolution::Case;
    let plain = Case::new;
    let folded = Case { fold: true, gradient: Gradient::Add, among: 12, ..plain([3, 3], [12, 20], [3, 7, 13]) };
    let part = Case { fold: true, first_input: 8, gradient: Gradient::Add, among: 16, ..plain([1, 1], [36, 32], [3, 7, 13]) };
    vec![
        folded,
        Case { size: size(2, 5), ..folded },
        part,
        Case { capacity: size(5, 9), ..part },
        Case { per_slice: 2, ..plain([3, 3], [4, 16], [3, 4, 16]) },
        plain([5, 5], [32, 32], [3, 1, 13]),
        plain([5, 5], [32, 32], [1, 7, 13]),
        plain([1, 1], [132, 76], [1, 1, 1]),
        plain([1, 1], [132, 76], [3, 64, 1]),
        plain([1, 5], [4, 8], [2, 3, 5]),
        plain([3, 3], [64, 4], [1, 5, 31]),
        // All rows of a tile lie within a line.
        plain([3, 3], [12, 20], [2, 3, 128]),
        // More pixels than a split has.
        Case { fold: true, ..plain([3, 3], [8, 36], [2, 9, 31]) },
    ]
}

#[test]
fn units_agree_with_their_references() {
    let plain = unit::Case {
        size: size(2, 9),
        mel: 31,
        kernel: 1,
        sources: [12, 20],
        outputs: 8,
        before: 4,
        gradient: Gradient::Write,
        per_slice: usize::MAX,
    };
    let square = unit::Case { kernel: 3, sources: [8, 0], ..plain };
    let cases = [
        plain,
        unit::Case { gradient: Gradient::Add, ..plain },
        square,
        unit::Case { kernel: 5, outputs: 36, gradient: Gradient::Add, ..square },
        unit::Case { size: size(3, 8), mel: 32, per_slice: 2, ..plain },
        // All rows of a tile lie within a line.
        unit::Case { size: size(1, 3), mel: 128, ..square },
    ];
    let mut tried = Vec::new();
    for precision in [Precision::F32, Precision::Mixed] {
        for variant in ConvolutionVariant::available(&devices()[0].with_precision(precision)) {
            let name = variant.name();
            // One of each shader; in mixed precision those that have no other.
            if ["convolution_single", "convolution_subgroup"].contains(&name) || tried.contains(&name) {
                continue;
            }
            tried.push(name);
            // Where the fold is not taken back by the convolution itself, the kernels behind it are the same.
            let fused = ["convolution_tiled", "convolution_matrix"].contains(&name);
            let (unchecked, checked) = if fused { (&cases[..], &cases[..1]) } else { (&cases[..2], &cases[..0]) };
            try_each([unchecked, checked], |gpu, case| {
                let gpu = gpu.with_precision(precision);
                unit::check(&gpu, ConvolutionVariants::fitting(&gpu, variant, case.shape()), case)
            });
        }
    }
}

#[test]
fn linear_agrees_with_its_reference() {
    let case = |rows, inputs, outputs| linear::Case { rows, capacity: rows, inputs, outputs };
    let smaller = linear::Case { capacity: 100, ..case(33, 5, 3) };
    let cases = [smaller, case(1, 5, 3), case(2049, 5, 3), case(1, 130, 40), case(7, 130, 40), case(647, 130, 40)];
    try_all(&cases, linear::check);
}

#[test]
fn max_pool_agrees_with_its_reference() {
    use pool::Case;
    let same = PoolShape::same([3, 3]);
    let overlapping = PoolShape { kernel: [3, 2], stride: [2, 3], padding: [1, 1] };
    let mut cases = vec![
        Case::new(same, [1, 1, 1, 1]),
        Case::new(same, [3, 7, 13, 32]),
        Case::new(same, [1, 2, 128, 5]),
        Case::new(PoolShape::valid([4, 1]), [3, 7, 13, 33]),
        Case::new(PoolShape::valid([4, 1]), [1, 64, 128, 3]),
        Case::new(PoolShape::valid([4, 1]), [2, 3, 5, 2]),
        Case::new(PoolShape::valid([2, 2]), [3, 7, 13, 10]),
        Case::new(overlapping, [3, 7, 13, 5]),
        Case::new(PoolShape { kernel: [4, 4], stride: [1, 1], padding: [2, 2] }, [1, 2, 3, 5]),
    ];
    cases.retain(|case| case.shape.windows(0, case.size.frames) > 0);
    let ties = |case: &Case| Case { ties: true, ..*case };
    let adding = |case: &Case| Case { gradient: Gradient::Add, ..*case };
    let tied: Vec<Case> = cases.iter().map(ties).collect();
    cases.extend([adding(&cases[1]), adding(&cases[3])]);
    cases.extend(tied);
    let sliced = Case { per_slice: 2, ..Case::new(same, [3, 4, 16, 4]) };
    cases.extend([
        sliced,
        Case { size: size(3, 3), ..sliced },
        Case { capacity: size(5, 9), ..Case::new(PoolShape::valid([4, 1]), [3, 7, 13, 33]) },
        Case { per_slice: 1, ..Case::new(PoolShape::valid([4, 1]), [3, 8, 16, 4]) },
    ]);
    try_all(&cases, pool::check_max);
}

#[test]
fn average_pool_agrees_with_its_reference() {
    use pool::Case;
    let halves = PoolShape::valid([2, 2]);
    let cases = [
        Case::new(halves, [1, 2, 3, 1]),
        Case::new(halves, [3, 7, 13, 32]),
        Case::new(halves, [1, 64, 128, 5]),
        Case::new(PoolShape::valid([3, 1]), [2, 7, 13, 33]),
        Case { capacity: size(4, 9), ..Case::new(halves, [3, 7, 13, 32]) },
        Case { per_slice: 2, ..Case::new(halves, [3, 4, 32, 8]) },
        Case { size: size(3, 2), per_slice: 1, ..Case::new(halves, [3, 4, 32, 8]) },
    ];
    try_all(&cases, pool::check_average);
}

#[test]
fn global_average_pool_agrees_with_its_reference() {
    use global_average_pool::Case;
    let case = |batch, frames, mel, channels| {
        let size = size(batch, frames);
        Case { size, capacity: size, mel, channels, per_slice: usize::MAX }
    };
    let cases = [
        case(1, 1, Some(1), 1),
        case(3, 7, Some(13), 32),
        case(1, 64, Some(128), 33),
        Case { capacity: size(5, 9), ..case(3, 7, Some(13), 32) },
        Case { per_slice: 2, ..case(3, 4, Some(16), 4) },
        Case { per_slice: 1, capacity: size(5, 8), ..case(3, 4, Some(16), 4) },
        case(1, 1, None, 1),
        case(3, 7, None, 13),
        case(32, 647, None, 128),
        Case { capacity: size(5, 9), ..case(3, 7, None, 130) },
    ];
    try_all(&cases, global_average_pool::check);
}

#[test]
fn batch_norm_agrees_with_its_reference() {
    use batch_norm::Case;
    let mut cases = vec![
        Case::new([1, 1, 1]),
        Case::new([1, 2, 3]),
        Case::new([3, 7, 32]),
        Case::new([1, 513, 33]),
        Case::new([1, 5000, 5]),
        Case::new([3, 300, 128]),
        Case::new([2, 31, 300]),
    ];
    let relu: Vec<Case> = cases.iter().map(|case| Case { relu: true, ..*case }).collect();
    cases.extend(relu);
    let part = Case { among: 5, relu: true, ..Case::new([3, 200, 33]) };
    let decibels = Case { distribution: [-60.0, 0.5], ..Case::new([3, 700, 32]) };
    let sliced = Case { per_slice: 2, ..Case::new([5, 640, 32]) };
    cases.extend([
        part,
        Case { gradient: Gradient::Add, ..part },
        Case { behind: 7, ..part },
        Case { behind: 32, gradient: Gradient::Add, relu: false, ..part },
        decibels,
        Case { relu: true, ..decibels },
        Case { corner: Some(0.0), ..decibels },
        sliced,
        Case { per_slice: 1, relu: true, ..sliced },
        Case { size: size(3, 77), ..sliced },
        Case { size: size(4, 640), relu: true, ..sliced },
        Case { capacity: size(5, 700), ..decibels },
    ]);
    for mode in [Mode::Evaluate, Mode::Recalibrate(0.25), Mode::Recalibrate(1.0)] {
        cases.extend([Case { mode, ..Case::new([3, 7, 32]) }, Case { mode, relu: true, among: 3, ..Case::new([1, 513, 33]) }]);
    }
    try_all(&cases, batch_norm::check);
}

/// Single elements, odd sizes, and a batch smaller than the layer is built for.
fn batches() -> [elementwise::Case; 5] {
    let case = |batch, frames, channels| elementwise::Case {
        size: size(batch, frames),
        capacity: size(batch, frames),
        channels,
        per_slice: usize::MAX,
    };
    let smaller = elementwise::Case { capacity: size(5, 9), ..case(3, 7, 13) };
    [smaller, case(1, 1, 1), case(3, 1, 13), case(1, 7, 128), case(3, 64, 33)]
}

#[test]
fn relu_agrees_with_its_reference() {
    try_all(&batches(), elementwise::check_relu);
}

#[test]
fn add_agrees_with_its_reference() {
    try_all(&batches(), elementwise::check_add);
}

#[test]
fn last_step_agrees_with_its_reference() {
    try_all(&batches(), elementwise::check_last_step);
}

#[test]
fn standardise_agrees_with_its_reference() {
    let mut cases = batches().to_vec();
    cases.extend([1, 2].map(|per_slice| elementwise::Case { per_slice, ..cases[0] }));
    try_all(&cases, elementwise::check_standardise);
}

#[test]
fn the_quick_self_test_passes() {
    for outcome in melgrad::selftest::run(devices()[0]) {
        println!("{:<22} {:.2} s", outcome.kernel, outcome.seconds);
        assert!(outcome.passes(), "{outcome:?}");
    }
}
