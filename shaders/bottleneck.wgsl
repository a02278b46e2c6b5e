// What stands around the products of BBNN's bottlenecks, for all units of a group at once: batch norms become scales and shifts,
// and partial sums of bottleneck_tiled*.wgsl become statistics and gradients. Formulas and orders of sums as in batch_norm.wgsl
// and reduce.wgsl.
//
// Gradients and running statistics are whole arenas, in which `size` says where each unit's begin.

const UNITS: u32 = 3u;
// Of a unit.
const OUTPUTS: u32 = 32u;
const EPSILON: f32 = 0.001f;
// Channels of a workgroup that adds up tiles, and invocations per channel; likewise for splits of a weight's gradient.
const WIDTH: u32 = 8u;
const PARTS: u32 = 32u;
const SPLIT_WIDTH: u32 = 32u;
const SPLIT_PARTS: u32 = 8u;

struct Size {
    // Of the whole batch.
    rows: u32,
    // Channels of all maps.
    inputs: u32,
    // Tiles or splits.
    parts: u32,
    // fold: from the running statistics; finish_gradients: add to corrections.
    flag: u32,
    momentum: f32,
    // fold: gamma, beta, running mean and variance; finish_statistics: y's statistics; finish_gradients: gamma, beta;
    // finish_weights: weight, bias.
    first: array<u32, 3>,
    second: array<u32, 3>,
    third: array<u32, 3>,
    fourth: array<u32, 3>,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> parameters: array<f32>;
@group(0) @binding(1) var<storage, read> moments: array<vec2<f32>>;               // mean, inv_std
@group(0) @binding(2) var<storage, read_write> running: array<f32>;
@group(0) @binding(3) var<storage, read_write> scale_out: array<f32>;             // (unit, input)
@group(0) @binding(4) var<storage, read_write> shift_out: array<f32>;
@group(0) @binding(5) var<storage, read> tile_moments: array<vec4<f32>>;          // rows, mean, sum of squared differences
@group(0) @binding(6) var<storage, read_write> statistics_0: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> statistics_1: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> statistics_2: array<vec2<f32>>;
@group(0) @binding(9) var<storage, read> tile_sums: array<vec2<f32>>;             // dz, dz * xhat
@group(0) @binding(10) var<storage, read> scale: array<f32>;
@group(0) @binding(11) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(12) var<storage, read_write> corrections: array<vec2<f32>>;
@group(0) @binding(13) var<storage, read> split_sums: array<f32>;

var<workgroup> parts: array<vec2<f32>, WIDTH * PARTS>;

// By its bits: compilers may take it that nothing else occurs.
fn is_finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}

// Scales and shifts of z = x * scale + shift; in training also moves the running statistics.
@compute @workgroup_size(64)
fn fold(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= UNITS * size.inputs) {
        return;
    }
    let unit = id.x / size.inputs;
    let channel = id.x % size.inputs;
    let mean_place = size.third[unit] + channel;
    let variance_place = size.fourth[unit] + channel;
    var mean = running[mean_place];
    var inv_std = 1.0 / sqrt(running[variance_place] + EPSILON);
    if (size.flag == 0u) {
        let batch = moments[channel];
        mean = batch.x;
        inv_std = batch.y;
        let n = f32(size.rows);
        let variance = max(0.0, 1.0 / (inv_std * inv_std) - EPSILON) * (n / max(1.0, n - 1.0));
        // A batch that overflows counts for nothing: no later one would mend what it left.
        if (is_finite(mean) && is_finite(inv_std) && is_finite(variance)) {
            running[mean_place] = fma(size.momentum, mean - running[mean_place], running[mean_place]);
            running[variance_place] = fma(size.momentum, variance - running[variance_place], running[variance_place]);
        }
    }
    let s = parameters[size.first[unit] + channel] * inv_std;
    scale_out[id.x] = s;
    shift_out[id.x] = fma(-mean, s, parameters[size.second[unit] + channel]);
}

