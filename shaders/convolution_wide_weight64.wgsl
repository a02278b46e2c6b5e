// `convolution_wide_weight.wgsl` for outputs that come in 64s, of which a lane keeps eight for each of 16 inputs: half as many
// loads for a product.
//
// Groups: x = tiles of 64 outputs, y = tiles of 16 inputs of each tap, of which the first also sum up the gradient itself, z = splits.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
// Operands are rounded to f16, and what the gradient of the bias sums up.
const ROUND: bool = false;

struct Size {
    batch: u32,
    frames: u32,
    // The first split of this dispatch, and how many pixels a split has.
    first_split: u32,
    split_rows: u32,
    // A row of x has x_stride channels, of which x_first .. x_first + INPUTS are read; likewise dx, and y with dy.
    x_stride: u32,
    x_first: u32,
    dx_stride: u32,
    dx_first: u32,
    y_stride: u32,
    y_first: u32,
    // The weight has weight_inputs inputs, of which weight_first .. weight_first + INPUTS are these; scale and shift too.
    weight_inputs: u32,
    weight_first: u32,
    // Not 0: add to what y holds instead of starting from the bias; add to what dx holds.
    add_y: u32,
    add_dx: u32,
}
var<immediate> size: Size;

// Eight channels: channel 2 i in the lower half of component i, channel 2 i + 1 in the upper.
alias Eight = vec4<u64>;

@group(0) @binding(0) var<storage, read> x: array<Eight>;
@group(0) @binding(3) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> dy: array<Eight>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<Eight>;

// Inputs and outputs of a tile.
const ROWS: u32 = 16u;
const COLUMNS: u32 = 64u;
const LANES: u32 = 8u;
const OUTSIDE: u32 = 0xffffffffu;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// An operand of a product: where that is asked for, rounded to the nearest number of f16, ties to even. By its bits: drivers
// take a conversion there and back for nothing.
fn operand(value: vec4<f32>) -> vec4<f32> {
    if (!ROUND) {
        return value;
    }
    let bits = bitcast<vec4<u32>>(value);
    let magnitude = bits & vec4<u32>(0x7fffffffu);
    let normal = (magnitude + vec4<u32>(0xfffu) + (magnitude >> vec4<u32>(13u) & vec4<u32>(1u))) & vec4<u32>(0xffffe000u);
    let small = bitcast<vec4<u32>>(round(abs(value) * 16777216.0) / 16777216.0);
    var rounded = select(normal, small, magnitude < vec4<u32>(0x38800000u));
    rounded = select(rounded, vec4<u32>(0x7f800000u), rounded >= vec4<u32>(0x47800000u));
    // What is no number stays none.
    rounded = select(rounded, magnitude, magnitude > vec4<u32>(0x7f800000u));
    return bitcast<vec4<f32>>(rounded | bits & vec4<u32>(0x80000000u));
}

// Channels 0, 2, 4 and 6 of eight, and 1, 3, 5 and 7.
fn even(eight: Eight) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(eight));
}

fn odd(eight: Eight) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(eight >> vec4<u32>(32u)));
}

// Time and mel of a row.
fn whereabouts(row: u32) -> vec2<i32> {
    return vec2<i32>(i32((row / MEL) % size.frames), i32(row % MEL));
}

// The row that lies `time` and `mel` steps from `row`, which lies at `place`, or OUTSIDE in the padding and past the end.
fn neighbour(row: u32, rows: u32, place: vec2<i32>, time: i32, mel: i32) -> u32 {
    if (KERNEL_TIME * KERNEL_MEL == 1u) {
        return select(OUTSIDE, row, row < rows);
    }
    let t = place.x + time;
    let m = place.y + mel;
    let inside = row < rows && t >= 0 && t < i32(size.frames) && m >= 0 && m < i32(MEL);
    return select(OUTSIDE, u32(i32(row) + time * i32(MEL) + mel), inside);
}

// Where the pixel eight after one at `place` lies.
fn eight_later(row: u32, place: vec2<i32>) -> vec2<i32> {
    if (MEL < LANES) {
        return whereabouts(row);
    }
    // Without division, which software does lane after lane.
    let over = place.y + 8 >= i32(MEL);
    let time = select(place.x, place.x + 1, over);
    return vec2<i32>(select(time, 0, time == i32(size.frames)), select(place.y + 8, place.y + 8 - i32(MEL), over));
}

// What the fold multiplies eight inputs by and adds to them, the even and the odd ones.
struct Fold {
    factors: mat2x4<f32>,
    offsets: mat2x4<f32>,
}

fn fold_of(channel: u32) -> Fold {
    var fold: Fold;
    if (FOLD) {
        let place = (size.weight_first + channel) / 4u;
        let factor = mat2x4<f32>(scale[place], scale[place + 1u]);
        let offset = mat2x4<f32>(shift[place], shift[place + 1u]);
        fold.factors = mat2x4<f32>(vec4<f32>(factor[0].xz, factor[1].xz), vec4<f32>(factor[0].yw, factor[1].yw));
        fold.offsets = mat2x4<f32>(vec4<f32>(offset[0].xz, offset[1].xz), vec4<f32>(offset[0].yw, offset[1].yw));
    }
    return fold;
}

