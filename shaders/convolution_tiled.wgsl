// Forward of convolution.wgsl for hardware: the same sums, bindings and immediates. Channels come in fours: so do all counts,
// strides and first channels. `convolution_tiled_back.wgsl` and `convolution_tiled_weight.wgsl` have the gradients.
//
// Decomposition: a workgroup owns a tile of ROWS rows x COLUMNS columns of the product and walks the inner dimension, tap by
// tap, STEP channels at a time. An invocation keeps 8 rows x 4 WIDE columns of results in registers. Both operands pass
// through workgroup memory: read from storage as vectors, all loads of a step under way at once and one step ahead, without a
// branch among them (what lies outside is read from row 0 and then set to zero); kept so that an invocation's eight rows are
// two vectors. Two buffers take turns, so that a step has one barrier.
//
// Groups: x = tiles of columns, so that neighbours in time read the same rows; y and z = tiles of rows.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
const ROWS: u32 = 128u;
const COLUMNS: u32 = 32u;
const WIDE: u32 = 1u;

const STEP: u32 = 16u;
const TAPS: u32 = KERNEL_TIME * KERNEL_MEL;
// Invocations side by side, and of the workgroup.
const ACROSS: u32 = COLUMNS / (4u * WIDE);
const THREADS: u32 = ROWS / 8u * ACROSS;
// Vectors that an invocation brings to workgroup memory in a step, of both operands.
const LEFT: u32 = ROWS * STEP / 4u / THREADS;
const RIGHT: u32 = (COLUMNS * STEP / 4u + THREADS - 1u) / THREADS;
// A step of the left operand has ROWS numbers and a vector of padding, against conflicts of banks.
const LEFT_PITCH: u32 = ROWS / 4u + 1u;
const RIGHT_PITCH: u32 = COLUMNS / 4u;
const LEFT_SIZE: u32 = STEP * LEFT_PITCH;
const RIGHT_SIZE: u32 = STEP * RIGHT_PITCH;
const OUTSIDE: u32 = 0xffffffffu;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// An operand of a product: as it is, or rounded to f16 (the host replaces such lines).
fn operand(value: vec4<f32>) -> vec4<f32> { return value; }

// How four channels of a map are stored: as they are, or as halves (the host replaces these lines).
alias Stored = vec4<f32>;
fn unpacked(four: Stored) -> vec4<f32> { return four; }
fn packed(four: vec4<f32>) -> Stored { return four; }

