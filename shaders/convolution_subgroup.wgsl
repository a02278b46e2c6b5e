// `convolution.wgsl` with subgroup broadcasts instead of workgroup memory, for channels that come in fours: INPUTS, OUTPUTS,
// every stride and every first channel are multiples of 4, so that one load brings a lane a vec4. For adapters whose subgroups
// all have LANES invocations, a multiple of 8: software adapters, where memory that invocations share is as slow as any other,
// and which load lane after lane: a load costs as much as many products, and a vec4 little more than a scalar. The same
// bindings, constants and results up to the order of sums.
//
// Decomposition: a workgroup is one subgroup. It owns 32 rows x 4 LANES columns; a lane keeps, for each row, the four
// columns from 4 lane on. Four steps of the inner dimension at a time: eight lanes load four steps of eight rows, a lane
// per row, and broadcast them. Of the weight gradient rows are inputs, and lanes s and s + 4 load step (pixel) s.
// Groups: x = tiles of columns, so that neighbours in time read the same rows and write lines of memory whole; y and z = tiles
// of rows.

const LANES: u32 = 8u;
const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
// Where the channels of x begin in `moments`.
const STATISTICS_FIRST: u32 = 0u;

// An operand of a product, and what the gradient of the bias sums up: as it is, or rounded to f16 (the host replaces such lines).
fn operand(value: vec4<f32>) -> vec4<f32> { return value; }
// What maps hold, likewise.
fn kept(four: vec4<f32>) -> vec4<f32> { return four; }

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

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dx: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read> moments: array<vec4<f32>>;              // mean, inv_std of two channels

const ROWS: u32 = 32u;
// Of the bias gradient: columns of vectors.
const GROUPS: u32 = min(8u, (OUTPUTS + 4u * LANES - 1u) / (4u * LANES));
const OUTSIDE: u32 = 0xffffffffu;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// Of x's row, channels channel .. channel + 3 after the activation; zeros OUTSIDE.
fn activation(row: u32, channel: u32) -> vec4<f32> {
    var value = x[(select(row, 0u, row == OUTSIDE) * size.x_stride + size.x_first + channel) / 4u];
    if (FOLD) {
        let place = (size.weight_first + channel) / 4u;
        value = max(NOTHING, fma(value, scale[place], shift[place]));
    }
    return operand(select(value, NOTHING, row == OUTSIDE));
}

fn gradient(row: u32, channel: u32) -> vec4<f32> {
    let value = dy[(select(row, 0u, row == OUTSIDE) * size.y_stride + size.y_first + channel) / 4u];
    return operand(select(value, NOTHING, row == OUTSIDE));
}

// The row that lies `time` and `mel` steps from `row`, or OUTSIDE in the padding and past the end.
fn neighbour(row: u32, rows: u32, time: i32, mel: i32) -> u32 {
    if (KERNEL_TIME * KERNEL_MEL == 1u) {
        return select(OUTSIDE, row, row < rows);
    }
    let t = i32((row / MEL) % size.frames) + time;
    let m = i32(row % MEL) + mel;
    let inside = row < rows && t >= 0 && t < i32(size.frames) && m >= 0 && m < i32(MEL);
    return select(OUTSIDE, u32(i32(row) + time * i32(MEL) + mel), inside);
}

// results[r] += left[s] * right[s] for steps s = 0 .. 3.
fn add(results: ptr<function, array<vec4<f32>, 32>>, r: u32, left: vec4<f32>, right: ptr<function, array<vec4<f32>, 4>>) {
    let first = fma(left.xxxx, (*right)[0], (*results)[r]);
    let second = fma(left.yyyy, (*right)[1], first);
    let third = fma(left.zzzz, (*right)[2], second);
    (*results)[r] = fma(left.wwww, (*right)[3], third);
}

// Eight rows, one to a lane, from `first` on. Written out, since a lane to broadcast from is a constant.
fn multiply_rows(results: ptr<function, array<vec4<f32>, 32>>, first: u32, left: vec4<f32>, right: ptr<function, array<vec4<f32>, 4>>) {
    add(results, first, subgroupBroadcast(left, 0u), right);
    add(results, first + 1u, subgroupBroadcast(left, 1u), right);
    add(results, first + 2u, subgroupBroadcast(left, 2u), right);
    add(results, first + 3u, subgroupBroadcast(left, 3u), right);
    add(results, first + 4u, subgroupBroadcast(left, 4u), right);
    add(results, first + 5u, subgroupBroadcast(left, 5u), right);
    add(results, first + 6u, subgroupBroadcast(left, 6u), right);
    add(results, first + 7u, subgroupBroadcast(left, 7u), right);
}

