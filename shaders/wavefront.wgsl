// Products between the levels of a recurrent stack, at steps of its own for each: y = x W + b, with x what the level below left
// and y the projected input of the one above; backward the same with the weight on its side, from the gradient at the gates
// above to that of the states below. What lies between two levels, and all that belongs to it, is called a boundary.
//
//   y[k, t, s] = (x[k, t, s] * mask[k, s]) W[k] + b[k]    or    y[k, t, s] = (x[k, t, s] W[k]) * mask[k, s]
//
// with the mask of a dropout that is shared over time. INPUTS and OUTPUTS are the product's own and multiples of 4.
//
// Decomposition: as in convolution_tiled.wgsl, and the same sums to the bit: a workgroup owns ROWS rows (time, batch) x COLUMNS
// outputs and walks the inputs STEP at a time, through two buffers of workgroup memory that take turns.
//
// Groups: x = tiles of columns, y = tiles of rows of a chunk of steps, z = cells: a chunk of a boundary each.

const INPUTS: u32 = 128u;
const OUTPUTS: u32 = 512u;
// What a boundary has, where all lie in the same tensors: rows (time, batch), fours of the weight, of biases and of the mask.
const LEVEL_ROWS: u32 = 0u;
const LEVEL_WEIGHT: u32 = 0u;
const LEVEL_BIAS: u32 = 0u;
const LEVEL_MASK: u32 = 0u;
const HAS_BIAS: bool = true;
const MASK_X: bool = false;
const MASK_Y: bool = false;
// Chunks are counted from the last step.
const FROM_END: bool = false;
const ROWS: u32 = 64u;
const COLUMNS: u32 = 64u;
const WIDE: u32 = 1u;

const STEP: u32 = 16u;
const STEPS: u32 = (INPUTS + STEP - 1u) / STEP;
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
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// An operand of a product: as it is, or rounded to f16 (the host replaces such lines).
fn operand(value: vec4<f32>) -> vec4<f32> { return value; }

struct Size {
    batch: u32,
    frames: u32,
    // Steps before the first chunk, and of a chunk.
    done: u32,
    steps: u32,
    // What the workgroups of each group.z do: boundary << 16 | chunk.
    cells: array<vec4<u32>, 2>,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;                  // (boundary, time, batch, input)
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;             // (boundary, input, output)
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;               // (boundary, output)
@group(0) @binding(3) var<storage, read> mask: array<vec4<f32>>;               // (boundary, batch, input or output)
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;            // (boundary, time, batch, output)
@group(0) @binding(5) var<storage, read> original: array<f32>;                 // (matrix, output, input)
@group(0) @binding(6) var<storage, read_write> transposed: array<f32>;         // (matrix, input, output)

// [buffer][step][row] and [buffer][step][column], in vectors of rows and of columns.
var<workgroup> left: array<vec4<f32>, 2u * LEFT_SIZE>;
var<workgroup> right: array<vec4<f32>, 2u * RIGHT_SIZE>;

// What a workgroup is to do: rows `first .. first + rows` of a boundary, which begins at row `base` of all.
struct Cell {
    level: u32,
    base: u32,
    first: u32,
    rows: u32,
}

fn cell_of(group: vec3<u32>) -> Cell {
    let packed = size.cells[group.z / 4u][group.z % 4u];
    let level = packed >> 16u;
    let done = size.done + (packed & 0xffffu) * size.steps;
    let end = min(done + size.steps, size.frames);
    let first = select(done, size.frames - end, FROM_END);
    return Cell(level, level * LEVEL_ROWS, first * size.batch, (end - done) * size.batch);
}

// What a vector of channels of a row is multiplied with.
fn factor(own: Cell, row: u32, channels: u32, channel: u32) -> vec4<f32> {
    return mask[own.level * LEVEL_MASK + ((row % size.batch) * channels + channel) / 4u];
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

fn load_rows(values: ptr<function, array<vec4<f32>, LEFT>>, own: Cell, first_row: u32, step: u32, lane: u32) {
    let channel = step * STEP + (lane % 4u) * 4u;
    let known = min(channel, INPUTS - 4u);
    for (var j = 0u; j < LEFT; j += 1u) {
        let r = first_row + lane / 4u + j * (THREADS / 4u);
        let row = own.first + min(r, own.rows - 1u);
        var value = x[((own.base + row) * INPUTS + known) / 4u];
        if (MASK_X) {
            value *= factor(own, row, INPUTS, known);
        }
        (*values)[j] = select(value, NOTHING, r >= own.rows || channel >= INPUTS);
    }
}

// A vector of outputs of one input.
fn load_weights(values: ptr<function, array<vec4<f32>, RIGHT>>, own: Cell, step: u32, first_column: u32, lane: u32) {
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        let input = step * STEP + i / RIGHT_PITCH;
        let column = first_column + (i % RIGHT_PITCH) * 4u;
        let at = own.level * LEVEL_WEIGHT + (min(input, INPUTS - 1u) * OUTPUTS + min(column, OUTPUTS - 4u)) / 4u;
        (*values)[j] = select(weight[at], NOTHING, input >= INPUTS || column >= OUTPUTS);
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

@compute @workgroup_size(THREADS)
fn product(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let own = cell_of(group);
    let first_row = group.y * ROWS;
    let first_column = group.x * COLUMNS;
    var results: array<vec4<f32>, 8u * WIDE>;
    var values: array<vec4<f32>, LEFT>;
    var weights: array<vec4<f32>, RIGHT>;
    load_rows(&values, own, first_row, 0u, lane);
    load_weights(&weights, own, 0u, first_column, lane);
    for (var step = 0u; step < STEPS; step += 1u) {
        keep_left(step % 2u, lane, &values);
        keep_weights(step % 2u, lane, &weights);
        workgroupBarrier();
        if (step + 1u < STEPS) {
            load_rows(&values, own, first_row, step + 1u, lane);
            load_weights(&weights, own, step + 1u, first_column, lane);
        }
        multiply(&results, step % 2u, lane / ACROSS, lane % ACROSS);
    }
    for (var w = 0u; w < WIDE; w += 1u) {
        let column = first_column + (w * ACROSS + lane % ACROSS) * 4u;
        var start = NOTHING;
        if (HAS_BIAS) {
            start = bias[own.level * LEVEL_BIAS + min(column, OUTPUTS - 4u) / 4u];
        }
        for (var r = 0u; r < 8u; r += 1u) {
            let r_of_chunk = first_row + lane / ACROSS * 8u + r;
            if (r_of_chunk < own.rows && column < OUTPUTS) {
                let row = own.first + r_of_chunk;
                var value = results[w * 8u + r] + start;
                if (MASK_Y) {
                    value *= factor(own, row, OUTPUTS, column);
                }
                y[((own.base + row) * OUTPUTS + column) / 4u] = value;
            }
        }
    }
}

// Lays matrices on their sides, LEVEL_WEIGHT fours apart: groups.z of them.
@compute @workgroup_size(64)
fn transpose(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i < INPUTS * OUTPUTS) {
        transposed[group.z * INPUTS * OUTPUTS + i] = original[group.z * LEVEL_WEIGHT * 4u + i % OUTPUTS * INPUTS + i / OUTPUTS];
    }
}
