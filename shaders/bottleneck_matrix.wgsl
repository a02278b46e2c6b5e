// bottleneck_tiled.wgsl on matrix units: the same results up to the order of sums, the same bindings, immediates and groups. Operands
// are f16, sums f32.
//
// Decomposition: as convolution_matrix.wgsl, ROWS rows x COLUMNS outputs of every unit, of which a subgroup owns DOWN x WIDE matrices;
// STEP channels of x are brought once and become the activations of one unit after the other on their way to workgroup memory.
//
// Groups: x = tiles of outputs, y and z = tiles of rows.

enable f16;
enable wgpu_cooperative_matrix;

const UNITS: u32 = 3u;
// Channels of the first map, and of each other.
const FIRST: u32 = 32u;
const OTHER: u32 = 128u;
// Of a unit.
const OUTPUTS: u32 = 32u;
// x is read through the taps of pooled.wgsl, in images of MEL bands.
const POOLED: bool = false;
const MEL: u32 = 128u;
const ROWS: u32 = 128u;
const COLUMNS: u32 = 32u;
const STEP: u32 = 16u;
const DOWN: u32 = 2u;
const WIDE: u32 = 2u;

// A matrix has 16 rows of 4 vectors.
const SIDE: u32 = 16u;
const ACROSS: u32 = COLUMNS / (SIDE * WIDE);
const SUBGROUPS: u32 = ROWS / (SIDE * DOWN) * ACROSS;
const THREADS: u32 = 32u * SUBGROUPS;
// Vectors of a row of each operand, with the padding; of each operand; and those that an invocation brings.
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
// Steps of a map.
const FIRST_STEPS: u32 = (FIRST + STEP - 1u) / STEP;
const OTHER_STEPS: u32 = (OTHER + STEP - 1u) / STEP;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// How four channels of a map are stored: as they are, or as halves (the host replaces these lines).
alias Stored = vec4<f32>;
fn unpacked(four: Stored) -> vec4<f32> { return four; }
fn packed(four: vec4<f32>) -> Stored { return four; }
// Its words, and four channels of different places.
alias Word = f32;
const PER_WORD: u32 = 1u;
fn picked(x: Word, y: Word, z: Word, w: Word) -> Stored { return Stored(x, y, z, w); }

