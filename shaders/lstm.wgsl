// The recurrence of a Long Short-Term Memory with PyTorch's equations and gate order, over a whole sequence.
//
//   forward:   (i, f, g, o) = (sigmoid, sigmoid, tanh, sigmoid)(a[t] + b + W h[t-1]);  a[t] = W_ih x[t] + b_ih is given
//              c[t] = f c[t-1] + i g;  h[t] = o tanh(c[t]);  h[-1] = c[-1] = 0
//   backward:  d = dh[t] + W^T dhidden[t+1];  dc = d o (1 - tanh(c)^2) + what step t+1 carried;  it carries dc f
//              dhidden = (dc g i(1-i), dc c[t-1] f(1-f), dc i (1-g^2), d tanh(c) o(1-o)) = da
//
// Decomposition: a workgroup of WIDTH owns ROWS rows of the batch and walks through time and through tiles of WIDTH units;
// an invocation keeps the gates of one unit for all its rows, so that weights are read once for ROWS rows and neighbours
// read neighbours. What a product takes from the step before passes through workgroup memory WIDTH at a time. All state
// lies in storage: a dispatch may begin at any step, and with one step per dispatch tiles may be spread over groups.y.

const HIDDEN: u32 = 128u;
const WIDTH: u32 = 128u;
const ROWS: u32 = 1u;

const GATES: u32 = 4u;

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
@group(0) @binding(5) var<storage, read_write> c: array<f32>;               // (time, batch, unit)
@group(0) @binding(6) var<storage, read_write> gates: array<vec4<f32>>;     // (time, batch, unit): i, f, g, o
@group(0) @binding(7) var<storage, read> dh: array<f32>;                    // (time, batch, unit)
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

// Gates, c[t] and h[t] of one unit, to whose gates bias and h[t-1] bring `state`.
fn forward_unit(t: u32, sample: u32, unit: u32, state: vec4<f32>) {
    let row = t * size.batch + sample;
    let place = row * HIDDEN + unit;
    let p = row * 4u * HIDDEN + unit;
    let x = vec4<f32>(a[p], a[p + HIDDEN], a[p + 2u * HIDDEN], a[p + 3u * HIDDEN]) + state;
    let open = vec4<f32>(logistic(x.x), logistic(x.y), hyperbolic_tangent(x.z), logistic(x.w));
    var before = 0.0;
    if (t > 0u) {
        before = c[place - size.batch * HIDDEN];
    }
    let cell = fma(open.y, before, open.x * open.z);
    gates[place] = open;
    c[place] = cell;
    h[place] = open.w * hyperbolic_tangent(cell);
}

// The gradients of one unit at step t, to which step t + 1 brings `later`.
fn backward_unit(t: u32, sample: u32, unit: u32, later: f32) {
    let row = t * size.batch + sample;
    let place = row * HIDDEN + unit;
    let open = gates[place];
    let d = dh[place] + later;
    let squashed = hyperbolic_tangent(c[place]);
    var before = 0.0;
    if (t > 0u) {
        before = c[place - size.batch * HIDDEN];
    }
    var dc = d * open.w * (1.0 - squashed * squashed);
    if (t + 1u < size.frames) {
        dc += carried[sample * HIDDEN + unit];
    }
    carried[sample * HIDDEN + unit] = dc * open.y;
    let p = row * 4u * HIDDEN + unit;
    dhidden[p] = dc * open.z * open.x * (1.0 - open.x);
    dhidden[p + HIDDEN] = dc * before * open.y * (1.0 - open.y);
    dhidden[p + 2u * HIDDEN] = dc * open.x * (1.0 - open.z * open.z);
    dhidden[p + 3u * HIDDEN] = d * squashed * open.w * (1.0 - open.w);
}

// results[r] = what bias and h[t-1] bring to the gates of `unit`; all invocations of a workgroup call it together.
fn from_state(results: ptr<function, array<vec4<f32>, ROWS>>, t: u32, first_row: u32, unit: u32, lane: u32) {
    let known = min(unit, HIDDEN - 1u);
    for (var r = 0u; r < ROWS; r += 1u) {
        (*results)[r] = vec4<f32>(bias[known], bias[HIDDEN + known], bias[2u * HIDDEN + known], bias[3u * HIDDEN + known]);
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
            let right = vec4<f32>(weight[w], weight[w + HIDDEN], weight[w + 2u * HIDDEN], weight[w + 3u * HIDDEN]);
            for (var r = 0u; r < ROWS; r += 1u) {
                (*results)[r] = fma(vec4<f32>(chunk[r * WIDTH + s]), right, (*results)[r]);
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
    var results: array<vec4<f32>, ROWS>;
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
