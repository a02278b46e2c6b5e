// The gradients of weight and bias for `convolution_wide.wgsl`.
//
// Decomposition: a workgroup is one subgroup. It owns ROWS inputs x 32 outputs of all taps along mel of a split of the pixels, a lane
// four of the outputs; or, of a 1x1 kernel, 32 x 64, a lane eight of the outputs, which it loads at once. Eight pixels of a frame at a
// time: a lane loads the inputs of one, and of one among those that the kernel reaches behind them, and broadcasts them. Kernels
// that reach beyond a pixel need bands in eights. Groups: x = tiles of outputs, y = tiles of inputs of each tap along time, of
// which the first also sum up the gradient itself, z = splits.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
// Inputs and outputs of a workgroup.
const ROWS: u32 = 16u;
const COLUMNS: u32 = 32u;

// An operand of a product, and what the gradient of the bias sums up: as it is, or rounded to f16 (the host replaces such lines).
fn operand(value: vec4<f32>) -> vec4<f32> { return value; }

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

// Eight channels: channel 2 i in the lower half of component i, channel 2 i + 1 in the upper; and four of them.
alias Eight = vec4<u64>;
alias Four = vec2<u64>;

@group(0) @binding(0) var<storage, read> x: array<Eight>;
@group(0) @binding(3) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> dy: array<Four>;
@group(0) @binding(6) var<storage, read> dy_eights: array<Eight>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<vec4<f32>>;

const LANES: u32 = 8u;
// Pixels that eight and a kernel around them reach, at most 16.
const WINDOW: u32 = LANES + KERNEL_MEL - 1u;
const OUTSIDE: u32 = 0xffffffffu;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

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

// Eight inputs of the pixels of a window: lane s holds those of pixel s, and of pixel 8 + s; the even and the odd ones of each.
alias Window = array<vec4<f32>, 4>;

// The sums of a lane: element r + ROWS k is input r of tap k, or of the odd ones of eight outputs.
alias Sums = array<vec4<f32>, ROWS * KERNEL_MEL * COLUMNS / 32u>;

// Input r of all taps += eight pixels of it, of which lane s holds pixel s and pixel 8 + s, with those of the outputs.
fn add(results: ptr<function, Sums>, r: u32, low: f32, high: f32, right: ptr<function, array<vec4<f32>, 8>>) {
    let pixels = array<f32, 16>(
        subgroupBroadcast(low, 0u), subgroupBroadcast(low, 1u), subgroupBroadcast(low, 2u), subgroupBroadcast(low, 3u),
        subgroupBroadcast(low, 4u), subgroupBroadcast(low, 5u), subgroupBroadcast(low, 6u), subgroupBroadcast(low, 7u),
        subgroupBroadcast(high, 0u), subgroupBroadcast(high, 1u), subgroupBroadcast(high, 2u), subgroupBroadcast(high, 3u),
        subgroupBroadcast(high, 4u), subgroupBroadcast(high, 5u), subgroupBroadcast(high, 6u), subgroupBroadcast(high, 7u),
    );
    for (var k = 0u; k < KERNEL_MEL; k += 1u) {
        var sum = (*results)[r + ROWS * k];
        for (var s = 0u; s < 8u; s += 1u) {
            sum = fma(vec4<f32>(pixels[s + k]), (*right)[s], sum);
        }
        (*results)[r + ROWS * k] = sum;
    }
}

// Eight inputs from `first` on.
fn multiply_inputs(results: ptr<function, Sums>, first: u32, left: Window, right: ptr<function, array<vec4<f32>, 8>>) {
    add(results, first, left[0].x, left[2].x, right);
    add(results, first + 1u, left[1].x, left[3].x, right);
    add(results, first + 2u, left[0].y, left[2].y, right);
    add(results, first + 3u, left[1].y, left[3].y, right);
    add(results, first + 4u, left[0].z, left[2].z, right);
    add(results, first + 5u, left[1].z, left[3].z, right);
    add(results, first + 6u, left[0].w, left[2].w, right);
    add(results, first + 7u, left[1].w, left[3].w, right);
}