struct Size {
    batch: u32,
    frames: u32,
    // The first row of partial_sums that this dispatch writes.
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

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;
@group(0) @binding(6) var<storage, read> dy: array<Stored>;
@group(0) @binding(7) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<vec4<f32>>;

// [buffer][step][row] and [buffer][step][column], in vectors of rows and of columns.
var<workgroup> left: array<vec4<f32>, 2u * LEFT_SIZE>;
var<workgroup> right: array<vec4<f32>, 2u * RIGHT_SIZE>;

// The rows that an invocation brings, with their places in the image.
struct Places {
    row: array<u32, LEFT>,
    time: array<i32, LEFT>,
    mel: array<i32, LEFT>,
}

fn places(first_row: u32, rows: u32, lane: u32) -> Places {
    var result: Places;
    for (var j = 0u; j < LEFT; j += 1u) {
        let row = first_row + lane / 4u + j * (THREADS / 4u);
        result.row[j] = select(OUTSIDE, row, row < rows);
        result.time[j] = i32((row / MEL) % size.frames);
        result.mel[j] = i32(row % MEL);
    }
    return result;
}

// The row that lies `time` and `mel` steps from place j, or OUTSIDE in the padding and past the end.
fn neighbour(at: ptr<function, Places>, j: u32, time: i32, mel: i32) -> u32 {
    let row = (*at).row[j];
    if (TAPS == 1u) {
        return row;
    }
    let t = (*at).time[j] + time;
    let m = (*at).mel[j] + mel;
    let inside = row != OUTSIDE && t >= 0 && t < i32(size.frames) && m >= 0 && m < i32(MEL);
    return select(OUTSIDE, u32(i32(row) + time * i32(MEL) + mel), inside);
}

fn keep_left(buffer: u32, lane: u32, values: ptr<function, array<vec4<f32>, LEFT>>) {
    for (var j = 0u; j < LEFT; j += 1u) {
        let r = lane / 4u + j * (THREADS / 4u);
        let k = (lane % 4u) * 4u;
        let value = operand((*values)[j]);
        for (var e = 0u; e < 4u; e += 1u) {
            left[buffer * LEFT_SIZE + (k + e) * LEFT_PITCH + r / 4u][r % 4u] = value[e];
        }
    }
}

// One step through the tile: results[8 w + r] holds row 8 along + r of the w-th vector of columns.
fn multiply(results: ptr<function, array<vec4<f32>, 8u * WIDE>>, buffer: u32, along: u32, across: u32) {
    for (var k = 0u; k < STEP; k += 1u) {
        let low = left[buffer * LEFT_SIZE + k * LEFT_PITCH + along * 2u];
        let high = left[buffer * LEFT_SIZE + k * LEFT_PITCH + along * 2u + 1u];
        for (var w = 0u; w < WIDE; w += 1u) {
            let columns = right[buffer * RIGHT_SIZE + k * RIGHT_PITCH + w * ACROSS + across];
            for (var r = 0u; r < 4u; r += 1u) {
                (*results)[w * 8u + r] = fma(vec4<f32>(low[r]), columns, (*results)[w * 8u + r]);
                (*results)[w * 8u + 4u + r] = fma(vec4<f32>(high[r]), columns, (*results)[w * 8u + 4u + r]);
            }
        }
    }
}

// Steps of a tap, and which of them a flat step is.
const FORWARD_STEPS: u32 = (INPUTS + STEP - 1u) / STEP;
const BACKWARD_STEPS: u32 = (OUTPUTS + STEP - 1u) / STEP;

fn load_activations(values: ptr<function, array<vec4<f32>, LEFT>>, at: ptr<function, Places>, step: u32, lane: u32) {
    let tap = step / FORWARD_STEPS;
    let time = i32(tap / KERNEL_MEL) - i32(KERNEL_TIME / 2u);
    let mel = i32(tap % KERNEL_MEL) - i32(KERNEL_MEL / 2u);
    let channel = (step % FORWARD_STEPS) * STEP + (lane % 4u) * 4u;
    let known = min(channel, INPUTS - 4u);
    var factor = vec4<f32>(1.0);
    var offset = NOTHING;
    if (FOLD) {
        factor = scale[(size.weight_first + known) / 4u];
        offset = shift[(size.weight_first + known) / 4u];
    }
    for (var j = 0u; j < LEFT; j += 1u) {
        let row = neighbour(at, j, time, mel);
        let outside = row == OUTSIDE || channel >= INPUTS;
        var value = unpacked(x[(select(row, 0u, row == OUTSIDE) * size.x_stride + size.x_first + known) / 4u]);
        if (FOLD) {
            value = max(NOTHING, fma(value, factor, offset));
        }
        (*values)[j] = select(value, NOTHING, outside);
    }
}

// Row (tap, input) of the weight, a vector of outputs.
fn load_weights(values: ptr<function, array<vec4<f32>, RIGHT>>, step: u32, first_column: u32, lane: u32) {
    let tap = step / FORWARD_STEPS;
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        let input = (step % FORWARD_STEPS) * STEP + i / RIGHT_PITCH;
        let column = first_column + (i % RIGHT_PITCH) * 4u;
        let row = tap * size.weight_inputs + size.weight_first + min(input, INPUTS - 1u);
        let value = weight[(row * OUTPUTS + min(column, OUTPUTS - 4u)) / 4u];
        (*values)[j] = select(value, NOTHING, input >= INPUTS || column >= OUTPUTS);
    }
}

fn keep_weights(buffer: u32, lane: u32, values: ptr<function, array<vec4<f32>, RIGHT>>) {
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        if (i < RIGHT_SIZE) {
            right[buffer * RIGHT_SIZE + i] = operand((*values)[j]);
        }
    }
}