// Eight rows from `first` on: lane s holds step s of the first four, lane s + 4 of the others.
fn multiply_steps(results: ptr<function, array<vec4<f32>, 32>>, first: u32, left: vec4<f32>, right: ptr<function, array<vec4<f32>, 4>>) {
    let low = transpose(mat4x4<f32>(subgroupBroadcast(left, 0u), subgroupBroadcast(left, 1u), subgroupBroadcast(left, 2u), subgroupBroadcast(left, 3u)));
    let high = transpose(mat4x4<f32>(subgroupBroadcast(left, 4u), subgroupBroadcast(left, 5u), subgroupBroadcast(left, 6u), subgroupBroadcast(left, 7u)));
    add(results, first, low[0], right);
    add(results, first + 1u, low[1], right);
    add(results, first + 2u, low[2], right);
    add(results, first + 3u, low[3], right);
    add(results, first + 4u, high[0], right);
    add(results, first + 5u, high[1], right);
    add(results, first + 6u, high[2], right);
    add(results, first + 7u, high[3], right);
}

// The sums of a tile of y.
fn multiply_forward(results: ptr<function, array<vec4<f32>, 32>>, first_row: u32, rows: u32, known: u32, lane: u32) {
    var right: array<vec4<f32>, 4>;
    for (var tap = 0u; tap < KERNEL_TIME * KERNEL_MEL; tap += 1u) {
        let time = i32(tap / KERNEL_MEL) - i32(KERNEL_TIME / 2u);
        let mel = i32(tap % KERNEL_MEL) - i32(KERNEL_MEL / 2u);
        let row0 = neighbour(first_row + lane % 8u, rows, time, mel);
        let row1 = neighbour(first_row + 8u + lane % 8u, rows, time, mel);
        let row2 = neighbour(first_row + 16u + lane % 8u, rows, time, mel);
        let row3 = neighbour(first_row + 24u + lane % 8u, rows, time, mel);
        for (var i = 0u; i < INPUTS; i += 4u) {
            for (var s = 0u; s < 4u; s += 1u) {
                right[s] = operand(weight[((tap * size.weight_inputs + size.weight_first + i + s) * OUTPUTS + known) / 4u]);
            }
            multiply_rows(results, 0u, activation(row0, i), &right);
            multiply_rows(results, 8u, activation(row1, i), &right);
            multiply_rows(results, 16u, activation(row2, i), &right);
            multiply_rows(results, 24u, activation(row3, i), &right);
        }
    }
}

// Stores the tile, and leaves what y has there in `results`; where there is no y, 0.
fn store_forward(results: ptr<function, array<vec4<f32>, 32>>, first_row: u32, rows: u32, column: u32, known: u32) {
    let start = bias[known / 4u];
    for (var r = 0u; r < ROWS; r += 1u) {
        if (first_row + r < rows && column < OUTPUTS) {
            let place = ((first_row + r) * size.y_stride + size.y_first + column) / 4u;
            if (size.add_y != 0u) {
                (*results)[r] += y[place];
            } else {
                (*results)[r] += start;
            }
            (*results)[r] = kept((*results)[r]);
            y[place] = (*results)[r];
        } else {
            (*results)[r] = NOTHING;
        }
    }
}

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let first_row = (group.z * groups.y + group.y) * ROWS;
    let column = (group.x * LANES + lane) * 4u;
    let known = min(column, OUTPUTS - 4u);
    var results: array<vec4<f32>, 32>;
    multiply_forward(&results, first_row, rows, known, lane);
    store_forward(&results, first_row, rows, column, known);
}

