// `product` of wavefront.wgsl on matrix units: the same results up to the order of sums, the same bindings, immediates and groups.
// Operands are f16, sums f32.
//
// Decomposition: as convolution_matrix.wgsl: a workgroup owns ROWS rows (time, batch) x COLUMNS outputs, of which a subgroup owns
// DOWN x WIDE matrices, and walks the inputs STEP at a time, through two buffers of workgroup memory that take turns.
//
// Groups: x = tiles of columns, y = tiles of rows of a chunk of steps, z = cells: a chunk of a boundary each.

enable f16;
enable wgpu_cooperative_matrix;

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
const STEP: u32 = 32u;
const DOWN: u32 = 2u;
const WIDE: u32 = 2u;

const STEPS: u32 = (INPUTS + STEP - 1u) / STEP;
// A matrix has 16 rows of 4 vectors.
const SIDE: u32 = 16u;
const ACROSS: u32 = COLUMNS / (SIDE * WIDE);
const SUBGROUPS: u32 = ROWS / (SIDE * DOWN) * ACROSS;
const THREADS: u32 = 32u * SUBGROUPS;
// Vectors of a row of each operand, with the padding; of each operand; and those that an invocation brings in a step.
const INNER: u32 = STEP / 4u;
const OUTER: u32 = COLUMNS / 4u;
const LEFT_PITCH: u32 = INNER + 2u;
const RIGHT_PITCH: u32 = OUTER + 2u;
const LEFT_SIZE: u32 = ROWS * LEFT_PITCH;
const RIGHT_SIZE: u32 = STEP * RIGHT_PITCH;
const RIGHT_VECTORS: u32 = STEP * OUTER;
const LEFT: u32 = ROWS * INNER / THREADS;
const RIGHT: u32 = (RIGHT_VECTORS + THREADS - 1u) / THREADS;
// A row of matrices of a subgroup.
const RESULT_PITCH: u32 = 4u * WIDE + 2u;
const RESULT_SIZE: u32 = SIDE * RESULT_PITCH;
// Vectors of columns of a subgroup's matrices, and those that an invocation owns of the results.
const VECTORS: u32 = 4u * WIDE;
const OWN: u32 = SIDE * VECTORS / 32u;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

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

// [buffer][row][inner] and [buffer][inner][column]
var<workgroup> left: array<vec4<f16>, 2u * LEFT_SIZE>;
var<workgroup> right: array<vec4<f16>, 2u * RIGHT_SIZE>;
// [subgroup][row][column]
var<workgroup> results: array<vec4<f32>, SUBGROUPS * RESULT_SIZE>;

alias Sums = array<coop_mat16x16<f32, C>, DOWN * WIDE>;

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

// What an invocation brings: vectors of rows, and of outputs of the weight.
struct Brought {
    rows: array<vec4<f32>, LEFT>,
    weights: array<vec4<f32>, RIGHT>,
}

fn load(to: ptr<function, Brought>, own: Cell, step: u32, first_row: u32, first_column: u32, lane: u32) {
    let channel = step * STEP + lane % INNER * 4u;
    let known = min(channel, INPUTS - 4u);
    for (var j = 0u; j < LEFT; j += 1u) {
        let r = first_row + lane / INNER + j * (THREADS / INNER);
        let row = own.first + min(r, own.rows - 1u);
        var value = x[((own.base + row) * INPUTS + known) / 4u];
        if (MASK_X) {
            value *= factor(own, row, INPUTS, known);
        }
        (*to).rows[j] = select(value, NOTHING, r >= own.rows || channel >= INPUTS);
    }
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = min(lane + j * THREADS, RIGHT_VECTORS - 1u);
        let input = step * STEP + i / OUTER;
        let column = first_column + i % OUTER * 4u;
        let at = own.level * LEVEL_WEIGHT + (min(input, INPUTS - 1u) * OUTPUTS + min(column, OUTPUTS - 4u)) / 4u;
        (*to).weights[j] = select(weight[at], NOTHING, input >= INPUTS || column >= OUTPUTS);
    }
}

fn keep(buffer: u32, lane: u32, brought: ptr<function, Brought>) {
    for (var j = 0u; j < LEFT; j += 1u) {
        let i = lane + j * THREADS;
        left[buffer * LEFT_SIZE + i / INNER * LEFT_PITCH + i % INNER] = vec4<f16>((*brought).rows[j]);
    }
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        if (i < RIGHT_VECTORS) {
            right[buffer * RIGHT_SIZE + i / OUTER * RIGHT_PITCH + i % OUTER] = vec4<f16>((*brought).weights[j]);
        }
    }
}

// One step through the tile; sums[d WIDE + w] is matrix (d, w) of a subgroup.
fn multiply(sums: ptr<function, Sums>, buffer: u32, along: u32, across: u32) {
    var columns: array<coop_mat16x16<f16, B>, WIDE>;
    for (var k = 0u; k < STEP; k += SIDE) {
        for (var w = 0u; w < WIDE; w += 1u) {
            let place = buffer * RIGHT_SIZE + k * RIGHT_PITCH + (across * WIDE + w) * 4u;
            columns[w] = coopLoadT<coop_mat16x16<f16, B>>(&right[place], RIGHT_PITCH);
        }
        for (var d = 0u; d < DOWN; d += 1u) {
            let place = buffer * LEFT_SIZE + (along * DOWN + d) * SIDE * LEFT_PITCH + k / 4u;
            let rows = coopLoadT<coop_mat16x16<f16, A>>(&left[place], LEFT_PITCH);
            for (var w = 0u; w < WIDE; w += 1u) {
                (*sums)[d * WIDE + w] = coopMultiplyAdd(rows, columns[w], (*sums)[d * WIDE + w]);
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

@compute @workgroup_size(THREADS)
fn product(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) member: u32,
) {
    let own = cell_of(group);
    let first_row = group.y * ROWS;
    let first_column = group.x * COLUMNS;
    var sums: Sums;
    var brought: Brought;
    load(&brought, own, 0u, first_row, first_column, lane);
    for (var step = 0u; step < STEPS; step += 1u) {
        keep(step % 2u, lane, &brought);
        workgroupBarrier();
        if (step + 1u < STEPS) {
            load(&brought, own, step + 1u, first_row, first_column, lane);
        }
        multiply(&sums, step % 2u, subgroup / ACROSS, subgroup % ACROSS);
    }
    let column = first_column + (subgroup % ACROSS * VECTORS + member % VECTORS) * 4u;
    var start = NOTHING;
    if (HAS_BIAS) {
        start = bias[own.level * LEVEL_BIAS + min(column, OUTPUTS - 4u) / 4u];
    }
    for (var d = 0u; d < DOWN; d += 1u) {
        lay_out(&sums, subgroup, d);
        for (var i = 0u; i < OWN; i += 1u) {
            let r = (member + 32u * i) / VECTORS;
            let r_of_chunk = first_row + (subgroup / ACROSS * DOWN + d) * SIDE + r;
            if (r_of_chunk < own.rows && column < OUTPUTS) {
                let row = own.first + r_of_chunk;
                var value = results[subgroup * RESULT_SIZE + r * RESULT_PITCH + member % VECTORS] + start;
                if (MASK_Y) {
                    value *= factor(own, row, OUTPUTS, column);
                }
                y[((own.base + row) * OUTPUTS + column) / 4u] = value;
            }
        }
    }
}
