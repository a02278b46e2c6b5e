// The gradient of the input as `convolution_wide.wgsl` does the forward product.
//
// Decomposition: as there.
// Groups: x = tiles of columns, so that neighbours in time read the same rows; y and z = tiles of rows.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
// Of a tile: 32 or 64.
const ROWS: u32 = 64u;
// Where the channels of x begin in `moments`.
const STATISTICS_FIRST: u32 = 0u;

// An operand of a product: as it is, or rounded to f16 (the host replaces such lines).
fn operand(value: vec4<f32>) -> vec4<f32> { return value; }
// What maps hold, likewise.
fn kept(four: vec4<f32>) -> vec4<f32> { return four; }

struct Size {
    batch: u32,
    frames: u32,
    // The first tile of rows of this dispatch among the partial sums.
    first_split: u32,
    split_rows: u32,
    // A row of x has x_stride channels, of which x_first .. x_first + INPUTS are read; likewise dx, and y with dy.
    x_stride: u32,
    x_first: u32,
    dx_stride: u32,
    dx_first: u32,
    y_stride: u32,
    y_first: u32,
    // The weight has weight_inputs inputs, of which weight_first .. weight_first + INPUTS are these; scale and shift too.
    weight_inputs: u32,
    weight_first: u32,
    // Not 0: add to what y holds instead of starting from the bias; add to what dx holds.
    add_y: u32,
    add_dx: u32,
}
var<immediate> size: Size;

// Eight channels: channel 2 i in the lower half of component i, channel 2 i + 1 in the upper.
alias Eight = vec4<u64>;

@group(0) @binding(0) var<storage, read> x: array<Eight>;
@group(0) @binding(1) var<storage, read> weight: array<Eight>;
@group(0) @binding(3) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> dy: array<Eight>;
@group(0) @binding(7) var<storage, read_write> dx: array<Eight>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read> moments: array<vec4<f32>>;              // mean, inv_std of two channels

// Columns of a tile, rows of a lane, fours of these, and those of its window. Rows of a lane are neighbours where a window slides over
// them; else those of all lanes are, which a processor sees coming.
const COLUMNS: u32 = 32u;
const LANES: u32 = 8u;
const OWN: u32 = ROWS / LANES;
const FOURS: u32 = OWN / 4u;
const WINDOW: u32 = OWN + KERNEL_MEL - 1u;
const SLIDES: bool = KERNEL_TIME * KERNEL_MEL > 1u;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

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

// The first row of a lane, and row r of one whose first is `row`.
fn first_row(tile: u32, lane: u32) -> u32 {
    return tile * ROWS + select(lane, OWN * lane, SLIDES);
}

fn row_of(row: u32, r: u32) -> u32 {
    return row + select(LANES * r, r, SLIDES);
}

// Eight channels of the rows of a window, the even and the odd ones.
struct Window {
    evens: array<vec4<f32>, WINDOW>,
    odds: array<vec4<f32>, WINDOW>,
}

// Eight channels of a lane's rows: element FOURS c + f is channel c of four of them.
alias Channels = array<vec4<f32>, 8u * FOURS>;

// The sums of a lane: element FOURS c + f is column c of four of its rows.
alias Sums = array<vec4<f32>, COLUMNS * FOURS>;

// Channels channel .. channel + 7 of dy around the lane's rows, of which the first is `row` and has band `mel`, `time` frames later;
// zeros where there is nothing.
fn gradients(row: u32, rows: u32, mel: u32, frame: u32, time: i32, channel: u32) -> Window {
    let t = i32(frame) + time;
    let known_frame = KERNEL_TIME == 1u || (t >= 0 && t < i32(size.frames));
    var window: Window;
    for (var j = 0u; j < WINDOW; j += 1u) {
        let apart = i32(j) - i32(KERNEL_MEL / 2u);
        let band = i32(mel) + apart;
        let inside = known_frame && row_of(row, min(j, OWN - 1u)) < rows && (KERNEL_MEL == 1u || (band >= 0 && band < i32(MEL)));
        let near = select(0u, select(row_of(row, j), u32(i32(row) + time * i32(MEL) + apart), SLIDES), inside);
        let eight = dy[(near * size.y_stride + size.y_first + channel) / 8u];
        window.evens[j] = operand(select(NOTHING, even(eight), inside));
        window.odds[j] = operand(select(NOTHING, odd(eight), inside));
    }
    return window;
}