// The sum of what the parts of a channel have, for all of them.
fn add_parts(lane: u32, part_sum: vec2<f32>) -> vec2<f32> {
    workgroupBarrier();
    parts[lane] = part_sum;
    workgroupBarrier();
    var total = vec2<f32>(0.0);
    for (var part = 0u; part < PARTS; part += 1u) {
        total += parts[part * WIDTH + lane % WIDTH];
    }
    return total;
}

// The statistics of y from moments of its tiles (Chan et al. 1979).
@compute @workgroup_size(256)
fn finish_statistics(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x * WIDTH + lane % WIDTH;
    let known = min(channel, UNITS * OUTPUTS - 1u);
    let n = f32(size.rows);
    var sum = 0.0;
    for (var tile = lane / WIDTH; tile < size.parts; tile += PARTS) {
        let part = tile_moments[tile * UNITS * OUTPUTS + known];
        sum = fma(part.x, part.y, sum);
    }
    let mean = add_parts(lane, vec2<f32>(sum, 0.0)).x / n;
    var squares = 0.0;
    for (var tile = lane / WIDTH; tile < size.parts; tile += PARTS) {
        let part = tile_moments[tile * UNITS * OUTPUTS + known];
        let apart = part.y - mean;
        squares += fma(part.x * apart, apart, part.z);
    }
    let variance = add_parts(lane, vec2<f32>(squares, 0.0)).x / n;
    if (lane >= WIDTH || channel >= UNITS * OUTPUTS) {
        return;
    }
    let result = vec2<f32>(mean, 1.0 / sqrt(variance + EPSILON));
    let unit = channel / OUTPUTS;
    let place = size.first[unit] + channel % OUTPUTS;
    switch unit {
        case 0u: { statistics_0[place] = result; }
        case 1u: { statistics_1[place] = result; }
        default: { statistics_2[place] = result; }
    }
}

// Gradients of gamma and beta, and what all units together are short of in dx.
@compute @workgroup_size(256)
fn finish_gradients(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x * WIDTH + lane % WIDTH;
    let known = min(channel, size.inputs - 1u);
    let writes = lane < WIDTH && channel < size.inputs;
    var correction = vec2<f32>(0.0);
    for (var unit = 0u; unit < UNITS; unit += 1u) {
        var sum = vec2<f32>(0.0);
        for (var tile = lane / WIDTH; tile < size.parts; tile += PARTS) {
            sum += tile_sums[(tile * UNITS + unit) * size.inputs + known];
        }
        let total = add_parts(lane, sum);
        if (writes) {
            gradients[size.first[unit] + channel] = total.y;
            gradients[size.second[unit] + channel] = total.x;
        }
        correction += scale[unit * size.inputs + known] * total / f32(size.rows);
    }
    if (writes && size.flag != 0u) {
        corrections[channel] += correction;
    } else if (writes) {
        corrections[channel] = correction;
    }
}

// Gradients of weights and biases.
@compute @workgroup_size(256)
fn finish_weights(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let count = (size.inputs + 1u) * OUTPUTS;
    let i = (group.y * groups.x + group.x) * SPLIT_WIDTH + lane % SPLIT_WIDTH;
    var sum = 0.0;
    if (i < UNITS * count) {
        for (var split = lane / SPLIT_WIDTH; split < size.parts; split += SPLIT_PARTS) {
            sum += split_sums[split * UNITS * count + i];
        }
    }
    parts[lane].x = sum;
    workgroupBarrier();
    if (lane >= SPLIT_WIDTH || i >= UNITS * count) {
        return;
    }
    for (var part = 1u; part < SPLIT_PARTS; part += 1u) {
        sum += parts[part * SPLIT_WIDTH + lane].x;
    }
    let unit = i / count;
    let element = i % count;
    if (element < size.inputs * OUTPUTS) {
        gradients[size.first[unit] + element] = sum;
    } else {
        gradients[size.second[unit] + element - size.inputs * OUTPUTS] = sum;
    }
}
