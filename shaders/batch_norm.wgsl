// Batch norm over rows (batch x time x mel, or time x batch), per channel; with RELU followed by a ReLU.
//
//   mean[c] = sum x / n;  inv_std[c] = 1 / sqrt(var + EPSILON), var biased
//   xhat = (x - mean) * inv_std;  z = gamma * xhat + beta = x * scale + shift;  y = relu(z) or z
//   dz = dy * [z > 0] or dy;  dbeta = sum dz;  dgamma = sum dz * xhat
//   dx = gamma * inv_std * (dz - dbeta / n - xhat * dgamma / n)
//   running = (1 - momentum) * running + momentum * (mean, var * n / (n - 1))
//
// Ioffe & Szegedy 2015; the running variance is unbiased as in PyTorch.
//
// Several batch norms may read one map: its gradient is the sum of theirs. What does not depend on their sums over the batch is
// added up at once, the rest, of the same form for all of them, at the end:
//   dx = [sum of gamma * inv_std * dz] - corrections.x - xhat * corrections.y
//   corrections = sum of gamma * inv_std * (dbeta, dgamma) / n
//
// Decomposition: sums over rows are made per chunk of CHUNK rows by one workgroup (LANES channels wide, 64 / LANES rows
// at a time); then PARTS invocations per channel add the chunks, every PARTS-th each, and one adds the parts in order. Sums are
// of differences from the mean of a few rows, so that a large mean costs no digits; one row would not do, being perhaps the
// corner of an image. Where a convolution brings moments of its tiles, they are of differences from the tile's own mean.

const CHANNELS: u32 = 32u;
const LANES: u32 = 32u;
const CHUNK: u32 = 512u;
const BLOCK: u32 = 64u;
const PIVOT_ROWS: u32 = 16u;
// Channels of a workgroup that adds up chunks, and invocations per channel.
const WIDTH: u32 = 8u;
const PARTS: u32 = 32u;
// A row of x has X_STRIDE channels, of which X_FIRST .. are these; likewise y, dy and dx.
const X_STRIDE: u32 = 32u;
const X_FIRST: u32 = 0u;
const Y_STRIDE: u32 = 32u;
const Y_FIRST: u32 = 0u;
const DY_STRIDE: u32 = 32u;
const DY_FIRST: u32 = 0u;
const DX_STRIDE: u32 = 32u;
const DX_FIRST: u32 = 0u;
// Where these channels begin in mean and inv_std, and in gamma, beta, scale, shift and running statistics.
const STATISTICS_FIRST: u32 = 0u;
const PARAMETERS_FIRST: u32 = 0u;
const EPSILON: f32 = 0.001f;
const RELU: bool = false;
const ADD_DX: bool = false;
// Scale and shift from the running statistics instead of the batch's.
const EVALUATE: bool = false;

// How numbers of a map are stored: as they are, or as halves, two to a word (the host replaces these lines).
alias Word = f32;
const PER_WORD: u32 = 1u;
fn number(word: Word, place: u32) -> f32 { return word; }
// What dx holds.
fn kept(value: f32) -> f32 { return value; }

