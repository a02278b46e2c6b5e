// A batch norm between the states h of an IndRNN's layer and the product of the next, folded into that product: normalised states
// are never stored, and nothing is added up over them that is not added up anyway.
//
//   z[c] = scale[c] h[c] + shift[c];  scale = gamma inv_std;  shift = beta - mean scale
//   z W + b = h W' + b';  W'[c, o] = scale[c] W[c, o];  b'[o] = b[o] + sum over c of shift[c] W[c, o]
//
// Backward, from the product of h with the gradient dy at y = z W + b, S[c, o] = sum over rows of h[c] dy[o], and db[o], that of
// dy[o], exact in algebra:
//   dW[c, o] = scale[c] S[c, o] + shift[c] db[o]
//   dbeta[c] = sum of dz[c] = sum over o of W[c, o] db[o]
//   dgamma[c] = sum of dz[c] xhat[c] = inv_std[c] (sum over o of W[c, o] S[c, o] - mean[c] dbeta[c])
// What is left of dz = dy W^T at the states takes dbeta / n and dgamma / n (batch_norm.wgsl), on the load of the recurrence.
//
// Where operands of products are rounded, a mean that is large beside how the states spread would cost digits. There the states
// are normalised first (NORMALISED), and what is folded is gamma and beta: with xhat = (h - mean) inv_std in place of h above,
// scale is gamma, shift beta, dgamma[c] = sum over o of W[c, o] S[c, o].
//
// The weight is (input, output). Sums are in a fixed order: samples and splits one after the other in each of a few parts.

const CHANNELS: u32 = 128u;
const OUTPUTS: u32 = 128u;
const EPSILON: f32 = 0.00001f;
// Mean and deviation are the running ones.
const EVALUATE: bool = false;
// From one split of S to the next.
const PITCH: u32 = 16384u;
// Where sums of dy lie by sample: pairs, the second of which they are, with the du of the sample; or dy itself.
const PAIRS: bool = true;
// The product reads normalised states; what is folded into it is gamma and beta alone.
const NORMALISED: bool = false;

struct Size {
    batch: u32,
    frames: u32,
    // Parts that S comes in.
    splits: u32,
    momentum: f32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> moments: array<vec4<f32>>;            // (batch, channel): steps, mean, squared differences
@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read> beta: array<f32>;
@group(0) @binding(3) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(4) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(5) var<storage, read_write> norm_out: array<vec4<f32>>;     // mean, inv_std, gamma inv_std, what is added
@group(0) @binding(6) var<storage, read> weight: array<f32>;
@group(0) @binding(7) var<storage, read> bias: array<f32>;
@group(0) @binding(8) var<storage, read_write> folded_weight: array<f32>;
@group(0) @binding(9) var<storage, read_write> folded_bias: array<f32>;
@group(0) @binding(10) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read> product_sums: array<f32>;            // (split, input, output) with a pitch
@group(0) @binding(12) var<storage, read> sample_sums: array<f32>;             // (batch, output), pairs or not
@group(0) @binding(13) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(14) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(15) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(16) var<storage, read_write> dbeta: array<f32>;
@group(0) @binding(17) var<storage, read_write> corrections: array<vec2<f32>>;
@group(0) @binding(18) var<storage, read_write> du: array<f32>;
@group(0) @binding(19) var<storage, read> states: array<f32>;                  // (row, channel)
@group(0) @binding(20) var<storage, read_write> normalised: array<f32>;

// Outputs of a workgroup, and parts in which their sums are added up: one after the other where barriers are dear.
const WIDTH: u32 = 32u;
const PARTS: u32 = 8u;
const LANES: u32 = WIDTH * PARTS;
// Scale and shift of each channel.
var<workgroup> folds: array<vec2<f32>, CHANNELS>;
var<workgroup> lanes: array<vec2<f32>, LANES>;

// The sums of the parts of each column, in order, for the lanes of the first part.
fn add_parts(value: vec2<f32>, lane: u32) -> vec2<f32> {
    workgroupBarrier();
    lanes[lane] = value;
    workgroupBarrier();
    var total = vec2<f32>(0.0);
    for (var part = 0u; part < PARTS; part += 1u) {
        total += lanes[part * WIDTH + lane % WIDTH];
    }
    return total;
}

// By its bits: compilers may take it that nothing else occurs.
fn is_finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}

// Mean and inverse deviation of all chains' states; those of the batch move the running ones, where `moves` says so.
fn statistics(channel: u32, moves: bool) -> vec2<f32> {
    if (EVALUATE) {
        return vec2<f32>(running_mean[channel], 1.0 / sqrt(running_var[channel] + EPSILON));
    }
    let frames = f32(size.frames);
    let n = frames * f32(size.batch);
    var sum = 0.0;
    for (var sample = 0u; sample < size.batch; sample += 1u) {
        sum += moments[sample * CHANNELS + channel].y;
    }
    let mean = sum / f32(size.batch);
    var squares = 0.0;
    for (var sample = 0u; sample < size.batch; sample += 1u) {
        let own = moments[sample * CHANNELS + channel];
        squares += fma(frames * (own.y - mean), own.y - mean, own.z);
    }
    let variance = squares / n;
    // A batch that overflows counts for nothing: no later one would mend what it left.
    if (moves && is_finite(mean) && is_finite(variance)) {
        let unbiased = variance * (n / max(1.0, n - 1.0));
        running_mean[channel] = fma(size.momentum, mean - running_mean[channel], running_mean[channel]);
        running_var[channel] = fma(size.momentum, unbiased - running_var[channel], running_var[channel]);
    }
    return vec2<f32>(mean, 1.0 / sqrt(variance + EPSILON));
}

