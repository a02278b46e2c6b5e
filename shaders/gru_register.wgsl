// `gru.wgsl` with the recurrent weight kept on chip: the same results up to the order of sums. For hardware whose register
// file holds most of the weight: reading it anew in every step is what the other takes its time for.
//
// Decomposition: a workgroup owns one row of the batch and all units, and walks through time. The product of a step, state
// times weight, is cut into blocks of four by four. Of its INPUTS x OUTPUTS blocks an invocation owns INNER x WIDE: those
// from split * INNER on, at the outputs column, column + COLUMNS, .. It reads them once, before the first step, and keeps
// them in registers, so that four values of the state, of which all neighbours read the same, serve 16 WIDE products.
// STREAMED of its blocks are not kept: each is asked for when the one before has been used, the first of a step
// in the step before, and comes from a near cache, where all of them fit.
//
// A step has two barriers. Before the first every invocation writes its sums; then those below HIDDEN add up what belongs
// to their unit, which they always own, and write its part of the next state. What else a step needs, they load a step
// ahead. A dispatch may begin at any step: it finds the state in storage. It may have several levels of a stack, each at
// steps of its own: groups.y.
//
// The weight is (input, output) in vectors of four outputs; `backward` is given the transposed one. HIDDEN is a multiple of 4.

const HIDDEN: u32 = 128u;
// Of the product, in fours: for `forward` HIDDEN / 4 and GATES * HIDDEN / 4, for `backward` the reverse.
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 96u;
// WIDE * COLUMNS is at least OUTPUTS, INNER * SPLITS at least INPUTS, COLUMNS * SPLITS at least HIDDEN.
const WIDE: u32 = 3u;
const COLUMNS: u32 = 32u;
// At most 8.
const INNER: u32 = 4u;
const SPLITS: u32 = 8u;
// At most INNER, and fewer than INNER * WIDE.
const STREAMED: u32 = 0u;
// What a level of a stack has, where all lie in the same tensors: rows (time, batch), fours of the weight, and biases.
const LEVEL_ROWS: u32 = 0u;
const LEVEL_WEIGHT: u32 = 0u;
const LEVEL_BIAS: u32 = 0u;

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

@group(0) @binding(0) var<storage, read> a: array<f32>;                     // (time, batch, gate, unit)
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;          // (input, output)
@group(0) @binding(2) var<storage, read> bias: array<f32>;                  // (gate, unit)
@group(0) @binding(3) var<storage, read_write> h: array<f32>;               // (time, batch, unit)
@group(0) @binding(4) var<storage, read_write> gates: array<vec4<f32>>;     // (time, batch, unit): r, z, n, m
@group(0) @binding(5) var<storage, read> dh: array<f32>;                    // (time, batch, unit)
@group(0) @binding(6) var<storage, read_write> da: array<f32>;              // (time, batch, gate, unit)
@group(0) @binding(7) var<storage, read_write> dhidden: array<f32>;         // (time, batch, gate, unit)
@group(0) @binding(8) var<storage, read_write> carried: array<f32>;         // (level, batch, unit)

// In fours: h[t-1], or the gradient of step t + 1 at what the state brought to its gates; zeros past its end.
var<workgroup> state: array<vec4<f32>, SPLITS * INNER>;
// (split, output), in fours: sums over a share of the inner dimension.
var<workgroup> partial: array<vec4<f32>, SPLITS * WIDE * COLUMNS>;

alias Kept = array<vec4<f32>, 4u * (INNER * WIDE - STREAMED)>;
alias Block = array<vec4<f32>, 4>;

// What an invocation owns of the product: its place among those that share the inner dimension, and the outputs; and where
// its level's weight begins.
struct Share {
    split: u32,
    column: u32,
    weight: u32,
}

// What a workgroup is to do.
struct Cell {
    level: u32,
    // Its steps, counted in the direction of the dispatch.
    done: u32,
    end: u32,
    // Of all levels' rows its sequence's in the first step.
    row: u32,
}

