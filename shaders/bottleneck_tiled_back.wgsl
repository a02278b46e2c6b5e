// The gradients of x, with batch norm and ReLU, of bottleneck_tiled.wgsl, with the same sums and immediates.
//
//   dz[u] = [x * scale[u] + shift[u] > 0] * (dy[u] weight[u]^T)
//   dx = [dx +] sum over u of scale[u] * dz[u]
//
// but for what depends on sums over the batch, which `bottleneck.wgsl` makes corrections of (see batch_norm.wgsl):
// partial_sums[tile, unit, input] = (sum of dz, sum of dz * xhat) of the tile.
//
// Decomposition: a tile of ROWS rows x COLUMNS channels of one map; the units in turn. x and dx are brought once, and first.
//
// Groups: x = tiles of channels, map by map; y and z = tiles of rows.

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
const WIDE: u32 = 1u;

const STEP: u32 = 16u;
const ACROSS: u32 = COLUMNS / (4u * WIDE);
const THREADS: u32 = ROWS / 8u * ACROSS;
const LEFT: u32 = ROWS * STEP / 4u / THREADS;
const RIGHT: u32 = (COLUMNS * STEP / 4u + THREADS - 1u) / THREADS;
// A step of the left operand has ROWS numbers and a vector of padding, against conflicts of banks.
const LEFT_PITCH: u32 = ROWS / 4u + 1u;
const RIGHT_PITCH: u32 = COLUMNS / 4u;
const LEFT_SIZE: u32 = STEP * LEFT_PITCH;
const RIGHT_SIZE: u32 = STEP * RIGHT_PITCH;
const STEPS: u32 = (OUTPUTS + STEP - 1u) / STEP;
// Tiles of a map's channels.
const FIRST_TILES: u32 = (FIRST + COLUMNS - 1u) / COLUMNS;
const OTHER_TILES: u32 = (OTHER + COLUMNS - 1u) / COLUMNS;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// An operand of a product: as it is, or rounded to f16 (the host replaces such lines).
fn operand(value: vec4<f32>) -> vec4<f32> { return value; }

// How four channels of a map are stored: as they are, or as halves (the host replaces these lines).
alias Stored = vec4<f32>;
fn unpacked(four: Stored) -> vec4<f32> { return four; }
fn packed(four: vec4<f32>) -> Stored { return four; }
// An operand that a map holds.
fn held_operand(four: Stored) -> vec4<f32> { return operand(unpacked(four)); }
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

// [buffer][step][row] and [buffer][step][column], in vectors of rows and of columns.
var<workgroup> left: array<vec4<f32>, 2u * LEFT_SIZE>;
var<workgroup> right: array<vec4<f32>, 2u * RIGHT_SIZE>;

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

// What an invocation brings of the gradient of y, and of the weight on its side: an input, a vector of outputs, which become
// steps.
struct Brought {
    values: array<Stored, LEFT>,
    weights: array<vec4<f32>, RIGHT>,
}

// Past the end, the last row once more: nobody stores what comes of it. Outputs that are none have no weight.
fn load(to: ptr<function, Brought>, unit: u32, step: u32, part: Channels, first_row: u32, lane: u32) {
    let output = min(step * STEP + (lane % 4u) * 4u, OUTPUTS - 4u);
    for (var j = 0u; j < LEFT; j += 1u) {
        let row = min(first_row + lane / 4u + j * (THREADS / 4u), size.rows - 1u);
        (*to).values[j] = read_dy(unit, (row * size.y_stride[unit] + size.y_first[unit] + output) / 4u);
    }
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        let column = step * STEP + (i % (STEP / 4u)) * 4u;
        let input = part.first + i / (STEP / 4u);
        let row = part.before + min(input, part.width - 1u);
        let value = parameters[(size.weight[unit] + row * OUTPUTS + min(column, OUTPUTS - 4u)) / 4u];
        (*to).weights[j] = select(value, NOTHING, input >= part.width || column >= OUTPUTS);
    }
}

