// BBNN's pooled branch without a stored copy: of every 3x3 neighbourhood (stride 1, same padding) the tap of its largest element is
// kept, per channel, and the statistics of these largest; bottleneck_tiled*.wgsl read x through the taps. Among equals the first
// wins, in row-major order, as in max_pool.wgsl. Channels come in fours, whose taps share a word, eight bits each.
//
// The gradient goes back to where the largest stood, completed on its way by what depends on sums over the batch (see
// batch_norm.wgsl): a window whose largest is x[p] has the value x[p].
//
// Decomposition: a workgroup has LANES vectors of channels side by side, and ROWS rows.
//
// Groups: x, z = tiles of rows, y = tiles of channels.

const CHANNELS: u32 = 32u;
const LANES: u32 = 8u;
const MEL: u32 = 128u;
const ROWS: u32 = 64u;
// Where these channels begin in moments and corrections.
const STATISTICS_FIRST: u32 = 0u;

const THREADS: u32 = 128u;
const DOWN: u32 = THREADS / LANES;
const VECTORS: u32 = CHANNELS / 4u;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// How four channels of a map are stored: as they are, or as halves (the host replaces these lines).
alias Stored = vec4<f32>;
fn unpacked(four: Stored) -> vec4<f32> { return four; }
fn packed(four: vec4<f32>) -> Stored { return four; }

struct Size {
    batch: u32,
    frames: u32,
    // The first tile of tile_moments that this dispatch writes.
    first_tile: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> taps_out: array<u32>;
// [tile][channel]: elements, mean, sum of squared differences from it, 0.
@group(0) @binding(2) var<storage, read_write> tile_moments: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> taps: array<u32>;
@group(0) @binding(4) var<storage, read> dy: array<Stored>;
@group(0) @binding(5) var<storage, read> moments: array<vec4<f32>>;              // mean, inv_std of two channels
@group(0) @binding(6) var<storage, read> corrections: array<vec4<f32>>;          // of two channels
@group(0) @binding(7) var<storage, read_write> dx: array<Stored>;

var<workgroup> lanes: array<vec4<f32>, THREADS>;

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

// The row `time` frames and `mel` bands from one, and whether the image has it; if not, one that it has.
struct Near {
    row: u32,
    inside: bool,
}

fn near(row: u32, time: i32, mel: i32) -> Near {
    let t = i32((row / MEL) % size.frames);
    let m = i32(row % MEL);
    let to = vec2<i32>(clamp(t + time, 0, i32(size.frames) - 1), clamp(m + mel, 0, i32(MEL) - 1));
    let moved = i32(row) + (to.x - t) * i32(MEL) + to.y - m;
    return Near(u32(moved), all(to == vec2<i32>(t + time, m + mel)));
}

@compute @workgroup_size(THREADS)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.z * groups.x + group.x;
    let rows = size.batch * size.frames * MEL;
    let vector = group.y * LANES + lane % LANES;
    let known = min(vector, VECTORS - 1u);
    let end = min(rows, (tile + 1u) * ROWS);
    var middle = NOTHING;
    var sums = NOTHING;
    var squares = NOTHING;
    var count = 0.0;
    for (var row = tile * ROWS + lane / LANES; row < end; row += DOWN) {
        var best = NOTHING;
        var winner = vec4<u32>(255u);
        for (var tap = 0u; tap < 9u; tap += 1u) {
            let at = near(row, i32(tap / 3u) - 1, i32(tap % 3u) - 1);
            let value = unpacked(x[at.row * VECTORS + known]);
            let wins = vec4<bool>(at.inside) & ((winner == vec4<u32>(255u)) | (value > best));
            best = select(best, value, wins);
            winner = select(winner, vec4<u32>(tap), wins);
        }
        if (vector < VECTORS) {
            taps_out[row * VECTORS + vector] = winner.x | winner.y << 8u | winner.z << 16u | winner.w << 24u;
        }
        middle = select(middle, best, count == 0.0);
        count += 1.0;
        sums += best - middle;
        squares = fma(best - middle, best - middle, squares);
    }
    // Moments of parts become those of the tile (Chan et al. 1979).
    let all_count = f32(end - min(end, tile * ROWS));
    let own = middle + sums / max(1.0, count);
    let mean = add_lanes(lane, count * own) / max(1.0, all_count);
    let apart = max(NOTHING, squares - sums * sums / max(1.0, count)) + count * (own - mean) * (own - mean);
    let total = add_lanes(lane, apart);
    if (lane < LANES && vector < VECTORS) {
        for (var e = 0u; e < 4u; e += 1u) {
            let place = (size.first_tile + tile) * CHANNELS + vector * 4u + e;
            tile_moments[place] = vec4<f32>(all_count, mean[e], total[e], 0.0);
        }
    }
}

// Adds to dx.
@compute @workgroup_size(THREADS)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.z * groups.x + group.x;
    let rows = size.batch * size.frames * MEL;
    let vector = group.y * LANES + lane % LANES;
    if (vector >= VECTORS) {
        return;
    }
    let first = (STATISTICS_FIRST + vector * 4u) / 2u;
    let low = moments[first];
    let high = moments[first + 1u];
    let less_low = corrections[first];
    let less_high = corrections[first + 1u];
    let factor = vec4<f32>(low.yw, high.yw) * vec4<f32>(less_low.yw, less_high.yw);
    let offset = vec4<f32>(less_low.xz, less_high.xz);
    let mean = vec4<f32>(low.xz, high.xz);
    let end = min(rows, (tile + 1u) * ROWS);
    for (var row = tile * ROWS + lane / LANES; row < end; row += DOWN) {
        let place = row * VECTORS + vector;
        let missing = fma(unpacked(x[place]) - mean, factor, offset);
        var sum = unpacked(dx[place]);
        for (var tap = 0u; tap < 9u; tap += 1u) {
            // The window in which this element is that tap.
            let at = near(row, 1 - i32(tap / 3u), 1 - i32(tap % 3u));
            let winners = vec4<u32>(taps[at.row * VECTORS + vector]) >> vec4<u32>(0u, 8u, 16u, 24u) & vec4<u32>(255u);
            let mine = vec4<bool>(at.inside) & (winners == vec4<u32>(tap));
            sum += select(NOTHING, unpacked(dy[at.row * VECTORS + vector]) - missing, mine);
        }
        dx[place] = packed(sum);
    }
}
