// BBNN's stem: a 3x3 convolution of one channel (same padding), batch norm, ReLU, max pooling. The convolution is cheaper to do again
// than to read again, so nothing of the size of the image times CHANNELS is stored.
//
//   c[p] = bias + sum over the nine neighbours k of weight[k] * x[p + k]
//   y[w] = max over the window w of relu(c * scale + shift)
//
// The windows lie side by side; what fills none is left out, but counts in the batch norm. The gradient of a window goes to its
// first largest element, if that is above 0: dz there is dy, and 0 elsewhere. With xhat = (c - mean) * inv_std
//
//   dbeta = sum dz;  dgamma = sum dz * xhat
//   dweight[k] = gamma * inv_std * (sum x[p + k] dz - dbeta / n * sum x[p + k] - dgamma / n * sum x[p + k] xhat)
//   dbias = 0: the batch norm takes away what a bias adds
//
// and dy is completed on its way, by what depends on sums over the batch of the norms that read y (see batch_norm.wgsl).
//
// Decomposition: a workgroup has LANES vectors of four channels side by side; an invocation one of them of a window at a time, ROUNDS
// of them one after the other. Sums of a workgroup are in a fixed order. Channels past the last repeat it and are not stored.
//
// Groups: x, z = tiles of windows, y = tiles of channels.

const CHANNELS: u32 = 32u;
const LANES: u32 = 8u;
const MEL: u32 = 128u;
const POOL_TIME: u32 = 4u;
const POOL_MEL: u32 = 1u;

const THREADS: u32 = 64u;
const ROUNDS: u32 = 16u;
// Windows that a workgroup has at once, and in all.
const DOWN: u32 = THREADS / LANES;
const WINDOWS: u32 = DOWN * ROUNDS;
// Windows of a frame that are complete, and with the one that may not be.
const OUT_MEL: u32 = MEL / POOL_MEL;
const ALL_MEL: u32 = (MEL + POOL_MEL - 1u) / POOL_MEL;
const ELEMENTS: u32 = POOL_TIME * POOL_MEL;
const NOTHING: vec4<f32> = vec4<f32>(0.0);
// What a window's convolutions read.
const NEAR_MEL: u32 = POOL_MEL + 2u;
const NEAR: u32 = (POOL_TIME + 2u) * NEAR_MEL;
// Sums of backward: dz, dz * xhat, x * dz, x, x * xhat.
const SUMS: u32 = 29u;
const FINISHERS: u32 = 256u;
const PARTS: u32 = FINISHERS / SUMS;
const NONE: u32 = 0xffffffffu;

// How numbers of a map are stored: as they are, or as halves, two to a word (the host replaces these lines).
alias Word = f32;
const PER_WORD: u32 = 1u;
fn number(word: Word, place: u32) -> f32 { return word; }
fn word(low: f32, high: f32) -> Word { return low; }
// Four as they are when they are read again.
fn kept(four: vec4<f32>) -> vec4<f32> { return four; }

