// backward_input of convolution.wgsl on matrix units, alone and through the fold: the same sums, bindings and immediates, decomposed
// as convolution_matrix.wgsl.

enable f16;
enable wgpu_cooperative_matrix;

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
const STEP: u32 = 16u;
const DOWN: u32 = 2u;
const WIDE: u32 = 2u;
// KERNEL_MEL where ROWS divides MEL, or else 1.
const TOGETHER: u32 = 3u;

// A matrix has 16 rows of 4 vectors.
const SIDE: u32 = 16u;
const ACROSS: u32 = COLUMNS / (SIDE * WIDE);
const SUBGROUPS: u32 = ROWS / (SIDE * DOWN) * ACROSS;
const THREADS: u32 = 32u * SUBGROUPS;
// Taps along mel are read in so many groups; rows are read this far beyond the tile.
const GROUPS: u32 = KERNEL_MEL / TOGETHER;
const HALO: u32 = TOGETHER / 2u;
// Steps of a group of taps.
const FORWARD_STEPS: u32 = (INPUTS + STEP - 1u) / STEP;
const BACKWARD_STEPS: u32 = (OUTPUTS + STEP - 1u) / STEP;
// Vectors of a row of each operand, with the padding; of each operand; and those that an invocation brings in a step.
const INNER: u32 = STEP / 4u;
const OUTER: u32 = COLUMNS / 4u;
const LEFT_PITCH: u32 = INNER + 2u;
const RIGHT_PITCH: u32 = OUTER + 2u;
const LEFT_SIZE: u32 = (ROWS + 2u * HALO) * LEFT_PITCH;
const RIGHT_SIZE: u32 = TOGETHER * STEP * RIGHT_PITCH;
const TURNED_SIZE: u32 = TOGETHER * COLUMNS * LEFT_PITCH;
const LEFT_VECTORS: u32 = (ROWS + 2u * HALO) * INNER;
const RIGHT_VECTORS: u32 = TOGETHER * STEP * OUTER;
const LEFT: u32 = (LEFT_VECTORS + THREADS - 1u) / THREADS;
const RIGHT: u32 = (RIGHT_VECTORS + THREADS - 1u) / THREADS;
// A row of matrices of a subgroup.
const RESULT_PITCH: u32 = 4u * WIDE + 2u;
const RESULT_SIZE: u32 = SIDE * RESULT_PITCH;
// Vectors of columns of a subgroup's matrices, and those that an invocation owns of the results.
const VECTORS: u32 = 4u * WIDE;
const OWN: u32 = SIDE * VECTORS / 32u;
const OUTSIDE: u32 = 0xffffffffu;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

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
@group(0) @binding(9) var<storage, read> moments: array<vec4<f32>>;              // mean, inv_std of two channels

// [buffer][row][inner]; [buffer][tap][inner][column] of forward; [buffer][tap][column][inner] of backward_input.
var<workgroup> left: array<vec4<f16>, 2u * LEFT_SIZE>;
var<workgroup> turned: array<vec4<f16>, 2u * TURNED_SIZE>;
// [subgroup][row][column]
var<workgroup> results: array<vec4<f32>, SUBGROUPS * RESULT_SIZE>;

alias Sums = array<coop_mat16x16<f32, C>, DOWN * WIDE>;

// The rows that an invocation brings, with their places in the image; past the end, beside every line.
struct Places {
    row: array<i32, LEFT>,
    time: array<i32, LEFT>,
    mel: array<i32, LEFT>,
}

// What an invocation brings of the left operand, and a bit for each that counts.
struct Brought {
    values: array<Stored, LEFT>,
    inside: u32,
}

fn places(first_row: u32, rows: u32, lane: u32) -> Places {
    var result: Places;
    for (var j = 0u; j < LEFT; j += 1u) {
        let r = lane / INNER + j * (THREADS / INNER);
        let row = first_row + r;
        result.row[j] = i32(row) - i32(HALO);
        // All rows of a line are of one frame.
        let anchor = select(row, first_row, TOGETHER > 1u);
        result.time[j] = i32((anchor / MEL) % size.frames);
        result.mel[j] = i32(anchor % MEL + row - anchor) - i32(HALO);
        if (r >= ROWS + 2u * HALO || anchor >= rows) {
            result.mel[j] = -65536;
        }
    }
    return result;
}

// The row that lies `time` and `mel` steps from place j, or OUTSIDE in the padding and past the end.
fn neighbour(at: ptr<function, Places>, j: u32, time: i32, mel: i32) -> u32 {
    let t = (*at).time[j] + time;
    let m = (*at).mel[j] + mel;
    let inside = t >= 0 && t < i32(size.frames) && m >= 0 && m < i32(MEL);
    return select(OUTSIDE, u32((*at).row[j] + time * i32(MEL) + mel), inside);
}

