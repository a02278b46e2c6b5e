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

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let chain = lane % CHAINS;
    let i = (size.first_group + group.y * groups.x + group.x) * CHAINS + chain;
    let step = size.batch * HIDDEN;
    let range = steps(lane / CHAINS, i);
    let weight = u[i % HIDDEN];

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

    var value = incoming[lane];
    for (var t = range.x; t < range.y; t += 1u) {
        value = max(0.0, fma(weight, value, a[t * step + i]));
        h[t * step + i] = value;
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
