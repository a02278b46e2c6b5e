// Convolution over time and mel, stride 1, same padding, odd kernels; with KERNEL 1x1 it is a matrix product over rows.
//
//   y[p, o]  = bias[o] + sum over taps (j, k) and inputs i of  act(x)[p + (j - KERNEL_TIME/2, k - KERNEL_MEL/2), i] * weight[j, k, i, o]
//   dx[p, i] = sum over taps and o of  dy[p - tap, o] * weight[j, k, i, o]      (the gradient at act(x), not at x)
//   dweight[j, k, i, o] = sum over p of  act(x)[p + tap, i] * dy[p, o];    dbias[o] = sum over p of dy[p, o]
//
// act(x) is x, or with FOLD relu(x * scale[i] + shift[i]): a batch norm with known statistics and a ReLU folded into the
// load. Padding is zero after the activation. Rows are pixels p = (sample, time, mel).
//
// Decomposition: a workgroup of 64 owns a tile of 128 rows x 32 columns of the product and walks the inner dimension 16
// at a time through workgroup memory; an invocation keeps 8 x 8 results. The weight gradient sums over pixels: a
// workgroup owns 64 (tap, input) rows x 32 outputs of one split of the pixels, and `reduce.wgsl` adds the splits in order.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;

const TAPS: u32 = KERNEL_TIME * KERNEL_MEL;
const STEP: u32 = 16u;
const ROWS: u32 = 128u;
const COLUMNS: u32 = 32u;
const WEIGHT_ROWS: u32 = 64u;
const LEFT_PITCH: u32 = 129u;
const WEIGHT_PITCH: u32 = 65u;

// An operand of a product, and what the gradient of the bias sums up: as it is, or rounded to f16 (the host replaces such lines).
fn operand(value: f32) -> f32 { return value; }
// What maps hold, likewise.
fn kept(value: f32) -> f32 { return value; }

struct Size {
    batch: u32,
    frames: u32,
    // Of the weight gradient: the first split of this dispatch, and how many pixels a split has.
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

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read> dy: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<f32>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<f32>;

var<workgroup> left: array<f32, 2064>;         // STEP x LEFT_PITCH
var<workgroup> right: array<vec4<f32>, 128>;   // STEP x COLUMNS / 4

struct Pixel {
    row: u32,
    time: i32,
    mel: i32,
    inside: bool,
}

fn pixel(row: u32, rows: u32) -> Pixel {
    return Pixel(row, i32((row / MEL) % size.frames), i32(row % MEL), row < rows);
}

// The row that lies `time` and `mel` steps from `p`, or 0xffffffff in the padding.
fn neighbour(p: Pixel, time: i32, mel: i32) -> u32 {
    let t = p.time + time;
    let m = p.mel + mel;
    if (!p.inside || t < 0 || t >= i32(size.frames) || m < 0 || m >= i32(MEL)) {
        return 0xffffffffu;
    }
    return u32(i32(p.row) + time * i32(MEL) + mel);
}

fn activation(row: u32, channel: u32) -> f32 {
    let value = x[row * size.x_stride + size.x_first + channel];
    if (FOLD) {
        return operand(max(0.0, fma(value, scale[size.weight_first + channel], shift[size.weight_first + channel])));
    }
    return operand(value);
}

// act(x) at pixel p for row k = (tap, input) of the weight.
fn patch_value(p: Pixel, k: u32) -> f32 {
    let tap = k / INPUTS;
    let row = neighbour(p, i32(tap / KERNEL_MEL) - i32(KERNEL_TIME / 2u), i32(tap % KERNEL_MEL) - i32(KERNEL_MEL / 2u));
    if (k >= TAPS * INPUTS || row == 0xffffffffu) {
        return 0.0;
    }
    return activation(row, k % INPUTS);
}

// dy where tap k / OUTPUTS brought pixel p to it, at output k % OUTPUTS.
fn gradient_value(p: Pixel, k: u32) -> f32 {
    let tap = k / OUTPUTS;
    let row = neighbour(p, i32(KERNEL_TIME / 2u) - i32(tap / KERNEL_MEL), i32(KERNEL_MEL / 2u) - i32(tap % KERNEL_MEL));
    if (k >= TAPS * OUTPUTS || row == 0xffffffffu) {
        return 0.0;
    }
    return operand(dy[row * size.y_stride + size.y_first + k % OUTPUTS]);
}

fn weight_value(tap: u32, input: u32, output: u32) -> f32 {
    if (tap >= TAPS || input >= INPUTS || output >= OUTPUTS) {
        return 0.0;
    }
    return operand(weight[(tap * size.weight_inputs + size.weight_first + input) * OUTPUTS + output]);
}

// One step of 16 through the tile: results[2 r + h] holds row (along + 16 r), columns 8 across + 4 h ..
fn multiply(results: ptr<function, array<vec4<f32>, 16>>, along: u32, across: u32) {
    for (var k = 0u; k < STEP; k += 1u) {
        let low = right[k * (COLUMNS / 4u) + across * 2u];
        let high = right[k * (COLUMNS / 4u) + across * 2u + 1u];
        for (var r = 0u; r < 8u; r += 1u) {
            let value = vec4<f32>(left[k * LEFT_PITCH + along + 16u * r]);
            (*results)[2u * r] = fma(value, low, (*results)[2u * r]);
            (*results)[2u * r + 1u] = fma(value, high, (*results)[2u * r + 1u]);
        }
    }
}

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let first_row = (group.y * groups.x + group.x) * ROWS;
    if (first_row >= rows) {
        return;
    }
    let first_column = group.z * COLUMNS;
    let along = lane / 4u;
    let across = lane % 4u;
    var results: array<vec4<f32>, 16>;
    for (var k0 = 0u; k0 < TAPS * INPUTS; k0 += STEP) {
        for (var r = lane / STEP; r < ROWS; r += 64u / STEP) {
            let k = lane % STEP;
            left[k * LEFT_PITCH + r] = patch_value(pixel(first_row + r, rows), k0 + k);
        }
        for (var i = lane; i < STEP * COLUMNS / 4u; i += 64u) {
            let k = k0 + i / (COLUMNS / 4u);
            let o = first_column + (i % (COLUMNS / 4u)) * 4u;
            let tap = k / INPUTS;
            let input = k % INPUTS;
            right[i] = vec4<f32>(weight_value(tap, input, o), weight_value(tap, input, o + 1u), weight_value(tap, input, o + 2u), weight_value(tap, input, o + 3u));
        }
        workgroupBarrier();
        multiply(&results, along, across);
        workgroupBarrier();
    }
    for (var r = 0u; r < 8u; r += 1u) {
        let row = first_row + along + 16u * r;
        for (var c = 0u; c < 8u; c += 1u) {
            let column = first_column + across * 8u + c;
            if (row < rows && column < OUTPUTS) {
                let place = row * size.y_stride + size.y_first + column;
                var start = 0.0;
                if (size.add_y != 0u) {
                    start = y[place];
                } else {
                    start = bias[column];
                }
                let sum = start + results[2u * r + c / 4u][c % 4u];
                y[place] = kept(sum);
            }
        }
    }
}

