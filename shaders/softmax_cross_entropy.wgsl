// Softmax and cross entropy of a batch, and its gradient at the logits.
//
//   p[s, c] = exp(logit - max) / sum exp;  loss[s] = log sum exp - logit[label];  dlogits = (p - [c = label]) / batch
//
// `results` keeps what a training step reports: sum of losses, number right, batch, number of non-finite losses.
// One workgroup: an invocation per sample, then one adds the samples in order.

const CLASSES: u32 = 10u;

struct Size {
    batch: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> probabilities: array<f32>;
@group(0) @binding(3) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(4) var<storage, read_write> results: array<f32>;

var<workgroup> lanes: array<vec3<f32>, 64>;

fn is_finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}

@compute @workgroup_size(64)
fn forward(@builtin(local_invocation_index) lane: u32) {
    var sums = vec3<f32>(0.0);
    for (var s = lane; s < size.batch; s += 64u) {
        let row = s * CLASSES;
        let label = labels[s];
        var largest = logits[row];
        var winner = 0u;
        for (var c = 1u; c < CLASSES; c += 1u) {
            let value = logits[row + c];
            if (value > largest) {
                largest = value;
                winner = c;
            }
        }
        var total = 0.0;
        for (var c = 0u; c < CLASSES; c += 1u) {
            total += exp(logits[row + c] - largest);
        }
        for (var c = 0u; c < CLASSES; c += 1u) {
            let p = exp(logits[row + c] - largest) / total;
            probabilities[row + c] = p;
            dlogits[row + c] = (p - select(0.0, 1.0, c == label)) / f32(size.batch);
        }
        let loss = log(total) + largest - logits[row + label];
        if (is_finite(loss)) {
            sums += vec3<f32>(loss, select(0.0, 1.0, winner == label), 0.0);
        } else {
            sums.z += 1.0;
        }
    }
    lanes[lane] = sums;
    workgroupBarrier();
    if (lane == 0u) {
        var total = vec3<f32>(0.0);
        for (var i = 0u; i < 64u; i += 1u) {
            total += lanes[i];
        }
        results[0] = total.x;
        results[1] = total.y;
        results[2] = f32(size.batch);
        results[3] = total.z;
    }
}
