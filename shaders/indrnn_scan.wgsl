// The recurrence of indrnn.wgsl as a scan over time, for few chains and long sequences: equal in algebra, not in bits.
//
// Forward: a step is the map h -> max(0, u h + a). Maps h -> min(hi, max(lo, q + r h)) are closed under composition for
// either sign of u: q + r h by fma, and the ends lo <= hi map to ends, in the other order where u < 0.
// Backward, given h: a step is g -> u [h > 0] (dh + g), so a run of steps is g -> q + r g.
//
// INFINITE stands for no end: a true infinity times an r that has underflowed is NaN. States stay far below it.
// A composed r is u^length: the optimiser's bound |u| <= gamma^(1/T) keeps it within gamma.
//
// Layout (time, batch, hidden). Decomposition: a workgroup owns CHAINS chains (sample, unit) and cuts time into CHUNKS
// equal chunks; lane = chunk * CHAINS + chain, so that neighbours read neighbouring units. Each lane composes its chunk;
// the first lane of each chain walks the chunks in order; each lane replays its chunk from the state that comes in.

const HIDDEN: u32 = 128u;
const CHAINS: u32 = 8u;
const CHUNKS: u32 = 32u;
const LANES: u32 = CHAINS * CHUNKS;
const INFINITE: f32 = 1e30;

struct Size {
    batch: u32,
    frames: u32,
    first_group: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read_write> h: array<f32>;
@group(0) @binding(3) var<storage, read> state: array<f32>;     // h, read
@group(0) @binding(4) var<storage, read> dh: array<f32>;
@group(0) @binding(5) var<storage, read_write> da: array<f32>;
@group(0) @binding(6) var<storage, read_write> partial_sums: array<f32>;   // (batch, hidden): du of each sample
@group(0) @binding(7) var<storage, read_write> moments: array<vec4<f32>>;  // (batch, hidden): of each chain's states
@group(0) @binding(8) var<storage, read> norm: array<vec4<f32>>;           // mean, inv_std, scale, shift of each unit
@group(0) @binding(9) var<storage, read> corrections: array<vec2<f32>>;    // dbeta / n, dgamma / n
@group(0) @binding(10) var<storage, read_write> chain_sums: array<vec2<f32>>;   // (batch, hidden): du, and the sum of da

var<workgroup> maps: array<vec4<f32>, LANES>;     // of each chunk: q, r, lo, hi
var<workgroup> incoming: array<f32, LANES>;       // what each chunk starts from

/// Steps `begin .. end` of a chunk; none past the last chain, whose lanes only keep the barriers company.
fn steps(chunk: u32, i: u32) -> vec2<u32> {
    if (i >= size.batch * HIDDEN) {
        return vec2<u32>(0u);
    }
    let length = (size.frames + CHUNKS - 1u) / CHUNKS;
    return min(vec2<u32>(chunk * length, (chunk + 1u) * length), vec2<u32>(size.frames));
}

// The state that each lane's chunk starts from; all lanes call it together.
fn incoming_state(range: vec2<u32>, step: u32, i: u32, weight: f32, lane: u32) -> f32 {
    var q = 0.0;
    var r = 1.0;
    var ends = vec2<f32>(-INFINITE, INFINITE);
    for (var t = range.x; t < range.y; t += 1u) {
        let input = a[t * step + i];
        q = fma(weight, q, input);
        r *= weight;
        let moved = fma(vec2<f32>(weight), ends, vec2<f32>(input));
        ends = clamp(vec2<f32>(min(moved.x, moved.y), max(moved.x, moved.y)), vec2<f32>(0.0), vec2<f32>(INFINITE));
    }
    maps[lane] = vec4<f32>(q, r, ends);
    workgroupBarrier();
    if (lane < CHAINS) {
        var value = 0.0;
        for (var at = lane; at < LANES; at += CHAINS) {
            incoming[at] = value;
            let map = maps[at];
            value = min(map.w, max(map.z, fma(map.y, value, map.x)));
        }
    }
    workgroupBarrier();
    return incoming[lane];
}

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (size.first_group + group.y * groups.x + group.x) * CHAINS + lane % CHAINS;
    let step = size.batch * HIDDEN;
    let range = steps(lane / CHAINS, i);
    let weight = u[i % HIDDEN];
    var value = incoming_state(range, step, i, weight, lane);
    for (var t = range.x; t < range.y; t += 1u) {
        value = max(0.0, fma(weight, value, a[t * step + i]));
        h[t * step + i] = value;
    }
}

// Steps, their mean, and the sum of squared differences from it (Welford 1962).
fn with_value(moments: vec4<f32>, value: f32) -> vec4<f32> {
    let count = moments.x + 1.0;
    let apart = value - moments.y;
    let mean = moments.y + apart / count;
    return vec4<f32>(count, mean, fma(apart, value - mean, moments.z), 0.0);
}

// The moments of both (Chan et al. 1979).
fn together(first: vec4<f32>, second: vec4<f32>) -> vec4<f32> {
    let count = first.x + second.x;
    let apart = second.y - first.y;
    let share = second.x / max(1.0, count);
    return vec4<f32>(count, fma(apart, share, first.y), first.z + fma(apart * apart, first.x * share, second.z), 0.0);
}

