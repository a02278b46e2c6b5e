// `rnn.wgsl` on matrix units: the same results but for rounding. What the state, and the gradient at what it brings to the gates,
// are multiplied with, and they themselves for that, are f16; everything else is f32.
//
// Decomposition: a workgroup owns 16 rows of the batch and all units, and walks through time. The product of a step, state times
// weight, is cut into matrices of 16 by 16, of which a subgroup keeps INNER x WIDE in registers: it reads them once, before the first
// step. A step has two barriers. Before the first every subgroup stores its sums; then invocations own vectors of four units of a
// row, and write their part of the next state. What else a step needs, they load a step ahead. A dispatch may begin at any step: it
// finds the state in storage. It may have several levels of a stack, each at steps of its own: groups.y.

enable f16;
enable wgpu_cooperative_matrix;

// A multiple of 16.
const HIDDEN: u32 = 128u;
// Matrices of a subgroup, and subgroups: INNER * SPLITS matrices are the inner dimension of the product, WIDE * ACROSS its outputs.
const INNER: u32 = 8u;
const WIDE: u32 = 1u;
const SPLITS: u32 = 1u;
const ACROSS: u32 = 8u;
// What a level of a stack has, where all lie in the same tensors: rows (time, batch), fours of the weight, and biases.
const LEVEL_ROWS: u32 = 0u;
const LEVEL_WEIGHT: u32 = 0u;
const LEVEL_BIAS: u32 = 0u;
const RELU: bool = false;

const GATES: u32 = 1u;
// A matrix has 16 rows of 4 vectors.
const SIDE: u32 = 16u;
const THREADS: u32 = 32u * SPLITS * ACROSS;
// Vectors of units of a row, and those of all rows that an invocation owns.
const UNITS: u32 = HIDDEN / 4u;
const OWN: u32 = (SIDE * UNITS + THREADS - 1u) / THREADS;
// Vectors of a row of the weight, of the state and of results, the latter two with padding.
const WEIGHT_PITCH: u32 = GATES * UNITS;
const STATE_PITCH: u32 = 4u * INNER * SPLITS + 2u;
const RESULT_PITCH: u32 = 4u * WIDE * ACROSS + 2u;
const RESULT_SIZE: u32 = SIDE * RESULT_PITCH;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

struct Size {
    batch: u32,
    frames: u32,
    // Steps of earlier dispatches, in the direction of this one, and of a chunk.
    done: u32,
    steps: u32,
    // What the workgroups of each group.y do: level << 16 | how many chunks later they begin. One level alone has 0.
    cells: array<vec4<u32>, 2>,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;               // (time, batch, unit)
@group(0) @binding(1) var<storage, read> weight: array<vec4<f16>>;          // (input, output)
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;            // (unit)
@group(0) @binding(3) var<storage, read_write> h: array<vec4<f32>>;         // (time, batch, unit)
@group(0) @binding(4) var<storage, read> dh: array<vec4<f32>>;              // (time, batch, unit)
@group(0) @binding(5) var<storage, read_write> dhidden: array<vec4<f32>>;   // (time, batch, unit)

// (row, inner): the state of the step before, or the gradient of the step after; and (split, row, output): sums over a share of the
// inner dimension.
var<workgroup> state: array<vec4<f16>, SIDE * STATE_PITCH>;
var<workgroup> results: array<vec4<f32>, SPLITS * RESULT_SIZE>;

alias Kept = array<coop_mat16x16<f16, B>, INNER * WIDE>;

// What a workgroup is to do.
struct Cell {
    level: u32,
    // Its steps, counted in the direction of the dispatch.
    done: u32,
    end: u32,
    // The first of its sequences, and of all levels' rows the first of its level.
    sequence: u32,
    row: u32,
}

fn cell_of(group: vec3<u32>) -> Cell {
    let packed = size.cells[group.y / 4u][group.y % 4u];
    let level = packed >> 16u;
    let done = size.done + (packed & 0xffffu) * size.steps;
    return Cell(level, done, min(done + size.steps, size.frames), group.x * SIDE, level * LEVEL_ROWS);
}

// The i-th vector that an invocation owns: its row in the tile, its units, its sequence, and whether that is one. Those that are
// none do as the last one does, and store nothing.
struct Place {
    row: u32,
    unit: u32,
    sequence: u32,
    counts: bool,
}

fn place_of(own: Cell, i: u32, lane: u32) -> Place {
    let vector = min(lane + i * THREADS, SIDE * UNITS - 1u);
    let row = vector / UNITS;
    let counts = lane + i * THREADS < SIDE * UNITS && own.sequence + row < size.batch;
    return Place(row, vector % UNITS, min(own.sequence + row, size.batch - 1u), counts);
}

// The matrices of a subgroup, for the product with the weight as it lies, and on its side.
fn keep(kept: ptr<function, Kept>, level: u32, split: u32, across: u32) {
    for (var k = 0u; k < INNER; k += 1u) {
        for (var w = 0u; w < WIDE; w += 1u) {
            let place = level * LEVEL_WEIGHT + (split * INNER + k) * SIDE * WEIGHT_PITCH + (across * WIDE + w) * 4u;
            (*kept)[k * WIDE + w] = coopLoadT<coop_mat16x16<f16, B>>(&weight[place], WEIGHT_PITCH);
        }
    }
}

fn keep_turned(kept: ptr<function, Kept>, level: u32, split: u32, across: u32) {
    for (var k = 0u; k < INNER; k += 1u) {
        for (var w = 0u; w < WIDE; w += 1u) {
            let place = level * LEVEL_WEIGHT + (across * WIDE + w) * SIDE * WEIGHT_PITCH + (split * INNER + k) * 4u;
            (*kept)[k * WIDE + w] = coopLoad<coop_mat16x16<f16, B>>(&weight[place], WEIGHT_PITCH);
        }
    }
}

fn clear_state(lane: u32) {
    for (var place = lane; place < SIDE * STATE_PITCH; place += THREADS) {
        state[place] = vec4<f16>(NOTHING);
    }
}

// The subgroup's part of state * weight, to `results`.
fn multiply(kept: ptr<function, Kept>, split: u32, across: u32) {
    var sums: array<coop_mat16x16<f32, C>, WIDE>;
    for (var k = 0u; k < INNER; k += 1u) {
        let rows = coopLoadT<coop_mat16x16<f16, A>>(&state[(split * INNER + k) * 4u], STATE_PITCH);
        for (var w = 0u; w < WIDE; w += 1u) {
            sums[w] = coopMultiplyAdd(rows, (*kept)[k * WIDE + w], sums[w]);
        }
    }
    for (var w = 0u; w < WIDE; w += 1u) {
        coopStoreT(sums[w], &results[split * RESULT_SIZE + (across * WIDE + w) * 4u], RESULT_PITCH);
    }
}

// Four outputs of a row, their parts added in order.
fn total(row: u32, vector: u32) -> vec4<f32> {
    var sum = results[row * RESULT_PITCH + vector];
    for (var split = 1u; split < SPLITS; split += 1u) {
        sum += results[split * RESULT_SIZE + row * RESULT_PITCH + vector];
    }
    return sum;
}

// Without overflow and, unlike WGSL's own, of known accuracy: 1 - e cancels near 0, where the series takes over.
fn hyperbolic_tangent(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-2.0 * abs(x));
    let s = x * x;
    let series = x * ((((0.021869488 * s - 0.053968254) * s + 0.13333333) * s - 0.33333333) * s + 1.0);
    return select(sign(x) * (1.0 - e) / (1.0 + e), series, abs(x) < vec4<f32>(0.25));
}