// Inputs channel .. channel + 7 of x's row after the activation, the even and the odd ones; zeros OUTSIDE.
fn activations(row: u32, channel: u32, fold: Fold) -> array<vec4<f32>, 2> {
    let outside = row == OUTSIDE;
    let eight = x[(select(row, 0u, outside) * size.x_stride + size.x_first + channel) / 8u];
    var evens = even(eight);
    var odds = odd(eight);
    if (FOLD) {
        evens = max(NOTHING, fma(evens, fold.factors[0], fold.offsets[0]));
        odds = max(NOTHING, fma(odds, fold.factors[1], fold.offsets[1]));
    }
    return array<vec4<f32>, 2>(operand(select(evens, NOTHING, outside)), operand(select(odds, NOTHING, outside)));
}

// results[r] += eight pixels of an input, of which lane s holds pixel s, with those of four of the outputs.
fn add(results: ptr<function, array<vec4<f32>, 32>>, r: u32, left: f32, right: ptr<function, array<vec4<f32>, 8>>) {
    var sum = fma(vec4<f32>(subgroupBroadcast(left, 0u)), (*right)[0], (*results)[r]);
    sum = fma(vec4<f32>(subgroupBroadcast(left, 1u)), (*right)[1], sum);
    sum = fma(vec4<f32>(subgroupBroadcast(left, 2u)), (*right)[2], sum);
    sum = fma(vec4<f32>(subgroupBroadcast(left, 3u)), (*right)[3], sum);
    sum = fma(vec4<f32>(subgroupBroadcast(left, 4u)), (*right)[4], sum);
    sum = fma(vec4<f32>(subgroupBroadcast(left, 5u)), (*right)[5], sum);
    sum = fma(vec4<f32>(subgroupBroadcast(left, 6u)), (*right)[6], sum);
    (*results)[r] = fma(vec4<f32>(subgroupBroadcast(left, 7u)), (*right)[7], sum);
}

// Eight inputs from `first` on, with the even outputs (their sums from element 0 on) or the odd ones (from element 16 on).
fn multiply_inputs(results: ptr<function, array<vec4<f32>, 32>>, first: u32, left: array<vec4<f32>, 2>, right: ptr<function, array<vec4<f32>, 8>>) {
    add(results, first, left[0].x, right);
    add(results, first + 1u, left[1].x, right);
    add(results, first + 2u, left[0].y, right);
    add(results, first + 3u, left[1].y, right);
    add(results, first + 4u, left[0].z, right);
    add(results, first + 5u, left[1].z, right);
    add(results, first + 6u, left[0].w, right);
    add(results, first + 7u, left[1].w, right);
}

fn together(even: vec4<f32>, odd: vec4<f32>) -> Eight {
    return vec4<u64>(bitcast<vec4<u32>>(even)) | vec4<u64>(bitcast<vec4<u32>>(odd)) << vec4<u32>(32u);
}

// partial_sums[split, (tap, input), output], and behind a split's those of the bias.
@compute @workgroup_size(LANES)
fn backward_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let tiles = (INPUTS + ROWS - 1u) / ROWS;
    let tap = group.y / tiles;
    let time = i32(tap / KERNEL_MEL) - i32(KERNEL_TIME / 2u);
    let mel = i32(tap % KERNEL_MEL) - i32(KERNEL_MEL / 2u);
    let input = (group.y % tiles) * ROWS;
    let column = group.x * COLUMNS + 8u * lane;
    let begin = group.z * size.split_rows;
    let end = min(rows, begin + size.split_rows);
    var results: array<vec4<f32>, 32>;
    var sums: array<vec4<f32>, 2>;
    let input0 = min(input + 0u, INPUTS - 8u);
    let fold0 = fold_of(input0);
    let input1 = min(input + 8u, INPUTS - 8u);
    let fold1 = fold_of(input1);
    var place = whereabouts(begin + lane);
    for (var p = begin; p < end; p += 8u) {
        // Pixels past the end stand for the last: x has zeros there.
        let row = neighbour(p + lane, end, place, time, mel);
        place = eight_later(p + 8u + lane, place);
        var evens: array<vec4<f32>, 8>;
        var odds: array<vec4<f32>, 8>;
        for (var s = 0u; s < 8u; s += 1u) {
            let eight = dy[(min(p + s, end - 1u) * size.y_stride + size.y_first + column) / 8u];
            evens[s] = operand(even(eight));
            odds[s] = operand(odd(eight));
        }
        if (group.y == 0u) {
            for (var s = 0u; s < 8u; s += 1u) {
                sums[0] += select(NOTHING, evens[s], p + s < end);
                sums[1] += select(NOTHING, odds[s], p + s < end);
            }
        }
        let low = activations(row, input0, fold0);
        multiply_inputs(&results, 0u, low, &evens);
        multiply_inputs(&results, 16u, low, &odds);
        let high = activations(row, input1, fold1);
        multiply_inputs(&results, 8u, high, &evens);
        multiply_inputs(&results, 24u, high, &odds);
    }
    let first_sum = (size.first_split + group.z) * (KERNEL_TIME * KERNEL_MEL * INPUTS + 1u) * OUTPUTS / 8u;
    for (var r = 0u; r < ROWS; r += 1u) {
        if (input + r < INPUTS) {
            partial_sums[first_sum + ((tap * INPUTS + input + r) * OUTPUTS + column) / 8u] = together(results[r], results[r + 16u]);
        }
    }
    if (group.y == 0u) {
        partial_sums[first_sum + (KERNEL_TIME * KERNEL_MEL * INPUTS * OUTPUTS + column) / 8u] = together(sums[0], sums[1]);
    }
}