fn keep(buffer: u32, lane: u32, brought: ptr<function, Brought>) {
    for (var j = 0u; j < LEFT; j += 1u) {
        let r = lane / 4u + j * (THREADS / 4u);
        let k = (lane % 4u) * 4u;
        let value = held_operand((*brought).values[j]);
        for (var e = 0u; e < 4u; e += 1u) {
            left[buffer * LEFT_SIZE + (k + e) * LEFT_PITCH + r / 4u][r % 4u] = value[e];
        }
    }
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        let column = i / (STEP / 4u);
        let value = operand((*brought).weights[j]);
        if (i < RIGHT_SIZE) {
            for (var e = 0u; e < 4u; e += 1u) {
                right[buffer * RIGHT_SIZE + ((i % (STEP / 4u)) * 4u + e) * RIGHT_PITCH + column / 4u][column % 4u] = value[e];
            }
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

// The sum over the tile's rows of what invocations above each other have, in order, for all of them.
fn add_rows(value: vec4<f32>, lane: u32) -> vec4<f32> {
    workgroupBarrier();
    left[lane] = value;
    workgroupBarrier();
    var total = NOTHING;
    for (var along = 0u; along < ROWS / 8u; along += 1u) {
        total += left[along * ACROSS + lane % ACROSS];
    }
    return total;
}

@compute @workgroup_size(THREADS)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.z * groups.y + group.y;
    let first_row = tile * ROWS;
    let part = channels(group.x);
    let along = lane / ACROSS;
    var brought: Brought;
    load(&brought, 0u, 0u, part, first_row, lane);
    // All that is needed of x and dx, too: none may wait for a product, nor for a store.
    var inputs: array<Stored, 8u * WIDE>;
    var total: array<vec4<f32>, 8u * WIDE>;
    for (var i = 0u; i < 8u * WIDE; i += 1u) {
        let row = min(first_row + along * 8u + i % 8u, size.rows - 1u);
        let channel = min(part.first + (i / 8u * ACROSS + lane % ACROSS) * 4u, part.width - 4u);
        inputs[i] = read_x(part.map, (row * part.width + channel) / 4u, part.width / 4u);
        if (size.add_dx != 0u) {
            total[i] = unpacked(read_dx(part.map, (row * part.width + channel) / 4u));
        }
    }
    for (var unit = 0u; unit < UNITS; unit += 1u) {
        var results: array<vec4<f32>, 8u * WIDE>;
        for (var i = 0u; i < 8u * WIDE; i += 1u) {
            results[i] = NOTHING;
        }
        for (var step = 0u; step < STEPS; step += 1u) {
            let buffer = (unit * STEPS + step) % 2u;
            keep(buffer, lane, &brought);
            workgroupBarrier();
            let last = step + 1u == STEPS;
            if (!last || unit + 1u < UNITS) {
                load(&brought, select(unit, unit + 1u, last), select(step + 1u, 0u, last), part, first_row, lane);
            }
            multiply(&results, buffer, along, lane % ACROSS);
        }
        for (var w = 0u; w < WIDE; w += 1u) {
            let channel = part.first + (w * ACROSS + lane % ACROSS) * 4u;
            let known = part.before + min(channel, part.width - 4u);
            let factor = scale[(unit * size.inputs + known) / 4u];
            let offset = shift[(unit * size.inputs + known) / 4u];
            let low = moments[known / 2u];
            let high = moments[known / 2u + 1u];
            let mean = vec4<f32>(low.xz, high.xz);
            let inv_std = vec4<f32>(low.yw, high.yw);
            var sums = NOTHING;
            var products = NOTHING;
            for (var r = 0u; r < 8u; r += 1u) {
                let input = unpacked(inputs[w * 8u + r]);
                let counts = fma(input, factor, offset) > NOTHING;
                let inside = first_row + along * 8u + r < size.rows;
                let dz = select(NOTHING, select(NOTHING, results[w * 8u + r], counts), inside);
                sums += dz;
                products = fma(dz, (input - mean) * inv_std, products);
                total[w * 8u + r] = fma(factor, dz, total[w * 8u + r]);
            }
            sums = add_rows(sums, lane);
            products = add_rows(products, lane);
            if (lane < ACROSS && channel < part.width && first_row < size.rows) {
                let place = (((size.first_tile + tile) * UNITS + unit) * size.inputs + part.before + channel) / 2u;
                partial_sums[place] = vec4<f32>(sums.x, products.x, sums.y, products.y);
                partial_sums[place + 1u] = vec4<f32>(sums.z, products.z, sums.w, products.w);
            }
        }
        // The sums passed through a buffer that the next unit fills.
        workgroupBarrier();
    }
    for (var i = 0u; i < 8u * WIDE; i += 1u) {
        let row = first_row + along * 8u + i % 8u;
        let channel = part.first + (i / 8u * ACROSS + lane % ACROSS) * 4u;
        if (row < size.rows && channel < part.width) {
            write_dx(part.map, (row * part.width + channel) / 4u, packed(total[i]));
        }
    }
}
