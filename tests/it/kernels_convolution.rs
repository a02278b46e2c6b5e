//! The convolution family, each variant that the adapter has, and units of batch norm, ReLU and convolution, as module `kernels`
//! does it.

use crate::kernels::{devices, size, try_each};
use melgrad::gpu::{Element, Precision};
use melgrad::layers::{ConvolutionVariant, ConvolutionVariants, Gradient};
use melgrad::selftest::{convolution, stem, unit};

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
        plain([1, 1], [130, 10], [1, 1, 1]),
        plain([1, 1], [130, 10], [3, 64, 1]),
        plain([3, 3], [1, 32], [1, 7, 128]),
        plain([3, 3], [1, 32], [3, 1, 128]),
        Case { fold: true, gradient: Gradient::Add, among: 3, ..plain([5, 3], [1, 10], [2, 7, 13]) },
        plain([3, 3], [33, 40], [1, 64, 3]),
        plain([5, 5], [5, 3], [3, 1, 13]),
        plain([5, 5], [5, 3], [1, 7, 13]),
        plain([1, 7], [2, 10], [3, 7, 13]),
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
        // Of tiles after the first, which is the same text, a few cases, and in mixed precision, which is another line of it, none.
        let few = match (i, precision) {
            (0, _) => cases,
            (_, Precision::Mixed) if variant.name() != "convolution_matrix" => [&[][..]; 2],
            _ if emulates() => [&cases[0][..1], &[]],
            _ => [&cases[0][..cases[0].len().min(4)], &[]],
        };
        let cases = few.map(|cases| cases.iter().copied().filter(|case| case.fits(variant)).collect::<Vec<_>>());
        try_each([&cases[0], &cases[1]], |gpu, case| {
            let gpu = gpu.with_precision(precision);
            let variants = ConvolutionVariants::fitting(&gpu, variant, case.shape(), Element::F32);
            convolution::check_variants(&gpu, variants, case)
        });
    }
}

#[test]
fn convolution_agrees_with_its_reference() {
    let cases = convolutions();
    try_variant("convolution", Precision::F32, [&cases, &cases]);
    try_variant("convolution", Precision::Mixed, [&cases[..4], &cases[..2]]);
}

#[test]
fn convolution_subgroup_agrees_with_its_reference() {
    let mut cases = convolutions_in_fours();
    // Drivers take long for these: without further sizes of kernels.
    cases.drain(9..11);
    try_variant("convolution_subgroup", Precision::F32, [&cases, &cases[..1]]);
    try_variant("convolution_subgroup", Precision::Mixed, [&cases[..3], &[]]);
}

#[test]
fn convolution_wide_agrees_with_its_reference() {
    let cases = convolutions_in_eights();
    try_variant("convolution_wide", Precision::F32, [&cases, &cases[..1]]);
    try_variant("convolution_wide", Precision::Mixed, [&cases[..2], &[]]);
}

#[test]
fn convolution_tiled_agrees_with_its_reference() {
    let cases = convolutions_in_fours();
    try_variant("convolution_tiled", Precision::F32, [&cases, &cases[..9]]);
    try_variant("convolution_tiled", Precision::Mixed, [&cases[..3], &cases[..1]]);
}

/// Matrix units are of few adapters: on others they are emulated, whose drivers take long for that.
pub(crate) fn emulates() -> bool {
    !devices()[0].summary().has_matrix_units()
}

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
    if emulates() {
        // Of every kind of tap one.
        let few = [cases[0], cases[1], cases[13], cases[2], cases[18]];
        return try_variant("convolution_matrix", Precision::Mixed, [&few, &[]]);
    }
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