// What a workgroup adds up: inputs from `input` on of the taps along mel of one along time, over pixels begin .. end.
struct Part {
    time: u32,
    input: u32,
    begin: u32,
    end: u32,
}

fn part_of(group: vec3<u32>) -> Part {
    let tiles = (INPUTS + ROWS - 1u) / ROWS;
    let begin = group.z * size.split_rows;
    let end = min(size.batch * size.frames * MEL, begin + size.split_rows);
    return Part(group.y / tiles, group.y % tiles * ROWS, begin, end);
}

// The pixel of x that lies so many before or behind pixel `row` of dy, which lies at `place`, in the frame of its tap, or OUTSIDE in the
// padding and past the end.
fn meets(part: Part, row: u32, place: vec2<i32>, apart: i32) -> u32 {
    if (KERNEL_TIME * KERNEL_MEL == 1u) {
        return select(OUTSIDE, row, row < part.end);
    }
    let time = i32(part.time) - i32(KERNEL_TIME / 2u);
    let t = place.x + time;
    let m = place.y + apart;
    let inside = row < part.end && t >= 0 && t < i32(size.frames) && m >= 0 && m < i32(MEL);
    return select(OUTSIDE, u32(i32(row) + time * i32(MEL) + apart), inside);
}

// Inputs channel .. channel + 7 of the window of pixels that lane s has pixel `rows.x` and pixel `rows.y` of.
fn window_of(rows: vec2<u32>, channel: u32, fold: Fold) -> Window {
    let low = activations(rows.x, channel, fold);
    var high = array<vec4<f32>, 2>();
    if (KERNEL_MEL > 1u) {
        high = activations(rows.y, channel, fold);
    }
    return Window(low[0], low[1], high[0], high[1]);
}

// Where the sum of an input and an output lies, in fours; behind the last tap that of the bias.
fn sum_place(group: vec3<u32>, tap: u32, input: u32, output: u32) -> u32 {
    let first = (size.first_split + group.z) * (KERNEL_TIME * KERNEL_MEL * INPUTS + 1u);
    return ((first + tap * INPUTS + input) * OUTPUTS + output) / 4u;
}

fn add_up(right: ptr<function, array<vec4<f32>, 8>>, p: u32, end: u32) -> vec4<f32> {
    var sum = NOTHING;
    for (var s = 0u; s < 8u; s += 1u) {
        sum += select(NOTHING, (*right)[s], p + s < end);
    }
    return sum;
}

// partial_sums[split, (tap, input), output], and behind a split's those of the bias. Pixels of dy past the end repeat the last: x has
// zeros there.
@compute @workgroup_size(LANES)
fn backward_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let part = part_of(group);
    let column = group.x * COLUMNS + 4u * lane;
    let inputs = min(vec4<u32>(part.input, part.input + 8u, part.input + 16u, part.input + 24u), vec4<u32>(INPUTS - 8u));
    let fold0 = fold_of(inputs.x);
    let fold1 = fold_of(inputs.y);
    let fold2 = fold_of(inputs.z);
    let fold3 = fold_of(inputs.w);
    var results: Sums;
    var sum = NOTHING;
    var place = whereabouts(part.begin + lane);
    for (var p = part.begin; p < part.end; p += 8u) {
        // The window begins before the first of the eight pixels; where the kernel has taps beside its middle, all lie in a frame.
        let before = i32(KERNEL_MEL / 2u);
        let behind = select(OUTSIDE, meets(part, p + lane, place, 8 - before), lane + 8u < WINDOW);
        let rows = vec2<u32>(meets(part, p + lane, place, -before), behind);
        place = eight_later(p + 8u + lane, place);
        var right: array<vec4<f32>, 8>;
        for (var s = 0u; s < 8u; s += 1u) {
            let four = dy[(min(p + s, part.end - 1u) * size.y_stride + size.y_first + min(column, OUTPUTS - 4u)) / 4u];
            let low = bitcast<vec2<f32>>(vec2<u32>(four));
            let high = bitcast<vec2<f32>>(vec2<u32>(four >> vec2<u32>(32u)));
            right[s] = operand(vec4<f32>(low.x, high.x, low.y, high.y));
        }
        if (group.y == 0u) {
            sum += add_up(&right, p, part.end);
        }
        multiply_inputs(&results, 0u, window_of(rows, inputs.x, fold0), &right);
        multiply_inputs(&results, 8u, window_of(rows, inputs.y, fold1), &right);
        if (ROWS > 16u) {
            multiply_inputs(&results, 16u, window_of(rows, inputs.z, fold2), &right);
            multiply_inputs(&results, 24u, window_of(rows, inputs.w, fold3), &right);
        }
    }
    for (var r = 0u; r < ROWS; r += 1u) {
        if (part.input + r < INPUTS && column < OUTPUTS) {
            for (var k = 0u; k < KERNEL_MEL; k += 1u) {
                partial_sums[sum_place(group, part.time * KERNEL_MEL + k, part.input + r, column)] = results[r + ROWS * k];
            }
        }
    }
    if (group.y == 0u && column < OUTPUTS) {
        partial_sums[sum_place(group, KERNEL_TIME * KERNEL_MEL, 0u, column)] = sum;
    }
}