fn load_gradients(to: ptr<function, Brought>, at: ptr<function, Places>, step: u32, lane: u32) {
    let taps = step / BACKWARD_STEPS;
    let time = i32(KERNEL_TIME / 2u) - i32(taps / GROUPS);
    let mel = i32(GROUPS / 2u) - i32(taps % GROUPS);
    let channel = (step % BACKWARD_STEPS) * STEP + (lane % INNER) * 4u;
    let known = min(channel, OUTPUTS - 4u);
    var inside = 0u;
    for (var j = 0u; j < LEFT; j += 1u) {
        let row = neighbour(at, j, time, mel);
        (*to).values[j] = dy[(select(row, 0u, row == OUTSIDE) * size.y_stride + size.y_first + known) / 4u];
        inside |= select(0u, 1u << j, row != OUTSIDE && channel < OUTPUTS);
    }
    (*to).inside = inside;
}

fn keep_left(buffer: u32, lane: u32, brought: ptr<function, Brought>) {
    for (var j = 0u; j < LEFT; j += 1u) {
        let i = lane + j * THREADS;
        let value = select(NOTHING, unpacked((*brought).values[j]), (((*brought).inside >> j) & 1u) == 1u);
        if (i < LEFT_VECTORS) {
            left[buffer * LEFT_SIZE + i / INNER * LEFT_PITCH + i % INNER] = vec4<f16>(value);
        }
    }
}

// The same of the weight on its side: a column is an input, and outputs are the inner dimension.
fn load_turned(values: ptr<function, array<vec4<f32>, RIGHT>>, step: u32, first_column: u32, lane: u32) {
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = min(lane + j * THREADS, RIGHT_VECTORS - 1u);
        let tap = step / BACKWARD_STEPS * TOGETHER + i / (INNER * COLUMNS);
        let output = (step % BACKWARD_STEPS) * STEP + i % INNER * 4u;
        let input = first_column + i / INNER % COLUMNS;
        let row = tap * size.weight_inputs + size.weight_first + min(input, INPUTS - 1u);
        let value = weight[(row * OUTPUTS + min(output, OUTPUTS - 4u)) / 4u];
        (*values)[j] = select(value, NOTHING, input >= INPUTS || output >= OUTPUTS);
    }
}

fn keep_turned(buffer: u32, lane: u32, values: ptr<function, array<vec4<f32>, RIGHT>>) {
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        if (i < RIGHT_VECTORS) {
            turned[buffer * TURNED_SIZE + i / INNER * LEFT_PITCH + i % INNER] = vec4<f16>((*values)[j]);
        }
    }
}

fn multiply_turned(sums: ptr<function, Sums>, buffer: u32, along: u32, across: u32) {
    var columns: array<coop_mat16x16<f16, B>, WIDE>;
    for (var tap = 0u; tap < TOGETHER; tap += 1u) {
        for (var k = 0u; k < STEP; k += SIDE) {
            for (var w = 0u; w < WIDE; w += 1u) {
                let place = buffer * TURNED_SIZE + (tap * COLUMNS + (across * WIDE + w) * SIDE) * LEFT_PITCH + k / 4u;
                columns[w] = coopLoad<coop_mat16x16<f16, B>>(&turned[place], LEFT_PITCH);
            }
            for (var d = 0u; d < DOWN; d += 1u) {
                // A tap reaches as far to one side as its gradient comes from the other.
                let row = (along * DOWN + d) * SIDE + TOGETHER - 1u - tap;
                let rows = coopLoadT<coop_mat16x16<f16, A>>(&left[buffer * LEFT_SIZE + row * LEFT_PITCH + k / 4u], LEFT_PITCH);
                for (var w = 0u; w < WIDE; w += 1u) {
                    (*sums)[d * WIDE + w] = coopMultiplyAdd(rows, columns[w], (*sums)[d * WIDE + w]);
                }
            }
        }
    }
}

// Brings row d of a subgroup's matrices to workgroup memory.
fn lay_out(sums: ptr<function, Sums>, subgroup: u32, d: u32) {
    workgroupBarrier();
    for (var w = 0u; w < WIDE; w += 1u) {
        coopStoreT((*sums)[d * WIDE + w], &results[subgroup * RESULT_SIZE + w * 4u], RESULT_PITCH);
    }
    workgroupBarrier();
}

// The sum over the tile's rows of what invocations that own a column have, in order, for all of them.
fn add_rows(value: vec4<f32>, lane: u32) -> vec4<f32> {
    workgroupBarrier();
    results[lane] = value;
    workgroupBarrier();
    let first = lane / 32u % ACROSS * 32u + lane % VECTORS;
    var total = NOTHING;
    for (var along = 0u; along < SUBGROUPS / ACROSS; along += 1u) {
        for (var row = 0u; row < 32u; row += VECTORS) {
            total += results[first + along * ACROSS * 32u + row];
        }
    }
    return total;
}