struct Size {
    // Rows of this dispatch, and of the whole batch.
    rows: u32,
    all_rows: u32,
    // First chunk of this dispatch, and how many there are in all.
    first_chunk: u32,
    chunks: u32,
    momentum: f32,
    // Rows of `pivot`.
    pivot_rows: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<Word>;
// x itself, or its first slice.
@group(0) @binding(1) var<storage, read> pivot: array<Word>;
@group(0) @binding(2) var<storage, read_write> partial_sums: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> chunk_sums: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> statistics: array<vec2<f32>>;      // mean, inv_std
@group(0) @binding(5) var<storage, read> moments: array<vec2<f32>>;               // the same, read
@group(0) @binding(6) var<storage, read> gamma: array<f32>;
@group(0) @binding(7) var<storage, read> beta: array<f32>;
@group(0) @binding(8) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(9) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(10) var<storage, read_write> scale_out: array<f32>;
@group(0) @binding(11) var<storage, read_write> shift_out: array<f32>;
@group(0) @binding(12) var<storage, read> scale: array<f32>;
@group(0) @binding(13) var<storage, read> shift: array<f32>;
@group(0) @binding(14) var<storage, read_write> y: array<f32>;
@group(0) @binding(15) var<storage, read> dy: array<f32>;
@group(0) @binding(16) var<storage, read_write> dx: array<f32>;
@group(0) @binding(17) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(18) var<storage, read_write> dbeta: array<f32>;
@group(0) @binding(19) var<storage, read_write> coefficients_out: array<vec2<f32>>;   // dbeta / n, dgamma / n
@group(0) @binding(20) var<storage, read> coefficients: array<vec2<f32>>;
@group(0) @binding(21) var<storage, read> tile_moments: array<vec4<f32>>;              // rows, mean, sum of squared differences
@group(0) @binding(22) var<storage, read_write> corrections_out: array<vec2<f32>>;
@group(0) @binding(23) var<storage, read> corrections: array<vec2<f32>>;

var<workgroup> lanes: array<vec2<f32>, 64>;
var<workgroup> parts: array<vec2<f32>, WIDTH * PARTS>;

fn value_at(place: u32) -> f32 {
    return number(x[place / PER_WORD], place);
}

// Adds the 64 / LANES row lanes of each channel, in order, and stores the chunk's sums.
fn store_chunk(chunk: u32, channel: u32, lane: u32, sums: vec2<f32>) {
    lanes[lane] = sums;
    workgroupBarrier();
    if (lane < LANES && channel < CHANNELS && chunk * CHUNK < size.rows) {
        var total = vec2<f32>(0.0);
        for (var r = 0u; r < 64u / LANES; r += 1u) {
            total += lanes[r * LANES + lane];
        }
        partial_sums[(size.first_chunk + chunk) * CHANNELS + channel] = total;
    }
}

// The sum of what the parts of a channel have, for all of them.
fn add_parts(lane: u32, part_sum: vec2<f32>) -> vec2<f32> {
    workgroupBarrier();
    parts[lane] = part_sum;
    workgroupBarrier();
    var total = vec2<f32>(0.0);
    for (var part = 0u; part < PARTS; part += 1u) {
        total += parts[part * WIDTH + lane % WIDTH];
    }
    return total;
}

// The sum of all chunks of a channel.
fn add_chunks(channel: u32, lane: u32) -> vec2<f32> {
    var sum = vec2<f32>(0.0);
    if (channel < CHANNELS) {
        for (var chunk = lane / WIDTH; chunk < size.chunks; chunk += PARTS) {
            sum += chunk_sums[chunk * CHANNELS + channel];
        }
    }
    return add_parts(lane, sum);
}

// The mean of PIVOT_ROWS rows; they lie an odd distance apart, lest all be the edge of an image.
fn centre(channel: u32) -> f32 {
    let apart = (size.pivot_rows / PIVOT_ROWS) | 1u;
    var sum = 0.0;
    for (var i = 0u; i < PIVOT_ROWS; i += 1u) {
        let place = ((i * apart) % size.pivot_rows) * X_STRIDE + X_FIRST + channel;
        sum += number(pivot[place / PER_WORD], place);
    }
    return sum / f32(PIVOT_ROWS);
}

// Groups: x, z = chunks, y = tiles of LANES channels.
@compute @workgroup_size(64)
fn partial_statistics(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let chunk = group.z * groups.x + group.x;
    let channel = group.y * LANES + lane % LANES;
    var sums = vec2<f32>(0.0);
    if (channel < CHANNELS && lane / LANES < 64u / LANES) {
        let middle = centre(channel);
        let end = min(size.rows, (chunk + 1u) * CHUNK);
        for (var row = chunk * CHUNK + lane / LANES; row < end; row += 64u / LANES) {
            let d = value_at(row * X_STRIDE + X_FIRST + channel) - middle;
            sums += vec2<f32>(d, d * d);
        }
    }
    store_chunk(chunk, channel, lane, sums);
}

// The moments of all tiles together (Chan et al. 1979).
@compute @workgroup_size(256)
fn finish_tiles(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x * WIDTH + lane % WIDTH;
    let known = min(channel, CHANNELS - 1u);
    let n = f32(size.all_rows);
    var sum = 0.0;
    for (var tile = lane / WIDTH; tile < size.chunks; tile += PARTS) {
        let moments = tile_moments[tile * CHANNELS + known];
        sum = fma(moments.x, moments.y, sum);
    }
    let mean = add_parts(lane, vec2<f32>(sum, 0.0)).x / n;
    var squares = 0.0;
    for (var tile = lane / WIDTH; tile < size.chunks; tile += PARTS) {
        let moments = tile_moments[tile * CHANNELS + known];
        let apart = moments.y - mean;
        squares += fma(moments.x * apart, apart, moments.z);
    }
    let variance = add_parts(lane, vec2<f32>(squares, 0.0)).x / n;
    if (lane < WIDTH && channel < CHANNELS) {
        statistics[STATISTICS_FIRST + channel] = vec2<f32>(mean, 1.0 / sqrt(variance + EPSILON));
    }
}

@compute @workgroup_size(256)
fn finish_statistics(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x * WIDTH + lane % WIDTH;
    let total = add_chunks(channel, lane);
    if (lane >= WIDTH || channel >= CHANNELS) {
        return;
    }
    let n = f32(size.all_rows);
    let offset = total.x / n;
    let variance = max(0.0, total.y / n - offset * offset);
    statistics[STATISTICS_FIRST + channel] = vec2<f32>(centre(channel) + offset, 1.0 / sqrt(variance + EPSILON));
}

// By its bits: compilers may take it that nothing else occurs.
fn is_finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}