struct Size {
    // Of this dispatch.
    batch: u32,
    frames: u32,
    // The first tile of partial sums that this dispatch writes; finish: how many there are.
    tiles: u32,
    // Of the whole batch: pixels of the image.
    all_rows: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;                      // (3, 3, 1, channel)
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Word>;
// [tile][channel]: elements, mean, sum of squared differences from it, 0.
@group(0) @binding(6) var<storage, read_write> tile_moments: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> moments: array<vec2<f32>>;               // of c: mean, inv_std
@group(0) @binding(8) var<storage, read> pooled: array<Word>;                     // y, read
@group(0) @binding(9) var<storage, read> dy: array<Word>;
@group(0) @binding(10) var<storage, read> pooled_moments: array<vec2<f32>>;
@group(0) @binding(11) var<storage, read> corrections: array<vec2<f32>>;
@group(0) @binding(12) var<storage, read_write> partial_sums: array<f32>;         // [tile][sum][channel]
@group(0) @binding(13) var<storage, read> tile_sums: array<f32>;                  // the same, read
@group(0) @binding(14) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(15) var<storage, read_write> dbeta: array<f32>;
@group(0) @binding(16) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(17) var<storage, read_write> dbias: array<f32>;

var<workgroup> lanes: array<vec4<f32>, THREADS>;
var<workgroup> parts: array<f32, FINISHERS>;
var<workgroup> totals: array<f32, SUMS>;

// A window: its first pixel's place, and how many of its pixels the image has. `sample` is NONE past the end.
struct Window {
    sample: u32,
    time: u32,
    mel: u32,
    index: u32,
    times: u32,
    mels: u32,
}

// Number `index` of those that the image has with incomplete ones, or without.
fn window(index: u32, incomplete: bool) -> Window {
    let frames = select(size.frames / POOL_TIME, (size.frames + POOL_TIME - 1u) / POOL_TIME, incomplete);
    let bands = select(OUT_MEL, ALL_MEL, incomplete);
    let t = (index / bands) % frames;
    let m = index % bands;
    let sample = index / bands / frames;
    var result: Window;
    result.sample = select(NONE, sample, sample < size.batch);
    result.time = t * POOL_TIME;
    result.mel = m * POOL_MEL;
    result.times = min(POOL_TIME, size.frames - t * POOL_TIME);
    result.mels = min(POOL_MEL, MEL - m * POOL_MEL);
    let complete = result.times == POOL_TIME && result.mels == POOL_MEL;
    result.index = select(NONE, (sample * (size.frames / POOL_TIME) + t) * OUT_MEL + m, complete);
    return result;
}

// x around a window, 0 beyond the image.
fn near(of_window: Window) -> array<f32, NEAR> {
    var result: array<f32, NEAR>;
    for (var i = 0u; i < NEAR; i += 1u) {
        let t = i32(of_window.time + i / NEAR_MEL) - 1;
        let m = i32(of_window.mel + i % NEAR_MEL) - 1;
        let inside = of_window.sample != NONE && t >= 0 && t < i32(size.frames) && m >= 0 && m < i32(MEL);
        let place = (i32(of_window.sample * size.frames) + t) * i32(MEL) + m;
        let value = x[select(0, place, inside)];
        result[i] = select(0.0, value, inside);
    }
    return result;
}

// Channel e of a vector from `first` on.
fn channel(first: u32, e: u32) -> u32 {
    return min(first + e, CHANNELS - 1u);
}

// What a vector of channels is convolved and normalised with.
struct Parameters {
    start: vec4<f32>,
    factor: vec4<f32>,
    offset: vec4<f32>,
}

fn weights(first: u32) -> array<vec4<f32>, 9> {
    var result: array<vec4<f32>, 9>;
    for (var k = 0u; k < 9u; k += 1u) {
        for (var e = 0u; e < 4u; e += 1u) {
            result[k][e] = weight[k * CHANNELS + channel(first, e)];
        }
    }
    return result;
}

fn biases(first: u32) -> vec4<f32> {
    var result: vec4<f32>;
    for (var e = 0u; e < 4u; e += 1u) {
        result[e] = bias[channel(first, e)];
    }
    return result;
}

fn parameters(first: u32) -> Parameters {
    var result: Parameters;
    result.start = biases(first);
    for (var e = 0u; e < 4u; e += 1u) {
        result.factor[e] = scale[channel(first, e)];
        result.offset[e] = shift[channel(first, e)];
    }
    return result;
}

// c of element i of a window.
fn convolve(values: ptr<function, array<f32, NEAR>>, taps: ptr<function, array<vec4<f32>, 9>>, start: vec4<f32>, i: u32) -> vec4<f32> {
    var sum = start;
    for (var k = 0u; k < 9u; k += 1u) {
        let value = (*values)[(i / POOL_MEL + k / 3u) * NEAR_MEL + i % POOL_MEL + k % 3u];
        sum = fma(vec4<f32>(value), (*taps)[k], sum);
    }
    return sum;
}

// The sum of what the invocations of a vector have, in order, for all of them.
fn add_lanes(lane: u32, value: vec4<f32>) -> vec4<f32> {
    workgroupBarrier();
    lanes[lane] = value;
    workgroupBarrier();
    var total = NOTHING;
    for (var d = 0u; d < DOWN; d += 1u) {
        total += lanes[d * LANES + lane % LANES];
    }
    return total;
}

// Stores the moments of a tile of which an invocation has `count` elements whose sums of differences from `middle`, and of their
// squares, these are (Chan et al. 1979).
fn store_moments(tile: u32, first: u32, lane: u32, count: f32, middle: vec4<f32>, sums: vec4<f32>, squares: vec4<f32>) {
    let own = middle + sums / max(1.0, count);
    let all = add_lanes(lane, vec4<f32>(count)).x;
    let mean = add_lanes(lane, count * own) / max(1.0, all);
    let apart = max(NOTHING, squares - sums * sums / max(1.0, count)) + count * (own - mean) * (own - mean);
    let total = add_lanes(lane, apart);
    for (var e = 0u; e < 4u && lane < LANES && first + e < CHANNELS; e += 1u) {
        tile_moments[(size.tiles + tile) * CHANNELS + first + e] = vec4<f32>(all, mean[e], total[e], 0.0);
    }
}

// Moments of c.
@compute @workgroup_size(THREADS)
fn partial_statistics(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.z * groups.x + group.x;
    let first = (group.y * LANES + lane % LANES) * 4u;
    var taps = weights(first);
    let start = biases(first);
    var count = 0.0;
    var middle = NOTHING;
    var sums = NOTHING;
    var squares = NOTHING;
    for (var round = 0u; round < ROUNDS; round += 1u) {
        let own = window(tile * WINDOWS + round * DOWN + lane / LANES, true);
        if (own.sample == NONE) {
            continue;
        }
        var values = near(own);
        var results: array<vec4<f32>, ELEMENTS>;
        for (var i = 0u; i < ELEMENTS; i += 1u) {
            results[i] = convolve(&values, &taps, start, i);
        }
        // Differences are from the mean of the first window.
        if (count == 0.0) {
            for (var i = 0u; i < ELEMENTS; i += 1u) {
                middle += results[i] / f32(ELEMENTS);
            }
        }
        for (var i = 0u; i < ELEMENTS; i += 1u) {
            if (i / POOL_MEL < own.times && i % POOL_MEL < own.mels) {
                let apart = results[i] - middle;
                count += 1.0;
                sums += apart;
                squares = fma(apart, apart, squares);
            }
        }
    }
    store_moments(tile, first, lane, count, middle, sums, squares);
}

// y, and its moments.
@compute @workgroup_size(THREADS)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.z * groups.x + group.x;
    let first = (group.y * LANES + lane % LANES) * 4u;
    var taps = weights(first);
    let given = parameters(first);
    var count = 0.0;
    var middle = NOTHING;
    var sums = NOTHING;
    var squares = NOTHING;
    for (var round = 0u; round < ROUNDS; round += 1u) {
        let own = window(tile * WINDOWS + round * DOWN + lane / LANES, false);
        if (own.sample == NONE) {
            continue;
        }
        var values = near(own);
        var largest = NOTHING;
        for (var i = 0u; i < ELEMENTS; i += 1u) {
            largest = max(largest, fma(convolve(&values, &taps, given.start, i), given.factor, given.offset));
        }
        largest = kept(largest);
        for (var e = 0u; e < 4u && first + e < CHANNELS; e += PER_WORD) {
            y[(own.index * CHANNELS + first + e) / PER_WORD] = word(largest[e], largest[(e + 1u) % 4u]);
        }
        middle = select(middle, largest, count == 0.0);
        count += 1.0;
        sums += largest - middle;
        squares = fma(largest - middle, largest - middle, squares);
    }
    store_moments(tile, first, lane, count, middle, sums, squares);
}