// The same of a 1x1 kernel and outputs that come in 64s.
@compute @workgroup_size(LANES)
fn backward_weight_of_64(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let part = part_of(group);
    let column = group.x * COLUMNS + 8u * lane;
    let inputs = min(vec4<u32>(part.input, part.input + 8u, part.input + 16u, part.input + 24u), vec4<u32>(INPUTS - 8u));
    let fold0 = fold_of(inputs.x);
    let fold1 = fold_of(inputs.y);
    let fold2 = fold_of(inputs.z);
    let fold3 = fold_of(inputs.w);
    // Of the even outputs, then of the odd ones.
    var results: Sums;
    var sums: array<vec4<f32>, 2>;
    var place = whereabouts(part.begin + lane);
    for (var p = part.begin; p < part.end; p += 8u) {
        let rows = vec2<u32>(meets(part, p + lane, place, 0), OUTSIDE);
        place = eight_later(p + 8u + lane, place);
        var evens: array<vec4<f32>, 8>;
        var odds: array<vec4<f32>, 8>;
        for (var s = 0u; s < 8u; s += 1u) {
            let eight = dy_eights[(min(p + s, part.end - 1u) * size.y_stride + size.y_first + column) / 8u];
            evens[s] = operand(even(eight));
            odds[s] = operand(odd(eight));
        }
        if (group.y == 0u) {
            sums[0] += add_up(&evens, p, part.end);
            sums[1] += add_up(&odds, p, part.end);
        }
        let left0 = window_of(rows, inputs.x, fold0);
        multiply_inputs(&results, 0u, left0, &evens);
        multiply_inputs(&results, ROWS, left0, &odds);
        let left1 = window_of(rows, inputs.y, fold1);
        multiply_inputs(&results, 8u, left1, &evens);
        multiply_inputs(&results, ROWS + 8u, left1, &odds);
        let left2 = window_of(rows, inputs.z, fold2);
        multiply_inputs(&results, 16u, left2, &evens);
        multiply_inputs(&results, ROWS + 16u, left2, &odds);
        let left3 = window_of(rows, inputs.w, fold3);
        multiply_inputs(&results, 24u, left3, &evens);
        multiply_inputs(&results, ROWS + 24u, left3, &odds);
    }
    for (var r = 0u; r < ROWS; r += 1u) {
        if (part.input + r < INPUTS) {
            let at = sum_place(group, 0u, part.input + r, column);
            partial_sums[at] = vec4<f32>(results[r].x, results[r + ROWS].x, results[r].y, results[r + ROWS].y);
            partial_sums[at + 1u] = vec4<f32>(results[r].z, results[r + ROWS].z, results[r].w, results[r + ROWS].w);
        }
    }
    if (group.y == 0u) {
        let at = sum_place(group, KERNEL_TIME * KERNEL_MEL, 0u, column);
        partial_sums[at] = vec4<f32>(sums[0].x, sums[1].x, sums[0].y, sums[1].y);
        partial_sums[at + 1u] = vec4<f32>(sums[0].z, sums[1].z, sums[0].w, sums[1].w);
    }
}