// The first rows of a window.
fn first_of(window: ptr<function, Window>) -> Channels {
    var result: Channels;
    for (var f = 0u; f < FOURS; f += 1u) {
        let j = 4u * f;
        let evens = transpose(mat4x4<f32>((*window).evens[j], (*window).evens[j + 1u], (*window).evens[j + 2u], (*window).evens[j + 3u]));
        let odds = transpose(mat4x4<f32>((*window).odds[j], (*window).odds[j + 1u], (*window).odds[j + 2u], (*window).odds[j + 3u]));
        for (var i = 0u; i < 4u; i += 1u) {
            result[FOURS * 2u * i + f] = evens[i];
            result[FOURS * (2u * i + 1u) + f] = odds[i];
        }
    }
    return result;
}

// The window one row later; what comes last does not matter.
fn slide(window: ptr<function, Window>) {
    for (var j = 1u; j < WINDOW; j += 1u) {
        (*window).evens[j - 1u] = (*window).evens[j];
        (*window).odds[j - 1u] = (*window).odds[j];
    }
}

// Column c += eight steps of its weights, the even and the odd ones, with those of the rows.
fn add(results: ptr<function, Sums>, c: u32, evens: vec4<f32>, odds: vec4<f32>, left: ptr<function, Channels>) {
    for (var f = 0u; f < FOURS; f += 1u) {
        var sum = fma((*left)[f], evens.xxxx, (*results)[FOURS * c + f]);
        sum = fma((*left)[FOURS + f], odds.xxxx, sum);
        sum = fma((*left)[2u * FOURS + f], evens.yyyy, sum);
        sum = fma((*left)[3u * FOURS + f], odds.yyyy, sum);
        sum = fma((*left)[4u * FOURS + f], evens.zzzz, sum);
        sum = fma((*left)[5u * FOURS + f], odds.zzzz, sum);
        sum = fma((*left)[6u * FOURS + f], evens.wwww, sum);
        (*results)[FOURS * c + f] = fma((*left)[7u * FOURS + f], odds.wwww, sum);
    }
}

// Eight columns from `first` on, one to a lane, which holds all steps of it.
fn multiply_columns(results: ptr<function, Sums>, first: u32, right: Eight, left: ptr<function, Channels>) {
    let evens = operand(even(right));
    let odds = operand(odd(right));
    add(results, first, subgroupBroadcast(evens, 0u), subgroupBroadcast(odds, 0u), left);
    add(results, first + 1u, subgroupBroadcast(evens, 1u), subgroupBroadcast(odds, 1u), left);
    add(results, first + 2u, subgroupBroadcast(evens, 2u), subgroupBroadcast(odds, 2u), left);
    add(results, first + 3u, subgroupBroadcast(evens, 3u), subgroupBroadcast(odds, 3u), left);
    add(results, first + 4u, subgroupBroadcast(evens, 4u), subgroupBroadcast(odds, 4u), left);
    add(results, first + 5u, subgroupBroadcast(evens, 5u), subgroupBroadcast(odds, 5u), left);
    add(results, first + 6u, subgroupBroadcast(evens, 6u), subgroupBroadcast(odds, 6u), left);
    add(results, first + 7u, subgroupBroadcast(evens, 7u), subgroupBroadcast(odds, 7u), left);
}

// The first of eight columns of `all` that are loaded: those past the end stand for others, and are not stored.
fn known(column: u32, all: u32) -> u32 {
    return min(column, all - 8u);
}