// Scale and shift of z = x * scale + shift; in training also moves the running statistics.
@compute @workgroup_size(64)
fn fold(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= CHANNELS) {
        return;
    }
    let p = PARAMETERS_FIRST + id.x;
    var mean = running_mean[p];
    var inv_std = 1.0 / sqrt(running_var[p] + EPSILON);
    if (!EVALUATE) {
        let batch = moments[STATISTICS_FIRST + id.x];
        mean = batch.x;
        inv_std = batch.y;
        let n = f32(size.all_rows);
        let variance = max(0.0, 1.0 / (inv_std * inv_std) - EPSILON) * (n / max(1.0, n - 1.0));
        // A batch that overflows counts for nothing: no later one would mend what it left.
        if (is_finite(mean) && is_finite(inv_std) && is_finite(variance)) {
            running_mean[p] = fma(size.momentum, mean - running_mean[p], running_mean[p]);
            running_var[p] = fma(size.momentum, variance - running_var[p], running_var[p]);
        }
    }
    let s = gamma[p] * inv_std;
    scale_out[p] = s;
    shift_out[p] = fma(-mean, s, beta[p]);
}

// Groups: x, y = blocks of BLOCK rows, z = tiles of LANES channels. An invocation keeps one channel, so that what is the
// same for all rows is loaded once.
@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.z * LANES + lane % LANES;
    if (channel >= CHANNELS || lane / LANES >= 64u / LANES) {
        return;
    }
    let factor = scale[PARAMETERS_FIRST + channel];
    let offset = shift[PARAMETERS_FIRST + channel];
    let first = (group.y * groups.x + group.x) * BLOCK;
    for (var row = first + lane / LANES; row < min(size.rows, first + BLOCK); row += 64u / LANES) {
        var z = fma(value_at(row * X_STRIDE + X_FIRST + channel), factor, offset);
        if (RELU) {
            z = max(0.0, z);
        }
        y[row * Y_STRIDE + Y_FIRST + channel] = z;
    }
}

// Groups: x, z = chunks, y = tiles of LANES channels.
@compute @workgroup_size(64)
fn partial_gradients(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let chunk = group.z * groups.x + group.x;
    let channel = group.y * LANES + lane % LANES;
    var sums = vec2<f32>(0.0);
    if (channel < CHANNELS && lane / LANES < 64u / LANES) {
        let batch = moments[STATISTICS_FIRST + channel];
        let factor = scale[PARAMETERS_FIRST + channel];
        let offset = shift[PARAMETERS_FIRST + channel];
        let end = min(size.rows, (chunk + 1u) * CHUNK);
        for (var row = chunk * CHUNK + lane / LANES; row < end; row += 64u / LANES) {
            let value = value_at(row * X_STRIDE + X_FIRST + channel);
            var dz = dy[row * DY_STRIDE + DY_FIRST + channel];
            if (RELU) {
                dz = select(0.0, dz, fma(value, factor, offset) > 0.0);
            }
            sums += vec2<f32>(dz, dz * ((value - batch.x) * batch.y));
        }
    }
    store_chunk(chunk, channel, lane, sums);
}

