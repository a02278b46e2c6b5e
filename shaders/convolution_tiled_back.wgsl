// backward_input of convolution.wgsl for hardware, alone and through the fold: the same sums, bindings and immediates, decomposed
// as convolution_tiled.wgsl.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
// Where the channels of x begin in `moments`.
const STATISTICS_FIRST: u32 = 0u;
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
// An operand that a map holds.
fn held_operand(four: Stored) -> vec4<f32> { return operand(unpacked(four)); }

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
@group(0) @binding(9) var<storage, read> moments: array<vec4<f32>>;              // mean, inv_std of two channels

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

fn keep_left(buffer: u32, lane: u32, values: ptr<function, array<Stored, LEFT>>) {
    for (var j = 0u; j < LEFT; j += 1u) {
        let r = lane / 4u + j * (THREADS / 4u);
        let k = (lane % 4u) * 4u;
        let value = held_operand((*values)[j]);
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

fn load_gradients(values: ptr<function, array<Stored, LEFT>>, at: ptr<function, Places>, step: u32, lane: u32) {
    let tap = step / BACKWARD_STEPS;
    let time = i32(KERNEL_TIME / 2u) - i32(tap / KERNEL_MEL);
    let mel = i32(KERNEL_MEL / 2u) - i32(tap % KERNEL_MEL);
    let channel = (step % BACKWARD_STEPS) * STEP + (lane % 4u) * 4u;
    let known = min(channel, OUTPUTS - 4u);
    for (var j = 0u; j < LEFT; j += 1u) {
        let row = neighbour(at, j, time, mel);
        let outside = row == OUTSIDE || channel >= OUTPUTS;
        let value = dy[(select(row, 0u, row == OUTSIDE) * size.y_stride + size.y_first + known) / 4u];
        (*values)[j] = select(value, Stored(), outside);
    }
}

// The same of the weight on its side: an input, a vector of outputs, which become steps.
fn load_transposed(values: ptr<function, array<vec4<f32>, RIGHT>>, step: u32, first_column: u32, lane: u32) {
    let tap = step / BACKWARD_STEPS;
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        let output = (step % BACKWARD_STEPS) * STEP + (i % (STEP / 4u)) * 4u;
        let input = first_column + i / (STEP / 4u);
        let row = tap * size.weight_inputs + size.weight_first + min(input, INPUTS - 1u);
        let value = weight[(row * OUTPUTS + min(output, OUTPUTS - 4u)) / 4u];
        (*values)[j] = select(value, NOTHING, input >= INPUTS || output >= OUTPUTS);
    }
}

fn keep_transposed(buffer: u32, lane: u32, values: ptr<function, array<vec4<f32>, RIGHT>>) {
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        let column = i / (STEP / 4u);
        let value = operand((*values)[j]);
        if (i < RIGHT_SIZE) {
            for (var e = 0u; e < 4u; e += 1u) {
                right[buffer * RIGHT_SIZE + ((i % (STEP / 4u)) * 4u + e) * RIGHT_PITCH + column / 4u][column % 4u] = value[e];
            }
        }
    }
}

