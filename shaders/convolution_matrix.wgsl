// Forward of convolution.wgsl on matrix units, as convolution_tiled.wgsl has it: the same sums, bindings and immediates. Operands
// are rounded to f16, the activations after the fold; sums are f32. Channels come in fours, subgroups have 32 invocations.
//
// Decomposition: a workgroup owns a tile of ROWS rows x COLUMNS columns of the product, a subgroup of it DOWN x WIDE matrices
// of 16 x 16, and walks the inner dimension STEP channels at a time. Where a tile lies within one line of mel, its rows and
// their neighbours are brought to workgroup memory once for all taps along mel (TOGETHER of them), which then are windows of
// them; elsewhere once per tap. All loads of a step are under way at once and one step ahead, without a branch among them; they
// become activations on their way to workgroup memory, a step later. Two buffers take turns, so that a step has one barrier.
// Rows of both operands are padded by 16 bytes, against conflicts of banks. Results leave through workgroup memory.
//
// Groups: x = tiles of columns, so that neighbours in time read the same rows; y and z = tiles of rows.

enable f16;
enable wgpu_cooperative_matrix;

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
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
const STEPS: u32 = (INPUTS + STEP - 1u) / STEP;
// Vectors of a row of each operand, with the padding; of each operand; and those that an invocation brings in a step.
const INNER: u32 = STEP / 4u;
const OUTER: u32 = COLUMNS / 4u;
const LEFT_PITCH: u32 = INNER + 2u;
const RIGHT_PITCH: u32 = OUTER + 2u;
const LEFT_SIZE: u32 = (ROWS + 2u * HALO) * LEFT_PITCH;
const RIGHT_SIZE: u32 = TOGETHER * STEP * RIGHT_PITCH;
const LEFT_VECTORS: u32 = (ROWS + 2u * HALO) * INNER;
const RIGHT_VECTORS: u32 = TOGETHER * STEP * OUTER;
const LEFT: u32 = (LEFT_VECTORS + THREADS - 1u) / THREADS;
const RIGHT: u32 = (RIGHT_VECTORS + THREADS - 1u) / THREADS;
// A row of matrices of a subgroup: the vectors of a line of it, how many lines the invocations of a subgroup fill, and how many
// vectors of the tile each of them has.
const LINE: u32 = 4u * WIDE;
const LINES: u32 = 32u / LINE;
const RESULTS: u32 = DOWN * SIDE / LINES;
const RESULT_PITCH: u32 = LINE + 2u;
const RESULT_SIZE: u32 = SIDE * RESULT_PITCH;
const OUTSIDE: u32 = 0xffffffffu;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

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

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<vec4<f32>>;

// [buffer][row][input] and [buffer][tap][input][column]
var<workgroup> left: array<vec4<f16>, 2u * LEFT_SIZE>;
var<workgroup> right: array<vec4<f16>, 2u * RIGHT_SIZE>;
// [subgroup][row][column]
var<workgroup> exchange: array<vec4<f32>, SUBGROUPS * RESULT_SIZE>;

alias Sums = array<coop_mat16x16<f32, C>, DOWN * WIDE>;

// The rows that an invocation brings, with their places in the image; past the end, beside every line.
struct Places {
    row: array<i32, LEFT>,
    time: array<i32, LEFT>,
    mel: array<i32, LEFT>,
}

