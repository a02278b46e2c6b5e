// `gru.wgsl` with subgroup broadcasts instead of workgroup memory: the same results up to the order of sums. For adapters
// whose subgroups all have LANES invocations, at least 8: software adapters, where memory that invocations share is as
// slow as any other and a load costs as much as many products.
//
// Decomposition: a workgroup is one subgroup and owns ROWS (4, 8, 12 or 16) rows of the batch. A lane keeps a vec4 for
// each row: the gates of unit tile + lane, and in `backward` the four units tile + lane, tile + lane + LANES, ..
// Eight steps of the inner dimension at a time: lane s loads what all need for step s of each row, and broadcasts it. The
// weights are repacked, so that one load brings a lane's vec4.
//
// With 8 lanes, a lane reads of h[t-1] and of the gradient of step t + 1 only what it wrote itself, since it always owns
// the units that leave its number over when divided by LANES: no barrier is needed, which on software adapters would double
// the time. All state lies in storage: a dispatch may begin at any step, and with one step per dispatch tiles may be spread
// over groups.y.

const LANES: u32 = 8u;
const HIDDEN: u32 = 128u;
const ROWS: u32 = 16u;

const GATES: u32 = 3u;
const WIDE: u32 = 4u * LANES;
// Vectors in a row of unit_weight.
const PITCH: u32 = (HIDDEN + WIDE - 1u) / WIDE * LANES;

