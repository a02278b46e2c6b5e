// `gru.wgsl` on matrix units: the same results but for rounding. What the state, and the gradient at what it brings to the gates,
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
const WIDE: u32 = 2u;
const SPLITS: u32 = 1u;
const ACROSS: u32 = 12u;
// What a level of a stack has, where all lie in the same tensors: rows (time, batch), fours of the weight, and biases.
const LEVEL_ROWS: u32 = 0u;
const LEVEL_WEIGHT: u32 = 0u;
const LEVEL_BIAS: u32 = 0u;

const GATES: u32 = 3u;
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

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;               // (time, batch, gate, unit)
@group(0) @binding(1) var<storage, read> weight: array<vec4<f16>>;          // (input, output)
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;            // (gate, unit)
@group(0) @binding(3) var<storage, read_write> h: array<vec4<f32>>;         // (time, batch, unit)
@group(0) @binding(4) var<storage, read_write> gates: array<vec4<f32>>;     // (time, batch, unit): r, z, n, m
@group(0) @binding(5) var<storage, read> dh: array<vec4<f32>>;              // (time, batch, unit)
@group(0) @binding(6) var<storage, read_write> da: array<vec4<f32>>;        // (time, batch, gate, unit)
@group(0) @binding(7) var<storage, read_write> dhidden: array<vec4<f32>>;   // (time, batch, gate, unit)
@group(0) @binding(8) var<storage, read_write> carried: array<vec4<f32>>;   // (level, batch, unit)

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

fn logistic(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(x));
    return select(e, vec4<f32>(1.0), x >= NOTHING) / (1.0 + e);
}

// Of four units: a vector of them for r, z, n and what the state brings to n.
alias Gates = mat4x4<f32>;

fn projected(row: u32, unit: u32) -> mat3x4<f32> {
    let place = row * GATES * UNITS + unit;
    return mat3x4<f32>(a[place], a[place + UNITS], a[place + 2u * UNITS]);
}

fn open_gates(row: u32, unit: u32) -> Gates {
    let place = (row * UNITS + unit) * 4u;
    return transpose(Gates(gates[place], gates[place + 1u], gates[place + 2u], gates[place + 3u]));
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
    var ahead: array<mat3x4<f32>, OWN>;
    var before: array<vec4<f32>, OWN>;
    for (var i = 0u; i < OWN; i += 1u) {
        let at = place_of(own, i, lane);
        let row = own.done * size.batch + own.row + at.sequence;
        ahead[i] = projected(row, at.unit);
        if (own.done > 0u) {
            before[i] = h[(row - size.batch) * UNITS + at.unit];
            if (at.counts) {
                state[at.row * STATE_PITCH + at.unit] = vec4<f16>(before[i]);
            }
        }
    }
    workgroupBarrier();
    for (var t = own.done; t < own.end; t += 1u) {
        var inputs = ahead;
        for (var i = 0u; i < OWN; i += 1u) {
            let at = place_of(own, i, lane);
            ahead[i] = projected(min(t + 1u, size.frames - 1u) * size.batch + own.row + at.sequence, at.unit);
        }
        multiply(&kept, split, across);
        workgroupBarrier();
        for (var i = 0u; i < OWN; i += 1u) {
            let at = place_of(own, i, lane);
            let input = inputs[i];
            var from_state: mat3x4<f32>;
            for (var gate = 0u; gate < GATES; gate += 1u) {
                let vector = gate * UNITS + at.unit;
                from_state[gate] = bias[own.level * LEVEL_BIAS / 4u + vector] + total(at.row, vector);
            }
            let reset = logistic(input[0] + from_state[0]);
            let update = logistic(input[1] + from_state[1]);
            let proposed = hyperbolic_tangent(fma(reset, from_state[2], input[2]));
            before[i] = fma(update, before[i] - proposed, proposed);
            if (at.counts) {
                state[at.row * STATE_PITCH + at.unit] = vec4<f16>(before[i]);
                let place = (t * size.batch + own.row + at.sequence) * UNITS + at.unit;
                let of_units = transpose(Gates(reset, update, proposed, from_state[2]));
                gates[place * 4u] = of_units[0];
                gates[place * 4u + 1u] = of_units[1];
                gates[place * 4u + 2u] = of_units[2];
                gates[place * 4u + 3u] = of_units[3];
                h[place] = before[i];
            }
        }
        workgroupBarrier();
    }
}

// What a step of backward needs besides the gradient of the step after.
struct Step {
    open: Gates,
    upstream: vec4<f32>,
    before: vec4<f32>,
}

fn step_at(t: u32, sequence_row: u32, unit: u32) -> Step {
    let row = t * size.batch + sequence_row;
    let earlier = (max(t, 1u) - 1u) * size.batch + sequence_row;
    let before = select(h[earlier * UNITS + unit], NOTHING, t == 0u);
    return Step(open_gates(row, unit), dh[row * UNITS + unit], before);
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
    var ahead: array<Step, OWN>;
    var carry: array<vec4<f32>, OWN>;
    for (var i = 0u; i < OWN; i += 1u) {
        let at = place_of(own, i, lane);
        let t = size.frames - 1u - own.done;
        ahead[i] = step_at(t, own.row + at.sequence, at.unit);
        if (own.done > 0u) {
            carry[i] = carried[(own.level * size.batch + at.sequence) * UNITS + at.unit];
            let later = ((t + 1u) * size.batch + own.row + at.sequence) * GATES * UNITS + at.unit;
            for (var gate = 0u; gate < GATES && at.counts; gate += 1u) {
                state[at.row * STATE_PITCH + gate * UNITS + at.unit] = vec4<f16>(dhidden[later + gate * UNITS]);
            }
        }
    }
    workgroupBarrier();
    for (var back = own.done; back < own.end; back += 1u) {
        let t = size.frames - 1u - back;
        var steps = ahead;
        for (var i = 0u; i < OWN; i += 1u) {
            let at = place_of(own, i, lane);
            ahead[i] = step_at(max(t, 1u) - 1u, own.row + at.sequence, at.unit);
        }
        multiply(&kept, split, across);
        workgroupBarrier();
        for (var i = 0u; i < OWN; i += 1u) {
            let at = place_of(own, i, lane);
            let now = steps[i];
            let open = now.open;
            let d = now.upstream + total(at.row, at.unit) + carry[i];
            carry[i] = d * open[1];
            let dproposed = d * (1.0 - open[1]) * (1.0 - open[2] * open[2]);
            let dupdate = d * (now.before - open[2]) * open[1] * (1.0 - open[1]);
            let dreset = dproposed * open[3] * open[0] * (1.0 - open[0]);
            if (at.counts) {
                let place = (t * size.batch + own.row + at.sequence) * GATES * UNITS + at.unit;
                da[place] = dreset;
                da[place + UNITS] = dupdate;
                da[place + 2u * UNITS] = dproposed;
                dhidden[place] = dreset;
                dhidden[place + UNITS] = dupdate;
                dhidden[place + 2u * UNITS] = dproposed * open[0];
                state[at.row * STATE_PITCH + at.unit] = vec4<f16>(dreset);
                state[at.row * STATE_PITCH + UNITS + at.unit] = vec4<f16>(dupdate);
                state[at.row * STATE_PITCH + 2u * UNITS + at.unit] = vec4<f16>(dproposed * open[0]);
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < OWN; i += 1u) {
        let at = place_of(own, i, lane);
        if (at.counts) {
            carried[(own.level * size.batch + at.sequence) * UNITS + at.unit] = carry[i];
        }
    }
}