// The product of a tile of activations with the weight.
fn multiply_forward(results: ptr<function, array<vec4<f32>, 8u * WIDE>>, first_row: u32, rows: u32, first_column: u32, lane: u32) {
    var at = places(first_row, rows, lane);
    var values: array<vec4<f32>, LEFT>;
    var weights: array<vec4<f32>, RIGHT>;
    load_activations(&values, &at, 0u, lane);
    load_weights(&weights, 0u, first_column, lane);
    for (var step = 0u; step < TAPS * FORWARD_STEPS; step += 1u) {
        keep_left(step % 2u, lane, &values);
        keep_weights(step % 2u, lane, &weights);
        workgroupBarrier();
        if (step + 1u < TAPS * FORWARD_STEPS) {
            load_activations(&values, &at, step + 1u, lane);
            load_weights(&weights, step + 1u, first_column, lane);
        }
        multiply(results, step % 2u, lane / ACROSS, lane % ACROSS);
    }
}

// Stores the tile, and leaves what y has there in `results`.
fn store_forward(results: ptr<function, array<vec4<f32>, 8u * WIDE>>, first_row: u32, rows: u32, first_column: u32, lane: u32) {
    for (var w = 0u; w < WIDE; w += 1u) {
        let column = first_column + (w * ACROSS + lane % ACROSS) * 4u;
        let start = bias[min(column, OUTPUTS - 4u) / 4u];
        // All loads first: none may wait for the store before it.
        var before: array<vec4<f32>, 8>;
        for (var r = 0u; r < 8u; r += 1u) {
            before[r] = start;
        }
        if (size.add_y != 0u) {
            for (var r = 0u; r < 8u; r += 1u) {
                let row = min(first_row + lane / ACROSS * 8u + r, rows - 1u);
                before[r] = unpacked(y[(row * size.y_stride + size.y_first + min(column, OUTPUTS - 4u)) / 4u]);
            }
        }
        for (var r = 0u; r < 8u; r += 1u) {
            let row = first_row + lane / ACROSS * 8u + r;
            let stored = packed((*results)[w * 8u + r] + before[r]);
            (*results)[w * 8u + r] = unpacked(stored);
            if (row < rows && column < OUTPUTS) {
                y[(row * size.y_stride + size.y_first + column) / 4u] = stored;
            }
        }
    }
}

// The sum over the tile's rows of what invocations above each other have, in order, for all of them.
fn add_rows(value: vec4<f32>, lane: u32) -> vec4<f32> {
    workgroupBarrier();
    left[lane] = value;
    workgroupBarrier();
    var total = NOTHING;
    for (var along = 0u; along < ROWS / 8u; along += 1u) {
        total += left[along * ACROSS + lane % ACROSS];
    }
    return total;
}

@compute @workgroup_size(THREADS)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let first_row = (group.z * groups.y + group.y) * ROWS;
    var results: array<vec4<f32>, 8u * WIDE>;
    multiply_forward(&results, first_row, rows, group.x * COLUMNS, lane);
    store_forward(&results, first_row, rows, group.x * COLUMNS, lane);
}

// Also partial_sums[tile, output] = (rows, mean, sum of squared differences from it, 0) of the tile's y.
@compute @workgroup_size(THREADS)
fn forward_with_moments(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let tile = group.z * groups.y + group.y;
    let first_row = tile * ROWS;
    let first_column = group.x * COLUMNS;
    var results: array<vec4<f32>, 8u * WIDE>;
    multiply_forward(&results, first_row, rows, first_column, lane);
    store_forward(&results, first_row, rows, first_column, lane);
    let count = f32(min(rows, first_row + ROWS) - min(rows, first_row));
    for (var w = 0u; w < WIDE; w += 1u) {
        var sum = NOTHING;
        for (var r = 0u; r < 8u; r += 1u) {
            sum += select(NOTHING, results[w * 8u + r], first_row + lane / ACROSS * 8u + r < rows);
        }
        let mean = add_rows(sum, lane) / max(1.0, count);
        sum = NOTHING;
        for (var r = 0u; r < 8u; r += 1u) {
            let apart = select(NOTHING, results[w * 8u + r] - mean, first_row + lane / ACROSS * 8u + r < rows);
            sum = fma(apart, apart, sum);
        }
        sum = add_rows(sum, lane);
        let column = first_column + (w * ACROSS + lane % ACROSS) * 4u;
        if (lane < ACROSS && column < OUTPUTS && first_row < rows) {
            for (var e = 0u; e < 4u; e += 1u) {
                partial_sums[(size.first_split + tile) * OUTPUTS + column + e] = vec4<f32>(count, mean[e], sum[e], 0.0);
            }
        }
    }
}
