// bottleneck_tiled_back.wgsl on matrix units: the same results up to the order of sums, the same bindings, immediates and groups.
// Operands are f16, sums f32.
//
// Decomposition: as convolution_matrix_back.wgsl, ROWS rows x COLUMNS channels of one map, of which a subgroup owns DOWN x WIDE
// matrices; the units in turn. x and dx are brought once, and first.
//
// Groups: x = tiles of channels, map by map; y and z = tiles of rows.

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
const LEFT_PITCH: u32 = INNER + 2u;
const LEFT_SIZE: u32 = ROWS * LEFT_PITCH;
const TURNED_SIZE: u32 = COLUMNS * LEFT_PITCH;
const TURNED_VECTORS: u32 = COLUMNS * INNER;
const LEFT: u32 = ROWS * INNER / THREADS;
const RIGHT: u32 = (TURNED_VECTORS + THREADS - 1u) / THREADS;
// A row of matrices of a subgroup.
const RESULT_PITCH: u32 = 4u * WIDE + 2u;
const RESULT_SIZE: u32 = SIDE * RESULT_PITCH;
// Vectors of columns of a subgroup's matrices, and those that an invocation owns of the results.
const VECTORS: u32 = 4u * WIDE;
const OWN: u32 = SIDE * VECTORS / 32u;
const STEPS: u32 = (OUTPUTS + STEP - 1u) / STEP;
// Tiles of a map's channels.
const FIRST_TILES: u32 = (FIRST + COLUMNS - 1u) / COLUMNS;
const OTHER_TILES: u32 = (OTHER + COLUMNS - 1u) / COLUMNS;
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
    // Not 0: add to what dx holds.
    add_dx: u32,
    // Channels of all maps.
    inputs: u32,
    // Of each unit: where its weight (inputs, outputs) begins in `parameters`, and where dy lies in a row of its map.
    weight: array<u32, 3>,
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
@group(0) @binding(7) var<storage, read> dy_0: array<Stored>;
@group(0) @binding(8) var<storage, read> dy_1: array<Stored>;
@group(0) @binding(9) var<storage, read> dy_2: array<Stored>;
@group(0) @binding(10) var<storage, read_write> partial_sums: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read> moments: array<vec4<f32>>;             // mean, inv_std of two channels
@group(0) @binding(12) var<storage, read_write> dx_0: array<Stored>;
@group(0) @binding(13) var<storage, read_write> dx_1: array<Stored>;
@group(0) @binding(14) var<storage, read_write> dx_2: array<Stored>;
@group(0) @binding(15) var<storage, read_write> dx_3: array<Stored>;
@group(0) @binding(16) var<storage, read> taps_0: array<u32>;
@group(0) @binding(17) var<storage, read> taps_1: array<u32>;
@group(0) @binding(18) var<storage, read> taps_2: array<u32>;
@group(0) @binding(19) var<storage, read> taps_3: array<u32>;

// [buffer][row][inner] and [buffer][column][inner]
var<workgroup> left: array<vec4<f16>, 2u * LEFT_SIZE>;
var<workgroup> turned: array<vec4<f16>, 2u * TURNED_SIZE>;
// [subgroup][row][column]
var<workgroup> results: array<vec4<f32>, SUBGROUPS * RESULT_SIZE>;

alias Sums = array<coop_mat16x16<f32, C>, DOWN * WIDE>;

// COLUMNS channels of a map: which map, its channels, the first of these, and all channels of the maps before.
struct Channels {
    map: u32,
    width: u32,
    first: u32,
    before: u32,
}

fn channels(tile: u32) -> Channels {
    if (tile < FIRST_TILES) {
        return Channels(0u, FIRST, tile * COLUMNS, 0u);
    }
    let later = tile - FIRST_TILES;
    let map = later / OTHER_TILES;
    return Channels(map + 1u, OTHER, (later % OTHER_TILES) * COLUMNS, FIRST + map * OTHER);
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

fn read_dx(map: u32, place: u32) -> Stored {
    switch map {
        case 0u: { return dx_0[place]; }
        case 1u: { return dx_1[place]; }
        case 2u: { return dx_2[place]; }
        default: { return dx_3[place]; }
    }
}

fn write_dx(map: u32, place: u32, value: Stored) {
    switch map {
        case 0u: { dx_0[place] = value; }
        case 1u: { dx_1[place] = value; }
        case 2u: { dx_2[place] = value; }
        default: { dx_3[place] = value; }
    }
}

fn read_dy(unit: u32, place: u32) -> Stored {
    switch unit {
        case 0u: { return dy_0[place]; }
        case 1u: { return dy_1[place]; }
        default: { return dy_2[place]; }
    }
}

// What an invocation brings of the gradient of y, and of the weight on its side: an input, a vector of outputs.
struct Brought {
    values: array<Stored, LEFT>,
    weights: array<vec4<f32>, RIGHT>,
}

// Past the end, the last row once more: nobody stores what comes of it. Outputs that are none have no weight.
fn load(to: ptr<function, Brought>, unit: u32, step: u32, part: Channels, first_row: u32, lane: u32) {
    let output = min(step * STEP + lane % INNER * 4u, OUTPUTS - 4u);
    for (var j = 0u; j < LEFT; j += 1u) {
        let row = min(first_row + lane / INNER + j * (THREADS / INNER), size.rows - 1u);
        (*to).values[j] = read_dy(unit, (row * size.y_stride[unit] + size.y_first[unit] + output) / 4u);
    }
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = min(lane + j * THREADS, TURNED_VECTORS - 1u);
        let column = step * STEP + i % INNER * 4u;
        let input = part.first + i / INNER;
        let row = part.before + min(input, part.width - 1u);
        let value = parameters[(size.weight[unit] + row * OUTPUTS + min(column, OUTPUTS - 4u)) / 4u];
        (*to).weights[j] = select(value, NOTHING, input >= part.width || column >= OUTPUTS);
    }
}