// What an invocation brings of the left operand: what was read, what makes it activations, and a bit for each that counts.
struct Brought {
    values: array<vec4<f32>, LEFT>,
    factor: vec4<f32>,
    offset: vec4<f32>,
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

fn load_activations(to: ptr<function, Brought>, at: ptr<function, Places>, step: u32, lane: u32) {
    let taps = step / STEPS;
    let time = i32(taps / GROUPS) - i32(KERNEL_TIME / 2u);
    let mel = i32(taps % GROUPS) - i32(GROUPS / 2u);
    let channel = (step % STEPS) * STEP + (lane % INNER) * 4u;
    let known = min(channel, INPUTS - 4u);
    if (FOLD) {
        (*to).factor = scale[(size.weight_first + known) / 4u];
        (*to).offset = shift[(size.weight_first + known) / 4u];
    }
    var inside = 0u;
    for (var j = 0u; j < LEFT; j += 1u) {
        let row = neighbour(at, j, time, mel);
        (*to).values[j] = x[(select(row, 0u, row == OUTSIDE) * size.x_stride + size.x_first + known) / 4u];
        inside |= select(0u, 1u << j, row != OUTSIDE && channel < INPUTS);
    }
    (*to).inside = inside;
}

fn keep_left(buffer: u32, lane: u32, brought: ptr<function, Brought>) {
    for (var j = 0u; j < LEFT; j += 1u) {
        let i = lane + j * THREADS;
        var value = (*brought).values[j];
        if (FOLD) {
            value = max(NOTHING, fma(value, (*brought).factor, (*brought).offset));
        }
        value = select(NOTHING, value, (((*brought).inside >> j) & 1u) == 1u);
        if (i < LEFT_VECTORS) {
            left[buffer * LEFT_SIZE + i / INNER * LEFT_PITCH + i % INNER] = vec4<f16>(value);
        }
    }
}

// Row (tap, input) of the weight, a vector of outputs.
fn load_weights(values: ptr<function, array<vec4<f32>, RIGHT>>, step: u32, first_column: u32, lane: u32) {
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = min(lane + j * THREADS, RIGHT_VECTORS - 1u);
        let tap = step / STEPS * TOGETHER + i / (OUTER * STEP);
        let input = (step % STEPS) * STEP + i / OUTER % STEP;
        let column = first_column + i % OUTER * 4u;
        let row = tap * size.weight_inputs + size.weight_first + min(input, INPUTS - 1u);
        let value = weight[(row * OUTPUTS + min(column, OUTPUTS - 4u)) / 4u];
        (*values)[j] = select(value, NOTHING, input >= INPUTS || column >= OUTPUTS);
    }
}

fn keep_weights(buffer: u32, lane: u32, values: ptr<function, array<vec4<f32>, RIGHT>>) {
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        if (i < RIGHT_VECTORS) {
            right[buffer * RIGHT_SIZE + i / OUTER * RIGHT_PITCH + i % OUTER] = vec4<f16>((*values)[j]);
        }
    }
}

// One step through the tile; sums[d WIDE + w] is matrix (d, w) of a subgroup.
fn multiply(sums: ptr<function, Sums>, buffer: u32, along: u32, across: u32) {
    var columns: array<coop_mat16x16<f16, B>, WIDE>;
    for (var tap = 0u; tap < TOGETHER; tap += 1u) {
        for (var k = 0u; k < STEP; k += SIDE) {
            for (var w = 0u; w < WIDE; w += 1u) {
                let place = buffer * RIGHT_SIZE + (tap * STEP + k) * RIGHT_PITCH + (across * WIDE + w) * 4u;
                columns[w] = coopLoadT<coop_mat16x16<f16, B>>(&right[place], RIGHT_PITCH);
            }
            for (var d = 0u; d < DOWN; d += 1u) {
                let place = buffer * LEFT_SIZE + ((along * DOWN + d) * SIDE + tap) * LEFT_PITCH + k / 4u;
                let rows = coopLoadT<coop_mat16x16<f16, A>>(&left[place], LEFT_PITCH);
                for (var w = 0u; w < WIDE; w += 1u) {
                    (*sums)[d * WIDE + w] = coopMultiplyAdd(rows, columns[w], (*sums)[d * WIDE + w]);
                }
            }
        }
    }
}

// What each invocation has of the tile, by way of workgroup memory: results[n] lies in row row_of(n), columns column_of() ..
fn hand_out(sums: ptr<function, Sums>, results: ptr<function, array<vec4<f32>, RESULTS>>, subgroup: u32, member: u32) {
    for (var d = 0u; d < DOWN; d += 1u) {
        workgroupBarrier();
        for (var w = 0u; w < WIDE; w += 1u) {
            coopStoreT((*sums)[d * WIDE + w], &exchange[subgroup * RESULT_SIZE + w * 4u], RESULT_PITCH);
        }
        workgroupBarrier();
        for (var n = 0u; n < SIDE / LINES; n += 1u) {
            let line = n * LINES + member / LINE;
            (*results)[d * (SIDE / LINES) + n] = exchange[subgroup * RESULT_SIZE + line * RESULT_PITCH + member % LINE];
        }
    }
}

fn row_of(n: u32, subgroup: u32, member: u32) -> u32 {
    return subgroup / ACROSS * DOWN * SIDE + n * LINES + member / LINE;
}

