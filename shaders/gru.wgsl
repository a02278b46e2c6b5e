// The recurrence of a Gated Recurrent Unit with PyTorch's equations and gate order, over a whole sequence.
//
//   forward:   (r, z, m) = b + W h[t-1];  a[t] = W_ih x[t] + b_ih = (a_r, a_z, a_n) is given
//              r = sigmoid(a_r + r);  z = sigmoid(a_z + z);  n = tanh(a_n + r m);  h[t] = (1 - z) n + z h[t-1];  h[-1] = 0
//   backward:  d = dh[t] + W^T dhidden[t+1] + what step t+1 carried;  it carries d z
//              da = (dn m r(1-r), d (h[t-1] - n) z(1-z), dn = d (1-z)(1-n^2));  dhidden is the same but for dn r
//
// Decomposition: a workgroup of WIDTH owns ROWS rows of the batch and walks through time and through tiles of WIDTH units;
// an invocation keeps the gates of one unit for all its rows, so that weights are read once for ROWS rows and neighbours
// read neighbours. What a product takes from the step before passes through workgroup memory WIDTH at a time. All state
// lies in storage: a dispatch may begin at any step, and with one step per dispatch tiles may be spread over groups.y.

const HIDDEN: u32 = 128u;
const WIDTH: u32 = 128u;
const ROWS: u32 = 1u;

const GATES: u32 = 3u;

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
@group(0) @binding(3) var<storage, read_write> transposed: array<f32>;      // the weight, outputs outermost
@group(0) @binding(4) var<storage, read_write> h: array<f32>;               // (time, batch, unit)
@group(0) @binding(5) var<storage, read_write> gates: array<vec4<f32>>;     // (time, batch, unit): r, z, n, m
@group(0) @binding(6) var<storage, read> dh: array<f32>;                    // (time, batch, unit)
@group(0) @binding(7) var<storage, read_write> da: array<f32>;              // (time, batch, gate, unit)
@group(0) @binding(8) var<storage, read_write> dhidden: array<f32>;         // (time, batch, gate, unit)
@group(0) @binding(9) var<storage, read_write> carried: array<f32>;         // (batch, unit)

