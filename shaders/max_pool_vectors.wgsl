// max_pool.wgsl where channels come in fours: an invocation owns a vector of them. The winners' taps of a vector share a word,
// eight bits each, so a window has at most 255 taps.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const STRIDE_TIME: u32 = 1u;
const STRIDE_MEL: u32 = 1u;
const PAD_TIME: u32 = 1u;
const PAD_MEL: u32 = 1u;
const CHANNELS: u32 = 32u;
// Mel bands of x and of y.
const MEL: u32 = 128u;
const OUT_MEL: u32 = 128u;
const ADD_DX: bool = false;

const VECTORS: u32 = CHANNELS / 4u;
const NONE: vec4<u32> = vec4<u32>(255u);

// How four channels of a map are stored: as they are, or as halves (the host replaces these lines).
alias Stored = vec4<f32>;
fn unpacked(four: Stored) -> vec4<f32> { return four; }
fn packed(four: vec4<f32>) -> Stored { return four; }

struct Size {
    batch: u32,
    frames: u32,
    out_frames: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;
@group(0) @binding(2) var<storage, read_write> taps_out: array<u32>;
@group(0) @binding(3) var<storage, read> taps: array<u32>;
@group(0) @binding(4) var<storage, read> dy: array<Stored>;
@group(0) @binding(5) var<storage, read_write> dx: array<Stored>;

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.out_frames * OUT_MEL * VECTORS) {
        return;
    }
    let c = i % VECTORS;
    let m = i32(((i / VECTORS) % OUT_MEL) * STRIDE_MEL) - i32(PAD_MEL);
    let t = i32(((i / (VECTORS * OUT_MEL)) % size.out_frames) * STRIDE_TIME) - i32(PAD_TIME);
    let sample = i / (VECTORS * OUT_MEL * size.out_frames);
    var best = vec4<f32>(0.0);
    var winner = NONE;
    for (var j = 0u; j < KERNEL_TIME; j += 1u) {
        for (var k = 0u; k < KERNEL_MEL; k += 1u) {
            let tt = t + i32(j);
            let mm = m + i32(k);
            let inside = tt >= 0 && tt < i32(size.frames) && mm >= 0 && mm < i32(MEL);
            let near = vec2<u32>(vec2<i32>(clamp(tt, 0, i32(size.frames) - 1), clamp(mm, 0, i32(MEL) - 1)));
            let value = unpacked(x[((sample * size.frames + near.x) * MEL + near.y) * VECTORS + c]);
            let wins = vec4<bool>(inside) & ((winner == NONE) | (value > best));
            best = select(best, value, wins);
            winner = select(winner, vec4<u32>(j * KERNEL_MEL + k), wins);
        }
    }
    y[i] = packed(best);
    taps_out[i] = winner.x | winner.y << 8u | winner.z << 16u | winner.w << 24u;
}

@compute @workgroup_size(64)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.frames * MEL * VECTORS) {
        return;
    }
    let c = i % VECTORS;
    let m = i32((i / VECTORS) % MEL + PAD_MEL);
    let t = i32((i / (VECTORS * MEL)) % size.frames + PAD_TIME);
    let sample = i / (VECTORS * MEL * size.frames);
    var sum = vec4<f32>(0.0);
    for (var j = 0u; j < KERNEL_TIME; j += 1u) {
        for (var k = 0u; k < KERNEL_MEL; k += 1u) {
            let from_t = t - i32(j);
            let from_m = m - i32(k);
            let window_t = from_t / i32(STRIDE_TIME);
            let window_m = from_m / i32(STRIDE_MEL);
            let inside = from_t >= 0 && from_m >= 0 && from_t % i32(STRIDE_TIME) == 0 && from_m % i32(STRIDE_MEL) == 0 && window_t < i32(size.out_frames) && window_m < i32(OUT_MEL);
            let near = vec2<u32>(vec2<i32>(clamp(window_t, 0, i32(size.out_frames) - 1), clamp(window_m, 0, i32(OUT_MEL) - 1)));
            let place = ((sample * size.out_frames + near.x) * OUT_MEL + near.y) * VECTORS + c;
            let winners = vec4<u32>(taps[place]) >> vec4<u32>(0u, 8u, 16u, 24u) & NONE;
            let mine = vec4<bool>(inside) & (winners == vec4<u32>(j * KERNEL_MEL + k));
            sum += select(vec4<f32>(0.0), unpacked(dy[place]), mine);
        }
    }
    if (ADD_DX) {
        dx[i] = packed(unpacked(dx[i]) + sum);
    } else {
        dx[i] = packed(sum);
    }
}