/// Channels in eights, and sizes that tiles do not divide.
fn convolutions_in_eights() -> Vec<convolution::Case> {
    use convolution::Case;
    let plain = Case::new;
    let folded = Case { fold: true, gradient: Gradient::Add, among: 16, ..plain([3, 3], [16, 24], [3, 7, 24]) };
    let part = Case { fold: true, first_input: 8, gradient: Gradient::Add, among: 32, ..plain([1, 1], [40, 32], [3, 7, 13]) };
    vec![
        folded,
        part,
        Case { size: size(2, 5), ..folded },
        Case { capacity: size(5, 9), ..part },
        Case { per_slice: 2, ..plain([3, 3], [8, 16], [3, 4, 16]) },
        // Windows of kernels that are taller.
        Case { fold: true, gradient: Gradient::Add, among: 48, ..plain([5, 5], [32, 32], [2, 7, 24]) },
        plain([1, 1], [136, 72], [1, 1, 1]),
        plain([1, 1], [136, 72], [3, 64, 1]),
        plain([7, 1], [8, 16], [2, 9, 8]),
        // The widest window.
        plain([3, 9], [8, 8], [1, 3, 16]),
        // More pixels than a split has.
        Case { fold: true, ..plain([3, 3], [8, 40], [2, 9, 32]) },
        // Outputs in 64s.
        Case { per_slice: 2, ..plain([1, 1], [40, 128], [3, 77, 1]) },
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
        element: Element::F32,
        lift: 0.0,
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
    let mut in_eights = [cases[1], cases[2], cases[3]]
        .map(|case| {
            let sources = case.sources.map(|channels: usize| channels.next_multiple_of(8));
            // Bands too, where there are neighbours.
            let mel = if case.kernel > 1 { case.mel.next_multiple_of(8) } else { case.mel };
            unit::Case { sources, mel, outputs: case.outputs.next_multiple_of(8), before: 8, ..case }
        })
        .to_vec();
    // The gradient of such a weight has a kernel of its own.
    in_eights.push(unit::Case { outputs: 64, ..in_eights[0] });
    let mut tried = Vec::new();
    for precision in [Precision::F32, Precision::Mixed] {
        for variant in ConvolutionVariant::available(&devices()[0].with_precision(precision)) {
            let name = variant.name();
            // One of each shader; in mixed precision those that have no other.
            if tried.contains(&name) {
                continue;
            }
            tried.push(name);
            // Where the fold is not taken back by the convolution itself, the kernels behind it are the same.
            let (unchecked, checked) = match name {
                "convolution_matrix" if emulates() => (&cases[2..3], &cases[..0]),
                "convolution_tiled" | "convolution_matrix" => (&cases[..], &cases[..1]),
                "convolution_subgroup" => (&cases[..4], &cases[..0]),
                "convolution_wide" => (&in_eights[..], &cases[..0]),
                _ => (&cases[..2], &cases[..0]),
            };
            try_each([unchecked, checked], |gpu, case| {
                let gpu = gpu.with_precision(precision);
                unit::check(&gpu, ConvolutionVariants::fitting(&gpu, variant, case.shape(), case.element), case)
            });
        }
    }
}

/// Numbers of f16 are a whole apart about here.
pub(crate) const LIFT: f64 = 1500.0;

/// Units over maps as they are stored in mixed precision.
#[test]
fn units_over_rounded_maps_and_halves_agree_with_their_references() {
    let square = unit::Case {
        size: size(2, 9),
        mel: 31,
        kernel: 3,
        sources: [8, 0],
        outputs: 8,
        before: 4,
        gradient: Gradient::Write,
        per_slice: usize::MAX,
        element: Element::F16,
        lift: 0.0,
    };
    let cases = [
        square,
        unit::Case { lift: LIFT, ..square },
        unit::Case { kernel: 5, outputs: 36, gradient: Gradient::Add, ..square },
        // What several maps add up to is rounded after each.
        unit::Case { kernel: 1, sources: [12, 20], gradient: Gradient::Add, ..square },
        unit::Case { size: size(3, 8), mel: 32, per_slice: 2, ..square },
        unit::Case { size: size(1, 3), mel: 128, ..square },
    ];
    let of_parts = unit::Case { kernel: 1, sources: [16, 24], before: 8, gradient: Gradient::Add, ..square };
    let in_eights = [unit::Case { before: 8, mel: 32, lift: LIFT, ..square }, of_parts];
    let mut tried = Vec::new();
    for variant in ConvolutionVariant::available(&devices()[0].with_precision(Precision::Mixed)) {
        let name = variant.name();
        if tried.contains(&name) {
            continue;
        }
        tried.push(name);
        let (element, unchecked, checked) = match name {
            "convolution_matrix" if emulates() => (Element::F16, &cases[..2], &cases[..0]),
            "convolution_tiled" | "convolution_matrix" => (Element::F16, &cases[..], &cases[..2]),
            "convolution_wide" => (Element::Rounded, &in_eights[..], &cases[..0]),
            _ => (Element::Rounded, &cases[..2], &cases[..0]),
        };
        let [unchecked, checked] =
            [unchecked, checked].map(|cases| cases.iter().map(|case| unit::Case { element, ..*case }).collect::<Vec<_>>());
        try_each([&unchecked, &checked], |gpu, case| {
            let gpu = gpu.with_precision(Precision::Mixed);
            unit::check(&gpu, ConvolutionVariants::fitting(&gpu, variant, case.shape(), case.element), case)
        });
    }
}

/// Windows that do not fill the image, of one band and of several.
#[test]
fn stem_agrees_with_its_references() {
    let (element, lift) = (Element::F32, 0.0);
    let windows = size(2, 27);
    let plain =
        stem::Case { size: windows, capacity: windows, mel: 13, width: 12, pool: [4, 1], per_slice: usize::MAX, element, lift };
    let cases = [
        plain,
        stem::Case { size: size(2, 9), capacity: size(3, 27), ..plain },
        stem::Case { size: size(3, 24), capacity: size(3, 24), mel: 32, width: 32, per_slice: 2, ..plain },
        stem::Case { size: size(3, 7), capacity: size(3, 7), pool: [2, 3], width: 3, ..plain },
        stem::Case { size: size(1, 2), capacity: size(1, 2), pool: [1, 1], width: 70, mel: 2, ..plain },
        // Several tiles.
        stem::Case { size: size(2, 130), capacity: size(2, 130), mel: 64, width: 32, ..plain },
    ];
    try_each([&cases, &cases[..2]], stem::check);
    // Channels in fours are stored as halves, any rounded.
    let fours = cases.iter().filter(|case| case.width.is_multiple_of(4));
    let mut stored: Vec<_> = fours.map(|case| stem::Case { element: Element::F16, ..*case }).collect();
    stored.extend([stem::Case { lift: LIFT, ..stored[0] }, stem::Case { element: Element::Rounded, lift: LIFT, ..cases[3] }]);
    try_each([&stored, &stored[..2]], stem::check);
}
