// The gradients of weight and bias of convolution.wgsl on matrix units: the same sums, bindings and immediates, operands as in
// convolution_matrix.wgsl. The bias comes along: a split's partial sums are those of the weight, (tap, input, output), then
// those of the bias, which adds the gradient as the product takes it.
//
// Decomposition: a workgroup owns ROWS inputs of a group of taps x COLUMNS outputs of one split of the pixels and walks its
// pixels STEP at a time; a subgroup owns DOWN x WIDE matrices of one tap. Where steps lie within lines of mel, a group has all
// taps along mel (TOGETHER of them): pixels and their neighbours are brought to workgroup memory once, and taps are windows of
// them. Both operands lie in storage as they are needed, a pixel's channels side by side. Loads, buffers and the way out as in
// convolution_matrix.wgsl. The workgroups of the first rows also sum up the gradient, each invocation what it brings.
//
// Groups: x = groups of taps with tiles of inputs, y = splits, z = tiles of columns.

enable f16;
enable wgpu_cooperative_matrix;

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
const ROWS: u32 = 32u;
const COLUMNS: u32 = 32u;
const STEP: u32 = 32u;
const DOWN: u32 = 2u;
const WIDE: u32 = 2u;
// KERNEL_MEL where STEP divides MEL, or else 1.
const TOGETHER: u32 = 3u;

const SIDE: u32 = 16u;
const TAPS: u32 = KERNEL_TIME * KERNEL_MEL;
const GROUPS: u32 = KERNEL_MEL / TOGETHER;
const HALO: u32 = TOGETHER / 2u;
// Subgroups side by side, of a tap, and of the workgroup.
const ACROSS: u32 = COLUMNS / (SIDE * WIDE);
const OF_TAP: u32 = ROWS / (SIDE * DOWN) * ACROSS;
const SUBGROUPS: u32 = TOGETHER * OF_TAP;
const THREADS: u32 = 32u * SUBGROUPS;
const TILES: u32 = (INPUTS + ROWS - 1u) / ROWS;
// Vectors of a pixel in each operand, with the padding; of each operand; and those that an invocation brings in a step.
const INNER: u32 = ROWS / 4u;
const OUTER: u32 = COLUMNS / 4u;
const LEFT_PITCH: u32 = INNER + 2u;
const RIGHT_PITCH: u32 = OUTER + 2u;
const LEFT_SIZE: u32 = (STEP + 2u * HALO) * LEFT_PITCH;
const RIGHT_SIZE: u32 = STEP * RIGHT_PITCH;
const LEFT_VECTORS: u32 = (STEP + 2u * HALO) * INNER;
const RIGHT_VECTORS: u32 = STEP * OUTER;
const LEFT: u32 = (LEFT_VECTORS + THREADS - 1u) / THREADS;
const RIGHT: u32 = (RIGHT_VECTORS + THREADS - 1u) / THREADS;
const RESULT_PITCH: u32 = 4u * WIDE + 2u;
const RESULT_SIZE: u32 = SIDE * RESULT_PITCH;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// How four channels of a map are stored: as they are, or as halves (the host replaces these lines).
alias Stored = vec4<f32>;
fn unpacked(four: Stored) -> vec4<f32> { return four; }

