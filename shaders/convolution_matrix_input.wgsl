// Backward_input of convolution.wgsl on matrix units, as convolution_tiled.wgsl has it: the same sums, bindings and immediates,
// with operands and tiles as in convolution_matrix.wgsl. The weight lies on its side: columns are inputs, and outputs are the
// inner dimension.

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
const STEPS: u32 = (OUTPUTS + STEP - 1u) / STEP;
// Vectors of a row of each operand, with the padding; of each operand; and those that an invocation brings in a step.
const INNER: u32 = STEP / 4u;
const PITCH: u32 = INNER + 2u;
const LEFT_SIZE: u32 = (ROWS + 2u * HALO) * PITCH;
const RIGHT_SIZE: u32 = TOGETHER * COLUMNS * PITCH;
const LEFT_VECTORS: u32 = (ROWS + 2u * HALO) * INNER;
const RIGHT_VECTORS: u32 = TOGETHER * COLUMNS * INNER;
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
@group(0) @binding(3) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dx: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read> moments: array<vec4<f32>>;              // mean, inv_std of two channels

// [buffer][row][output] and [buffer][tap][column][output]
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

// What an invocation brings of the left operand, and a bit for each vector that counts.
struct Brought {
    values: array<vec4<f32>, LEFT>,
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
    let taps = step / STEPS;
    let time = i32(KERNEL_TIME / 2u) - i32(taps / GROUPS);
    let mel = i32(GROUPS / 2u) - i32(taps % GROUPS);
    let channel = (step % STEPS) * STEP + (lane % INNER) * 4u;
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
        let value = select(NOTHING, (*brought).values[j], (((*brought).inside >> j) & 1u) == 1u);
        if (i < LEFT_VECTORS) {
            left[buffer * LEFT_SIZE + i / INNER * PITCH + i % INNER] = vec4<f16>(value);
        }
    }
}

// Lines (tap, input) of the weight, vectors of outputs.
fn load_weights(values: ptr<function, array<vec4<f32>, RIGHT>>, step: u32, first_column: u32, lane: u32) {
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = min(lane + j * THREADS, RIGHT_VECTORS - 1u);
        let tap = step / STEPS * TOGETHER + i / (INNER * COLUMNS);
        let output = (step % STEPS) * STEP + i % INNER * 4u;
        let input = first_column + i / INNER % COLUMNS;
        let row = tap * size.weight_inputs + size.weight_first + min(input, INPUTS - 1u);
        let value = weight[(row * OUTPUTS + min(output, OUTPUTS - 4u)) / 4u];
        (*values)[j] = select(value, NOTHING, input >= INPUTS || output >= OUTPUTS);
    }
}

fn keep_weights(buffer: u32, lane: u32, values: ptr<function, array<vec4<f32>, RIGHT>>) {
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        if (i < RIGHT_VECTORS) {
            right[buffer * RIGHT_SIZE + i / INNER * PITCH + i % INNER] = vec4<f16>((*values)[j]);
        }
    }
}

