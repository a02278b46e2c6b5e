//! BBNN's bottlenecks, as module `kernels` does it.

use crate::kernels::{devices, size, try_each};
use crate::kernels_convolution::{LIFT, emulates};
use melgrad::gpu::{Element, Precision};
use melgrad::layers::{BottleneckTiles, Gradient};
use melgrad::selftest::bottleneck;

/// One to three units over one to four maps, with sizes that tiles do not divide.
#[test]
fn bottlenecks_agree_with_their_references() {
    let plain = bottleneck::Case {
        size: size(2, 9),
        capacity: size(2, 9),
        mel: 31,
        units: 3,
        maps: 3,
        channels: [12, 20],
        outputs: 8,
        gradient: Gradient::Add,
        per_slice: usize::MAX,
        element: Element::F32,
        lift: 0.0,
    };
    let cases = [
        plain,
        bottleneck::Case { capacity: size(4, 10), gradient: Gradient::Write, maps: 4, units: 1, ..plain },
        bottleneck::Case { maps: 1, units: 2, channels: [36, 0], outputs: 36, ..plain },
        bottleneck::Case {
            size: size(3, 8),
            capacity: size(3, 8),
            mel: 32,
            channels: [32, 128],
            outputs: 32,
            per_slice: 2,
            ..plain
        },
        bottleneck::Case { size: size(1, 1), capacity: size(1, 2), ..plain },
        // More rows than a split has.
        bottleneck::Case { size: size(2, 290), capacity: size(2, 290), ..plain },
    ];
    for (i, tiles) in BottleneckTiles::ALL.into_iter().enumerate() {
        // Of tiles after the first, which are the same text, one case.
        if i > 0 {
            try_each([&cases[..1], &[]], |gpu, case| bottleneck::check(gpu, tiles, case));
            continue;
        }
        try_each([&cases, &cases[..1]], |gpu, case| bottleneck::check(gpu, tiles, case));
        // Maps as they are stored in mixed precision.
        let stored = |element, lift, case| bottleneck::Case { element, lift, ..case };
        let rounded =
            [stored(Element::F16, 0.0, plain), stored(Element::F16, LIFT, plain), stored(Element::Rounded, LIFT, plain)];
        try_each([&rounded, &rounded[..1]], |gpu, case| bottleneck::check(&gpu.with_precision(Precision::Mixed), tiles, case));
    }
}

/// The same on matrix units, which take halves.
#[test]
fn bottlenecks_on_matrix_units_agree_with_their_references() {
    let plain = bottleneck::Case {
        size: size(2, 9),
        capacity: size(2, 9),
        mel: 31,
        units: 3,
        maps: 3,
        channels: [12, 20],
        outputs: 8,
        gradient: Gradient::Add,
        per_slice: usize::MAX,
        element: Element::F16,
        lift: 0.0,
    };
    let cases = [
        plain,
        // More steps than one, tiles beside each other, and slices.
        bottleneck::Case {
            size: size(3, 8),
            capacity: size(3, 8),
            mel: 32,
            units: 2,
            maps: 2,
            channels: [36, 132],
            outputs: 68,
            gradient: Gradient::Write,
            per_slice: 2,
            ..plain
        },
        bottleneck::Case { maps: 1, units: 1, channels: [32, 0], outputs: 32, lift: LIFT, ..plain },
    ];
    let of_matrices: Vec<_> = BottleneckTiles::available(&devices()[0].with_precision(Precision::Mixed))
        .into_iter()
        .filter(BottleneckTiles::are_matrices)
        .collect();
    assert!(!of_matrices.is_empty(), "they are emulated where there are none");
    for (i, tiles) in of_matrices.into_iter().enumerate() {
        let (unchecked, checked) = match (i, emulates()) {
            (0, true) => (&cases[..], &cases[..1]),
            (_, true) => (&cases[1..2], &cases[..0]),
            (_, false) => (&cases[..], &cases[..]),
        };
        try_each([unchecked, checked], |gpu, case| bottleneck::check(&gpu.with_precision(Precision::Mixed), tiles, case));
    }
}