// Adds what a tap makes of eight channels from o on of dy, which lie at the beginning of a window.
fn multiply_tap(results: ptr<function, Sums>, tap: u32, o: u32, column: u32, lane: u32, window: ptr<function, Window>) {
    var left = first_of(window);
    let w = tap * size.weight_inputs + size.weight_first + lane;
    multiply_columns(results, 0u, weight[((w + known(column, INPUTS)) * OUTPUTS + o) / 8u], &left);
    multiply_columns(results, 8u, weight[((w + known(column + 8u, INPUTS)) * OUTPUTS + o) / 8u], &left);
    multiply_columns(results, 16u, weight[((w + known(column + 16u, INPUTS)) * OUTPUTS + o) / 8u], &left);
    multiply_columns(results, 24u, weight[((w + known(column + 24u, INPUTS)) * OUTPUTS + o) / 8u], &left);
}

// The sums of a tile of dx.
fn multiply_backward(results: ptr<function, Sums>, row: u32, rows: u32, column: u32, lane: u32) {
    if (!SLIDES) {
        // Even loops of one turn cost their share of what they hold.
        for (var o = 0u; o < OUTPUTS; o += 8u) {
            var window = gradients(row, rows, 0u, 0u, 0, o);
            multiply_tap(results, 0u, o, column, lane, &window);
        }
        return;
    }
    // Once: where software divides, it does so lane after lane.
    let mel = row % MEL;
    let frame = (row / MEL) % size.frames;
    for (var time = 0u; time < KERNEL_TIME; time += 1u) {
        for (var o = 0u; o < OUTPUTS; o += 8u) {
            var window = gradients(row, rows, mel, frame, i32(KERNEL_TIME / 2u) - i32(time), o);
            for (var tap = 0u; tap < KERNEL_MEL; tap += 1u) {
                multiply_tap(results, time * KERNEL_MEL + KERNEL_MEL - 1u - tap, o, column, lane, &window);
                slide(&window);
            }
        }
    }
}

// Eight columns from `first` on of the rows `4 f ..`: element r is row 4 f + r.
fn rows_of(results: ptr<function, Sums>, first: u32, f: u32) -> array<Eight, 4> {
    let c = FOURS * first + f;
    let evens = transpose(mat4x4<f32>((*results)[c], (*results)[c + 2u * FOURS], (*results)[c + 4u * FOURS], (*results)[c + 6u * FOURS]));
    let o = c + FOURS;
    let odds = transpose(mat4x4<f32>((*results)[o], (*results)[o + 2u * FOURS], (*results)[o + 4u * FOURS], (*results)[o + 6u * FOURS]));
    return array<Eight, 4>(together(evens[0], odds[0]), together(evens[1], odds[1]), together(evens[2], odds[2]), together(evens[3], odds[3]));
}

// Eight columns from `first` on are stored, or added to what dx holds.
fn store_columns(results: ptr<function, Sums>, first: u32, row: u32, rows: u32, column: u32) {
    if (size.add_dx == 0u) {
        for (var e = 0u; e < 8u * FOURS; e += 1u) {
            (*results)[FOURS * first + e] = kept((*results)[FOURS * first + e]);
        }
    }
    for (var f = 0u; f < FOURS; f += 1u) {
        var values = rows_of(results, first, f);
        for (var r = 0u; r < 4u; r += 1u) {
            let own = row_of(row, 4u * f + r);
            if (own < rows && column + first < INPUTS) {
                let place = (own * size.dx_stride + size.dx_first + column + first) / 8u;
                if (size.add_dx != 0u) {
                    let held = dx[place];
                    dx[place] = together(kept(even(held) + even(values[r])), kept(odd(held) + odd(values[r])));
                } else {
                    dx[place] = values[r];
                }
            }
        }
    }
}