@compute @workgroup_size(THREADS)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let own = cell_of(group);
    let split = subgroup / ACROSS;
    let across = subgroup % ACROSS;
    var kept: Kept;
    keep(&kept, own.level, split, across);
    clear_state(lane);
    workgroupBarrier();
    var ahead: array<vec4<f32>, OWN>;
    for (var i = 0u; i < OWN; i += 1u) {
        let at = place_of(own, i, lane);
        let place = (own.done * size.batch + own.row + at.sequence) * UNITS + at.unit;
        ahead[i] = a[place];
        if (own.done > 0u && at.counts) {
            state[at.row * STATE_PITCH + at.unit] = vec4<f16>(h[place - size.batch * UNITS]);
        }
    }
    workgroupBarrier();
    for (var t = own.done; t < own.end; t += 1u) {
        var input = ahead;
        for (var i = 0u; i < OWN; i += 1u) {
            let at = place_of(own, i, lane);
            ahead[i] = a[(min(t + 1u, size.frames - 1u) * size.batch + own.row + at.sequence) * UNITS + at.unit];
        }
        multiply(&kept, split, across);
        workgroupBarrier();
        for (var i = 0u; i < OWN; i += 1u) {
            let at = place_of(own, i, lane);
            let x = input[i] + bias[own.level * LEVEL_BIAS / 4u + at.unit] + total(at.row, at.unit);
            let next = select(hyperbolic_tangent(x), max(NOTHING, x), RELU);
            if (at.counts) {
                state[at.row * STATE_PITCH + at.unit] = vec4<f16>(next);
                h[(t * size.batch + own.row + at.sequence) * UNITS + at.unit] = next;
            }
        }
        workgroupBarrier();
    }
}

@compute @workgroup_size(THREADS)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let own = cell_of(group);
    let split = subgroup / ACROSS;
    let across = subgroup % ACROSS;
    var kept: Kept;
    keep_turned(&kept, own.level, split, across);
    clear_state(lane);
    workgroupBarrier();
    var state_ahead: array<vec4<f32>, OWN>;
    var dh_ahead: array<vec4<f32>, OWN>;
    for (var i = 0u; i < OWN; i += 1u) {
        let at = place_of(own, i, lane);
        let place = ((size.frames - 1u - own.done) * size.batch + own.row + at.sequence) * UNITS + at.unit;
        state_ahead[i] = h[place];
        dh_ahead[i] = dh[place];
        if (own.done > 0u && at.counts) {
            state[at.row * STATE_PITCH + at.unit] = vec4<f16>(dhidden[place + size.batch * UNITS]);
        }
    }
    workgroupBarrier();
    for (var back = own.done; back < own.end; back += 1u) {
        let t = size.frames - 1u - back;
        var states = state_ahead;
        var upstream = dh_ahead;
        for (var i = 0u; i < OWN; i += 1u) {
            let at = place_of(own, i, lane);
            let place = ((max(t, 1u) - 1u) * size.batch + own.row + at.sequence) * UNITS + at.unit;
            state_ahead[i] = h[place];
            dh_ahead[i] = dh[place];
        }
        multiply(&kept, split, across);
        workgroupBarrier();
        for (var i = 0u; i < OWN; i += 1u) {
            let at = place_of(own, i, lane);
            let slope = select(1.0 - states[i] * states[i], select(NOTHING, vec4<f32>(1.0), states[i] > NOTHING), RELU);
            let gradient = (upstream[i] + total(at.row, at.unit)) * slope;
            if (at.counts) {
                state[at.row * STATE_PITCH + at.unit] = vec4<f16>(gradient);
                dhidden[(t * size.batch + own.row + at.sequence) * UNITS + at.unit] = gradient;
            }
        }
        workgroupBarrier();
    }
}