// As partial_gradients; also writes or adds to dx what does not depend on the sums.
@compute @workgroup_size(64)
fn accumulate_gradients(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let chunk = group.z * groups.x + group.x;
    let channel = group.y * LANES + lane % LANES;
    var sums = vec2<f32>(0.0);
    if (channel < CHANNELS && lane / LANES < 64u / LANES) {
        let batch = moments[STATISTICS_FIRST + channel];
        let factor = scale[PARAMETERS_FIRST + channel];
        let offset = shift[PARAMETERS_FIRST + channel];
        let end = min(size.rows, (chunk + 1u) * CHUNK);
        for (var row = chunk * CHUNK + lane / LANES; row < end; row += 64u / LANES) {
            let value = value_at(row * X_STRIDE + X_FIRST + channel);
            var dz = dy[row * DY_STRIDE + DY_FIRST + channel];
            if (RELU) {
                dz = select(0.0, dz, fma(value, factor, offset) > 0.0);
            }
            sums += vec2<f32>(dz, dz * ((value - batch.x) * batch.y));
            let place = row * DX_STRIDE + DX_FIRST + channel;
            if (ADD_DX) {
                dx[place] = kept(fma(factor, dz, dx[place]));
            } else {
                dx[place] = kept(factor * dz);
            }
        }
    }
    store_chunk(chunk, channel, lane, sums);
}

// Of one of several batch norms: with ADD_DX its corrections join those of the others.
@compute @workgroup_size(256)
fn finish_corrections(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x * WIDTH + lane % WIDTH;
    let total = add_chunks(channel, lane);
    if (lane >= WIDTH || channel >= CHANNELS) {
        return;
    }
    dbeta[PARAMETERS_FIRST + channel] = total.x;
    dgamma[PARAMETERS_FIRST + channel] = total.y;
    let mine = scale[PARAMETERS_FIRST + channel] * total / f32(size.all_rows);
    if (ADD_DX) {
        corrections_out[STATISTICS_FIRST + channel] += mine;
    } else {
        corrections_out[STATISTICS_FIRST + channel] = mine;
    }
}

// Completes dx. Groups as in forward.
@compute @workgroup_size(64)
fn correct(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.z * LANES + lane % LANES;
    if (channel >= CHANNELS || lane / LANES >= 64u / LANES) {
        return;
    }
    let batch = moments[STATISTICS_FIRST + channel];
    let c = corrections[STATISTICS_FIRST + channel];
    let factor = batch.y * c.y;
    let first = (group.y * groups.x + group.x) * BLOCK;
    for (var row = first + lane / LANES; row < min(size.rows, first + BLOCK); row += 64u / LANES) {
        let place = row * DX_STRIDE + DX_FIRST + channel;
        dx[place] = kept(dx[place] - fma(value_at(row * X_STRIDE + X_FIRST + channel) - batch.x, factor, c.x));
    }
}

@compute @workgroup_size(256)
fn finish_gradients(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x * WIDTH + lane % WIDTH;
    let total = add_chunks(channel, lane);
    if (lane >= WIDTH || channel >= CHANNELS) {
        return;
    }
    dbeta[PARAMETERS_FIRST + channel] = total.x;
    dgamma[PARAMETERS_FIRST + channel] = total.y;
    coefficients_out[channel] = total / f32(size.all_rows);
}

// Groups as in forward.
@compute @workgroup_size(64)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.z * LANES + lane % LANES;
    if (channel >= CHANNELS || lane / LANES >= 64u / LANES) {
        return;
    }
    let batch = moments[STATISTICS_FIRST + channel];
    let c = coefficients[channel];
    let factor = scale[PARAMETERS_FIRST + channel];
    let offset = shift[PARAMETERS_FIRST + channel];
    let first = (group.y * groups.x + group.x) * BLOCK;
    for (var row = first + lane / LANES; row < min(size.rows, first + BLOCK); row += 64u / LANES) {
        let value = value_at(row * X_STRIDE + X_FIRST + channel);
        var dz = dy[row * DY_STRIDE + DY_FIRST + channel];
        if (RELU) {
            dz = select(0.0, dz, fma(value, factor, offset) > 0.0);
        }
        let place = row * DX_STRIDE + DX_FIRST + channel;
        let d = factor * (dz - c.x - (value - batch.x) * batch.y * c.y);
        if (ADD_DX) {
            dx[place] = kept(dx[place] + d);
        } else {
            dx[place] = kept(d);
        }
    }
}