fn store_backward(results: ptr<function, Sums>, row: u32, rows: u32, column: u32) {
    store_columns(results, 0u, row, rows, column);
    store_columns(results, 8u, row, rows, column);
    store_columns(results, 16u, row, rows, column);
    store_columns(results, 24u, row, rows, column);
}

@compute @workgroup_size(LANES)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let row = first_row(group.z * groups.y + group.y, lane);
    var results: Sums;
    multiply_backward(&results, row, rows, group.x * COLUMNS, lane);
    store_backward(&results, row, rows, group.x * COLUMNS);
}

// The sum of four rows of each lane.
fn total(four: vec4<f32>) -> f32 {
    let own = (four.x + four.y) + (four.z + four.w);
    let low = (subgroupBroadcast(own, 0u) + subgroupBroadcast(own, 1u)) + (subgroupBroadcast(own, 2u) + subgroupBroadcast(own, 3u));
    let high = (subgroupBroadcast(own, 4u) + subgroupBroadcast(own, 5u)) + (subgroupBroadcast(own, 6u) + subgroupBroadcast(own, 7u));
    return low + high;
}

// Which of a lane's rows there are: 1 or 0.
fn rows_there(row: u32, rows: u32) -> array<vec4<f32>, FOURS> {
    var result: array<vec4<f32>, FOURS>;
    for (var f = 0u; f < FOURS; f += 1u) {
        result[f] = select(NOTHING, vec4<f32>(1.0), vec4<u32>(row_of(row, 4u * f), row_of(row, 4u * f + 1u), row_of(row, 4u * f + 2u), row_of(row, 4u * f + 3u)) < vec4<u32>(rows));
    }
    return result;
}

// What the fold makes of four columns, and the moments that it was made from.
struct Fold {
    factor: vec4<f32>,
    offset: vec4<f32>,
    mean: vec4<f32>,
}

// A column of the gradient becomes what it adds to dx, where element `at` of `inputs` and those after are its channel of x; returns
// the sums of dz and of dz (x - mean).
fn fold_back(results: ptr<function, Sums>, c: u32, inputs: ptr<function, Channels>, at: u32, factor: f32, offset: f32, mean: f32, exists: ptr<function, array<vec4<f32>, FOURS>>) -> vec2<f32> {
    var sums = array<vec4<f32>, 2>();
    for (var f = 0u; f < FOURS; f += 1u) {
        let input = (*inputs)[at + f];
        let dz = select(NOTHING, (*results)[FOURS * c + f], fma(input, vec4<f32>(factor), vec4<f32>(offset)) > NOTHING);
        (*results)[FOURS * c + f] = factor * dz;
        sums[0] += dz * (*exists)[f];
        sums[1] += dz * (input - mean) * (*exists)[f];
    }
    return vec2<f32>(total(sums[0]), total(sums[1]));
}

// Four columns from `first` on, of those of x that `inputs` holds from `place` on.
fn fold_four(results: ptr<function, Sums>, first: u32, inputs: ptr<function, Channels>, place: u32, fold: Fold, exists: ptr<function, array<vec4<f32>, FOURS>>) -> mat4x2<f32> {
    var sums: mat4x2<f32>;
    for (var e = 0u; e < 4u; e += 1u) {
        sums[e] = fold_back(results, first + e, inputs, FOURS * (place + e), fold.factor[e], fold.offset[e], fold.mean[e], exists);
    }
    return sums;
}

// Channels of x where eight columns from `first` on lie.
fn inputs_of(first: u32, row: u32, rows: u32, column: u32) -> Channels {
    var window: Window;
    for (var r = 0u; r < OWN; r += 1u) {
        let eight = x[(min(row_of(row, r), rows - 1u) * size.x_stride + size.x_first + known(column + first, INPUTS)) / 8u];
        window.evens[r] = even(eight);
        window.odds[r] = odd(eight);
    }
    return first_of(&window);
}