fn cell_of(group: vec3<u32>) -> Cell {
    let packed = size.cells[group.y / 4u][group.y % 4u];
    let level = packed >> 16u;
    let done = size.done + (packed & 0xffffu) * size.steps;
    return Cell(level, done, min(done + size.steps, size.frames), level * LEVEL_ROWS + group.x);
}

// Blocks that are not kept in the fours before `inner` of a share: spread evenly, the first among them.
fn streamed_before(inner: u32) -> u32 {
    return (inner * STREAMED + INNER - 1u) / INNER;
}

fn is_kept(inner: u32, wide: u32) -> bool {
    return wide + 1u < WIDE || streamed_before(inner + 1u) == streamed_before(inner);
}

fn kept_at(inner: u32, wide: u32) -> u32 {
    return 4u * (inner * WIDE + wide - streamed_before(inner));
}

// The first row of a block. Past the ends the last: it meets zeros, or brings sums that nobody reads.
fn block_at(share: Share, inner: u32, wide: u32) -> u32 {
    let output = min(share.column + wide * COLUMNS, OUTPUTS - 1u);
    return share.weight + 4u * min(share.split * INNER + inner, INPUTS - 1u) * OUTPUTS + output;
}

fn keep(kept: ptr<function, Kept>, share: Share, inner: u32) {
    for (var wide = 0u; wide < WIDE; wide += 1u) {
        if (is_kept(inner, wide)) {
            let first = block_at(share, inner, wide);
            let at = kept_at(inner, wide);
            (*kept)[at] = weight[first];
            (*kept)[at + 1u] = weight[first + OUTPUTS];
            (*kept)[at + 2u] = weight[first + 2u * OUTPUTS];
            (*kept)[at + 3u] = weight[first + 3u * OUTPUTS];
        }
    }
}

// Written out, since places in registers are constants.
fn keep_all(kept: ptr<function, Kept>, share: Share) {
    keep(kept, share, 0u);
    if (INNER > 1u) {
        keep(kept, share, 1u);
    }
    if (INNER > 2u) {
        keep(kept, share, 2u);
    }
    if (INNER > 3u) {
        keep(kept, share, 3u);
    }
    if (INNER > 4u) {
        keep(kept, share, 4u);
    }
    if (INNER > 5u) {
        keep(kept, share, 5u);
    }
    if (INNER > 6u) {
        keep(kept, share, 6u);
    }
    if (INNER > 7u) {
        keep(kept, share, 7u);
    }
}

// Asks for the streamed block number `next`. Compilers that would take it out of the loop over time, and so into registers,
// do not know that bit 31 of `step` is 0.
fn ask(streamed: ptr<function, Block>, share: Share, next: u32, step: u32) {
    if (STREAMED > 0u) {
        let first = block_at(share, next * INNER / max(STREAMED, 1u), WIDE - 1u) + (step >> 31u);
        (*streamed)[0] = weight[first];
        (*streamed)[1] = weight[first + OUTPUTS];
        (*streamed)[2] = weight[first + 2u * OUTPUTS];
        (*streamed)[3] = weight[first + 3u * OUTPUTS];
    }
}

fn multiply_four(sums: ptr<function, array<vec4<f32>, WIDE>>, kept: ptr<function, Kept>, streamed: ptr<function, Block>, share: Share, inner: u32, step: u32) {
    let values = state[share.split * INNER + inner];
    for (var wide = 0u; wide < WIDE; wide += 1u) {
        if (is_kept(inner, wide)) {
            let at = kept_at(inner, wide);
            var sum = fma(values.xxxx, (*kept)[at], (*sums)[wide]);
            sum = fma(values.yyyy, (*kept)[at + 1u], sum);
            sum = fma(values.zzzz, (*kept)[at + 2u], sum);
            (*sums)[wide] = fma(values.wwww, (*kept)[at + 3u], sum);
        }
    }
    if (!is_kept(inner, WIDE - 1u)) {
        var sum = fma(values.xxxx, (*streamed)[0], (*sums)[WIDE - 1u]);
        sum = fma(values.yyyy, (*streamed)[1], sum);
        sum = fma(values.zzzz, (*streamed)[2], sum);
        (*sums)[WIDE - 1u] = fma(values.wwww, (*streamed)[3], sum);
        let next = streamed_before(inner + 1u);
        ask(streamed, share, select(next, 0u, next == STREAMED), step);
    }
}

