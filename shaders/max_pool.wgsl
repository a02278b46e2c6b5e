// Max pooling per channel over windows of KERNEL_TIME x KERNEL_MEL, with stride and zero-area padding (padding never wins).
//
//   y[s, t, m, c] = max over (j, k) of x[s, t * STRIDE_TIME + j - PAD_TIME, m * STRIDE_MEL + k - PAD_MEL, c]
//   dx gets dy at the first maximum of each window in (j, k) order, as in PyTorch.
//
// `taps` keeps the winning j * KERNEL_MEL + k, so that backward reads no values. Backward gathers: an invocation owns
// one input element and looks at the windows that contain it, in order.

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

// What maps hold: numbers as they are, or rounded (the host replaces such lines).
fn kept(value: f32) -> f32 { return value; }

struct Size {
    batch: u32,
    frames: u32,
    out_frames: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> taps_out: array<u32>;
@group(0) @binding(3) var<storage, read> taps: array<u32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.out_frames * OUT_MEL * CHANNELS) {
        return;
    }
    let c = i % CHANNELS;
    let m = i32(((i / CHANNELS) % OUT_MEL) * STRIDE_MEL) - i32(PAD_MEL);
    let t = i32(((i / (CHANNELS * OUT_MEL)) % size.out_frames) * STRIDE_TIME) - i32(PAD_TIME);
    let sample = i / (CHANNELS * OUT_MEL * size.out_frames);
    var best = 0.0;
    var winner = 0xffffffffu;
    for (var j = 0u; j < KERNEL_TIME; j += 1u) {
        for (var k = 0u; k < KERNEL_MEL; k += 1u) {
            let tt = t + i32(j);
            let mm = m + i32(k);
            if (tt >= 0 && tt < i32(size.frames) && mm >= 0 && mm < i32(MEL)) {
                let value = x[((sample * size.frames + u32(tt)) * MEL + u32(mm)) * CHANNELS + c];
                if (winner == 0xffffffffu || value > best) {
                    best = value;
                    winner = j * KERNEL_MEL + k;
                }
            }
        }
    }
    y[i] = best;
    taps_out[i] = winner;
}

@compute @workgroup_size(64)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.frames * MEL * CHANNELS) {
        return;
    }
    let c = i % CHANNELS;
    let m = i32((i / CHANNELS) % MEL + PAD_MEL);
    let t = i32((i / (CHANNELS * MEL)) % size.frames + PAD_TIME);
    let sample = i / (CHANNELS * MEL * size.frames);
    var sum = 0.0;
    for (var j = 0u; j < KERNEL_TIME; j += 1u) {
        for (var k = 0u; k < KERNEL_MEL; k += 1u) {
            let from_t = t - i32(j);
            let from_m = m - i32(k);
            let window_t = from_t / i32(STRIDE_TIME);
            let window_m = from_m / i32(STRIDE_MEL);
            if (from_t >= 0 && from_m >= 0 && from_t % i32(STRIDE_TIME) == 0 && from_m % i32(STRIDE_MEL) == 0 && window_t < i32(size.out_frames) && window_m < i32(OUT_MEL)) {
                let place = ((sample * size.out_frames + u32(window_t)) * OUT_MEL + u32(window_m)) * CHANNELS + c;
                if (taps[place] == j * KERNEL_MEL + k) {
                    sum += dy[place];
                }
            }
        }
    }
    if (ADD_DX) {
        dx[i] = kept(dx[i] + sum);
    } else {
        dx[i] = kept(sum);
    }
}