// As `forward`; also leaves the moments of each chain's states.
@compute @workgroup_size(LANES)
fn forward_with_moments(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (size.first_group + group.y * groups.x + group.x) * CHAINS + lane % CHAINS;
    let step = size.batch * HIDDEN;
    let range = steps(lane / CHAINS, i);
    let weight = u[i % HIDDEN];
    var value = incoming_state(range, step, i, weight, lane);
    var so_far = vec4<f32>(0.0);
    for (var t = range.x; t < range.y; t += 1u) {
        value = max(0.0, fma(weight, value, a[t * step + i]));
        h[t * step + i] = value;
        so_far = with_value(so_far, value);
    }
    // Nobody reads `maps` any more: every lane is past the second barrier.
    maps[lane] = so_far;
    workgroupBarrier();
    if (lane < CHAINS && i < step) {
        var all = maps[lane];
        for (var at = lane + CHAINS; at < LANES; at += CHAINS) {
            all = together(all, maps[at]);
        }
        moments[i] = all;
    }
}

@compute @workgroup_size(LANES)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let chain = lane % CHAINS;
    let i = (size.first_group + group.y * groups.x + group.x) * CHAINS + chain;
    let step = size.batch * HIDDEN;
    let range = steps(lane / CHAINS, i);
    let weight = u[i % HIDDEN];

    var q = 0.0;
    var r = 1.0;
    for (var t = range.y; t > range.x; t -= 1u) {
        let at = (t - 1u) * step + i;
        let alive = state[at] > 0.0;
        // As the sequential kernel: where the state is 0, nothing passes, not even an infinity.
        q = select(0.0, weight * (dh[at] + q), alive);
        r = select(0.0, weight * r, alive);
    }
    maps[lane] = vec4<f32>(q, r, 0.0, 0.0);
    workgroupBarrier();
    if (lane < CHAINS) {
        var carried = 0.0;
        for (var back = CHUNKS; back > 0u; back -= 1u) {
            let at = (back - 1u) * CHAINS + lane;
            incoming[at] = carried;
            let map = maps[at];
            carried = fma(map.y, carried, map.x);
        }
    }
    workgroupBarrier();

    var carried = incoming[lane];
    var sum = 0.0;
    var value = 0.0;
    if (range.y > range.x) {
        value = state[(range.y - 1u) * step + i];
    }
    for (var t = range.y; t > range.x; t -= 1u) {
        let at = (t - 1u) * step + i;
        var before = 0.0;
        if (t > 1u) {
            before = state[at - step];
        }
        let d = select(0.0, dh[at] + carried, value > 0.0);
        da[at] = d;
        sum = fma(d, before, sum);
        carried = d * weight;
        value = before;
    }
    // Nobody reads `maps` any more: every lane is past the second barrier.
    maps[lane].x = sum;
    workgroupBarrier();
    if (lane < CHAINS && i < step) {
        var total = 0.0;
        for (var at = lane; at < LANES; at += CHAINS) {
            total += maps[at].x;
        }
        partial_sums[i] = total;
    }
}

// What a batch norm that reads the states leaves of the gradient at its output.
fn through_norm(dz: f32, value: f32, norm: vec4<f32>, correction: vec2<f32>) -> f32 {
    return norm.z * (dz - correction.x - (value - norm.x) * norm.y * correction.y);
}

// As `backward`, from the gradient `dh` at the output of a batch norm of the states; also leaves the sum of each chain's da.
@compute @workgroup_size(LANES)
fn backward_through_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (size.first_group + group.y * groups.x + group.x) * CHAINS + lane % CHAINS;
    let step = size.batch * HIDDEN;
    let range = steps(lane / CHAINS, i);
    let weight = u[i % HIDDEN];
    let unit_norm = norm[i % HIDDEN];
    let correction = corrections[i % HIDDEN];

    var q = 0.0;
    var r = 1.0;
    for (var t = range.y; t > range.x; t -= 1u) {
        let at = (t - 1u) * step + i;
        let value = state[at];
        q = select(0.0, weight * (through_norm(dh[at], value, unit_norm, correction) + q), value > 0.0);
        r = select(0.0, weight * r, value > 0.0);
    }
    maps[lane] = vec4<f32>(q, r, 0.0, 0.0);
    workgroupBarrier();
    if (lane < CHAINS) {
        var carried = 0.0;
        for (var back = CHUNKS; back > 0u; back -= 1u) {
            let at = (back - 1u) * CHAINS + lane;
            incoming[at] = carried;
            let map = maps[at];
            carried = fma(map.y, carried, map.x);
        }
    }
    workgroupBarrier();

    var carried = incoming[lane];
    var sums = vec2<f32>(0.0);
    var value = 0.0;
    if (range.y > range.x) {
        value = state[(range.y - 1u) * step + i];
    }
    for (var t = range.y; t > range.x; t -= 1u) {
        let at = (t - 1u) * step + i;
        var before = 0.0;
        if (t > 1u) {
            before = state[at - step];
        }
        let d = select(0.0, through_norm(dh[at], value, unit_norm, correction) + carried, value > 0.0);
        da[at] = d;
        sums = vec2<f32>(fma(d, before, sums.x), sums.y + d);
        carried = d * weight;
        value = before;
    }
    // Nobody reads `maps` any more: every lane is past the second barrier.
    maps[lane] = vec4<f32>(sums, 0.0, 0.0);
    workgroupBarrier();
    if (lane < CHAINS && i < step) {
        var total = vec2<f32>(0.0);
        for (var at = lane; at < LANES; at += CHAINS) {
            total += maps[at].xy;
        }
        chain_sums[i] = total;
    }
}