// The product of a tile of gradients with the weight on its side.
fn multiply_backward(results: ptr<function, array<vec4<f32>, 8u * WIDE>>, first_row: u32, rows: u32, first_column: u32, lane: u32) {
    var at = places(first_row, rows, lane);
    var values: array<Stored, LEFT>;
    var weights: array<vec4<f32>, RIGHT>;
    load_gradients(&values, &at, 0u, lane);
    load_transposed(&weights, 0u, first_column, lane);
    for (var step = 0u; step < TAPS * BACKWARD_STEPS; step += 1u) {
        keep_left(step % 2u, lane, &values);
        keep_transposed(step % 2u, lane, &weights);
        workgroupBarrier();
        if (step + 1u < TAPS * BACKWARD_STEPS) {
            load_gradients(&values, &at, step + 1u, lane);
            load_transposed(&weights, step + 1u, first_column, lane);
        }
        multiply(results, step % 2u, lane / ACROSS, lane % ACROSS);
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
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let first_row = (group.z * groups.y + group.y) * ROWS;
    let first_column = group.x * COLUMNS;
    var results: array<vec4<f32>, 8u * WIDE>;
    multiply_backward(&results, first_row, rows, first_column, lane);
    for (var w = 0u; w < WIDE; w += 1u) {
        let column = first_column + (w * ACROSS + lane % ACROSS) * 4u;
        for (var r = 0u; r < 8u; r += 1u) {
            let row = first_row + lane / ACROSS * 8u + r;
            if (row < rows && column < INPUTS) {
                let place = (row * size.dx_stride + size.dx_first + column) / 4u;
                if (size.add_dx != 0u) {
                    dx[place] = packed(unpacked(dx[place]) + results[w * 8u + r]);
                } else {
                    dx[place] = packed(results[w * 8u + r]);
                }
            }
        }
    }
}

// Of the batch norm and the ReLU that were folded into the load of x, too, as batch_norm.wgsl's accumulate_gradients: dx is
// written or added to with what does not depend on sums over the batch, and
// partial_sums[tile, input] = (sum of dz, sum of dz * xhat) of the tile, two inputs to a vector.
@compute @workgroup_size(THREADS)
fn backward_folded(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let tile = group.z * groups.y + group.y;
    let first_row = tile * ROWS;
    let first_column = group.x * COLUMNS;
    var results: array<vec4<f32>, 8u * WIDE>;
    multiply_backward(&results, first_row, rows, first_column, lane);
    for (var w = 0u; w < WIDE; w += 1u) {
        let column = first_column + (w * ACROSS + lane % ACROSS) * 4u;
        let known = min(column, INPUTS - 4u);
        let factor = scale[(size.weight_first + known) / 4u];
        let offset = shift[(size.weight_first + known) / 4u];
        let low = moments[(STATISTICS_FIRST + known) / 2u];
        let high = moments[(STATISTICS_FIRST + known) / 2u + 1u];
        let mean = vec4<f32>(low.xz, high.xz);
        let inv_std = vec4<f32>(low.yw, high.yw);
        var sums = NOTHING;
        var products = NOTHING;
        // All loads first: none may wait for the store before it.
        var inputs: array<Stored, 8>;
        var before: array<Stored, 8>;
        for (var r = 0u; r < 8u; r += 1u) {
            let row = min(first_row + lane / ACROSS * 8u + r, rows - 1u);
            inputs[r] = x[(row * size.x_stride + size.x_first + known) / 4u];
        }
        if (size.add_dx != 0u) {
            for (var r = 0u; r < 8u; r += 1u) {
                let row = min(first_row + lane / ACROSS * 8u + r, rows - 1u);
                before[r] = dx[(row * size.dx_stride + size.dx_first + known) / 4u];
            }
        }
        for (var r = 0u; r < 8u; r += 1u) {
            let row = first_row + lane / ACROSS * 8u + r;
            if (row < rows && column < INPUTS) {
                let input = unpacked(inputs[r]);
                let dz = select(NOTHING, results[w * 8u + r], fma(input, factor, offset) > NOTHING);
                sums += dz;
                products = fma(dz, (input - mean) * inv_std, products);
                dx[(row * size.dx_stride + size.dx_first + column) / 4u] = packed(fma(factor, dz, unpacked(before[r])));
            }
        }
        sums = add_rows(sums, lane);
        products = add_rows(products, lane);
        if (lane < ACROSS && column < INPUTS && first_row < rows) {
            let place = ((size.first_split + tile) * INPUTS + column) / 2u;
            partial_sums[place] = vec4<f32>(sums.x, products.x, sums.y, products.y);
            partial_sums[place + 1u] = vec4<f32>(sums.z, products.z, sums.w, products.w);
        }
    }
}
