// `convolution.wgsl` with subgroup broadcasts instead of workgroup memory: the same bindings, constants and results up to
// the order of sums. For adapters whose subgroups all have LANES invocations, at least 8: software adapters, where
// memory that invocations share is as slow as any other.
//
// Decomposition: a workgroup is one subgroup. It owns 16 rows x 4 LANES columns; a lane keeps, for each row, the four
// columns lane, lane + LANES, .. Eight steps of the inner dimension at a time: lane s loads what all need for step s of
// each row, and broadcasts it. Groups: x = tiles of columns, so that neighbours in time read the same rows and write lines
// of memory whole; y and z = tiles of rows.

const LANES: u32 = 8u;
const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;

// An operand of a product: as it is, or rounded to f16 (the host replaces such lines).
fn operand(value: f32) -> f32 { return value; }
fn operands(value: vec4<f32>) -> vec4<f32> { return value; }
// What y holds, likewise.
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

const ROWS: u32 = 16u;
const OUTSIDE: u32 = 0xffffffffu;

fn activation(place: u32, channel: u32) -> f32 {
    let value = x[place + channel];
    if (FOLD) {
        return operand(max(0.0, fma(value, scale[size.weight_first + channel], shift[size.weight_first + channel])));
    }
    return operand(value);
}

// The row that lies `time` and `mel` steps from `row`, or OUTSIDE in the padding and past the end.
fn neighbour(row: u32, rows: u32, time: i32, mel: i32) -> u32 {
    let t = i32((row / MEL) % size.frames) + time;
    let m = i32(row % MEL) + mel;
    let inside = row < rows && t >= 0 && t < i32(size.frames) && m >= 0 && m < i32(MEL);
    return select(OUTSIDE, u32(i32(row) + time * i32(MEL) + mel), inside);
}

// Eight steps: results[r] += left[r] of lane s * right[s], for s = 0 .. 7.
fn multiply(results: ptr<function, array<vec4<f32>, 16>>, left: ptr<function, array<f32, 16>>, right: ptr<function, array<vec4<f32>, 8>>) {
    multiply_four(results, 0u, vec4<f32>((*left)[0], (*left)[1], (*left)[2], (*left)[3]), right);
    multiply_four(results, 4u, vec4<f32>((*left)[4], (*left)[5], (*left)[6], (*left)[7]), right);
    multiply_four(results, 8u, vec4<f32>((*left)[8], (*left)[9], (*left)[10], (*left)[11]), right);
    multiply_four(results, 12u, vec4<f32>((*left)[12], (*left)[13], (*left)[14], (*left)[15]), right);
}

// Four rows from `first` on, so that their results stay in registers. Written out, since a lane to broadcast from is a
// constant.
fn multiply_four(results: ptr<function, array<vec4<f32>, 16>>, first: u32, left: vec4<f32>, right: ptr<function, array<vec4<f32>, 8>>) {
    add(results, first, subgroupBroadcast(left, 0u), (*right)[0]);
    add(results, first, subgroupBroadcast(left, 1u), (*right)[1]);
    add(results, first, subgroupBroadcast(left, 2u), (*right)[2]);
    add(results, first, subgroupBroadcast(left, 3u), (*right)[3]);
    add(results, first, subgroupBroadcast(left, 4u), (*right)[4]);
    add(results, first, subgroupBroadcast(left, 5u), (*right)[5]);
    add(results, first, subgroupBroadcast(left, 6u), (*right)[6]);
    add(results, first, subgroupBroadcast(left, 7u), (*right)[7]);
}

fn add(results: ptr<function, array<vec4<f32>, 16>>, first: u32, left: vec4<f32>, right: vec4<f32>) {
    (*results)[first] = fma(left.xxxx, right, (*results)[first]);
    (*results)[first + 1u] = fma(left.yyyy, right, (*results)[first + 1u]);
    (*results)[first + 2u] = fma(left.zzzz, right, (*results)[first + 2u]);
    (*results)[first + 3u] = fma(left.wwww, right, (*results)[first + 3u]);
}

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let first_row = (group.z * groups.y + group.y) * ROWS;
    let column = group.x * 4u * LANES + lane;
    var results: array<vec4<f32>, 16>;
    var places: array<u32, 16>;
    var left: array<f32, 16>;
    var right: array<vec4<f32>, 8>;
    for (var tap = 0u; tap < KERNEL_TIME * KERNEL_MEL; tap += 1u) {
        for (var r = 0u; r < 16u; r += 1u) {
            places[r] = neighbour(first_row + r, rows, i32(tap / KERNEL_MEL) - i32(KERNEL_TIME / 2u), i32(tap % KERNEL_MEL) - i32(KERNEL_MEL / 2u));
        }
        for (var c0 = 0u; c0 < INPUTS; c0 += 8u) {
            let channel = c0 + lane % 8u;
            let known = min(channel, INPUTS - 1u);
            for (var r = 0u; r < 16u; r += 1u) {
                let inside = places[r] != OUTSIDE && channel < INPUTS;
                left[r] = select(0.0, activation(select(0u, places[r], inside) * size.x_stride + size.x_first, known), inside);
            }
            for (var s = 0u; s < 8u; s += 1u) {
                let w = (tap * size.weight_inputs + size.weight_first + min(c0 + s, INPUTS - 1u)) * OUTPUTS;
                right[s] = operands(vec4<f32>(weight[w + min(column, OUTPUTS - 1u)], weight[w + min(column + LANES, OUTPUTS - 1u)], weight[w + min(column + 2u * LANES, OUTPUTS - 1u)], weight[w + min(column + 3u * LANES, OUTPUTS - 1u)]));
            }
            multiply(&results, &left, &right);
        }
    }
    for (var r = 0u; r < 16u; r += 1u) {
        for (var g = 0u; g < 4u; g += 1u) {
            let o = column + g * LANES;
            if (first_row + r < rows && o < OUTPUTS) {
                let place = (first_row + r) * size.y_stride + size.y_first + o;
                var start = 0.0;
                if (size.add_y != 0u) {
                    start = y[place];
                } else {
                    start = bias[o];
                }
                let sum = start + results[r][g];
                y[place] = kept(sum);
            }
        }
    }
}

