// Softmax and cross entropy of a batch, and its gradient at the logits, as torch.nn.functional.cross_entropy has them
// with class weights w and label smoothing e.
//
//   p[s, c] = exp(logit - max) / sum exp;  nll[s, c] = log sum exp - logit[c]
//   loss[s] = (1 - e) w[label] nll[s, label] + e / CLASSES * sum over c of w[c] nll[s, c]
//   dlogits = ((1 - e) w[label] (p - [c = label]) + e / CLASSES * (p sum w - w[c])) / divisor * gradient_scale[0]
//
// The divisor is the sum of w[label] over the samples that an update is made of: the host's where those are several
// batches, and with a divisor of 0 that of this batch.
// `results` keeps what a training step reports: sum of losses, number right, batch, number of non-finite losses, sum of
// w[label] over the finite ones.
// One workgroup: an invocation per sample, then one adds the samples in order.

const CLASSES: u32 = 10u;

struct Size {
    batch: u32,
    smoothing: f32,
    divisor: f32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> class_weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(5) var<storage, read_write> results: array<f32>;
@group(0) @binding(6) var<storage, read> gradient_scale: array<f32>;

var<workgroup> shares: array<f32, 64>;
var<workgroup> lanes: array<vec4<f32>, 64>;

fn is_finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}

@compute @workgroup_size(64)
fn forward(@builtin(local_invocation_index) lane: u32) {
    var share = 0.0;
    for (var s = lane; s < size.batch; s += 64u) {
        share += class_weights[labels[s]];
    }
    shares[lane] = share;
    workgroupBarrier();
    var divisor = size.divisor;
    if (divisor == 0.0) {
        for (var i = 0u; i < 64u; i += 1u) {
            divisor += shares[i];
        }
    }
    var sum_of_weights = 0.0;
    for (var c = 0u; c < CLASSES; c += 1u) {
        sum_of_weights += class_weights[c];
    }
    let smoothing = size.smoothing / f32(CLASSES);

    var sums = vec4<f32>(0.0);
    for (var s = lane; s < size.batch; s += 64u) {
        let row = s * CLASSES;
        let label = labels[s];
        let weight = class_weights[label];
        let kept = (1.0 - size.smoothing) * weight;
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
        var loss = kept * (log(total) + largest - logits[row + label]);
        for (var c = 0u; c < CLASSES; c += 1u) {
            let p = exp(logits[row + c] - largest) / total;
            var gradient = kept * (p - select(0.0, 1.0, c == label));
            if (smoothing > 0.0) {
                loss += smoothing * class_weights[c] * (log(total) + largest - logits[row + c]);
                gradient += smoothing * (p * sum_of_weights - class_weights[c]);
            }
            probabilities[row + c] = p;
            dlogits[row + c] = gradient / divisor * gradient_scale[0];
        }
        if (is_finite(loss)) {
            sums += vec4<f32>(loss, select(0.0, 1.0, winner == label), 0.0, weight);
        } else {
            sums.z += 1.0;
        }
    }
    lanes[lane] = sums;
    workgroupBarrier();
    if (lane == 0u) {
        var total = vec4<f32>(0.0);
        for (var i = 0u; i < 64u; i += 1u) {
            total += lanes[i];
        }
        results[0] = total.x;
        results[1] = total.y;
        results[2] = f32(size.batch);
        results[3] = total.z;
        results[4] = total.w;
    }
}
