// `correct` of `batch_norm.wgsl` for channels that come in eights, on adapters with integers of 64 bits: the same bindings, groups
// and results. Software adapters load and store lane after lane, and every component of a vector costs a check and a jump: a
// component of 64 bits brings two channels for that.

const CHANNELS: u32 = 32u;
// Channels of a workgroup, a multiple of 8.
const LANES: u32 = 32u;
const BLOCK: u32 = 64u;
// A row of x has X_STRIDE channels, of which X_FIRST .. are these; likewise dx.
const X_STRIDE: u32 = 32u;
const X_FIRST: u32 = 0u;
const DX_STRIDE: u32 = 32u;
const DX_FIRST: u32 = 0u;
// Where these channels begin in moments and corrections.
const STATISTICS_FIRST: u32 = 0u;

// What maps hold: numbers as they are, or rounded (the host replaces such lines).
fn kept(four: vec4<f32>) -> vec4<f32> { return four; }

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

// Eight channels: channel 2 i in the lower half of component i, channel 2 i + 1 in the upper.
alias Eight = vec4<u64>;

@group(0) @binding(0) var<storage, read> x: array<Eight>;
@group(0) @binding(5) var<storage, read> moments: array<vec4<f32>>;         // mean, inv_std of two channels
@group(0) @binding(14) var<storage, read_write> dx: array<Eight>;
@group(0) @binding(18) var<storage, read> corrections: array<vec4<f32>>;    // of two channels

// Channels 0, 2, 4 and 6 of eight, and 1, 3, 5 and 7.
fn even(eight: Eight) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(eight));
}

fn odd(eight: Eight) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(eight >> vec4<u32>(32u)));
}

fn together(even: vec4<f32>, odd: vec4<f32>) -> Eight {
    return vec4<u64>(bitcast<vec4<u32>>(even)) | vec4<u64>(bitcast<vec4<u32>>(odd)) << vec4<u32>(32u);
}

// A workgroup has LANES / 8 vectors of BLOCK rows, the rest of its 8 invocations further rows.
const VECTORS: u32 = LANES / 8u;

// Completes dx. Groups: x, y = blocks of BLOCK rows, z = tiles of LANES channels.
@compute @workgroup_size(8)
fn correct(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.z * LANES + lane % VECTORS * 8u;
    if (channel >= CHANNELS || lane / VECTORS >= 8u / VECTORS) {
        return;
    }
    let place = (STATISTICS_FIRST + channel) / 2u;
    // A row of these is (mean, inv_std) of an even channel, then of the odd one.
    let batch = transpose(mat4x4<f32>(moments[place], moments[place + 1u], moments[place + 2u], moments[place + 3u]));
    let c = transpose(mat4x4<f32>(corrections[place], corrections[place + 1u], corrections[place + 2u], corrections[place + 3u]));
    let even_factor = batch[1] * c[1];
    let odd_factor = batch[3] * c[3];
    let first = (group.y * groups.x + group.x) * BLOCK;
    for (var row = first + lane / VECTORS; row < min(size.rows, first + BLOCK); row += 8u / VECTORS) {
        let input = x[(row * X_STRIDE + X_FIRST + channel) / 8u];
        let at = (row * DX_STRIDE + DX_FIRST + channel) / 8u;
        let held = dx[at];
        let evens = kept(even(held) - fma(even(input) - batch[0], even_factor, c[0]));
        dx[at] = together(evens, kept(odd(held) - fma(odd(input) - batch[2], odd_factor, c[2])));
    }
}
