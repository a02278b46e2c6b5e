// `correct` of `batch_norm.wgsl` where channels come in fours: the same groups and results. An invocation owns a vector of channels.

const CHANNELS: u32 = 32u;
// Channels of a workgroup, a multiple of 4.
const LANES: u32 = 32u;
const BLOCK: u32 = 64u;
// A row of x has X_STRIDE channels, of which X_FIRST .. are these; likewise dx.
const X_STRIDE: u32 = 32u;
const X_FIRST: u32 = 0u;
const DX_STRIDE: u32 = 32u;
const DX_FIRST: u32 = 0u;
// Where these channels begin in moments and corrections.
const STATISTICS_FIRST: u32 = 0u;

// How four channels of a map are stored: as they are, or as halves (the host replaces these lines).
alias Stored = vec4<f32>;
fn unpacked(four: Stored) -> vec4<f32> { return four; }
fn packed(four: vec4<f32>) -> Stored { return four; }

struct Size {
    // Rows of this dispatch, and of the whole batch.
    rows: u32,
    all_rows: u32,
    first_chunk: u32,
    chunks: u32,
    momentum: f32,
    pivot_rows: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(5) var<storage, read> moments: array<vec2<f32>>;         // mean, inv_std
@group(0) @binding(14) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(18) var<storage, read> corrections: array<vec2<f32>>;

// A workgroup has VECTORS vectors of as many rows at once as that leaves invocations for.
const VECTORS: u32 = LANES / 4u;

// Completes dx. Groups: x, y = blocks of BLOCK rows, z = tiles of LANES channels.
@compute @workgroup_size(64)
fn correct(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.z * LANES + lane % VECTORS * 4u;
    if (channel >= CHANNELS) {
        return;
    }
    var mean: vec4<f32>;
    var factor: vec4<f32>;
    var offset: vec4<f32>;
    for (var e = 0u; e < 4u; e += 1u) {
        let batch = moments[STATISTICS_FIRST + channel + e];
        let c = corrections[STATISTICS_FIRST + channel + e];
        mean[e] = batch.x;
        factor[e] = batch.y * c.y;
        offset[e] = c.x;
    }
    let first = (group.y * groups.x + group.x) * BLOCK;
    for (var row = first + lane / VECTORS; row < min(size.rows, first + BLOCK); row += 64u / VECTORS) {
        let input = unpacked(x[(row * X_STRIDE + X_FIRST + channel) / 4u]);
        let place = (row * DX_STRIDE + DX_FIRST + channel) / 4u;
        dx[place] = packed(unpacked(dx[place]) - fma(input - mean, factor, offset));
    }
}