@compute @workgroup_size(LANES)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let first_row = (group.z * groups.y + group.y) * ROWS;
    let column = group.x * 4u * LANES + lane;
    var results: array<vec4<f32>, 16>;
    var places: array<u32, 16>;
    var left: array<f32, 16>;
    var right: array<vec4<f32>, 8>;
    for (var tap = 0u; tap < KERNEL_TIME * KERNEL_MEL; tap += 1u) {
        for (var r = 0u; r < 16u; r += 1u) {
            places[r] = neighbour(first_row + r, rows, i32(KERNEL_TIME / 2u) - i32(tap / KERNEL_MEL), i32(KERNEL_MEL / 2u) - i32(tap % KERNEL_MEL));
        }
        for (var o0 = 0u; o0 < OUTPUTS; o0 += 8u) {
            let output = o0 + lane % 8u;
            let known = min(output, OUTPUTS - 1u);
            for (var r = 0u; r < 16u; r += 1u) {
                let inside = places[r] != OUTSIDE && output < OUTPUTS;
                left[r] = operand(select(0.0, dy[select(0u, places[r], inside) * size.y_stride + size.y_first + known], inside));
            }
            let w = (tap * size.weight_inputs + size.weight_first) * OUTPUTS;
            let i0 = w + min(column, INPUTS - 1u) * OUTPUTS;
            let i1 = w + min(column + LANES, INPUTS - 1u) * OUTPUTS;
            let i2 = w + min(column + 2u * LANES, INPUTS - 1u) * OUTPUTS;
            let i3 = w + min(column + 3u * LANES, INPUTS - 1u) * OUTPUTS;
            for (var s = 0u; s < 8u; s += 1u) {
                let o = min(o0 + s, OUTPUTS - 1u);
                right[s] = operands(vec4<f32>(weight[i0 + o], weight[i1 + o], weight[i2 + o], weight[i3 + o]));
            }
            multiply(&results, &left, &right);
        }
    }
    for (var r = 0u; r < 16u; r += 1u) {
        for (var g = 0u; g < 4u; g += 1u) {
            let i = column + g * LANES;
            if (first_row + r < rows && i < INPUTS) {
                let place = (first_row + r) * size.dx_stride + size.dx_first + i;
                var start = 0.0;
                if (size.add_dx != 0u) {
                    start = dx[place];
                }
                dx[place] = start + results[r][g];
            }
        }
    }
}

// partial_sums[split, (tap, input), output]; groups: x = tiles of outputs, y = tiles of 16 inputs of each tap, z = splits.
@compute @workgroup_size(LANES)
fn backward_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let tiles = (INPUTS + 15u) / 16u;
    let tap = group.y / tiles;
    let first_input = (group.y % tiles) * 16u;
    let column = group.x * 4u * LANES + lane;
    let begin = group.z * size.split_rows;
    let end = min(rows, begin + size.split_rows);
    var results: array<vec4<f32>, 16>;
    var left: array<f32, 16>;
    var right: array<vec4<f32>, 8>;
    for (var p0 = begin; p0 < end; p0 += 8u) {
        let place = neighbour(p0 + lane % 8u, end, i32(tap / KERNEL_MEL) - i32(KERNEL_TIME / 2u), i32(tap % KERNEL_MEL) - i32(KERNEL_MEL / 2u));
        let inside = place != OUTSIDE;
        let first = select(0u, place, inside) * size.x_stride + size.x_first;
        for (var r = 0u; r < 16u; r += 1u) {
            left[r] = select(0.0, activation(first, min(first_input + r, INPUTS - 1u)), inside);
        }
        for (var s = 0u; s < 8u; s += 1u) {
            let w = min(p0 + s, end - 1u) * size.y_stride + size.y_first;
            right[s] = operands(vec4<f32>(dy[w + min(column, OUTPUTS - 1u)], dy[w + min(column + LANES, OUTPUTS - 1u)], dy[w + min(column + 2u * LANES, OUTPUTS - 1u)], dy[w + min(column + 3u * LANES, OUTPUTS - 1u)]));
        }
        multiply(&results, &left, &right);
    }
    for (var r = 0u; r < 16u; r += 1u) {
        for (var g = 0u; g < 4u; g += 1u) {
            let o = column + g * LANES;
            if (first_input + r < INPUTS && o < OUTPUTS) {
                partial_sums[((size.first_split + group.z) * KERNEL_TIME * KERNEL_MEL * INPUTS + tap * INPUTS + first_input + r) * OUTPUTS + o] = results[r][g];
            }
        }
    }
}