// One step through the tile; sums[d WIDE + w] is matrix (d, w) of a subgroup.
fn multiply(sums: ptr<function, Sums>, buffer: u32, along: u32, across: u32) {
    var columns: array<coop_mat16x16<f16, B>, WIDE>;
    for (var tap = 0u; tap < TOGETHER; tap += 1u) {
        for (var k = 0u; k < STEP; k += SIDE) {
            for (var w = 0u; w < WIDE; w += 1u) {
                let place = buffer * RIGHT_SIZE + (tap * COLUMNS + (across * WIDE + w) * SIDE) * PITCH + k / 4u;
                columns[w] = coopLoad<coop_mat16x16<f16, B>>(&right[place], PITCH);
            }
            for (var d = 0u; d < DOWN; d += 1u) {
                // A tap reaches as far to one side as its gradient comes from the other.
                let row = (along * DOWN + d) * SIDE + TOGETHER - 1u - tap;
                let rows = coopLoadT<coop_mat16x16<f16, A>>(&left[buffer * LEFT_SIZE + row * PITCH + k / 4u], PITCH);
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

fn product(results: ptr<function, array<vec4<f32>, RESULTS>>, first_row: u32, rows: u32, first_column: u32, lane: u32, subgroup: u32, member: u32) {
    var at = places(first_row, rows, lane);
    var brought: Brought;
    var weights: array<vec4<f32>, RIGHT>;
    var sums: Sums;
    load_gradients(&brought, &at, 0u, lane);
    load_weights(&weights, 0u, first_column, lane);
    for (var step = 0u; step < KERNEL_TIME * GROUPS * STEPS; step += 1u) {
        keep_left(step % 2u, lane, &brought);
        keep_weights(step % 2u, lane, &weights);
        workgroupBarrier();
        if (step + 1u < KERNEL_TIME * GROUPS * STEPS) {
            load_gradients(&brought, &at, step + 1u, lane);
            load_weights(&weights, step + 1u, first_column, lane);
        }
        multiply(&sums, step % 2u, subgroup / ACROSS, subgroup % ACROSS);
    }
    hand_out(&sums, results, subgroup, member);
}

// What dx has of the tile, where it is added to. All loads first: none may wait for a store before it.
fn before_of(before: ptr<function, array<vec4<f32>, RESULTS>>, first_row: u32, rows: u32, known: u32, subgroup: u32, member: u32) {
    if (size.add_dx != 0u) {
        for (var n = 0u; n < RESULTS; n += 1u) {
            let row = min(first_row + row_of(n, subgroup, member), rows - 1u);
            (*before)[n] = dx[(row * size.dx_stride + size.dx_first + known) / 4u];
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
    let column = group.x * COLUMNS + column_of(subgroup, member);
    var results: array<vec4<f32>, RESULTS>;
    var before: array<vec4<f32>, RESULTS>;
    product(&results, first_row, rows, group.x * COLUMNS, lane, subgroup, member);
    before_of(&before, first_row, rows, min(column, INPUTS - 4u), subgroup, member);
    for (var n = 0u; n < RESULTS; n += 1u) {
        let row = first_row + row_of(n, subgroup, member);
        if (row < rows && column < INPUTS) {
            dx[(row * size.dx_stride + size.dx_first + column) / 4u] = before[n] + results[n];
        }
    }
}

// Of the batch norm and the ReLU that were folded into the load of x, too, as in convolution_tiled.wgsl.
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
    let column = group.x * COLUMNS + column_of(subgroup, member);
    let known = min(column, INPUTS - 4u);
    var results: array<vec4<f32>, RESULTS>;
    var inputs: array<vec4<f32>, RESULTS>;
    var before: array<vec4<f32>, RESULTS>;
    product(&results, first_row, rows, group.x * COLUMNS, lane, subgroup, member);
    before_of(&before, first_row, rows, known, subgroup, member);
    for (var n = 0u; n < RESULTS; n += 1u) {
        let row = min(first_row + row_of(n, subgroup, member), rows - 1u);
        inputs[n] = x[(row * size.x_stride + size.x_first + known) / 4u];
    }
    let factor = scale[(size.weight_first + known) / 4u];
    let offset = shift[(size.weight_first + known) / 4u];
    let low = moments[(STATISTICS_FIRST + known) / 2u];
    let high = moments[(STATISTICS_FIRST + known) / 2u + 1u];
    let mean = vec4<f32>(low.xz, high.xz);
    let inv_std = vec4<f32>(low.yw, high.yw);
    var sums = NOTHING;
    var products = NOTHING;
    for (var n = 0u; n < RESULTS; n += 1u) {
        let row = first_row + row_of(n, subgroup, member);
        if (row < rows && column < INPUTS) {
            let dz = select(NOTHING, results[n], fma(inputs[n], factor, offset) > NOTHING);
            sums += dz;
            products = fma(dz, (inputs[n] - mean) * inv_std, products);
            dx[(row * size.dx_stride + size.dx_first + column) / 4u] = fma(factor, dz, before[n]);
        }
    }
    sums = add_rows(sums, subgroup, member);
    products = add_rows(products, subgroup, member);
    if (subgroup < ACROSS && member < LINE && column < INPUTS && first_row < rows) {
        let place = ((size.first_split + tile) * INPUTS + column) / 2u;
        partial_sums[place] = vec4<f32>(sums.x, products.x, sums.y, products.y);
        partial_sums[place + 1u] = vec4<f32>(sums.z, products.z, sums.w, products.w);
    }
}
