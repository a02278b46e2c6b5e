// The recurrence of an Elman network with PyTorch's equations, over a whole sequence.
//
//   forward:   h[t] = act(a[t] + b + W h[t-1]),  h[-1] = 0;  act = tanh or ReLU;  a[t] = W_ih x[t] + b_ih from the projection
//   backward:  d[t] = (dh[t] + W^T d[t+1]) act'(h[t]);  da = dhidden = d
//
// Decomposition: a workgroup of WIDTH owns ROWS rows of the batch and walks through time and through tiles of WIDTH units;
// an invocation keeps one unit for all its rows, so that weights are read once for ROWS rows and neighbours
// read neighbours. What a product takes from the step before passes through workgroup memory WIDTH at a time. All state
// lies in storage: a dispatch may begin at any step, and with one step per dispatch tiles may be spread over groups.y.

const HIDDEN: u32 = 128u;
const WIDTH: u32 = 128u;
const ROWS: u32 = 1u;
const RELU: bool = false;

const GATES: u32 = 1u;

struct Size {
    batch: u32,
    frames: u32,
    // Steps of earlier dispatches, in the direction of this one, and steps of this one.
    done: u32,
    steps: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> a: array<f32>;                     // (time, batch, unit)
@group(0) @binding(1) var<storage, read> weight: array<f32>;                // (unit before, unit)
@group(0) @binding(2) var<storage, read> bias: array<f32>;                  // (unit)
@group(0) @binding(3) var<storage, read_write> transposed: array<f32>;      // the weight, outputs outermost
@group(0) @binding(4) var<storage, read_write> h: array<f32>;               // (time, batch, unit)
@group(0) @binding(5) var<storage, read> dh: array<f32>;                    // (time, batch, unit)
@group(0) @binding(6) var<storage, read_write> dhidden: array<f32>;         // (time, batch, unit)

// (row, of the step before)
var<workgroup> chunk: array<f32, ROWS * WIDTH>;

// Without overflow and, unlike WGSL's own, of known accuracy: 1 - e cancels near 0, where the series takes over.
fn hyperbolic_tangent(x: f32) -> f32 {
    let e = exp(-2.0 * abs(x));
    let s = x * x;
    let series = x * ((((0.021869488 * s - 0.053968254) * s + 0.13333333) * s - 0.33333333) * s + 1.0);
    return select(sign(x) * (1.0 - e) / (1.0 + e), series, abs(x) < 0.25);
}

// h[t] of one unit, to which bias and h[t-1] bring `state`.
fn forward_unit(t: u32, sample: u32, unit: u32, state: f32) {
    let place = (t * size.batch + sample) * HIDDEN + unit;
    let x = a[place] + state;
    h[place] = select(hyperbolic_tangent(x), max(0.0, x), RELU);
}

// The gradients of one unit at step t, to which step t + 1 brings `later`.
fn backward_unit(t: u32, sample: u32, unit: u32, later: f32) {
    let place = (t * size.batch + sample) * HIDDEN + unit;
    let state = h[place];
    dhidden[place] = (dh[place] + later) * select(1.0 - state * state, select(0.0, 1.0, state > 0.0), RELU);
}

// results[r] = what bias and h[t-1] bring to `unit`; all invocations of a workgroup call it together.
fn from_state(results: ptr<function, array<f32, ROWS>>, t: u32, first_row: u32, unit: u32, lane: u32) {
    let known = min(unit, HIDDEN - 1u);
    for (var r = 0u; r < ROWS; r += 1u) {
        (*results)[r] = bias[known];
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
            let right = weight[(k0 + s) * HIDDEN + known];
            for (var r = 0u; r < ROWS; r += 1u) {
                (*results)[r] = fma(chunk[r * WIDTH + s], right, (*results)[r]);
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
    var results: array<f32, ROWS>;
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