struct Size {
    batch: u32,
    frames: u32,
    // The first split of this dispatch, and how many pixels a split has: a multiple of STEP.
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

// [buffer][pixel][input] and [buffer][pixel][output]
var<workgroup> left: array<vec4<f16>, 2u * LEFT_SIZE>;
var<workgroup> right: array<vec4<f16>, 2u * RIGHT_SIZE>;
// [subgroup][row][column]
var<workgroup> results: array<vec4<f32>, SUBGROUPS * RESULT_SIZE>;

// What an invocation brings of an operand, and a bit for each vector that counts.
struct Activations {
    values: array<Stored, LEFT>,
    inside: u32,
}

struct Gradients {
    values: array<Stored, RIGHT>,
    inside: u32,
}

// Pixels first_pixel - HALO .., displaced by the group of taps.
fn load_activations(to: ptr<function, Activations>, first_pixel: u32, end: u32, taps: u32, channel: u32, lane: u32) {
    let time = i32(taps / GROUPS) - i32(KERNEL_TIME / 2u);
    let mel = i32(taps % GROUPS) - i32(GROUPS / 2u) - i32(HALO);
    var inside = 0u;
    for (var j = 0u; j < LEFT; j += 1u) {
        let pixel = first_pixel + lane / INNER + j * (THREADS / INNER);
        var row = i32(pixel);
        var known = pixel < end;
        if (TAPS > 1u) {
            // All pixels of a line are of one frame.
            let anchor = select(pixel, first_pixel, TOGETHER > 1u);
            let t = i32((anchor / MEL) % size.frames) + time;
            let m = i32(anchor % MEL + pixel - anchor) + mel;
            known = anchor < end && t >= 0 && t < i32(size.frames) && m >= 0 && m < i32(MEL);
            row += time * i32(MEL) + mel;
        }
        let place = u32(select(0, row, known)) * size.x_stride + size.x_first + min(channel, INPUTS - 4u);
        (*to).values[j] = x[place / 4u];
        inside |= select(0u, 1u << j, known && channel < INPUTS);
    }
    (*to).inside = inside;
}

fn load_gradients(to: ptr<function, Gradients>, first_pixel: u32, end: u32, column: u32, lane: u32) {
    var inside = 0u;
    for (var j = 0u; j < RIGHT; j += 1u) {
        let pixel = first_pixel + lane / OUTER + j * (THREADS / OUTER);
        let known = pixel < end && lane + j * THREADS < RIGHT_VECTORS;
        let place = select(0u, pixel, known) * size.y_stride + size.y_first + min(column, OUTPUTS - 4u);
        (*to).values[j] = dy[place / 4u];
        inside |= select(0u, 1u << j, known && column < OUTPUTS);
    }
    (*to).inside = inside;
}

fn keep_left(buffer: u32, lane: u32, brought: ptr<function, Activations>, factor: vec4<f32>, offset: vec4<f32>) {
    for (var j = 0u; j < LEFT; j += 1u) {
        let i = lane + j * THREADS;
        var value = unpacked((*brought).values[j]);
        if (FOLD) {
            value = max(NOTHING, fma(value, factor, offset));
        }
        value = select(NOTHING, value, (((*brought).inside >> j) & 1u) == 1u);
        if (i < LEFT_VECTORS) {
            left[buffer * LEFT_SIZE + i / INNER * LEFT_PITCH + i % INNER] = vec4<f16>(value);
        }
    }
}

// As it is multiplied.
fn widened(halves: vec4<f16>) -> vec4<f32> {
    return vec4<f32>(halves);
}

// Returns their sum.
fn keep_right(buffer: u32, lane: u32, brought: ptr<function, Gradients>) -> vec4<f32> {
    var sum = NOTHING;
    for (var j = 0u; j < RIGHT; j += 1u) {
        let i = lane + j * THREADS;
        let value = vec4<f16>(select(NOTHING, unpacked((*brought).values[j]), (((*brought).inside >> j) & 1u) == 1u));
        if (i < RIGHT_VECTORS) {
            right[buffer * RIGHT_SIZE + i / OUTER * RIGHT_PITCH + i % OUTER] = value;
        }
        sum += widened(value);
    }
    return sum;
}

@compute @workgroup_size(THREADS)
fn backward_weight(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) member: u32,
) {
    let rows = size.batch * size.frames * MEL;
    let taps = group.x / TILES;
    let first_input = group.x % TILES * ROWS;
    let first_column = group.z * COLUMNS;
    let tap = subgroup / OF_TAP;
    let along = subgroup % OF_TAP / ACROSS;
    let across = subgroup % ACROSS;
    let begin = group.y * size.split_rows;
    let end = min(rows, begin + size.split_rows);
    // What an invocation brings is always of these four inputs, and of these outputs.
    let channel = first_input + lane % INNER * 4u;
    let gradient = first_column + lane % OUTER * 4u;
    var factor = NOTHING;
    var offset = NOTHING;
    if (FOLD) {
        factor = scale[(size.weight_first + min(channel, INPUTS - 4u)) / 4u];
        offset = shift[(size.weight_first + min(channel, INPUTS - 4u)) / 4u];
    }
    var activations: Activations;
    var gradients: Gradients;
    var columns: array<coop_mat16x16<f16, B>, WIDE>;
    var sums: array<coop_mat16x16<f32, C>, DOWN * WIDE>;
    var sum = NOTHING;
    var buffer = 0u;
    load_activations(&activations, begin, end, taps, channel, lane);
    load_gradients(&gradients, begin, end, gradient, lane);
    for (var pixel = begin; pixel < end; pixel += STEP) {
        keep_left(buffer, lane, &activations, factor, offset);
        sum += keep_right(buffer, lane, &gradients);
        workgroupBarrier();
        if (pixel + STEP < end) {
            load_activations(&activations, pixel + STEP, end, taps, channel, lane);
            load_gradients(&gradients, pixel + STEP, end, gradient, lane);
        }
        for (var k = 0u; k < STEP; k += SIDE) {
            for (var w = 0u; w < WIDE; w += 1u) {
                let place = buffer * RIGHT_SIZE + k * RIGHT_PITCH + (across * WIDE + w) * 4u;
                columns[w] = coopLoadT<coop_mat16x16<f16, B>>(&right[place], RIGHT_PITCH);
            }
            for (var d = 0u; d < DOWN; d += 1u) {
                // Inputs are rows of the product, and side by side in a pixel.
                let place = buffer * LEFT_SIZE + (k + tap) * LEFT_PITCH + (along * DOWN + d) * 4u;
                let inputs = coopLoad<coop_mat16x16<f16, A>>(&left[place], LEFT_PITCH);
                for (var w = 0u; w < WIDE; w += 1u) {
                    sums[d * WIDE + w] = coopMultiplyAdd(inputs, columns[w], sums[d * WIDE + w]);
                }
            }
        }
        buffer = 1u - buffer;
    }
    let first_sum = (size.first_split + group.y) * (TAPS * INPUTS + 1u) * OUTPUTS;
    for (var d = 0u; d < DOWN; d += 1u) {
        workgroupBarrier();
        for (var w = 0u; w < WIDE; w += 1u) {
            coopStoreT(sums[d * WIDE + w], &results[subgroup * RESULT_SIZE + w * 4u], RESULT_PITCH);
        }
        workgroupBarrier();
        for (var i = member; i < SIDE * WIDE * 4u; i += 32u) {
            let input = first_input + (along * DOWN + d) * SIDE + i / (WIDE * 4u);
            let column = first_column + (across * WIDE * 4u + i % (WIDE * 4u)) * 4u;
            if (input < INPUTS && column < OUTPUTS) {
                let row = (taps * TOGETHER + tap) * INPUTS + input;
                let value = results[subgroup * RESULT_SIZE + i / (WIDE * 4u) * RESULT_PITCH + i % (WIDE * 4u)];
                partial_sums[(first_sum + row * OUTPUTS + column) / 4u] = value;
            }
        }
    }
    if (group.x > 0u) {
        return;
    }
    // The shares of the bias, added in order.
    workgroupBarrier();
    results[lane] = sum;
    workgroupBarrier();
    if (lane < OUTER && first_column + lane * 4u < OUTPUTS) {
        var total = NOTHING;
        for (var share = lane; share < THREADS; share += OUTER) {
            total += results[share];
        }
        partial_sums[(first_sum + TAPS * INPUTS * OUTPUTS + first_column) / 4u + lane] = total;
    }
}
