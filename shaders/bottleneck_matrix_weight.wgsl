// bottleneck_tiled_weight.wgsl on matrix units: the same results up to the order of sums, the same bindings, immediates and groups.
// Operands are f16, sums f32.
//
// Decomposition: as convolution_matrix_weight.wgsl, ROWS channels of one map x COLUMNS outputs of every unit and of one split of the
// rows, of which a subgroup owns DOWN x WIDE matrices; STEP rows of x are brought once and become the activations of one unit after
// the other.
//
// Groups: x = tiles of channels, map by map; y = splits; z = tiles of outputs.

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
const ROWS: u32 = 64u;
const COLUMNS: u32 = 32u;
const STEP: u32 = 32u;
const DOWN: u32 = 1u;
const WIDE: u32 = 2u;

// A matrix has 16 rows of 4 vectors.
const SIDE: u32 = 16u;
const ACROSS: u32 = COLUMNS / (SIDE * WIDE);
const SUBGROUPS: u32 = ROWS / (SIDE * DOWN) * ACROSS;
const THREADS: u32 = 32u * SUBGROUPS;
// Vectors of a row of each operand, with the padding; of each operand; and those that an invocation brings.
const INNER: u32 = ROWS / 4u;
const OUTER: u32 = COLUMNS / 4u;
const LEFT_PITCH: u32 = INNER + 2u;
const RIGHT_PITCH: u32 = OUTER + 2u;
const LEFT_SIZE: u32 = STEP * LEFT_PITCH;
const RIGHT_SIZE: u32 = STEP * RIGHT_PITCH;
const RIGHT_VECTORS: u32 = STEP * OUTER;
const LEFT: u32 = STEP * INNER / THREADS;
const RIGHT: u32 = (RIGHT_VECTORS + THREADS - 1u) / THREADS;
// A row of matrices of a subgroup.
const RESULT_PITCH: u32 = 4u * WIDE + 2u;
const RESULT_SIZE: u32 = SIDE * RESULT_PITCH;
// Tiles of a map's channels.
const FIRST_TILES: u32 = (FIRST + ROWS - 1u) / ROWS;
const OTHER_TILES: u32 = (OTHER + ROWS - 1u) / ROWS;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// How four channels of a map are stored: as they are, or as halves (the host replaces these lines).
alias Stored = vec4<f32>;
fn unpacked(four: Stored) -> vec4<f32> { return four; }
// Its words, and four channels of different places.
alias Word = f32;
const PER_WORD: u32 = 1u;
fn picked(x: Word, y: Word, z: Word, w: Word) -> Stored { return Stored(x, y, z, w); }