// The sums of a subgroup's part of the tile.
fn multiply_backward(sums: ptr<function, Sums>, first_row: u32, rows: u32, first_column: u32, lane: u32, subgroup: u32) {
    var at = places(first_row, rows, lane);
    var brought: Brought;
    var weights: array<vec4<f32>, RIGHT>;
    load_gradients(&brought, &at, 0u, lane);
    load_turned(&weights, 0u, first_column, lane);
    for (var step = 0u; step < KERNEL_TIME * GROUPS * BACKWARD_STEPS; step += 1u) {
        keep_left(step % 2u, lane, &brought);
        keep_turned(step % 2u, lane, &weights);
        workgroupBarrier();
        if (step + 1u < KERNEL_TIME * GROUPS * BACKWARD_STEPS) {
            load_gradients(&brought, &at, step + 1u, lane);
            load_turned(&weights, step + 1u, first_column, lane);
        }
        multiply_turned(sums, step % 2u, subgroup / ACROSS, subgroup % ACROSS);
    }
}

// What dx has where an invocation's results of matrices d go, or nothing.
fn load_before(before: ptr<function, array<Stored, OWN>>, first_row: u32, rows: u32, column: u32, member: u32) {
    for (var i = 0u; i < OWN; i += 1u) {
        (*before)[i] = Stored();
    }
    if (size.add_dx != 0u) {
        for (var i = 0u; i < OWN; i += 1u) {
            let row = min(first_row + (member + 32u * i) / VECTORS, rows - 1u);
            (*before)[i] = dx[(row * size.dx_stride + size.dx_first + min(column, INPUTS - 4u)) / 4u];
        }
    }
}

@compute @workgroup_size(THREADS)
fn backward_input(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) member: u32,
) {
    let rows = size.batch * size.frames * MEL;
    let first_row = (group.z * groups.y + group.y) * ROWS;
    let first_column = group.x * COLUMNS;
    let column = first_column + (subgroup % ACROSS * VECTORS + member % VECTORS) * 4u;
    var sums: Sums;
    multiply_backward(&sums, first_row, rows, first_column, lane, subgroup);
    for (var d = 0u; d < DOWN; d += 1u) {
        lay_out(&sums, subgroup, d);
        let first = first_row + (subgroup / ACROSS * DOWN + d) * SIDE;
        var before: array<Stored, OWN>;
        load_before(&before, first, rows, column, member);
        for (var i = 0u; i < OWN; i += 1u) {
            let r = (member + 32u * i) / VECTORS;
            if (first + r < rows && column < INPUTS) {
                let sum = results[subgroup * RESULT_SIZE + r * RESULT_PITCH + member % VECTORS];
                dx[((first + r) * size.dx_stride + size.dx_first + column) / 4u] = packed(unpacked(before[i]) + sum);
            }
        }
    }
}

// As convolution_tiled.wgsl's.
@compute @workgroup_size(THREADS)
fn backward_folded(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) member: u32,
) {
    let rows = size.batch * size.frames * MEL;
    let tile = group.z * groups.y + group.y;
    let first_row = tile * ROWS;
    let first_column = group.x * COLUMNS;
    let column = first_column + (subgroup % ACROSS * VECTORS + member % VECTORS) * 4u;
    let known = min(column, INPUTS - 4u);
    var sums: Sums;
    multiply_backward(&sums, first_row, rows, first_column, lane, subgroup);
    let factor = scale[(size.weight_first + known) / 4u];
    let offset = shift[(size.weight_first + known) / 4u];
    let low = moments[(STATISTICS_FIRST + known) / 2u];
    let high = moments[(STATISTICS_FIRST + known) / 2u + 1u];
    let mean = vec4<f32>(low.xz, high.xz);
    let inv_std = vec4<f32>(low.yw, high.yw);
    var sum = NOTHING;
    var products = NOTHING;
    for (var d = 0u; d < DOWN; d += 1u) {
        lay_out(&sums, subgroup, d);
        let first = first_row + (subgroup / ACROSS * DOWN + d) * SIDE;
        var inputs: array<Stored, OWN>;
        var before: array<Stored, OWN>;
        for (var i = 0u; i < OWN; i += 1u) {
            let row = min(first + (member + 32u * i) / VECTORS, rows - 1u);
            inputs[i] = x[(row * size.x_stride + size.x_first + known) / 4u];
        }
        load_before(&before, first, rows, column, member);
        for (var i = 0u; i < OWN; i += 1u) {
            let r = (member + 32u * i) / VECTORS;
            if (first + r < rows && column < INPUTS) {
                let gradient = results[subgroup * RESULT_SIZE + r * RESULT_PITCH + member % VECTORS];
                let input = unpacked(inputs[i]);
                let dz = select(NOTHING, gradient, fma(input, factor, offset) > NOTHING);
                sum += dz;
                products = fma(dz, (input - mean) * inv_std, products);
                dx[((first + r) * size.dx_stride + size.dx_first + column) / 4u] = packed(fma(factor, dz, unpacked(before[i])));
            }
        }
    }
    sum = add_rows(sum, lane);
    products = add_rows(products, lane);
    if (subgroup < ACROSS && member < VECTORS && column < INPUTS && first_row < rows) {
        let place = ((size.first_split + tile) * INPUTS + column) / 2u;
        partial_sums[place] = vec4<f32>(sum.x, products.x, sum.y, products.y);
        partial_sums[place + 1u] = vec4<f32>(sum.z, products.z, sum.w, products.w);
    }
}
