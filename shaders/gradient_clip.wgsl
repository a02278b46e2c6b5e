// The norm of all gradients, whether they are finite, and the factor that clips them.
//
//   control[0] = factor = min(1, clip_norm / (norm + 1e-6)), 1 without clipping (torch.nn.utils.clip_grad_norm_)
//   control[1] = 1 if every gradient is finite, else 0: the optimiser then leaves everything as it is
//   control[2] = norm;  control[3] = updates withheld so far
//   control[4] = updates made so far (the optimiser's step)
//
// Each of GROUPS workgroups sums the squares of every GROUPS-th block of 64 elements; one invocation adds them in order.

const COUNT: u32 = 1024u;
const GROUPS: u32 = 64u;

struct Size {
    clip_norm: f32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> gradients: array<f32>;
@group(0) @binding(1) var<storage, read_write> partial_sums: array<f32>;
@group(0) @binding(2) var<storage, read> sums: array<f32>;
@group(0) @binding(3) var<storage, read_write> control: array<f32>;

var<workgroup> lanes: array<f32, 64>;

@compute @workgroup_size(64)
fn partial_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = group.x * 64u + lane; i < COUNT; i += GROUPS * 64u) {
        sum = fma(gradients[i], gradients[i], sum);
    }
    lanes[lane] = sum;
    workgroupBarrier();
    if (lane == 0u) {
        var total = 0.0;
        for (var i = 0u; i < 64u; i += 1u) {
            total += lanes[i];
        }
        partial_sums[group.x] = total;
    }
}

@compute @workgroup_size(1)
fn finish() {
    var total = 0.0;
    for (var i = 0u; i < GROUPS; i += 1u) {
        total += sums[i];
    }
    let norm = sqrt(total);
    // A sum that overflows or holds a NaN has all exponent bits set.
    let finite = (bitcast<u32>(total) & 0x7f800000u) != 0x7f800000u;
    var factor = 1.0;
    if (size.clip_norm > 0.0) {
        factor = min(1.0, size.clip_norm / (norm + 1e-6));
    }
    control[0] = factor;
    control[1] = select(0.0, 1.0, finite);
    control[2] = norm;
    control[3] += select(1.0, 0.0, finite);
    control[4] += select(0.0, 1.0, finite);
}
