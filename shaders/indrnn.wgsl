// The recurrence of an Independently Recurrent Neural Network (Li et al., arXiv 1803.04831), whole sequence in one dispatch.
//
//   forward:   h[t] = relu(a[t] + u * h[t-1]),  h[-1] = 0;   a[t] = w x[t] + b comes from the input projection
//   backward:  g = 0;  for t = T-1 .. 0:  d = (dh[t] + g) * [h[t] > 0];  da[t] = d;  du += d * h[t-1];  g = d * u
//
// Layout (time, batch, hidden). The optimiser keeps |u| within its bound (adam.wgsl).
// Decomposition: every (sample, unit) is a chain of its own: one invocation each, neighbours on neighbouring units, so
// that each step reads and writes consecutive memory. du is kept per sample; `reduce.wgsl` adds the samples in order.

const HIDDEN: u32 = 128u;

struct Size {
    batch: u32,
    frames: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read_write> h: array<f32>;
@group(0) @binding(3) var<storage, read> state: array<f32>;     // h, read
@group(0) @binding(4) var<storage, read> dh: array<f32>;
@group(0) @binding(5) var<storage, read_write> da: array<f32>;
@group(0) @binding(6) var<storage, read_write> partial_sums: array<f32>;   // (batch, hidden): du of each sample

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let step = size.batch * HIDDEN;
    if (i >= step) {
        return;
    }
    let weight = u[i % HIDDEN];
    var value = 0.0;
    for (var t = 0u; t < size.frames; t += 1u) {
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
    var carried = 0.0;
    var sum = 0.0;
    var value = state[(size.frames - 1u) * step + i];
    for (var back = 0u; back < size.frames; back += 1u) {
        let t = size.frames - 1u - back;
        var before = 0.0;
        if (t > 0u) {
            before = state[(t - 1u) * step + i];
        }
        let d = select(0.0, dh[t * step + i] + carried, value > 0.0);
        da[t * step + i] = d;
        sum = fma(d, before, sum);
        carried = d * weight;
        value = before;
    }
    partial_sums[i] = sum;
}