// The share's part of state * weight, to `partial`.
fn multiply(kept: ptr<function, Kept>, streamed: ptr<function, Block>, share: Share, step: u32) {
    var sums: array<vec4<f32>, WIDE>;
    for (var wide = 0u; wide < WIDE; wide += 1u) {
        sums[wide] = vec4<f32>(0.0);
    }
    multiply_four(&sums, kept, streamed, share, 0u, step);
    if (INNER > 1u) {
        multiply_four(&sums, kept, streamed, share, 1u, step);
    }
    if (INNER > 2u) {
        multiply_four(&sums, kept, streamed, share, 2u, step);
    }
    if (INNER > 3u) {
        multiply_four(&sums, kept, streamed, share, 3u, step);
    }
    if (INNER > 4u) {
        multiply_four(&sums, kept, streamed, share, 4u, step);
    }
    if (INNER > 5u) {
        multiply_four(&sums, kept, streamed, share, 5u, step);
    }
    if (INNER > 6u) {
        multiply_four(&sums, kept, streamed, share, 6u, step);
    }
    if (INNER > 7u) {
        multiply_four(&sums, kept, streamed, share, 7u, step);
    }
    for (var wide = 0u; wide < WIDE; wide += 1u) {
        partial[(share.split * WIDE + wide) * COLUMNS + share.column] = sums[wide];
    }
}

fn part(split: u32, output: u32) -> f32 {
    return partial[split * WIDE * COLUMNS + output / 4u][output % 4u];
}

// One output of the product, its parts added in four chains.
fn total(output: u32) -> f32 {
    var sums = vec4<f32>(0.0);
    for (var split = 0u; split + 3u < SPLITS; split += 4u) {
        sums += vec4<f32>(part(split, output), part(split + 1u, output), part(split + 2u, output), part(split + 3u, output));
    }
    for (var split = SPLITS / 4u * 4u; split < SPLITS; split += 1u) {
        sums.x += part(split, output);
    }
    return (sums.x + sums.y) + (sums.z + sums.w);
}

fn set_state(place: u32, value: f32) {
    state[place / 4u][place % 4u] = value;
}

fn clear_state(lane: u32) {
    for (var place = lane; place < SPLITS * INNER; place += SPLITS * COLUMNS) {
        state[place] = vec4<f32>(0.0);
    }
}

// Without overflow and, unlike WGSL's own, of known accuracy: 1 - e cancels near 0, where the series takes over.
fn hyperbolic_tangent(x: f32) -> f32 {
    let e = exp(-2.0 * abs(x));
    let s = x * x;
    let series = x * ((((0.021869488 * s - 0.053968254) * s + 0.13333333) * s - 0.33333333) * s + 1.0);
    return select(sign(x) * (1.0 - e) / (1.0 + e), series, abs(x) < 0.25);
}

fn logistic(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

fn projected(row: u32, unit: u32) -> vec3<f32> {
    let place = row * 3u * HIDDEN + unit;
    return vec3<f32>(a[place], a[place + HIDDEN], a[place + 2u * HIDDEN]);
}

@compute @workgroup_size(COLUMNS * SPLITS)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let own = cell_of(group);
    let share = Share(lane / COLUMNS, lane % COLUMNS, own.level * LEVEL_WEIGHT);
    let owns = lane < HIDDEN;
    var kept: Kept;
    var streamed: Block;
    keep_all(&kept, share);
    ask(&streamed, share, 0u, own.done);
    clear_state(lane);
    workgroupBarrier();
    var unit_bias = vec3<f32>(0.0);
    var ahead = vec3<f32>(0.0);
    var before = 0.0;
    if (owns) {
        let row = own.done * size.batch + own.row;
        let first = own.level * LEVEL_BIAS + lane;
        unit_bias = vec3<f32>(bias[first], bias[first + HIDDEN], bias[first + 2u * HIDDEN]);
        ahead = projected(row, lane);
        if (own.done > 0u) {
            before = h[(row - size.batch) * HIDDEN + lane];
            set_state(lane, before);
        }
    }
    workgroupBarrier();
    for (var t = own.done; t < own.end; t += 1u) {
        let input = ahead;
        if (owns) {
            ahead = projected(min(t + 1u, size.frames - 1u) * size.batch + own.row, lane);
        }
        multiply(&kept, &streamed, share, t);
        workgroupBarrier();
        if (owns) {
            let from_state = unit_bias + vec3<f32>(total(lane), total(HIDDEN + lane), total(2u * HIDDEN + lane));
            let reset = logistic(input.x + from_state.x);
            let update = logistic(input.y + from_state.y);
            let proposed = hyperbolic_tangent(fma(reset, from_state.z, input.z));
            before = fma(update, before - proposed, proposed);
            set_state(lane, before);
            let place = (t * size.batch + own.row) * HIDDEN + lane;
            gates[place] = vec4<f32>(reset, update, proposed, from_state.z);
            h[place] = before;
        }
        workgroupBarrier();
    }
}