// As backward_folded of convolution_tiled_back.wgsl; partial sums of four inputs to a lane.
@compute @workgroup_size(LANES)
fn backward_folded(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let tile = group.z * groups.y + group.y;
    let row = first_row(tile, lane);
    let column = group.x * COLUMNS;
    var results: Sums;
    multiply_backward(&results, row, rows, column, lane);
    var exists = rows_there(row, rows);
    let own = min(column + 4u * lane, INPUTS - 4u);
    let factor = scale[(size.weight_first + own) / 4u];
    let offset = shift[(size.weight_first + own) / 4u];
    let low = moments[(STATISTICS_FIRST + own) / 2u];
    let high = moments[(STATISTICS_FIRST + own) / 2u + 1u];
    let mean = vec4<f32>(low.xz, high.xz);
    let inv_std = vec4<f32>(low.yw, high.yw);
    var sums = mat4x2<f32>();
    var inputs = inputs_of(0u, row, rows, column);
    let fold0 = Fold(subgroupBroadcast(factor, 0u), subgroupBroadcast(offset, 0u), subgroupBroadcast(mean, 0u));
    let four0 = fold_four(&results, 0u, &inputs, 0u, fold0, &exists);
    if (lane == 0u) { sums = four0; }
    let fold1 = Fold(subgroupBroadcast(factor, 1u), subgroupBroadcast(offset, 1u), subgroupBroadcast(mean, 1u));
    let four1 = fold_four(&results, 4u, &inputs, 4u, fold1, &exists);
    if (lane == 1u) { sums = four1; }
    inputs = inputs_of(8u, row, rows, column);
    let fold2 = Fold(subgroupBroadcast(factor, 2u), subgroupBroadcast(offset, 2u), subgroupBroadcast(mean, 2u));
    let four2 = fold_four(&results, 8u, &inputs, 0u, fold2, &exists);
    if (lane == 2u) { sums = four2; }
    let fold3 = Fold(subgroupBroadcast(factor, 3u), subgroupBroadcast(offset, 3u), subgroupBroadcast(mean, 3u));
    let four3 = fold_four(&results, 12u, &inputs, 4u, fold3, &exists);
    if (lane == 3u) { sums = four3; }
    inputs = inputs_of(16u, row, rows, column);
    let fold4 = Fold(subgroupBroadcast(factor, 4u), subgroupBroadcast(offset, 4u), subgroupBroadcast(mean, 4u));
    let four4 = fold_four(&results, 16u, &inputs, 0u, fold4, &exists);
    if (lane == 4u) { sums = four4; }
    let fold5 = Fold(subgroupBroadcast(factor, 5u), subgroupBroadcast(offset, 5u), subgroupBroadcast(mean, 5u));
    let four5 = fold_four(&results, 20u, &inputs, 4u, fold5, &exists);
    if (lane == 5u) { sums = four5; }
    inputs = inputs_of(24u, row, rows, column);
    let fold6 = Fold(subgroupBroadcast(factor, 6u), subgroupBroadcast(offset, 6u), subgroupBroadcast(mean, 6u));
    let four6 = fold_four(&results, 24u, &inputs, 0u, fold6, &exists);
    if (lane == 6u) { sums = four6; }
    let fold7 = Fold(subgroupBroadcast(factor, 7u), subgroupBroadcast(offset, 7u), subgroupBroadcast(mean, 7u));
    let four7 = fold_four(&results, 28u, &inputs, 4u, fold7, &exists);
    if (lane == 7u) { sums = four7; }
    store_backward(&results, row, rows, column);
    if (column + 4u * lane < INPUTS && tile * ROWS < rows) {
        let place = ((size.first_split + tile) * INPUTS + column + 4u * lane) / 2u;
        partial_sums[place] = vec4<f32>(sums[0].x, sums[0].y * inv_std.x, sums[1].x, sums[1].y * inv_std.y);
        partial_sums[place + 1u] = vec4<f32>(sums[2].x, sums[2].y * inv_std.z, sums[3].x, sums[3].y * inv_std.w);
    }
}