// Also partial_sums[tile, output] = (rows, mean, sum of squared differences from it, 0) of the tile's y.
@compute @workgroup_size(LANES)
fn forward_with_moments(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let tile = group.z * groups.y + group.y;
    let first_row = tile * ROWS;
    let column = (group.x * LANES + lane) * 4u;
    let known = min(column, OUTPUTS - 4u);
    var results: array<vec4<f32>, 32>;
    multiply_forward(&results, first_row, rows, known, lane);
    store_forward(&results, first_row, rows, column, known);
    let count = f32(min(rows, first_row + ROWS) - min(rows, first_row));
    var sum = NOTHING;
    for (var r = 0u; r < ROWS; r += 1u) {
        sum += results[r];
    }
    let mean = sum / max(1.0, count);
    sum = NOTHING;
    for (var r = 0u; r < ROWS; r += 1u) {
        let apart = select(NOTHING, results[r] - mean, first_row + r < rows);
        sum = fma(apart, apart, sum);
    }
    if (column < OUTPUTS && first_row < rows) {
        for (var e = 0u; e < 4u; e += 1u) {
            partial_sums[(size.first_split + tile) * OUTPUTS + column + e] = vec4<f32>(count, mean[e], sum[e], 0.0);
        }
    }
}

// The sums of a tile of dx.
fn multiply_backward(results: ptr<function, array<vec4<f32>, 32>>, first_row: u32, rows: u32, known: u32, lane: u32) {
    var right: array<vec4<f32>, 4>;
    for (var tap = 0u; tap < KERNEL_TIME * KERNEL_MEL; tap += 1u) {
        let time = i32(KERNEL_TIME / 2u) - i32(tap / KERNEL_MEL);
        let mel = i32(KERNEL_MEL / 2u) - i32(tap % KERNEL_MEL);
        let row0 = neighbour(first_row + lane % 8u, rows, time, mel);
        let row1 = neighbour(first_row + 8u + lane % 8u, rows, time, mel);
        let row2 = neighbour(first_row + 16u + lane % 8u, rows, time, mel);
        let row3 = neighbour(first_row + 24u + lane % 8u, rows, time, mel);
        let w = (tap * size.weight_inputs + size.weight_first + known) * OUTPUTS;
        for (var o = 0u; o < OUTPUTS; o += 4u) {
            let weights = transpose(mat4x4<f32>(weight[(w + o) / 4u], weight[(w + OUTPUTS + o) / 4u], weight[(w + 2u * OUTPUTS + o) / 4u], weight[(w + 3u * OUTPUTS + o) / 4u]));
            for (var s = 0u; s < 4u; s += 1u) {
                right[s] = operand(weights[s]);
            }
            multiply_rows(results, 0u, gradient(row0, o), &right);
            multiply_rows(results, 8u, gradient(row1, o), &right);
            multiply_rows(results, 16u, gradient(row2, o), &right);
            multiply_rows(results, 24u, gradient(row3, o), &right);
        }
    }
}

@compute @workgroup_size(LANES)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let first_row = (group.z * groups.y + group.y) * ROWS;
    let column = (group.x * LANES + lane) * 4u;
    var results: array<vec4<f32>, 32>;
    multiply_backward(&results, first_row, rows, min(column, INPUTS - 4u), lane);
    for (var r = 0u; r < ROWS; r += 1u) {
        if (first_row + r < rows && column < INPUTS) {
            let place = ((first_row + r) * size.dx_stride + size.dx_first + column) / 4u;
            if (size.add_dx != 0u) {
                dx[place] = kept(dx[place] + results[r]);
            } else {
                dx[place] = kept(results[r]);
            }
        }
    }
}

// As backward_folded of convolution_tiled_back.wgsl.
@compute @workgroup_size(LANES)
fn backward_folded(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let tile = group.z * groups.y + group.y;
    let first_row = tile * ROWS;
    let column = (group.x * LANES + lane) * 4u;
    let known = min(column, INPUTS - 4u);
    var results: array<vec4<f32>, 32>;
    multiply_backward(&results, first_row, rows, known, lane);
    let factor = scale[(size.weight_first + known) / 4u];
    let offset = shift[(size.weight_first + known) / 4u];
    let low = moments[(STATISTICS_FIRST + known) / 2u];
    let high = moments[(STATISTICS_FIRST + known) / 2u + 1u];
    let mean = vec4<f32>(low.xz, high.xz);
    let inv_std = vec4<f32>(low.yw, high.yw);
    var sums = NOTHING;
    var products = NOTHING;
    for (var r = 0u; r < ROWS; r += 1u) {
        let row = first_row + r;
        if (row < rows && column < INPUTS) {
            let input = x[(row * size.x_stride + size.x_first + column) / 4u];
            let dz = select(NOTHING, results[r], fma(input, factor, offset) > NOTHING);
            sums += dz;
            products = fma(dz, (input - mean) * inv_std, products);
            let place = (row * size.dx_stride + size.dx_first + column) / 4u;
            if (size.add_dx != 0u) {
                dx[place] = kept(fma(factor, dz, dx[place]));
            } else {
                dx[place] = kept(factor * dz);
            }
        }
    }
    if (column < INPUTS && first_row < rows) {
        let place = ((size.first_split + tile) * INPUTS + column) / 2u;
        partial_sums[place] = vec4<f32>(sums.x, products.x, sums.y, products.y);
        partial_sums[place + 1u] = vec4<f32>(sums.z, products.z, sums.w, products.w);
    }
}