fn keep(buffer: u32, lane: u32, brought: ptr<function, Brought>) {
    for (var j = 0u; j < LEFT; j += 1u) {
        let i = lane + j * THREADS;
        left[buffer * LEFT_SIZE + i / INNER * LEFT_PITCH + i % INNER] = vec4<f16>(unpacked((*brought).values[j]));
    }
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        if (i < TURNED_VECTORS) {
            turned[buffer * TURNED_SIZE + i / INNER * LEFT_PITCH + i % INNER] = vec4<f16>((*brought).weights[j]);
        }
    }
}

// One step through the tile; sums[d WIDE + w] is matrix (d, w) of a subgroup.
fn multiply(sums: ptr<function, Sums>, buffer: u32, along: u32, across: u32) {
    var columns: array<coop_mat16x16<f16, B>, WIDE>;
    for (var k = 0u; k < STEP; k += SIDE) {
        for (var w = 0u; w < WIDE; w += 1u) {
            let place = buffer * TURNED_SIZE + (across * WIDE + w) * SIDE * LEFT_PITCH + k / 4u;
            columns[w] = coopLoad<coop_mat16x16<f16, B>>(&turned[place], LEFT_PITCH);
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

@compute @workgroup_size(THREADS)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) member: u32,
) {
    let tile = group.z * groups.y + group.y;
    let first_row = tile * ROWS;
    let part = channels(group.x);
    let channel = part.first + (subgroup % ACROSS * VECTORS + member % VECTORS) * 4u;
    let known = min(channel, part.width - 4u);
    let own_row = first_row + subgroup / ACROSS * DOWN * SIDE + member / VECTORS;
    var brought: Brought;
    load(&brought, 0u, 0u, part, first_row, lane);
    // All that is needed of x and dx, too: none may wait for a product, nor for a store.
    var inputs: array<Stored, DOWN * OWN>;
    var total: array<vec4<f32>, DOWN * OWN>;
    for (var i = 0u; i < DOWN * OWN; i += 1u) {
        let row = min(own_row + i / OWN * SIDE + i % OWN * (32u / VECTORS), size.rows - 1u);
        inputs[i] = read_x(part.map, (row * part.width + known) / 4u, part.width / 4u);
        if (size.add_dx != 0u) {
            total[i] = unpacked(read_dx(part.map, (row * part.width + known) / 4u));
        }
    }
    let low = moments[(part.before + known) / 2u];
    let high = moments[(part.before + known) / 2u + 1u];
    let mean = vec4<f32>(low.xz, high.xz);
    let inv_std = vec4<f32>(low.yw, high.yw);
    for (var unit = 0u; unit < UNITS; unit += 1u) {
        var sums = Sums();
        for (var step = 0u; step < STEPS; step += 1u) {
            let buffer = (unit * STEPS + step) % 2u;
            keep(buffer, lane, &brought);
            workgroupBarrier();
            let last = step + 1u == STEPS;
            if (!last || unit + 1u < UNITS) {
                load(&brought, select(unit, unit + 1u, last), select(step + 1u, 0u, last), part, first_row, lane);
            }
            multiply(&sums, buffer, subgroup / ACROSS, subgroup % ACROSS);
        }
        let factor = scale[(unit * size.inputs + part.before + known) / 4u];
        let offset = shift[(unit * size.inputs + part.before + known) / 4u];
        var sum = NOTHING;
        var products = NOTHING;
        for (var d = 0u; d < DOWN; d += 1u) {
            lay_out(&sums, subgroup, d);
            for (var i = 0u; i < OWN; i += 1u) {
                let r = (member + 32u * i) / VECTORS;
                let gradient = results[subgroup * RESULT_SIZE + r * RESULT_PITCH + member % VECTORS];
                let input = unpacked(inputs[d * OWN + i]);
                let inside = own_row + d * SIDE + i * (32u / VECTORS) < size.rows;
                let counts = fma(input, factor, offset) > NOTHING;
                let dz = select(NOTHING, select(NOTHING, gradient, counts), inside);
                sum += dz;
                products = fma(dz, (input - mean) * inv_std, products);
                total[d * OWN + i] = fma(factor, dz, total[d * OWN + i]);
            }
        }
        sum = add_rows(sum, lane);
        products = add_rows(products, lane);
        if (subgroup < ACROSS && member < VECTORS && channel < part.width && first_row < size.rows) {
            let place = (((size.first_tile + tile) * UNITS + unit) * size.inputs + part.before + channel) / 2u;
            partial_sums[place] = vec4<f32>(sum.x, products.x, sum.y, products.y);
            partial_sums[place + 1u] = vec4<f32>(sum.z, products.z, sum.w, products.w);
        }
    }
    for (var i = 0u; i < DOWN * OWN; i += 1u) {
        let row = own_row + i / OWN * SIDE + i % OWN * (32u / VECTORS);
        if (row < size.rows && channel < part.width) {
            write_dx(part.map, (row * part.width + channel) / 4u, packed(total[i]));
        }
    }
}
