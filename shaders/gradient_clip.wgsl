// The norm of all gradients, whether they are finite, and the factor that clips them. They come multiplied by gradient_scale[0],
// a power of two.
//
//   control[0] = factor = min(1, clip_norm / (norm + 1e-6)), 1 without clipping (torch.nn.utils.clip_grad_norm_), over the scale
//   control[1] = 1 if every gradient is finite, else 0: the optimiser then leaves everything as it is
//   control[2] = norm, of the gradients without the scale;  control[3] = updates withheld so far
//   control[4] = updates made so far (the optimiser's step);  control[5] = the scale of the gradients to come
//
// Where it is DYNAMIC, the scale is halved when a gradient is not finite, and doubled after INTERVAL updates in a row, which
// gradient_scale[1] counts; between LEAST and MOST.
//
// Each of GROUPS workgroups sums the squares of every GROUPS-th block of 64 elements; one invocation adds them in order.

const COUNT: u32 = 1024u;
const GROUPS: u32 = 64u;
const DYNAMIC: bool = false;
const INTERVAL: u32 = 200u;
const LEAST: f32 = 1.0f;
const MOST: f32 = 16777216.0f;

struct Size {
    clip_norm: f32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> gradients: array<f32>;
@group(0) @binding(1) var<storage, read_write> partial_sums: array<f32>;
@group(0) @binding(2) var<storage, read> sums: array<f32>;
@group(0) @binding(3) var<storage, read_write> control: array<f32>;
@group(0) @binding(4) var<storage, read_write> gradient_scale: array<f32>;

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
    // 2^-k has the exponent bits of 2^k counted from the other end: no division rounds.
    let inverse = bitcast<f32>(0x7f000000u - bitcast<u32>(gradient_scale[0]));
    let norm = sqrt(total) * inverse;
    // A sum that overflows or holds a NaN has all exponent bits set.
    let finite = (bitcast<u32>(total) & 0x7f800000u) != 0x7f800000u;
    var factor = 1.0;
    if (size.clip_norm > 0.0) {
        factor = min(1.0, size.clip_norm / (norm + 1e-6));
    }
    control[0] = factor * inverse;
    control[1] = select(0.0, 1.0, finite);
    control[2] = norm;
    control[3] += select(1.0, 0.0, finite);
    control[4] += select(0.0, 1.0, finite);
    if (DYNAMIC) {
        if (!finite) {
            gradient_scale[0] = max(LEAST, 0.5 * gradient_scale[0]);
            gradient_scale[1] = 0.0;
        } else if (gradient_scale[1] + 1.0 >= f32(INTERVAL)) {
            gradient_scale[0] = min(MOST, 2.0 * gradient_scale[0]);
            gradient_scale[1] = 0.0;
        } else {
            gradient_scale[1] += 1.0;
        }
    }
    control[5] = gradient_scale[0];
}
