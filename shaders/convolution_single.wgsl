// Forward of convolution.wgsl for images of one channel, the same bindings and immediates: its inner dimension are the taps alone.
//
// Decomposition: an invocation owns one output of PIXELS neighbours along mel and keeps its weights; neighbours own neighbouring
// outputs, so that an image's value is read once for all of them and memory is written in a row.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 1u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
// Operands are rounded to f16.
const ROUND: bool = false;

const PIXELS: u32 = 8u;
// Groups of pixels of a frame.
const ROW_GROUPS: u32 = (MEL + PIXELS - 1u) / PIXELS;
const NEAR: u32 = PIXELS + KERNEL_MEL - 1u;

struct Size {
    batch: u32,
    frames: u32,
    first_split: u32,
    split_rows: u32,
    x_stride: u32,
    x_first: u32,
    dx_stride: u32,
    dx_first: u32,
    y_stride: u32,
    y_first: u32,
    weight_inputs: u32,
    weight_first: u32,
    add_y: u32,
    add_dx: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

// An operand of a product: where that is asked for, rounded to the nearest number of f16, ties to even. By its bits: drivers
// take a conversion there and back for nothing.
fn operand(value: f32) -> f32 {
    if (!ROUND) {
        return value;
    }
    let bits = bitcast<u32>(value);
    let magnitude = bits & u32(0x7fffffffu);
    let normal = (magnitude + u32(0xfffu) + (magnitude >> u32(13u) & u32(1u))) & u32(0xffffe000u);
    let small = bitcast<u32>(round(abs(value) * 16777216.0) / 16777216.0);
    var rounded = select(normal, small, magnitude < u32(0x38800000u));
    rounded = select(rounded, u32(0x7f800000u), rounded >= u32(0x47800000u));
    // What is no number stays none.
    rounded = select(rounded, magnitude, magnitude > u32(0x7f800000u));
    return bitcast<f32>(rounded | bits & u32(0x80000000u));
}

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let output = i % OUTPUTS;
    let first_mel = ((i / OUTPUTS) % ROW_GROUPS) * PIXELS;
    let frame = i / (OUTPUTS * ROW_GROUPS);
    if (frame >= size.batch * size.frames) {
        return;
    }
    let time = i32(frame % size.frames);
    var results: array<f32, PIXELS>;
    for (var j = 0u; j < KERNEL_TIME; j += 1u) {
        let t = time + i32(j) - i32(KERNEL_TIME / 2u);
        var near: array<f32, NEAR>;
        for (var n = 0u; n < NEAR; n += 1u) {
            let m = i32(first_mel + n) - i32(KERNEL_MEL / 2u);
            let inside = t >= 0 && t < i32(size.frames) && m >= 0 && m < i32(MEL);
            let row = u32(i32(frame) + t - time) * MEL + u32(m);
            var value = x[select(0u, row, inside) * size.x_stride + size.x_first];
            if (FOLD) {
                value = max(0.0, fma(value, scale[size.weight_first], shift[size.weight_first]));
            }
            near[n] = operand(select(0.0, value, inside));
        }
        for (var k = 0u; k < KERNEL_MEL; k += 1u) {
            let factor = operand(weight[((j * KERNEL_MEL + k) * size.weight_inputs + size.weight_first) * OUTPUTS + output]);
            for (var p = 0u; p < PIXELS; p += 1u) {
                results[p] = fma(near[p + k], factor, results[p]);
            }
        }
    }
    for (var p = 0u; p < PIXELS; p += 1u) {
        if (first_mel + p < MEL) {
            let place = (frame * MEL + first_mel + p) * size.y_stride + size.y_first + output;
            if (size.add_y != 0u) {
                y[place] += results[p];
            } else {
                y[place] = bias[output] + results[p];
            }
        }
    }
}