@compute @workgroup_size(64)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let first_row = (group.y * groups.x + group.x) * ROWS;
    if (first_row >= rows) {
        return;
    }
    let first_column = group.z * COLUMNS;
    let along = lane / 4u;
    let across = lane % 4u;
    var results: array<vec4<f32>, 16>;
    for (var k0 = 0u; k0 < TAPS * OUTPUTS; k0 += STEP) {
        for (var r = lane / STEP; r < ROWS; r += 64u / STEP) {
            let k = lane % STEP;
            left[k * LEFT_PITCH + r] = gradient_value(pixel(first_row + r, rows), k0 + k);
        }
        for (var i = lane; i < STEP * COLUMNS / 4u; i += 64u) {
            let k = k0 + i / (COLUMNS / 4u);
            let c = first_column + (i % (COLUMNS / 4u)) * 4u;
            let tap = k / OUTPUTS;
            let o = k % OUTPUTS;
            right[i] = vec4<f32>(weight_value(tap, c, o), weight_value(tap, c + 1u, o), weight_value(tap, c + 2u, o), weight_value(tap, c + 3u, o));
        }
        workgroupBarrier();
        multiply(&results, along, across);
        workgroupBarrier();
    }
    for (var r = 0u; r < 8u; r += 1u) {
        let row = first_row + along + 16u * r;
        for (var c = 0u; c < 8u; c += 1u) {
            let column = first_column + across * 8u + c;
            if (row < rows && column < INPUTS) {
                let place = row * size.dx_stride + size.dx_first + column;
                var start = 0.0;
                if (size.add_dx != 0u) {
                    start = dx[place];
                }
                dx[place] = kept(start + results[2u * r + c / 4u][c % 4u]);
            }
        }
    }
}

// partial_sums[split, (tap, input), output]; groups: x = tiles of rows, y = splits, z = tiles of outputs.
@compute @workgroup_size(64)
fn backward_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let first_weight = group.x * WEIGHT_ROWS;
    let first_column = group.z * COLUMNS;
    let along = lane / 8u;
    let across = lane % 8u;
    let begin = group.y * size.split_rows;
    let end = min(rows, begin + size.split_rows);
    var results: array<vec4<f32>, 8>;
    for (var p0 = begin; p0 < end; p0 += STEP) {
        for (var k = lane / 64u; k < STEP; k += 1u) {
            left[k * WEIGHT_PITCH + lane] = patch_value(pixel(p0 + k, end), first_weight + lane);
        }
        for (var i = lane; i < STEP * COLUMNS / 4u; i += 64u) {
            let row = p0 + i / (COLUMNS / 4u);
            let o = first_column + (i % (COLUMNS / 4u)) * 4u;
            var values = vec4<f32>(0.0);
            for (var e = 0u; e < 4u; e += 1u) {
                if (row < end && o + e < OUTPUTS) {
                    values[e] = operand(dy[row * size.y_stride + size.y_first + o + e]);
                }
            }
            right[i] = values;
        }
        workgroupBarrier();
        for (var k = 0u; k < STEP; k += 1u) {
            let outputs = right[k * (COLUMNS / 4u) + across];
            for (var r = 0u; r < 8u; r += 1u) {
                results[r] = fma(vec4<f32>(left[k * WEIGHT_PITCH + along + 8u * r]), outputs, results[r]);
            }
        }
        workgroupBarrier();
    }
    for (var r = 0u; r < 8u; r += 1u) {
        let row = first_weight + along + 8u * r;
        for (var e = 0u; e < 4u; e += 1u) {
            let column = first_column + across * 4u + e;
            if (row < TAPS * INPUTS && column < OUTPUTS) {
                partial_sums[((size.first_split + group.y) * TAPS * INPUTS + row) * OUTPUTS + column] = results[r][e];
            }
        }
    }
}

// partial_sums[split, output]; groups: x = tiles of 64 outputs, y = splits.
@compute @workgroup_size(64)
fn backward_bias(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let output = group.x * 64u + lane;
    if (output >= OUTPUTS) {
        return;
    }
    let begin = group.y * size.split_rows;
    let end = min(rows, begin + size.split_rows);
    var sum = 0.0;
    for (var row = begin; row < end; row += 1u) {
        sum += operand(dy[row * size.y_stride + size.y_first + output]);
    }
    partial_sums[(size.first_split + group.y) * OUTPUTS + output] = sum;
}