struct Size {
    batch: u32,
    frames: u32,
    // Steps of earlier dispatches, in the direction of this one, and steps of this one.
    done: u32,
    steps: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> a: array<f32>;                     // (time, batch, gate, unit)
@group(0) @binding(1) var<storage, read> weight: array<f32>;                // (unit before, gate, unit)
@group(0) @binding(2) var<storage, read> bias: array<f32>;                  // (gate, unit)
@group(0) @binding(3) var<storage, read_write> gate_weight: array<vec4<f32>>;// (unit before, unit): its gates
@group(0) @binding(4) var<storage, read_write> unit_weight: array<vec4<f32>>;// (inner, tile, lane): four units
@group(0) @binding(5) var<storage, read_write> h: array<f32>;               // (time, batch, unit)
@group(0) @binding(6) var<storage, read_write> gates: array<vec4<f32>>;     // (time, batch, unit): r, z, n, m
@group(0) @binding(7) var<storage, read> dh: array<f32>;                    // (time, batch, unit)
@group(0) @binding(8) var<storage, read_write> da: array<f32>;              // (time, batch, gate, unit)
@group(0) @binding(9) var<storage, read_write> dhidden: array<f32>;         // (time, batch, gate, unit)
@group(0) @binding(10) var<storage, read_write> carried: array<f32>;        // (batch, unit)

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

// Gates and h[t] of one unit, to whose gates bias and h[t-1] bring `state`.
fn forward_unit(t: u32, sample: u32, unit: u32, state: vec4<f32>) {
    let row = t * size.batch + sample;
    let place = row * HIDDEN + unit;
    let p = row * 3u * HIDDEN + unit;
    let reset = logistic(a[p] + state.x);
    let update = logistic(a[p + HIDDEN] + state.y);
    let proposed = hyperbolic_tangent(fma(reset, state.z, a[p + 2u * HIDDEN]));
    var before = 0.0;
    if (t > 0u) {
        before = h[place - size.batch * HIDDEN];
    }
    gates[place] = vec4<f32>(reset, update, proposed, state.z);
    h[place] = fma(update, before - proposed, proposed);
}

// A gradient, or 0 where it has faded below 2^-100: what comes of so little would be subnormal, and processors take a hundred times
// as long over that. What is no number stays.
fn faded(d: f32) -> f32 {
    return select(d, 0.0, abs(d) < 7.888609e-31);
}

// The gradients of one unit at step t, to which step t + 1 brings `later`.
fn backward_unit(t: u32, sample: u32, unit: u32, later: f32) {
    let row = t * size.batch + sample;
    let place = row * HIDDEN + unit;
    let open = gates[place];
    var d = dh[place] + later;
    if (t + 1u < size.frames) {
        d += carried[sample * HIDDEN + unit];
    }
    carried[sample * HIDDEN + unit] = faded(d * open.y);
    var before = 0.0;
    if (t > 0u) {
        before = h[place - size.batch * HIDDEN];
    }
    let dproposed = faded(d * (1.0 - open.y) * (1.0 - open.z * open.z));
    let dupdate = faded(d * (before - open.z) * open.y * (1.0 - open.y));
    let dreset = faded(dproposed * open.w * open.x * (1.0 - open.x));
    let p = row * 3u * HIDDEN + unit;
    da[p] = dreset;
    da[p + HIDDEN] = dupdate;
    da[p + 2u * HIDDEN] = dproposed;
    dhidden[p] = dreset;
    dhidden[p + HIDDEN] = dupdate;
    dhidden[p + 2u * HIDDEN] = faded(dproposed * open.x);
}

// Four rows from `first` on, so that their results stay in registers over eight steps: results[first + i] += values[i] of
// lane s * right[s]. Written out, since a lane to broadcast from is a constant.
fn multiply_four(results: ptr<function, array<vec4<f32>, 16>>, first: u32, values: vec4<f32>, right: ptr<function, array<vec4<f32>, 8>>) {
    add(results, first, subgroupBroadcast(values, 0u), (*right)[0]);
    add(results, first, subgroupBroadcast(values, 1u), (*right)[1]);
    add(results, first, subgroupBroadcast(values, 2u), (*right)[2]);
    add(results, first, subgroupBroadcast(values, 3u), (*right)[3]);
    add(results, first, subgroupBroadcast(values, 4u), (*right)[4]);
    add(results, first, subgroupBroadcast(values, 5u), (*right)[5]);
    add(results, first, subgroupBroadcast(values, 6u), (*right)[6]);
    add(results, first, subgroupBroadcast(values, 7u), (*right)[7]);
}

fn add(results: ptr<function, array<vec4<f32>, 16>>, first: u32, values: vec4<f32>, right: vec4<f32>) {
    (*results)[first] = fma(values.xxxx, right, (*results)[first]);
    (*results)[first + 1u] = fma(values.yyyy, right, (*results)[first + 1u]);
    (*results)[first + 2u] = fma(values.zzzz, right, (*results)[first + 2u]);
    (*results)[first + 3u] = fma(values.wwww, right, (*results)[first + 3u]);
}

fn multiply(results: ptr<function, array<vec4<f32>, 16>>, left: ptr<function, array<f32, 16>>, right: ptr<function, array<vec4<f32>, 8>>) {
    multiply_four(results, 0u, four(left, 0u), right);
    if (ROWS > 4u) {
        multiply_four(results, 4u, four(left, 4u), right);
    }
    if (ROWS > 8u) {
        multiply_four(results, 8u, four(left, 8u), right);
    }
    if (ROWS > 12u) {
        multiply_four(results, 12u, four(left, 12u), right);
    }
}

fn four(left: ptr<function, array<f32, 16>>, first: u32) -> vec4<f32> {
    return vec4<f32>((*left)[first], (*left)[first + 1u], (*left)[first + 2u], (*left)[first + 3u]);
}

fn begin(results: ptr<function, array<vec4<f32>, 16>>, value: vec4<f32>) {
    for (var r = 0u; r < 16u; r += 1u) {
        (*results)[r] = value;
    }
}

// results[r] = what bias and h[t-1] bring to the gates of `unit`. Rows past the batch repeat its last and are never written.
fn gates_from_state(results: ptr<function, array<vec4<f32>, 16>>, t: u32, first_row: u32, unit: u32, lane: u32) {
    var left: array<f32, 16>;
    var right: array<vec4<f32>, 8>;
    let known = min(unit, HIDDEN - 1u);
    begin(results, vec4<f32>(bias[known], bias[HIDDEN + known], bias[2u * HIDDEN + known], 0.0));
    if (t == 0u) {
        return;
    }
    for (var k0 = 0u; k0 < HIDDEN; k0 += 8u) {
        for (var r = 0u; r < ROWS; r += 1u) {
            let row = (t - 1u) * size.batch + min(first_row + r, size.batch - 1u);
            left[r] = select(0.0, h[row * HIDDEN + min(k0 + lane % 8u, HIDDEN - 1u)], k0 + lane % 8u < HIDDEN);
        }
        for (var s = 0u; s < 8u; s += 1u) {
            right[s] = gate_weight[min(k0 + s, HIDDEN - 1u) * HIDDEN + known];
        }
        multiply(results, &left, &right);
    }
}

// results[r] = what step t + 1 brings to the gradient at four units of h[t], at `place` of a row of unit_weight.
fn units_from_gradient(results: ptr<function, array<vec4<f32>, 16>>, t: u32, first_row: u32, place: u32, lane: u32) {
    var left: array<f32, 16>;
    var right: array<vec4<f32>, 8>;
    begin(results, vec4<f32>(0.0));
    if (t + 1u >= size.frames) {
        return;
    }
    for (var gate = 0u; gate < GATES; gate += 1u) {
        for (var k0 = 0u; k0 < HIDDEN; k0 += 8u) {
            for (var r = 0u; r < ROWS; r += 1u) {
                let row = (t + 1u) * size.batch + min(first_row + r, size.batch - 1u);
                left[r] = select(0.0, dhidden[(row * GATES + gate) * HIDDEN + min(k0 + lane % 8u, HIDDEN - 1u)], k0 + lane % 8u < HIDDEN);
            }
            for (var s = 0u; s < 8u; s += 1u) {
                right[s] = unit_weight[(gate * HIDDEN + min(k0 + s, HIDDEN - 1u)) * PITCH + place];
            }
            multiply(results, &left, &right);
        }
    }
}

@compute @workgroup_size(64)
fn pack_gates(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= HIDDEN * HIDDEN) {
        return;
    }
    var gathered = vec4<f32>(0.0);
    for (var gate = 0u; gate < GATES; gate += 1u) {
        gathered[gate] = weight[(i / HIDDEN * GATES + gate) * HIDDEN + i % HIDDEN];
    }
    gate_weight[i] = gathered;
}