// Stores the sum of what the invocations of a vector have, in order.
fn store_sum(tile: u32, sum: u32, first: u32, lane: u32, value: vec4<f32>) {
    workgroupBarrier();
    lanes[lane] = value;
    workgroupBarrier();
    if (lane >= LANES) {
        return;
    }
    var total = NOTHING;
    for (var d = 0u; d < DOWN; d += 1u) {
        total += lanes[d * LANES + lane];
    }
    for (var e = 0u; e < 4u && first + e < CHANNELS; e += 1u) {
        partial_sums[((size.tiles + tile) * SUMS + sum) * CHANNELS + first + e] = total[e];
    }
}

@compute @workgroup_size(THREADS)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.z * groups.x + group.x;
    let first = (group.y * LANES + lane % LANES) * 4u;
    var taps = weights(first);
    let given = parameters(first);
    var mean: vec4<f32>;
    var inv_std: vec4<f32>;
    var of_y: vec4<f32>;
    var missing: vec4<f32>;
    var slope: vec4<f32>;
    for (var e = 0u; e < 4u; e += 1u) {
        let c = channel(first, e);
        mean[e] = moments[c].x;
        inv_std[e] = moments[c].y;
        of_y[e] = pooled_moments[c].x;
        missing[e] = corrections[c].x;
        slope[e] = pooled_moments[c].y * corrections[c].y;
    }
    var beta = NOTHING;
    var gamma = NOTHING;
    var products: array<vec4<f32>, 9>;
    var inputs: array<f32, 9>;
    var along: array<vec4<f32>, 9>;
    for (var round = 0u; round < ROUNDS; round += 1u) {
        let own = window(tile * WINDOWS + round * DOWN + lane / LANES, true);
        if (own.sample == NONE) {
            continue;
        }
        var values = near(own);
        var xhats: array<vec4<f32>, ELEMENTS>;
        var largest = NOTHING;
        var best = vec4<u32>(NONE);
        for (var i = 0u; i < ELEMENTS; i += 1u) {
            let c = convolve(&values, &taps, given.start, i);
            xhats[i] = (c - mean) * inv_std;
            let z = fma(c, given.factor, given.offset);
            best = select(best, vec4<u32>(i), z > largest);
            largest = max(largest, z);
        }
        var dy_here = NOTHING;
        if (own.index != NONE) {
            for (var e = 0u; e < 4u; e += 1u) {
                let place = own.index * CHANNELS + channel(first, e);
                dy_here[e] = number(dy[place / PER_WORD], place) - fma(number(pooled[place / PER_WORD], place) - of_y[e], slope[e], missing[e]);
            }
        }
        for (var i = 0u; i < ELEMENTS; i += 1u) {
            if (i / POOL_MEL < own.times && i % POOL_MEL < own.mels) {
                let dz = select(NOTHING, dy_here, best == vec4<u32>(i));
                beta += dz;
                gamma = fma(dz, xhats[i], gamma);
                for (var k = 0u; k < 9u; k += 1u) {
                    let value = values[(i / POOL_MEL + k / 3u) * NEAR_MEL + i % POOL_MEL + k % 3u];
                    inputs[k] += value;
                    products[k] = fma(vec4<f32>(value), dz, products[k]);
                    along[k] = fma(vec4<f32>(value), xhats[i], along[k]);
                }
            }
        }
    }
    store_sum(tile, 0u, first, lane, beta);
    store_sum(tile, 1u, first, lane, gamma);
    for (var k = 0u; k < 9u; k += 1u) {
        store_sum(tile, 2u + k, first, lane, products[k]);
        store_sum(tile, 11u + k, first, lane, vec4<f32>(inputs[k]));
        store_sum(tile, 20u + k, first, lane, along[k]);
    }
}

// A workgroup per channel: PARTS invocations of each of its sums add every PARTS-th tile, one adds the parts in order.
@compute @workgroup_size(FINISHERS)
fn finish_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let own_channel = group.x;
    let sum = lane % SUMS;
    var own = 0.0;
    if (lane < PARTS * SUMS) {
        for (var tile = lane / SUMS; tile < size.tiles; tile += PARTS) {
            own += tile_sums[(tile * SUMS + sum) * CHANNELS + own_channel];
        }
    }
    parts[lane] = own;
    workgroupBarrier();
    if (lane < SUMS) {
        for (var part = 1u; part < PARTS; part += 1u) {
            own += parts[part * SUMS + lane];
        }
        totals[lane] = own;
    }
    workgroupBarrier();
    let beta = totals[0];
    let gamma = totals[1];
    let n = f32(size.all_rows);
    if (lane < 9u) {
        let less = beta / n * totals[11u + lane] + gamma / n * totals[20u + lane];
        dweight[lane * CHANNELS + own_channel] = scale[own_channel] * (totals[2u + lane] - less);
    }
    if (lane == 0u) {
        dbeta[own_channel] = beta;
        dgamma[own_channel] = gamma;
        dbias[own_channel] = 0.0;
    }
}
