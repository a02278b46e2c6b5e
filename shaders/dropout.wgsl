// Dropout whose mask is shared over time (Gal & Ghahramani, arXiv 1512.05287): y = x * mask / (1 - p), and dx likewise.
//
//   mask[s, c] = 1 where the word of (seed, stream, sample, channel) is at least p 2^32, else 0
//
// The words are Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): the counter is
// (channel, sample, stream, 0), the key the seed. Nothing is stored: backward draws the same mask again.
//
// Layout (time, batch, channel). Decomposition: an invocation draws one mask and applies it to STEPS steps; neighbours
// have neighbouring channels.

const CHANNELS: u32 = 128u;
const STREAM: u32 = 0u;
const DROP_BELOW: u32 = 2147483648u;    // p 2^32
const SCALE: f32 = 2.0;                 // 1 / (1 - p)
const STEPS: u32 = 16u;

struct Size {
    batch: u32,
    frames: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<storage, read> seed: array<u32>;    // low word, high word

/// The upper and the lower word of a product.
fn wide_product(a: u32, b: u32) -> vec2<u32> {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let middle = ah * bl + ((al * bl) >> 16u);
    let other = al * bh + (middle & 0xffffu);
    return vec2<u32>(ah * bh + (middle >> 16u) + (other >> 16u), a * b);
}

fn philox(first: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    var counter = first;
    var key = seed;
    for (var round = 0u; round < 10u; round += 1u) {
        let even = wide_product(0xd2511f53u, counter.x);
        let odd = wide_product(0xcd9e8d57u, counter.z);
        counter = vec4<u32>(odd.x ^ counter.y ^ key.x, odd.y, even.x ^ counter.w ^ key.y, even.y);
        key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return counter;
}

/// What the elements of a chain (sample, channel) are multiplied by.
fn factor(chain: u32) -> f32 {
    let word = philox(vec4<u32>(chain % CHANNELS, chain / CHANNELS, STREAM, 0u), vec2<u32>(seed[0], seed[1])).x;
    return select(0.0, SCALE, word >= DROP_BELOW);
}

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let chains = size.batch * CHANNELS;
    let begin = i / chains * STEPS;
    let scale = factor(i % chains);
    for (var t = begin; t < min(begin + STEPS, size.frames); t += 1u) {
        let at = t * chains + i % chains;
        y[at] = x[at] * scale;
    }
}

@compute @workgroup_size(64)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let chains = size.batch * CHANNELS;
    let begin = i / chains * STEPS;
    let scale = factor(i % chains);
    for (var t = begin; t < min(begin + STEPS, size.frames); t += 1u) {
        let at = t * chains + i % chains;
        dx[at] = dy[at] * scale;
    }
}
