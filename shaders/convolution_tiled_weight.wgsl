// The gradients of weight and bias of convolution.wgsl for hardware: the same sums, bindings and immediates, with channels in
// fours as in convolution_tiled.wgsl. The bias comes along: a split's partial sums are those of the weight, (tap, input,
// output), then those of the bias.
//
// Decomposition: a workgroup owns ROWS rows (tap, input) x COLUMNS outputs of one split of the pixels and walks its pixels
// STEP at a time; an invocation keeps 8 rows x 4 WIDE columns in registers. Both operands lie in storage as they are needed in
// workgroup memory, a pixel's channels side by side. Loads and buffers as in convolution_tiled.wgsl. The workgroups of the
// first rows also sum up the gradient itself, each invocation a share of the pixels.
//
// Groups: x = tiles of rows, y = splits, z = tiles of columns.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
const ROWS: u32 = 64u;
const COLUMNS: u32 = 32u;
const WIDE: u32 = 1u;

const STEP: u32 = 16u;
const TAPS: u32 = KERNEL_TIME * KERNEL_MEL;
const ACROSS: u32 = COLUMNS / (4u * WIDE);
const ALONG: u32 = ROWS / 8u;
const THREADS: u32 = ALONG * ACROSS;
// Vectors of a pixel, and those that an invocation brings to workgroup memory in a step, of both operands.
const LEFT_PITCH: u32 = ROWS / 4u;
const RIGHT_PITCH: u32 = COLUMNS / 4u;
const LEFT_SIZE: u32 = STEP * LEFT_PITCH;
const RIGHT_SIZE: u32 = STEP * RIGHT_PITCH;
const LEFT: u32 = (LEFT_SIZE + THREADS - 1u) / THREADS;
const RIGHT: u32 = (RIGHT_SIZE + THREADS - 1u) / THREADS;
const OUTSIDE: u32 = 0xffffffffu;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// An operand of a product, and what the gradient of the bias sums up: as it is, or rounded to f16 (the host replaces such lines).
fn operand(value: vec4<f32>) -> vec4<f32> { return value; }

// How four channels of a map are stored: as they are, or as halves (the host replaces these lines).
alias Stored = vec4<f32>;
fn unpacked(four: Stored) -> vec4<f32> { return four; }
// An operand that a map holds.
fn held_operand(four: Stored) -> vec4<f32> { return operand(unpacked(four)); }

struct Size {
    batch: u32,
    frames: u32,
    // The first split of this dispatch, and how many pixels a split has.
    first_split: u32,
    split_rows: u32,
    // A row of x has x_stride channels, of which x_first .. x_first + INPUTS are read; likewise y with dy.
    x_stride: u32,
    x_first: u32,
    dx_stride: u32,
    dx_first: u32,
    y_stride: u32,
    y_first: u32,
    // Scale and shift have weight_inputs inputs, of which weight_first .. weight_first + INPUTS are these.
    weight_inputs: u32,
    weight_first: u32,
    add_y: u32,
    add_dx: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(3) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> dy: array<Stored>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<vec4<f32>>;

// [buffer][pixel][row] and [buffer][pixel][column], in vectors.
var<workgroup> left: array<vec4<f32>, 2u * LEFT_SIZE>;
var<workgroup> right: array<vec4<f32>, 2u * RIGHT_SIZE>;

fn load_activations(values: ptr<function, array<vec4<f32>, LEFT>>, first_pixel: u32, end: u32, first_row: u32, lane: u32) {
    for (var j = 0u; j < LEFT; j += 1u) {
        let i = lane + j * THREADS;
        let weight_row = min(first_row + (i % LEFT_PITCH) * 4u, TAPS * INPUTS - 4u);
        let pixel = first_pixel + i / LEFT_PITCH;
        let channel = weight_row % INPUTS;
        let tap = weight_row / INPUTS;
        var row = pixel;
        var inside = pixel < end;
        if (TAPS > 1u) {
            let time = i32(tap / KERNEL_MEL) - i32(KERNEL_TIME / 2u);
            let mel = i32(tap % KERNEL_MEL) - i32(KERNEL_MEL / 2u);
            let t = i32((pixel / MEL) % size.frames) + time;
            let m = i32(pixel % MEL) + mel;
            inside = inside && t >= 0 && t < i32(size.frames) && m >= 0 && m < i32(MEL);
            row = u32(i32(pixel) + time * i32(MEL) + mel);
        }
        var value = unpacked(x[(select(0u, row, inside) * size.x_stride + size.x_first + channel) / 4u]);
        if (FOLD) {
            let place = (size.weight_first + channel) / 4u;
            value = max(NOTHING, fma(value, scale[place], shift[place]));
        }
        (*values)[j] = select(NOTHING, value, inside);
    }
}

fn load_gradients(values: ptr<function, array<Stored, RIGHT>>, first_pixel: u32, end: u32, first_column: u32, lane: u32) {
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        let pixel = first_pixel + i / RIGHT_PITCH;
        let column = first_column + (i % RIGHT_PITCH) * 4u;
        let inside = pixel < end && column < OUTPUTS;
        let value = dy[(select(0u, pixel, pixel < end) * size.y_stride + size.y_first + min(column, OUTPUTS - 4u)) / 4u];
        (*values)[j] = select(Stored(), value, inside);
    }
}