// (row, of the step before)
var<workgroup> chunk: array<f32, ROWS * WIDTH>;

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
fn forward_unit(t: u32, sample: u32, unit: u32, state: vec3<f32>) {
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

// The gradients of one unit at step t, to which step t + 1 brings `later`.
fn backward_unit(t: u32, sample: u32, unit: u32, later: f32) {
    let row = t * size.batch + sample;
    let place = row * HIDDEN + unit;
    let open = gates[place];
    var d = dh[place] + later;
    if (t + 1u < size.frames) {
        d += carried[sample * HIDDEN + unit];
    }
    carried[sample * HIDDEN + unit] = d * open.y;
    var before = 0.0;
    if (t > 0u) {
        before = h[place - size.batch * HIDDEN];
    }
    let dproposed = d * (1.0 - open.y) * (1.0 - open.z * open.z);
    let dupdate = d * (before - open.z) * open.y * (1.0 - open.y);
    let dreset = dproposed * open.w * open.x * (1.0 - open.x);
    let p = row * 3u * HIDDEN + unit;
    da[p] = dreset;
    da[p + HIDDEN] = dupdate;
    da[p + 2u * HIDDEN] = dproposed;
    dhidden[p] = dreset;
    dhidden[p + HIDDEN] = dupdate;
    dhidden[p + 2u * HIDDEN] = dproposed * open.x;
}

// results[r] = what bias and h[t-1] bring to the gates of `unit`; all invocations of a workgroup call it together.
fn from_state(results: ptr<function, array<vec3<f32>, ROWS>>, t: u32, first_row: u32, unit: u32, lane: u32) {
    let known = min(unit, HIDDEN - 1u);
    for (var r = 0u; r < ROWS; r += 1u) {
        (*results)[r] = vec3<f32>(bias[known], bias[HIDDEN + known], bias[2u * HIDDEN + known]);
    }
    if (t == 0u) {
        return;
    }
    for (var k0 = 0u; k0 < HIDDEN; k0 += WIDTH) {
        workgroupBarrier();
        for (var r = 0u; r < ROWS; r += 1u) {
            if (first_row + r < size.batch && k0 + lane < HIDDEN) {
                chunk[r * WIDTH + lane] = h[((t - 1u) * size.batch + first_row + r) * HIDDEN + k0 + lane];
            }
        }
        workgroupBarrier();
        for (var s = 0u; s < min(WIDTH, HIDDEN - k0); s += 1u) {
            let w = (k0 + s) * GATES * HIDDEN + known;
            let right = vec3<f32>(weight[w], weight[w + HIDDEN], weight[w + 2u * HIDDEN]);
            for (var r = 0u; r < ROWS; r += 1u) {
                (*results)[r] = fma(vec3<f32>(chunk[r * WIDTH + s]), right, (*results)[r]);
            }
        }
    }
}

// results[r] = what step t + 1 brings to the gradient at `unit` of h[t]; all invocations of a workgroup call it together.
fn from_gradient(results: ptr<function, array<f32, ROWS>>, t: u32, first_row: u32, unit: u32, lane: u32) {
    let known = min(unit, HIDDEN - 1u);
    for (var r = 0u; r < ROWS; r += 1u) {
        (*results)[r] = 0.0;
    }
    if (t + 1u >= size.frames) {
        return;
    }
    for (var k0 = 0u; k0 < GATES * HIDDEN; k0 += WIDTH) {
        workgroupBarrier();
        for (var r = 0u; r < ROWS; r += 1u) {
            if (first_row + r < size.batch && k0 + lane < GATES * HIDDEN) {
                chunk[r * WIDTH + lane] = dhidden[((t + 1u) * size.batch + first_row + r) * GATES * HIDDEN + k0 + lane];
            }
        }
        workgroupBarrier();
        for (var s = 0u; s < min(WIDTH, GATES * HIDDEN - k0); s += 1u) {
            let right = transposed[(k0 + s) * HIDDEN + known];
            for (var r = 0u; r < ROWS; r += 1u) {
                (*results)[r] = fma(chunk[r * WIDTH + s], right, (*results)[r]);
            }
        }
    }
}

@compute @workgroup_size(64)
fn transpose(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i < GATES * HIDDEN * HIDDEN) {
        transposed[i] = weight[i % HIDDEN * GATES * HIDDEN + i / HIDDEN];
    }
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var results: array<vec3<f32>, ROWS>;
    for (var t = size.done; t < size.done + size.steps; t += 1u) {
        for (var tile = group.y * WIDTH; tile < HIDDEN; tile += groups.y * WIDTH) {
            from_state(&results, t, group.x * ROWS, tile + lane, lane);
            for (var r = 0u; r < ROWS; r += 1u) {
                if (group.x * ROWS + r < size.batch && tile + lane < HIDDEN) {
                    forward_unit(t, group.x * ROWS + r, tile + lane, results[r]);
                }
            }
        }
        // All of h[t] is written before any of it is read.
        storageBarrier();
    }
}

@compute @workgroup_size(WIDTH)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var results: array<f32, ROWS>;
    for (var back = size.done; back < size.done + size.steps; back += 1u) {
        let t = size.frames - 1u - back;
        for (var tile = group.y * WIDTH; tile < HIDDEN; tile += groups.y * WIDTH) {
            from_gradient(&results, t, group.x * ROWS, tile + lane, lane);
            for (var r = 0u; r < ROWS; r += 1u) {
                if (group.x * ROWS + r < size.batch && tile + lane < HIDDEN) {
                    backward_unit(t, group.x * ROWS + r, tile + lane, results[r]);
                }
            }
        }
        // All of the gradient of step t is written before any of it is read.
        storageBarrier();
    }
}
