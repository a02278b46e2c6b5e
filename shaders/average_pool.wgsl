// Average pooling per channel over windows of KERNEL_TIME x KERNEL_MEL at equal stride; what does not fill a window is
// left out.
//
//   y[s, t, m, c] = mean over (j, k) of x[s, t * KERNEL_TIME + j, m * KERNEL_MEL + k, c];  dx = dy / (KERNEL_TIME * KERNEL_MEL)

const KERNEL_TIME: u32 = 2u;
const KERNEL_MEL: u32 = 2u;
const CHANNELS: u32 = 32u;
const MEL: u32 = 128u;
const OUT_MEL: u32 = 64u;

// How numbers of a map are stored: as they are, or as halves, two to a word (the host replaces these lines).
alias Word = f32;
const PER_WORD: u32 = 1u;
fn number(word: Word, place: u32) -> f32 { return word; }
fn word(low: f32, high: f32) -> Word { return low; }
fn kept(value: f32) -> f32 { return value; }

struct Size {
    batch: u32,
    frames: u32,
    out_frames: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<Word>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<Word>;

const AREA: f32 = f32(KERNEL_TIME * KERNEL_MEL);

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.out_frames * OUT_MEL * CHANNELS) {
        return;
    }
    let c = i % CHANNELS;
    let m = ((i / CHANNELS) % OUT_MEL) * KERNEL_MEL;
    let t = ((i / (CHANNELS * OUT_MEL)) % size.out_frames) * KERNEL_TIME;
    let sample = i / (CHANNELS * OUT_MEL * size.out_frames);
    var sum = 0.0;
    for (var j = 0u; j < KERNEL_TIME; j += 1u) {
        for (var k = 0u; k < KERNEL_MEL; k += 1u) {
            let place = ((sample * size.frames + t + j) * MEL + m + k) * CHANNELS + c;
            sum += number(x[place / PER_WORD], place);
        }
    }
    y[i] = sum / AREA;
}

// The gradient of element i of x.
fn gradient(i: u32) -> f32 {
    let c = i % CHANNELS;
    let m = ((i / CHANNELS) % MEL) / KERNEL_MEL;
    let t = ((i / (CHANNELS * MEL)) % size.frames) / KERNEL_TIME;
    let sample = i / (CHANNELS * MEL * size.frames);
    if (m < OUT_MEL && t < size.out_frames) {
        return kept(dy[((sample * size.out_frames + t) * OUT_MEL + m) * CHANNELS + c] / AREA);
    }
    return 0.0;
}

// An invocation has a word of dx.
@compute @workgroup_size(64)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = ((group.y * groups.x + group.x) * 64u + lane) * PER_WORD;
    if (i < size.batch * size.frames * MEL * CHANNELS) {
        dx[i / PER_WORD] = word(gradient(i), gradient(i + PER_WORD - 1u));
    }
}