fn keep(buffer: u32, lane: u32, values: ptr<function, array<vec4<f32>, LEFT>>, gradients: ptr<function, array<Stored, RIGHT>>) {
    for (var j = 0u; j < LEFT; j += 1u) {
        if (lane + j * THREADS < LEFT_SIZE) {
            left[buffer * LEFT_SIZE + lane + j * THREADS] = operand((*values)[j]);
        }
    }
    for (var j = 0u; j < RIGHT; j += 1u) {
        if (lane + j * THREADS < RIGHT_SIZE) {
            right[buffer * RIGHT_SIZE + lane + j * THREADS] = held_operand((*gradients)[j]);
        }
    }
}

fn multiply(results: ptr<function, array<vec4<f32>, 8u * WIDE>>, buffer: u32, along: u32, across: u32) {
    for (var k = 0u; k < STEP; k += 1u) {
        let low = left[buffer * LEFT_SIZE + k * LEFT_PITCH + along * 2u];
        let high = left[buffer * LEFT_SIZE + k * LEFT_PITCH + along * 2u + 1u];
        for (var w = 0u; w < WIDE; w += 1u) {
            let columns = right[buffer * RIGHT_SIZE + k * RIGHT_PITCH + w * ACROSS + across];
            for (var r = 0u; r < 4u; r += 1u) {
                (*results)[w * 8u + r] = fma(vec4<f32>(low[r]), columns, (*results)[w * 8u + r]);
                (*results)[w * 8u + 4u + r] = fma(vec4<f32>(high[r]), columns, (*results)[w * 8u + 4u + r]);
            }
        }
    }
}

@compute @workgroup_size(THREADS)
fn backward_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let first_row = group.x * ROWS;
    let first_column = group.z * COLUMNS;
    let along = lane / ACROSS;
    let across = lane % ACROSS;
    let begin = group.y * size.split_rows;
    let end = min(rows, begin + size.split_rows);
    var values: array<vec4<f32>, LEFT>;
    var gradients: array<Stored, RIGHT>;
    var results: array<vec4<f32>, 8u * WIDE>;
    var sums: array<vec4<f32>, WIDE>;
    var buffer = 0u;
    load_activations(&values, begin, end, first_row, lane);
    load_gradients(&gradients, begin, end, first_column, lane);
    for (var pixel = begin; pixel < end; pixel += STEP) {
        keep(buffer, lane, &values, &gradients);
        workgroupBarrier();
        if (pixel + STEP < end) {
            load_activations(&values, pixel + STEP, end, first_row, lane);
            load_gradients(&gradients, pixel + STEP, end, first_column, lane);
        }
        multiply(&results, buffer, along, across);
        if (group.x == 0u) {
            for (var k = along; k < STEP; k += ALONG) {
                for (var w = 0u; w < WIDE; w += 1u) {
                    sums[w] += right[buffer * RIGHT_SIZE + k * RIGHT_PITCH + w * ACROSS + across];
                }
            }
        }
        buffer = 1u - buffer;
    }
    let first_sum = (size.first_split + group.y) * (TAPS * INPUTS + 1u) * OUTPUTS;
    for (var w = 0u; w < WIDE; w += 1u) {
        let column = first_column + (w * ACROSS + across) * 4u;
        for (var r = 0u; r < 8u; r += 1u) {
            let row = first_row + along * 8u + r;
            if (row < TAPS * INPUTS && column < OUTPUTS) {
                partial_sums[(first_sum + row * OUTPUTS + column) / 4u] = results[w * 8u + r];
            }
        }
    }
    if (group.x > 0u) {
        return;
    }
    // The shares of the bias, added in order.
    for (var w = 0u; w < WIDE; w += 1u) {
        workgroupBarrier();
        if (along < STEP) {
            right[along * ACROSS + across] = sums[w];
        }
        workgroupBarrier();
        let column = first_column + (w * ACROSS + across) * 4u;
        if (along == 0u && column < OUTPUTS) {
            var total = NOTHING;
            for (var share = 0u; share < min(STEP, ALONG); share += 1u) {
                total += right[share * ACROSS + across];
            }
            partial_sums[(first_sum + TAPS * INPUTS * OUTPUTS + column) / 4u] = total;
        }
    }
}