// partial_sums[split, (tap, input), output], and behind a split's those of the bias; groups: x = tiles of outputs, y = tiles of 32
// inputs of each tap, of which the first also sum up the gradient itself, z = splits.
@compute @workgroup_size(LANES)
fn backward_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let tiles = (INPUTS + ROWS - 1u) / ROWS;
    let tap = group.y / tiles;
    let time = i32(tap / KERNEL_MEL) - i32(KERNEL_TIME / 2u);
    let mel = i32(tap % KERNEL_MEL) - i32(KERNEL_MEL / 2u);
    let first_input = (group.y % tiles) * ROWS;
    let input = first_input + lane % 8u / 4u * 4u;
    let column = (group.x * LANES + lane) * 4u;
    let known = min(column, OUTPUTS - 4u);
    let begin = group.z * size.split_rows;
    let end = min(rows, begin + size.split_rows);
    var results: array<vec4<f32>, 32>;
    var right: array<vec4<f32>, 4>;
    var sum = NOTHING;
    for (var p = begin; p < end; p += 4u) {
        let row = neighbour(p + lane % 4u, end, time, mel);
        for (var s = 0u; s < 4u; s += 1u) {
            right[s] = operand(dy[(min(p + s, end - 1u) * size.y_stride + size.y_first + known) / 4u]);
        }
        if (group.y == 0u) {
            for (var s = 0u; s < 4u; s += 1u) {
                sum += select(NOTHING, right[s], p + s < end);
            }
        }
        multiply_steps(&results, 0u, activation(row, min(input, INPUTS - 4u)), &right);
        multiply_steps(&results, 8u, activation(row, min(input + 8u, INPUTS - 4u)), &right);
        multiply_steps(&results, 16u, activation(row, min(input + 16u, INPUTS - 4u)), &right);
        multiply_steps(&results, 24u, activation(row, min(input + 24u, INPUTS - 4u)), &right);
    }
    let first_sum = (size.first_split + group.z) * (KERNEL_TIME * KERNEL_MEL * INPUTS + 1u) * OUTPUTS / 4u;
    for (var r = 0u; r < ROWS; r += 1u) {
        if (first_input + r < INPUTS && column < OUTPUTS) {
            partial_sums[first_sum + ((tap * INPUTS + first_input + r) * OUTPUTS + column) / 4u] = results[r];
        }
    }
    if (group.y == 0u && column < OUTPUTS) {
        partial_sums[first_sum + (KERNEL_TIME * KERNEL_MEL * INPUTS * OUTPUTS + column) / 4u] = sum;
    }
}

// partial_sums[split, output]; groups: x = tiles of 32 LANES outputs, y = splits. Wide, since memory is read line after line.
@compute @workgroup_size(LANES)
fn backward_bias(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let column = (group.x * GROUPS * LANES + lane) * 4u;
    let begin = group.y * size.split_rows;
    let end = min(rows, begin + size.split_rows);
    var sums: array<vec4<f32>, GROUPS>;
    for (var row = begin; row < end; row += 1u) {
        for (var g = 0u; g < GROUPS; g += 1u) {
            sums[g] += gradient(row, min(column + g * LANES * 4u, OUTPUTS - 4u));
        }
    }
    for (var g = 0u; g < GROUPS; g += 1u) {
        let o = column + g * LANES * 4u;
        if (o < OUTPUTS) {
            partial_sums[((size.first_split + group.y) * OUTPUTS + o) / 4u] = sums[g];
        }
    }
}