struct Size {
    // Of this dispatch.
    rows: u32,
    // The first split of partial_sums that this dispatch writes, and its rows.
    first_split: u32,
    split_rows: u32,
    // Channels of all maps.
    inputs: u32,
    // Where the dy of each unit lies in a row of its map.
    y_stride: array<u32, 3>,
    y_first: array<u32, 3>,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x_0: array<Stored>;
@group(0) @binding(1) var<storage, read> x_1: array<Stored>;
@group(0) @binding(2) var<storage, read> x_2: array<Stored>;
@group(0) @binding(3) var<storage, read> x_3: array<Stored>;
@group(0) @binding(5) var<storage, read> scale: array<vec4<f32>>;                // (unit, input)
@group(0) @binding(6) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> dy_0: array<Stored>;
@group(0) @binding(8) var<storage, read> dy_1: array<Stored>;
@group(0) @binding(9) var<storage, read> dy_2: array<Stored>;
@group(0) @binding(10) var<storage, read_write> partial_sums: array<vec4<f32>>;
@group(0) @binding(16) var<storage, read> taps_0: array<u32>;
@group(0) @binding(17) var<storage, read> taps_1: array<u32>;
@group(0) @binding(18) var<storage, read> taps_2: array<u32>;
@group(0) @binding(19) var<storage, read> taps_3: array<u32>;

// [buffer][row][input] and [buffer][row][output]
var<workgroup> left: array<vec4<f16>, 2u * LEFT_SIZE>;
var<workgroup> right: array<vec4<f16>, 2u * RIGHT_SIZE>;
// [subgroup][input][output]
var<workgroup> results: array<vec4<f32>, SUBGROUPS * RESULT_SIZE>;

alias Sums = array<coop_mat16x16<f32, C>, DOWN * WIDE>;

// ROWS channels of a map: which map, its channels, the first of these, and all channels of the maps before.
struct Channels {
    map: u32,
    width: u32,
    first: u32,
    before: u32,
}

fn channels(tile: u32) -> Channels {
    if (tile < FIRST_TILES) {
        return Channels(0u, FIRST, tile * ROWS, 0u);
    }
    let later = tile - FIRST_TILES;
    let map = later / OTHER_TILES;
    return Channels(map + 1u, OTHER, (later % OTHER_TILES) * ROWS, FIRST + map * OTHER);
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

fn read_dy(unit: u32, place: u32) -> Stored {
    switch unit {
        case 0u: { return dy_0[place]; }
        case 1u: { return dy_1[place]; }
        default: { return dy_2[place]; }
    }
}

// What an invocation brings of x, always of the same four channels, and of a unit's dy.
struct Brought {
    values: array<Stored, LEFT>,
    gradients: array<Stored, RIGHT>,
}

// Past the end, the last row once more: it has no gradient.
fn load_x(to: ptr<function, Brought>, first_row: u32, end: u32, part: Channels, lane: u32) {
    let channel = min(part.first + lane % INNER * 4u, part.width - 4u);
    for (var j = 0u; j < LEFT; j += 1u) {
        let row = min(first_row + lane / INNER + j * (THREADS / INNER), end - 1u);
        (*to).values[j] = read_x(part.map, (row * part.width + channel) / 4u, part.width / 4u);
    }
}

fn load_dy(to: ptr<function, Brought>, unit: u32, first_row: u32, end: u32, first_column: u32, lane: u32) {
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        let row = first_row + i / OUTER;
        let column = first_column + i % OUTER * 4u;
        let place = min(row, end - 1u) * size.y_stride[unit] + size.y_first[unit] + min(column, OUTPUTS - 4u);
        (*to).gradients[j] = select(Stored(), read_dy(unit, place / 4u), i < RIGHT_VECTORS && row < end && column < OUTPUTS);
    }
}

// What turns the channels of x that an invocation brings into a unit's activations.
struct Fold {
    factor: vec4<f32>,
    offset: vec4<f32>,
}

fn fold_of(unit: u32, part: Channels, lane: u32) -> Fold {
    let channel = part.before + min(part.first + lane % INNER * 4u, part.width - 4u);
    return Fold(scale[(unit * size.inputs + channel) / 4u], shift[(unit * size.inputs + channel) / 4u]);
}

// As it is multiplied.
fn widened(halves: vec4<f16>) -> vec4<f32> {
    return vec4<f32>(halves);
}

// STEP rows of one unit; loads for the next are under way meanwhile. `bias` gets what an invocation brings of dy.
fn turn(
    sums: ptr<function, Sums>,
    bias: ptr<function, vec4<f32>>,
    fold: Fold,
    brought: ptr<function, Brought>,
    unit: u32,
    buffer: u32,
    row: u32,
    end: u32,
    part: Channels,
    first_column: u32,
    lane: u32,
    subgroup: u32,
) {
    for (var j = 0u; j < LEFT; j += 1u) {
        let i = lane + j * THREADS;
        let value = max(NOTHING, fma(unpacked((*brought).values[j]), fold.factor, fold.offset));
        left[buffer * LEFT_SIZE + i / INNER * LEFT_PITCH + i % INNER] = vec4<f16>(value);
    }
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        let value = vec4<f16>(unpacked((*brought).gradients[j]));
        if (i < RIGHT_VECTORS) {
            right[buffer * RIGHT_SIZE + i / OUTER * RIGHT_PITCH + i % OUTER] = value;
        }
        *bias += widened(value);
    }
    workgroupBarrier();
    let last = unit + 1u == UNITS;
    let next = select(row, row + STEP, last);
    if (next < end) {
        if (last) {
            load_x(brought, next, end, part, lane);
        }
        load_dy(brought, select(unit + 1u, 0u, last), next, end, first_column, lane);
    }
    let along = subgroup / ACROSS;
    let across = subgroup % ACROSS;
    var columns: array<coop_mat16x16<f16, B>, WIDE>;
    for (var k = 0u; k < STEP; k += SIDE) {
        for (var w = 0u; w < WIDE; w += 1u) {
            let place = buffer * RIGHT_SIZE + k * RIGHT_PITCH + (across * WIDE + w) * 4u;
            columns[w] = coopLoadT<coop_mat16x16<f16, B>>(&right[place], RIGHT_PITCH);
        }
        for (var d = 0u; d < DOWN; d += 1u) {
            // Inputs are rows of the product, and side by side in a row of x.
            let place = buffer * LEFT_SIZE + k * LEFT_PITCH + (along * DOWN + d) * 4u;
            let inputs = coopLoad<coop_mat16x16<f16, A>>(&left[place], LEFT_PITCH);
            for (var w = 0u; w < WIDE; w += 1u) {
                (*sums)[d * WIDE + w] = coopMultiplyAdd(inputs, columns[w], (*sums)[d * WIDE + w]);
            }
        }
    }
}