// Groups: tiles of WIDTH outputs. Each finds the statistics for itself; the first keeps them.
@compute @workgroup_size(LANES)
fn fold(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var channel = lane; channel < CHANNELS; channel += LANES) {
        let known = statistics(channel, group.x == 0u);
        let scale = gamma[channel] * known.y;
        let shift = select(fma(-known.x, scale, beta[channel]), beta[channel], NORMALISED);
        folds[channel] = vec2<f32>(select(scale, gamma[channel], NORMALISED), shift);
        if (group.x == 0u) {
            norm_out[channel] = vec4<f32>(known, scale, shift);
        }
    }
    workgroupBarrier();
    let output = group.x * WIDTH + lane % WIDTH;
    var sum = 0.0;
    if (output < OUTPUTS) {
        for (var channel = lane / WIDTH; channel < CHANNELS; channel += PARTS) {
            let value = weight[channel * OUTPUTS + output];
            folded_weight[channel * OUTPUTS + output] = folds[channel].x * value;
            sum = fma(folds[channel].y, value, sum);
        }
    }
    let total = add_parts(vec2<f32>(sum, 0.0), lane).x;
    if (lane < WIDTH && output < OUTPUTS) {
        folded_bias[output] = bias[output] + total;
    }
}

// The states of `frames` steps, less their mean and by their deviation.
@compute @workgroup_size(256)
fn normalise(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 256u + lane;
    if (i < size.frames * size.batch * CHANNELS) {
        let own = norm[i % CHANNELS];
        normalised[i] = (states[i] - own.x) * own.y;
    }
}

// What a lane's part brings to (S, db) of an input and an output.
fn part_of_sums(input: u32, output: u32, part: u32) -> vec2<f32> {
    var sums = vec2<f32>(0.0);
    if (output < OUTPUTS) {
        for (var split = part; split < size.splits; split += PARTS) {
            sums.x += product_sums[split * PITCH + input * OUTPUTS + output];
        }
        for (var sample = part; sample < size.batch; sample += PARTS) {
            let at = sample * OUTPUTS + output;
            sums.y += sample_sums[select(at, 2u * at + 1u, PAIRS)];
        }
    }
    return sums;
}

// By the first group: db, and the du of the recurrence behind the product.
fn keep_vectors(output: u32, db: f32) {
    dbias[output] = db;
    if (PAIRS) {
        var sum = 0.0;
        for (var sample = 0u; sample < size.batch; sample += 1u) {
            sum += sample_sums[2u * (sample * OUTPUTS + output)];
        }
        du[output] = sum;
    }
}

// All gradients of a product behind a batch norm, and of that. Groups: one for each input.
@compute @workgroup_size(LANES)
fn gradients(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let input = group.x;
    let own = norm[input];
    // Gamma inv_std, or gamma.
    let scale = select(own.z, own.z / own.y, NORMALISED);
    var sums = vec2<f32>(0.0);
    for (var first = 0u; first < OUTPUTS; first += WIDTH) {
        let output = first + lane % WIDTH;
        let total = add_parts(part_of_sums(input, output, lane / WIDTH), lane);
        if (lane < WIDTH && output < OUTPUTS) {
            dweight[input * OUTPUTS + output] = fma(scale, total.x, own.w * total.y);
            sums += weight[input * OUTPUTS + output] * total;
            if (input == 0u) {
                keep_vectors(output, total.y);
            }
        }
    }
    workgroupBarrier();
    lanes[lane] = sums;
    workgroupBarrier();
    if (lane == 0u) {
        var total = vec2<f32>(0.0);
        for (var i = 0u; i < WIDTH; i += 1u) {
            total += lanes[i];
        }
        let of_gamma = select(own.y * (total.x - own.x * total.y), total.x, NORMALISED);
        dbeta[input] = total.y;
        dgamma[input] = of_gamma;
        corrections[input] = vec2<f32>(total.y, of_gamma) / (f32(size.batch) * f32(size.frames));
    }
}

// Those of a product that no batch norm stands before.
@compute @workgroup_size(LANES)
fn gradients_alone(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var first = 0u; first < OUTPUTS; first += WIDTH) {
        let output = first + lane % WIDTH;
        let total = add_parts(part_of_sums(group.x, output, lane / WIDTH), lane);
        if (lane < WIDTH && output < OUTPUTS) {
            dweight[group.x * OUTPUTS + output] = total.x;
            if (group.x == 0u) {
                keep_vectors(output, total.y);
            }
        }
    }
}