struct Size {
    // Of this dispatch.
    rows: u32,
    // The first tile of partial_sums that this dispatch writes.
    first_tile: u32,
    maps: u32,
    // Channels of all maps.
    inputs: u32,
    // Of each unit: where its weight (inputs, outputs) and its bias begin in `parameters`, and where y lies in a row of its map.
    weight: array<u32, 3>,
    bias: array<u32, 3>,
    y_stride: array<u32, 3>,
    y_first: array<u32, 3>,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x_0: array<Stored>;
@group(0) @binding(1) var<storage, read> x_1: array<Stored>;
@group(0) @binding(2) var<storage, read> x_2: array<Stored>;
@group(0) @binding(3) var<storage, read> x_3: array<Stored>;
@group(0) @binding(4) var<storage, read> parameters: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> scale: array<vec4<f32>>;                // (unit, input)
@group(0) @binding(6) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> y_0: array<Stored>;
@group(0) @binding(8) var<storage, read_write> y_1: array<Stored>;
@group(0) @binding(9) var<storage, read_write> y_2: array<Stored>;
@group(0) @binding(10) var<storage, read_write> partial_sums: array<vec4<f32>>;
@group(0) @binding(16) var<storage, read> taps_0: array<u32>;
@group(0) @binding(17) var<storage, read> taps_1: array<u32>;
@group(0) @binding(18) var<storage, read> taps_2: array<u32>;
@group(0) @binding(19) var<storage, read> taps_3: array<u32>;

// [buffer][row][inner] and [buffer][inner][column]
var<workgroup> left: array<vec4<f16>, 2u * LEFT_SIZE>;
var<workgroup> right: array<vec4<f16>, 2u * RIGHT_SIZE>;
// [subgroup][row][column]
var<workgroup> results: array<vec4<f32>, SUBGROUPS * RESULT_SIZE>;

alias Sums = array<coop_mat16x16<f32, C>, DOWN * WIDE>;

// STEP channels of a map: which map, its channels, the first of these, and all channels of the maps before.
struct Channels {
    map: u32,
    width: u32,
    first: u32,
    before: u32,
}

fn channels(step: u32) -> Channels {
    if (step < FIRST_STEPS) {
        return Channels(0u, FIRST, step * STEP, 0u);
    }
    let later = step - FIRST_STEPS;
    let map = later / OTHER_STEPS;
    return Channels(map + 1u, OTHER, (later % OTHER_STEPS) * STEP, FIRST + map * OTHER);
}

// Vectors of channels that stand where the taps of four channels say, around that of `place` in rows of `vectors` each.
fn winners(taps: u32, place: u32, vectors: u32) -> vec4<u32> {
    let tap = vec4<u32>(taps) >> vec4<u32>(0u, 8u, 16u, 24u) & vec4<u32>(255u);
    let rows = (vec4<i32>(tap / 3u) - 1) * i32(MEL) + vec4<i32>(tap % 3u) - 1;
    return vec4<u32>(i32(place) + rows * i32(vectors));
}

// A vector of channels of a map.
fn read_x(map: u32, place: u32, vectors: u32) -> Stored {
    if (POOLED) {
        switch map {
            case 0u: {
                let at = winners(taps_0[place], place, vectors);
                return picked(x_0[at.x][0u / PER_WORD], x_0[at.y][1u / PER_WORD], x_0[at.z][2u / PER_WORD], x_0[at.w][3u / PER_WORD]);
            }
            case 1u: {
                let at = winners(taps_1[place], place, vectors);
                return picked(x_1[at.x][0u / PER_WORD], x_1[at.y][1u / PER_WORD], x_1[at.z][2u / PER_WORD], x_1[at.w][3u / PER_WORD]);
            }
            case 2u: {
                let at = winners(taps_2[place], place, vectors);
                return picked(x_2[at.x][0u / PER_WORD], x_2[at.y][1u / PER_WORD], x_2[at.z][2u / PER_WORD], x_2[at.w][3u / PER_WORD]);
            }
            default: {
                let at = winners(taps_3[place], place, vectors);
                return picked(x_3[at.x][0u / PER_WORD], x_3[at.y][1u / PER_WORD], x_3[at.z][2u / PER_WORD], x_3[at.w][3u / PER_WORD]);
            }
        }
    }
    switch map {
        case 0u: { return x_0[place]; }
        case 1u: { return x_1[place]; }
        case 2u: { return x_2[place]; }
        default: { return x_3[place]; }
    }
}

// What an invocation brings for a unit: of its weight, and what makes channels of x its activations.
struct Brought {
    weights: array<vec4<f32>, RIGHT>,
    factor: vec4<f32>,
    offset: vec4<f32>,
}

// Past the end, the last row once more: nobody stores what comes of it.
fn load_x(values: ptr<function, array<Stored, LEFT>>, first_row: u32, step: u32, lane: u32) {
    let part = channels(step);
    let channel = min(part.first + lane % INNER * 4u, part.width - 4u);
    for (var j = 0u; j < LEFT; j += 1u) {
        let row = min(first_row + lane / INNER + j * (THREADS / INNER), size.rows - 1u);
        (*values)[j] = read_x(part.map, (row * part.width + channel) / 4u, part.width / 4u);
    }
}

// Channels past the map's end have no weight.
fn load_unit(to: ptr<function, Brought>, unit: u32, step: u32, first_column: u32, lane: u32) {
    let part = channels(step);
    let channel = min(part.first + lane % INNER * 4u, part.width - 4u);
    (*to).factor = scale[(unit * size.inputs + part.before + channel) / 4u];
    (*to).offset = shift[(unit * size.inputs + part.before + channel) / 4u];
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = min(lane + j * THREADS, RIGHT_VECTORS - 1u);
        let input = part.first + i / OUTER;
        let column = first_column + i % OUTER * 4u;
        let row = part.before + min(input, part.width - 1u);
        let value = parameters[(size.weight[unit] + row * OUTPUTS + min(column, OUTPUTS - 4u)) / 4u];
        (*to).weights[j] = select(value, NOTHING, input >= part.width || column >= OUTPUTS);
    }
}