// Stores a unit's sums; those of the bias, where they are asked for, as the shares added in order.
fn store(
    sums: ptr<function, Sums>,
    bias: vec4<f32>,
    unit: u32,
    split: u32,
    part: Channels,
    first_column: u32,
    sums_bias: bool,
    lane: u32,
    subgroup: u32,
    member: u32,
) {
    let first = ((size.first_split + split) * UNITS + unit) * (size.inputs + 1u) * OUTPUTS;
    for (var d = 0u; d < DOWN; d += 1u) {
        workgroupBarrier();
        for (var w = 0u; w < WIDE; w += 1u) {
            coopStoreT((*sums)[d * WIDE + w], &results[subgroup * RESULT_SIZE + w * 4u], RESULT_PITCH);
        }
        workgroupBarrier();
        for (var i = member; i < SIDE * WIDE * 4u; i += 32u) {
            let channel = part.first + (subgroup / ACROSS * DOWN + d) * SIDE + i / (WIDE * 4u);
            let column = first_column + (subgroup % ACROSS * WIDE * 4u + i % (WIDE * 4u)) * 4u;
            if (channel < part.width && column < OUTPUTS) {
                let value = results[subgroup * RESULT_SIZE + i / (WIDE * 4u) * RESULT_PITCH + i % (WIDE * 4u)];
                partial_sums[(first + (part.before + channel) * OUTPUTS + column) / 4u] = value;
            }
        }
    }
    if (sums_bias) {
        workgroupBarrier();
        results[lane] = bias;
        workgroupBarrier();
        if (lane < OUTER && first_column + lane * 4u < OUTPUTS) {
            var total = NOTHING;
            for (var share = lane; share < THREADS; share += OUTER) {
                total += results[share];
            }
            partial_sums[(first + size.inputs * OUTPUTS + first_column) / 4u + lane] = total;
        }
    }
}

@compute @workgroup_size(THREADS)
fn backward_weight(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) member: u32,
) {
    let first_column = group.z * COLUMNS;
    let part = channels(group.x);
    let sums_bias = group.x == 0u;
    let start = group.y * size.split_rows;
    let end = min(size.rows, start + size.split_rows);
    var brought: Brought;
    // Each unit has variables of its own, which compilers keep in registers.
    var one: Sums;
    var two: Sums;
    var three: Sums;
    var bias_one = NOTHING;
    var bias_two = NOTHING;
    var bias_three = NOTHING;
    let fold_one = fold_of(0u, part, lane);
    let fold_two = fold_of(min(1u, UNITS - 1u), part, lane);
    let fold_three = fold_of(min(2u, UNITS - 1u), part, lane);
    var buffer = 0u;
    load_x(&brought, start, end, part, lane);
    load_dy(&brought, 0u, start, end, first_column, lane);
    for (var row = start; row < end; row += STEP) {
        turn(&one, &bias_one, fold_one, &brought, 0u, buffer, row, end, part, first_column, lane, subgroup);
        buffer = 1u - buffer;
        if (UNITS > 1u) {
            turn(&two, &bias_two, fold_two, &brought, 1u, buffer, row, end, part, first_column, lane, subgroup);
            buffer = 1u - buffer;
        }
        if (UNITS > 2u) {
            turn(&three, &bias_three, fold_three, &brought, 2u, buffer, row, end, part, first_column, lane, subgroup);
            buffer = 1u - buffer;
        }
    }
    store(&one, bias_one, 0u, group.y, part, first_column, sums_bias, lane, subgroup, member);
    if (UNITS > 1u) {
        store(&two, bias_two, 1u, group.y, part, first_column, sums_bias, lane, subgroup, member);
    }
    if (UNITS > 2u) {
        store(&three, bias_three, 2u, group.y, part, first_column, sums_bias, lane, subgroup, member);
    }
}
