// The recurrence of an Independently Recurrent Neural Network (Li et al., arXiv 1803.04831), step by step.
//
//   forward:   h[t] = relu(a[t] + u * h[t-1]),  h[-1] = 0;   a[t] = w x[t] + b comes from the input projection
//   backward:  g = 0;  for t = T-1 .. 0:  d = (dh[t] + g) * [h[t] > 0];  da[t] = d;  du += d * h[t-1];  g = d * u
//
// Layout (time, batch, hidden). The optimiser keeps |u| within its bound (adam.wgsl).
// Decomposition: every (sample, unit) is a chain of its own: one invocation each, neighbours on neighbouring units, so
// that each step reads and writes consecutive memory. du is kept per sample; `reduce.wgsl` adds the samples in order.
//
// A dispatch runs `count` steps from `first` on. A long sequence takes several: forward, first to last, goes on from the
// state that the one before stored; backward, last to first, from `carried` and `partial_sums`. No bit depends on it.
// Forward, four steps have their loads under way at once: a step alone waits for memory. Backward reads from twice as
// many places; the same there took twice as long where steps lie 16 KiB apart (lavapipe, 647 x 32 x 128).

const HIDDEN: u32 = 128u;

struct Size {
    batch: u32,
    frames: u32,
    first: u32,
    count: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read_write> h: array<f32>;
@group(0) @binding(3) var<storage, read> state: array<f32>;     // h, read
@group(0) @binding(4) var<storage, read> dh: array<f32>;
@group(0) @binding(5) var<storage, read_write> da: array<f32>;
@group(0) @binding(6) var<storage, read_write> partial_sums: array<f32>;   // (batch, hidden): du of each sample
@group(0) @binding(7) var<storage, read_write> carried: array<f32>;        // (batch, hidden): d of step `first`
@group(0) @binding(8) var<storage, read_write> moments: array<vec4<f32>>;  // (batch, hidden): of each chain's states
@group(0) @binding(9) var<storage, read> norm: array<vec4<f32>>;           // mean, inv_std, scale, shift of each unit
@group(0) @binding(10) var<storage, read> corrections: array<vec2<f32>>;   // dbeta / n, dgamma / n
@group(0) @binding(11) var<storage, read_write> chain_sums: array<vec2<f32>>;   // (batch, hidden): du, and the sum of da

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let step = size.batch * HIDDEN;
    if (i >= step) {
        return;
    }
    let weight = u[i % HIDDEN];
    var value = 0.0;
    if (size.first > 0u) {
        value = h[(size.first - 1u) * step + i];
    }
    let end = size.first + size.count;
    var t = size.first;
    for (; t + 4u <= end; t += 4u) {
        let at = t * step + i;
        let a0 = a[at];
        let a1 = a[at + step];
        let a2 = a[at + 2u * step];
        let a3 = a[at + 3u * step];
        let h0 = max(0.0, fma(weight, value, a0));
        let h1 = max(0.0, fma(weight, h0, a1));
        let h2 = max(0.0, fma(weight, h1, a2));
        value = max(0.0, fma(weight, h2, a3));
        h[at] = h0;
        h[at + step] = h1;
        h[at + 2u * step] = h2;
        h[at + 3u * step] = value;
    }
    for (; t < end; t += 1u) {
        value = max(0.0, fma(weight, value, a[t * step + i]));
        h[t * step + i] = value;
    }
}

@compute @workgroup_size(64)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let step = size.batch * HIDDEN;
    if (i >= step) {
        return;
    }
    let weight = u[i % HIDDEN];
    let end = size.first + size.count;
    // d of the step after; its share of g is taken by fma everywhere, so that it is rounded alike wherever a cut falls.
    var d = 0.0;
    var sum = 0.0;
    if (end < size.frames) {
        d = carried[i];
        sum = partial_sums[i];
    }
    var value = state[(end - 1u) * step + i];
    for (var t = end; t > size.first; t -= 1u) {
        let at = (t - 1u) * step + i;
        var before = 0.0;
        if (t > 1u) {
            before = state[at - step];
        }
        d = select(0.0, fma(weight, d, dh[at]), value > 0.0);
        da[at] = d;
        sum = fma(d, before, sum);
        value = before;
    }
    carried[i] = d;
    partial_sums[i] = sum;
}

// Steps so far, their mean, and the sum of squared differences from it (Welford 1962).
fn with_value(moments: vec4<f32>, value: f32) -> vec4<f32> {
    let count = moments.x + 1.0;
    let apart = value - moments.y;
    let mean = moments.y + apart / count;
    return vec4<f32>(count, mean, fma(apart, value - mean, moments.z), 0.0);
}

// What a batch norm that reads the states leaves of the gradient at its output.
fn through_norm(dz: f32, value: f32, norm: vec4<f32>, correction: vec2<f32>) -> f32 {
    return norm.z * (dz - correction.x - (value - norm.x) * norm.y * correction.y);
}

// As `forward`; also leaves the moments of each chain's states.
@compute @workgroup_size(64)
fn forward_with_moments(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let step = size.batch * HIDDEN;
    if (i >= step) {
        return;
    }
    let weight = u[i % HIDDEN];
    var value = 0.0;
    var so_far = vec4<f32>(0.0);
    if (size.first > 0u) {
        value = h[(size.first - 1u) * step + i];
        so_far = moments[i];
    }
    let end = size.first + size.count;
    var t = size.first;
    for (; t + 4u <= end; t += 4u) {
        let at = t * step + i;
        let a0 = a[at];
        let a1 = a[at + step];
        let a2 = a[at + 2u * step];
        let a3 = a[at + 3u * step];
        let h0 = max(0.0, fma(weight, value, a0));
        let h1 = max(0.0, fma(weight, h0, a1));
        let h2 = max(0.0, fma(weight, h1, a2));
        value = max(0.0, fma(weight, h2, a3));
        h[at] = h0;
        h[at + step] = h1;
        h[at + 2u * step] = h2;
        h[at + 3u * step] = value;
        so_far = with_value(with_value(with_value(with_value(so_far, h0), h1), h2), value);
    }
    for (; t < end; t += 1u) {
        value = max(0.0, fma(weight, value, a[t * step + i]));
        h[t * step + i] = value;
        so_far = with_value(so_far, value);
    }
    moments[i] = so_far;
}

// As `backward`, from the gradient `dh` at the output of a batch norm of the states; also leaves the sum of each chain's da.
@compute @workgroup_size(64)
fn backward_through_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let step = size.batch * HIDDEN;
    if (i >= step) {
        return;
    }
    let weight = u[i % HIDDEN];
    let unit_norm = norm[i % HIDDEN];
    let correction = corrections[i % HIDDEN];
    let end = size.first + size.count;
    var d = 0.0;
    var sums = vec2<f32>(0.0);
    if (end < size.frames) {
        d = carried[i];
        sums = chain_sums[i];
    }
    var value = state[(end - 1u) * step + i];
    for (var t = end; t > size.first; t -= 1u) {
        let at = (t - 1u) * step + i;
        var before = 0.0;
        if (t > 1u) {
            before = state[at - step];
        }
        d = select(0.0, fma(weight, d, through_norm(dh[at], value, unit_norm, correction)), value > 0.0);
        da[at] = d;
        sums = vec2<f32>(fma(d, before, sums.x), sums.y + d);
        value = before;
    }
    carried[i] = d;
    chain_sums[i] = sums;
}
