//! Every kernel of a layer beside its `f64` reference over a table of odd shapes, compiled without runtime checks as in use, and
//! again with them: a read or write out of bounds shows as a difference between the two.

use melgrad::gpu::{Gpu, GpuError, GpuOptions};
use melgrad::layers::{Gradient, Mode, PoolShape, Size};
use melgrad::selftest::{Comparison, batch_norm, elementwise, gather, global_average_pool, linear, pool};
use std::fmt::Write;
use std::sync::{Mutex, OnceLock};

/// Devices that tests share: one for each of CI's processors, since a device compiles and runs one thing after the other.
const SLOTS: usize = 2;
static USERS: Mutex<[usize; SLOTS]> = Mutex::new([0; SLOTS]);

/// The slot of a thread that runs a test: the one that fewest had when it began.
struct Slot(usize);

impl Slot {
    fn least_used() -> Self {
        let mut users = USERS.lock().unwrap();
        let slot = (0..SLOTS).min_by_key(|&slot| users[slot]).unwrap();
        users[slot] += 1;
        Self(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        USERS.lock().unwrap()[self.0] -= 1;
    }
}

thread_local! {
    static SLOT: Slot = Slot::least_used();
}

/// The adapter without and with runtime checks, the same for all of a test. Kernels for matrix units run on it, whether it has them or
/// not.
pub(crate) fn devices() -> [&'static Gpu; 2] {
    static DEVICES: [[OnceLock<Gpu>; 2]; SLOTS] = [const { [const { OnceLock::new() }; 2] }; SLOTS];
    let devices = &DEVICES[SLOT.with(|slot| slot.0)];
    [false, true].map(|runtime_checks| {
        devices[usize::from(runtime_checks)].get_or_init(|| {
            let choice = crate::chosen();
            let options = GpuOptions { runtime_checks, choice, emulate_matrix_units: true, ..GpuOptions::default() };
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
        // Channels and bands in eights.
        Case::new(same, [3, 7, 24, 16]),
        Case::new(PoolShape::same([1, 5]), [2, 3, 8, 8]),
        Case::new(PoolShape::same([5, 3]), [2, 4, 16, 40]),
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
    cases.extend([adding(&cases[1]), adding(&cases[3]), adding(&cases[5])]);
    cases.extend(tied);
    let sliced = Case { per_slice: 2, ..Case::new(same, [3, 4, 16, 4]) };
    cases.extend([
        sliced,
        Case { size: size(3, 3), ..sliced },
        Case { size: size(3, 3), channels: 8, ..sliced },
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
fn batches() -> [elementwise::Case; 6] {
    let case = |batch, frames, channels| elementwise::Case {
        size: size(batch, frames),
        capacity: size(batch, frames),
        channels,
        per_slice: usize::MAX,
    };
    let smaller = elementwise::Case { capacity: size(5, 9), ..case(3, 7, 13) };
    [smaller, elementwise::Case { channels: 12, ..smaller }, case(1, 1, 1), case(3, 1, 13), case(1, 7, 128), case(3, 64, 33)]
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
fn gather_agrees_with_its_reference() {
    let plain = gather::Case { size: size(3, 7), capacity: size(3, 7), mel: 12, chunks: 1, masks: [0, 0], changed: false };
    let changed = gather::Case { capacity: size(5, 9), chunks: 3, masks: [2, 3], changed: true, ..plain };
    let mut cases = vec![plain, gather::Case { masks: [3, 0], ..plain }];
    for mel in [1, 4, 13, 128] {
        cases.extend([gather::Case { mel, ..changed }, gather::Case { mel, size: size(1, 1), chunks: 1, ..changed }]);
    }
    try_all(&cases, gather::check);
}

#[test]
fn standardise_agrees_with_its_reference() {
    let mut cases = batches().to_vec();
    cases.push(elementwise::Case { channels: 12, ..cases[0] });
    cases.extend([1, 2].map(|per_slice| elementwise::Case { per_slice, ..cases[0] }));
    cases.extend([1, 2].map(|per_slice| elementwise::Case { per_slice, channels: 12, ..cases[0] }));
    try_all(&cases, elementwise::check_standardise);
}

#[test]
fn the_quick_self_test_passes() {
    for outcome in melgrad::selftest::run(devices()[0]) {
        println!("{:<22} {:.2} s", outcome.kernel, outcome.seconds);
        assert!(outcome.passes(), "{outcome:?}");
    }
}