fn keep(buffer: u32, lane: u32, values: ptr<function, array<Stored, LEFT>>, brought: ptr<function, Brought>) {
    for (var j = 0u; j < LEFT; j += 1u) {
        let i = lane + j * THREADS;
        let value = max(NOTHING, fma(unpacked((*values)[j]), (*brought).factor, (*brought).offset));
        left[buffer * LEFT_SIZE + i / INNER * LEFT_PITCH + i % INNER] = vec4<f16>(value);
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

// A step of one unit; loads for the next are under way meanwhile.
fn turn(
    sums: ptr<function, Sums>,
    values: ptr<function, array<Stored, LEFT>>,
    brought: ptr<function, Brought>,
    unit: u32,
    step: u32,
    steps: u32,
    first_row: u32,
    first_column: u32,
    lane: u32,
    subgroup: u32,
) {
    let buffer = (step * UNITS + unit) % 2u;
    keep(buffer, lane, values, brought);
    workgroupBarrier();
    let last = unit + 1u == UNITS;
    let next = select(step, step + 1u, last);
    if (next < steps) {
        if (last) {
            load_x(values, first_row, next, lane);
        }
        load_unit(brought, select(unit + 1u, 0u, last), next, first_column, lane);
    }
    multiply(sums, buffer, subgroup / ACROSS, subgroup % ACROSS);
}

// Brings row d of a subgroup's matrices to workgroup memory.
fn lay_out(sums: ptr<function, Sums>, subgroup: u32, d: u32) {
    workgroupBarrier();
    for (var w = 0u; w < WIDE; w += 1u) {
        coopStoreT((*sums)[d * WIDE + w], &results[subgroup * RESULT_SIZE + w * 4u], RESULT_PITCH);
    }
    workgroupBarrier();
}

fn write_y(unit: u32, place: u32, value: Stored) {
    switch unit {
        case 0u: { y_0[place] = value; }
        case 1u: { y_1[place] = value; }
        default: { y_2[place] = value; }
    }
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

// What an invocation owns of a unit's tile, matrix after matrix.
alias Mine = array<vec4<f32>, DOWN * OWN>;

// Stores a unit's tile, and leaves what y has there in `mine`.
fn store(sums: ptr<function, Sums>, mine: ptr<function, Mine>, unit: u32, tile: u32, first_column: u32, subgroup: u32, member: u32) {
    let column = first_column + (subgroup % ACROSS * VECTORS + member % VECTORS) * 4u;
    let start = parameters[(size.bias[unit] + min(column, OUTPUTS - 4u)) / 4u];
    for (var d = 0u; d < DOWN; d += 1u) {
        lay_out(sums, subgroup, d);
        for (var i = 0u; i < OWN; i += 1u) {
            let r = (member + 32u * i) / VECTORS;
            let row = tile * ROWS + (subgroup / ACROSS * DOWN + d) * SIDE + r;
            let stored = packed(results[subgroup * RESULT_SIZE + r * RESULT_PITCH + member % VECTORS] + start);
            (*mine)[d * OWN + i] = unpacked(stored);
            if (row < size.rows && column < OUTPUTS) {
                write_y(unit, (row * size.y_stride[unit] + size.y_first[unit] + column) / 4u, stored);
            }
        }
    }
}

// partial_sums[tile, unit, output] = (rows, mean, sum of squared differences from it, 0) of the tile's y.
fn store_moments(mine: ptr<function, Mine>, unit: u32, tile: u32, first_column: u32, lane: u32, subgroup: u32, member: u32) {
    let first_row = tile * ROWS;
    let own_row = first_row + subgroup / ACROSS * DOWN * SIDE + member / VECTORS;
    let count = f32(min(size.rows, first_row + ROWS) - min(size.rows, first_row));
    var sum = NOTHING;
    for (var i = 0u; i < DOWN * OWN; i += 1u) {
        let row = own_row + i / OWN * SIDE + i % OWN * (32u / VECTORS);
        sum += select(NOTHING, (*mine)[i], row < size.rows);
    }
    let mean = add_rows(sum, lane) / max(1.0, count);
    sum = NOTHING;
    for (var i = 0u; i < DOWN * OWN; i += 1u) {
        let row = own_row + i / OWN * SIDE + i % OWN * (32u / VECTORS);
        let apart = select(NOTHING, (*mine)[i] - mean, row < size.rows);
        sum = fma(apart, apart, sum);
    }
    sum = add_rows(sum, lane);
    let column = first_column + (subgroup % ACROSS * VECTORS + member % VECTORS) * 4u;
    if (subgroup < ACROSS && member < VECTORS && column < OUTPUTS && first_row < size.rows) {
        for (var e = 0u; e < 4u; e += 1u) {
            let place = ((size.first_tile + tile) * UNITS + unit) * OUTPUTS + column + e;
            partial_sums[place] = vec4<f32>(count, mean[e], sum[e], 0.0);
        }
    }
}

// All units' sums. Each has a variable of its own, which compilers keep in registers.
fn multiply_all(one: ptr<function, Sums>, two: ptr<function, Sums>, three: ptr<function, Sums>, first_row: u32, first_column: u32, lane: u32, subgroup: u32) {
    var values: array<Stored, LEFT>;
    var brought: Brought;
    let steps = FIRST_STEPS + (size.maps - 1u) * OTHER_STEPS;
    load_x(&values, first_row, 0u, lane);
    load_unit(&brought, 0u, 0u, first_column, lane);
    for (var step = 0u; step < steps; step += 1u) {
        turn(one, &values, &brought, 0u, step, steps, first_row, first_column, lane, subgroup);
        if (UNITS > 1u) {
            turn(two, &values, &brought, 1u, step, steps, first_row, first_column, lane, subgroup);
        }
        if (UNITS > 2u) {
            turn(three, &values, &brought, 2u, step, steps, first_row, first_column, lane, subgroup);
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
    let tile = group.z * groups.y + group.y;
    let first_column = group.x * COLUMNS;
    var one: Sums;
    var two: Sums;
    var three: Sums;
    var mine: Mine;
    multiply_all(&one, &two, &three, tile * ROWS, first_column, lane, subgroup);
    store(&one, &mine, 0u, tile, first_column, subgroup, member);
    if (UNITS > 1u) {
        store(&two, &mine, 1u, tile, first_column, subgroup, member);
    }
    if (UNITS > 2u) {
        store(&three, &mine, 2u, tile, first_column, subgroup, member);
    }
}

// Also partial sums for the statistics of y.
@compute @workgroup_size(THREADS)
fn forward_with_moments(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) member: u32,
) {
    let tile = group.z * groups.y + group.y;
    let first_column = group.x * COLUMNS;
    var one: Sums;
    var two: Sums;
    var three: Sums;
    var mine: Mine;
    multiply_all(&one, &two, &three, tile * ROWS, first_column, lane, subgroup);
    store(&one, &mine, 0u, tile, first_column, subgroup, member);
    store_moments(&mine, 0u, tile, first_column, lane, subgroup, member);
    if (UNITS > 1u) {
        store(&two, &mine, 1u, tile, first_column, subgroup, member);
        store_moments(&mine, 1u, tile, first_column, lane, subgroup, member);
    }
    if (UNITS > 2u) {
        store(&three, &mine, 2u, tile, first_column, subgroup, member);
        store_moments(&mine, 2u, tile, first_column, lane, subgroup, member);
    }
}