@compute @workgroup_size(64)
fn pack_units(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= GATES * HIDDEN * PITCH) {
        return;
    }
    let inner = i / PITCH;
    var gathered = vec4<f32>(0.0);
    for (var e = 0u; e < 4u; e += 1u) {
        let unit = i % PITCH / LANES * WIDE + e * LANES + i % LANES;
        if (unit < HIDDEN) {
            gathered[e] = weight[unit * GATES * HIDDEN + inner];
        }
    }
    unit_weight[i] = gathered;
}

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_row = group.x * ROWS;
    let rows = min(ROWS, size.batch - first_row);
    var results: array<vec4<f32>, 16>;
    var finished: array<vec4<f32>, 16>;
    for (var t = size.done; t < size.done + size.steps; t += 1u) {
        for (var tile = group.y * LANES; tile < HIDDEN; tile += groups.y * LANES) {
            gates_from_state(&results, t, first_row, tile + lane, lane);
            finished = results;
            for (var r = 0u; r < rows; r += 1u) {
                if (tile + lane < HIDDEN) {
                    forward_unit(t, first_row + r, tile + lane, finished[r]);
                }
            }
        }
        if (LANES > 8u) {
            storageBarrier();
        }
    }
}

@compute @workgroup_size(LANES)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_row = group.x * ROWS;
    let rows = min(ROWS, size.batch - first_row);
    var results: array<vec4<f32>, 16>;
    var finished: array<vec4<f32>, 16>;
    for (var back = size.done; back < size.done + size.steps; back += 1u) {
        let t = size.frames - 1u - back;
        for (var tile = group.y * WIDE; tile < HIDDEN; tile += groups.y * WIDE) {
            units_from_gradient(&results, t, first_row, tile / 4u + lane, lane);
            finished = results;
            for (var i = 0u; i < rows * 4u; i += 1u) {
                let unit = tile + i % 4u * LANES + lane;
                if (unit < HIDDEN) {
                    backward_unit(t, first_row + i / 4u, unit, finished[i / 4u][i % 4u]);
                }
            }
        }
        if (LANES > 8u) {
            storageBarrier();
        }
    }
}