@compute @workgroup_size(COLUMNS * SPLITS)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let own = cell_of(group);
    let share = Share(lane / COLUMNS, lane % COLUMNS, own.level * LEVEL_WEIGHT);
    let owns = lane < HIDDEN;
    var kept: Kept;
    var streamed: Block;
    keep_all(&kept, share);
    ask(&streamed, share, 0u, own.done);
    clear_state(lane);
    workgroupBarrier();
    var open = vec4<f32>(0.0);
    var upstream = 0.0;
    var state_before = 0.0;
    var carry = 0.0;
    if (owns) {
        let t = size.frames - 1u - own.done;
        let row = t * size.batch + own.row;
        open = gates[row * HIDDEN + lane];
        upstream = dh[row * HIDDEN + lane];
        state_before = h[((max(t, 1u) - 1u) * size.batch + own.row) * HIDDEN + lane];
        if (own.done > 0u) {
            carry = carried[(own.level * size.batch + group.x) * HIDDEN + lane];
            for (var gate = 0u; gate < 3u; gate += 1u) {
                set_state(gate * HIDDEN + lane, dhidden[((row + size.batch) * 3u + gate) * HIDDEN + lane]);
            }
        }
    }
    workgroupBarrier();
    for (var back = own.done; back < own.end; back += 1u) {
        let t = size.frames - 1u - back;
        // All that the gradient of the state is multiplied with, before that is known.
        let before = select(state_before, 0.0, t == 0u);
        let to_proposed = (1.0 - open.y) * (1.0 - open.z * open.z);
        let to_update = (before - open.z) * open.y * (1.0 - open.y);
        let to_reset = to_proposed * open.w * open.x * (1.0 - open.x);
        let reset = open.x;
        let update = open.y;
        let d_state = upstream;
        if (owns) {
            let place = ((max(t, 1u) - 1u) * size.batch + own.row) * HIDDEN + lane;
            open = gates[place];
            upstream = dh[place];
            state_before = h[((max(t, 2u) - 2u) * size.batch + own.row) * HIDDEN + lane];
        }
        multiply(&kept, &streamed, share, t);
        workgroupBarrier();
        if (owns) {
            let d = d_state + total(lane) + carry;
            carry = d * update;
            let dreset = d * to_reset;
            let dupdate = d * to_update;
            let dproposed = d * to_proposed;
            set_state(lane, dreset);
            set_state(HIDDEN + lane, dupdate);
            set_state(2u * HIDDEN + lane, dproposed * reset);
            let place = (t * size.batch + own.row) * 3u * HIDDEN + lane;
            da[place] = dreset;
            da[place + HIDDEN] = dupdate;
            da[place + 2u * HIDDEN] = dproposed;
            dhidden[place] = dreset;
            dhidden[place + HIDDEN] = dupdate;
            dhidden[place + 2u * HIDDEN] = dproposed * reset;
        }
        workgroupBarrier();
    }
    if (owns) {
        carried[(own.level * size.batch + group.x) * HIDDEN + lane] = carry;
    }
}