fn column_of(subgroup: u32, member: u32) -> u32 {
    return (subgroup % ACROSS * LINE + member % LINE) * 4u;
}

// The sum over the tile's rows of what the invocations of a column have, in order, for all of them.
fn add_rows(value: vec4<f32>, subgroup: u32, member: u32) -> vec4<f32> {
    workgroupBarrier();
    exchange[subgroup * 32u + member] = value;
    workgroupBarrier();
    var total = NOTHING;
    for (var other = subgroup % ACROSS; other < SUBGROUPS; other += ACROSS) {
        for (var i = member % LINE; i < 32u; i += LINE) {
            total += exchange[other * 32u + i];
        }
    }
    return total;
}

// The tile, stored; results[n] is what y has there.
fn tile_of(results: ptr<function, array<vec4<f32>, RESULTS>>, first_row: u32, rows: u32, first_column: u32, lane: u32, subgroup: u32, member: u32) {
    var at = places(first_row, rows, lane);
    var brought: Brought;
    var weights: array<vec4<f32>, RIGHT>;
    var sums: Sums;
    load_activations(&brought, &at, 0u, lane);
    load_weights(&weights, 0u, first_column, lane);
    for (var step = 0u; step < KERNEL_TIME * GROUPS * STEPS; step += 1u) {
        keep_left(step % 2u, lane, &brought);
        keep_weights(step % 2u, lane, &weights);
        workgroupBarrier();
        if (step + 1u < KERNEL_TIME * GROUPS * STEPS) {
            load_activations(&brought, &at, step + 1u, lane);
            load_weights(&weights, step + 1u, first_column, lane);
        }
        multiply(&sums, step % 2u, subgroup / ACROSS, subgroup % ACROSS);
    }
    hand_out(&sums, results, subgroup, member);
    let column = first_column + column_of(subgroup, member);
    let known = min(column, OUTPUTS - 4u);
    // All loads first: none may wait for a store before it.
    for (var n = 0u; n < RESULTS; n += 1u) {
        if (size.add_y != 0u) {
            (*results)[n] += y[(min(first_row + row_of(n, subgroup, member), rows - 1u) * size.y_stride + size.y_first + known) / 4u];
        } else {
            (*results)[n] += bias[known / 4u];
        }
    }
    for (var n = 0u; n < RESULTS; n += 1u) {
        let row = first_row + row_of(n, subgroup, member);
        if (row < rows && column < OUTPUTS) {
            y[(row * size.y_stride + size.y_first + column) / 4u] = (*results)[n];
        }
    }
}

@compute @workgroup_size(THREADS)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) member: u32,
) {
    let rows = size.batch * size.frames * MEL;
    let first_row = (group.z * groups.y + group.y) * ROWS;
    var results: array<vec4<f32>, RESULTS>;
    tile_of(&results, first_row, rows, group.x * COLUMNS, lane, subgroup, member);
}

// Also partial_sums[tile, output] = (rows, mean, sum of squared differences from it, 0) of the tile's y.
@compute @workgroup_size(THREADS)
fn forward_with_moments(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) member: u32,
) {
    let rows = size.batch * size.frames * MEL;
    let tile = group.z * groups.y + group.y;
    let first_row = tile * ROWS;
    var results: array<vec4<f32>, RESULTS>;
    tile_of(&results, first_row, rows, group.x * COLUMNS, lane, subgroup, member);
    let count = f32(min(rows, first_row + ROWS) - min(rows, first_row));
    var sum = NOTHING;
    for (var n = 0u; n < RESULTS; n += 1u) {
        sum += select(NOTHING, results[n], first_row + row_of(n, subgroup, member) < rows);
    }
    let mean = add_rows(sum, subgroup, member) / max(1.0, count);
    sum = NOTHING;
    for (var n = 0u; n < RESULTS; n += 1u) {
        let apart = select(NOTHING, results[n] - mean, first_row + row_of(n, subgroup, member) < rows);
        sum = fma(apart, apart, sum);
    }
    sum = add_rows(sum, subgroup, member);
    let column = group.x * COLUMNS + column_of(subgroup, member);
    if (subgroup < ACROSS && member < LINE && column < OUTPUTS && first_row < rows) {
        for (var e = 0u; e < 4u; e += 1u) {
            partial_sums[(size.first_split + tile) * OUTPUTS + column + e] = vec4<f32>(count, mean[e], sum[e], 0.0);
        }
    }
}
