// `convolution_subgroup.wgsl` for channels that come in eights: INPUTS, OUTPUTS, every stride and every first channel
// are multiples of 8, on adapters with integers of 64 bits and subgroups of 8. Software adapters load and store lane after
// lane, and every component of a vector costs a check and a jump: a component of 64 bits brings two channels for that.
// The same bindings and results up to the order of sums.
//
// Decomposition: a workgroup is one subgroup. It owns ROWS rows x 32 columns; a lane owns an eighth of these rows, so that it loads and
// stores its rows whole. Eight steps of the inner dimension at a time: a lane loads those of its rows; the weights of the 8 steps
// are loaded a step (of the gradient a column) to a lane, and broadcast. Where a kernel reaches beyond a row, a lane's rows are
// neighbours, and it loads a window over them once for all taps along mel: its rows and those that the kernel reaches on either
// side. That needs bands in eights.
// Groups: x = tiles of columns, so that neighbours in time read the same rows; y and z = tiles of rows.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
// Of a tile: 32 or 64.
const ROWS: u32 = 64u;

// An operand of a product: as it is, or rounded to f16 (the host replaces such lines).
fn operand(value: vec4<f32>) -> vec4<f32> { return value; }
// What y holds, likewise.
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
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Eight>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<vec4<f32>>;

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

// What the fold multiplies eight channels by and adds to them, the even and the odd ones.
struct Fold {
    factors: array<vec4<f32>, 2>,
    offsets: array<vec4<f32>, 2>,
}

// A lane brings one channel of it.
fn fold_of(channel: u32, lane: u32) -> Fold {
    var fold: Fold;
    if (FOLD) {
        let factor = scale[size.weight_first + channel + lane];
        let offset = shift[size.weight_first + channel + lane];
        fold.factors[0] = vec4<f32>(subgroupBroadcast(factor, 0u), subgroupBroadcast(factor, 2u), subgroupBroadcast(factor, 4u), subgroupBroadcast(factor, 6u));
        fold.factors[1] = vec4<f32>(subgroupBroadcast(factor, 1u), subgroupBroadcast(factor, 3u), subgroupBroadcast(factor, 5u), subgroupBroadcast(factor, 7u));
        fold.offsets[0] = vec4<f32>(subgroupBroadcast(offset, 0u), subgroupBroadcast(offset, 2u), subgroupBroadcast(offset, 4u), subgroupBroadcast(offset, 6u));
        fold.offsets[1] = vec4<f32>(subgroupBroadcast(offset, 1u), subgroupBroadcast(offset, 3u), subgroupBroadcast(offset, 5u), subgroupBroadcast(offset, 7u));
    }
    return fold;
}

// Four channels as operands, after the activation; zeros outside.
fn activation(four: vec4<f32>, factor: vec4<f32>, offset: vec4<f32>, inside: bool) -> vec4<f32> {
    var result = four;
    if (FOLD) {
        result = max(NOTHING, fma(four, factor, offset));
    }
    return operand(select(NOTHING, result, inside));
}

// Channels channel .. channel + 7 of x around the lane's rows, of which the first is `row` and has band `mel`, `time` frames later
// and after the activation; zeros where there is nothing.
fn activations(row: u32, rows: u32, mel: u32, frame: u32, time: i32, channel: u32, lane: u32) -> Window {
    let fold = fold_of(channel, lane);
    let t = i32(frame) + time;
    let known_frame = KERNEL_TIME == 1u || (t >= 0 && t < i32(size.frames));
    var window: Window;
    for (var j = 0u; j < WINDOW; j += 1u) {
        let apart = i32(j) - i32(KERNEL_MEL / 2u);
        let band = i32(mel) + apart;
        let inside = known_frame && row_of(row, min(j, OWN - 1u)) < rows && (KERNEL_MEL == 1u || (band >= 0 && band < i32(MEL)));
        let near = select(0u, select(row_of(row, j), u32(i32(row) + time * i32(MEL) + apart), SLIDES), inside);
        let eight = x[(near * size.x_stride + size.x_first + channel) / 8u];
        window.evens[j] = activation(even(eight), fold.factors[0], fold.offsets[0], inside);
        window.odds[j] = activation(odd(eight), fold.factors[1], fold.offsets[1], inside);
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

// A column whose step s lies in lane s.
fn add_steps(results: ptr<function, Sums>, c: u32, value: f32, left: ptr<function, Channels>) {
    let evens = vec4<f32>(subgroupBroadcast(value, 0u), subgroupBroadcast(value, 2u), subgroupBroadcast(value, 4u), subgroupBroadcast(value, 6u));
    let odds = vec4<f32>(subgroupBroadcast(value, 1u), subgroupBroadcast(value, 3u), subgroupBroadcast(value, 5u), subgroupBroadcast(value, 7u));
    add(results, c, evens, odds, left);
}

// Eight columns from `first` on: lane s holds step s of each.
fn multiply_steps(results: ptr<function, Sums>, first: u32, right: Eight, left: ptr<function, Channels>) {
    let evens = operand(even(right));
    let odds = operand(odd(right));
    add_steps(results, first, evens.x, left);
    add_steps(results, first + 1u, odds.x, left);
    add_steps(results, first + 2u, evens.y, left);
    add_steps(results, first + 3u, odds.y, left);
    add_steps(results, first + 4u, evens.z, left);
    add_steps(results, first + 5u, odds.z, left);
    add_steps(results, first + 6u, evens.w, left);
    add_steps(results, first + 7u, odds.w, left);
}

// The first of eight columns of `all` that are loaded: those past the end stand for others, and are not stored.
fn known(column: u32, all: u32) -> u32 {
    return min(column, all - 8u);
}

// Adds what a tap makes of eight channels from i on of x, which lie at the beginning of a window.
fn multiply_tap(results: ptr<function, Sums>, tap: u32, i: u32, column: u32, lane: u32, window: ptr<function, Window>) {
    var left = first_of(window);
    let w = (tap * size.weight_inputs + size.weight_first + i + lane) * OUTPUTS;
    multiply_steps(results, 0u, weight[(w + known(column, OUTPUTS)) / 8u], &left);
    multiply_steps(results, 8u, weight[(w + known(column + 8u, OUTPUTS)) / 8u], &left);
    multiply_steps(results, 16u, weight[(w + known(column + 16u, OUTPUTS)) / 8u], &left);
    multiply_steps(results, 24u, weight[(w + known(column + 24u, OUTPUTS)) / 8u], &left);
}

// The sums of a tile of y.
fn multiply_forward(results: ptr<function, Sums>, row: u32, rows: u32, column: u32, lane: u32) {
    if (!SLIDES) {
        // Even loops of one turn cost their share of what they hold.
        for (var i = 0u; i < INPUTS; i += 8u) {
            var window = activations(row, rows, 0u, 0u, 0, i, lane);
            multiply_tap(results, 0u, i, column, lane, &window);
        }
        return;
    }
    // Once: where software divides, it does so lane after lane.
    let mel = row % MEL;
    let frame = (row / MEL) % size.frames;
    for (var time = 0u; time < KERNEL_TIME; time += 1u) {
        for (var i = 0u; i < INPUTS; i += 8u) {
            var window = activations(row, rows, mel, frame, i32(time) - i32(KERNEL_TIME / 2u), i, lane);
            for (var tap = 0u; tap < KERNEL_MEL; tap += 1u) {
                multiply_tap(results, time * KERNEL_MEL + tap, i, column, lane, &window);
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

// Four columns from `first` on start from the bias.
fn add_bias(results: ptr<function, Sums>, first: u32, four: vec4<f32>) {
    for (var e = 0u; e < 4u; e += 1u) {
        for (var f = 0u; f < FOURS; f += 1u) {
            (*results)[FOURS * (first + e) + f] += four[e];
        }
    }
}

// Eight columns from `first` on are added to what y holds.
fn add_held(results: ptr<function, Sums>, first: u32, row: u32, rows: u32, column: u32) {
    var window: Window;
    for (var r = 0u; r < OWN; r += 1u) {
        let eight = y[(min(row_of(row, r), rows - 1u) * size.y_stride + size.y_first + known(column + first, OUTPUTS)) / 8u];
        window.evens[r] = even(eight);
        window.odds[r] = odd(eight);
    }
    let held = first_of(&window);
    for (var e = 0u; e < 8u * FOURS; e += 1u) {
        (*results)[FOURS * first + e] += held[e];
    }
}

fn store_columns(results: ptr<function, Sums>, first: u32, row: u32, rows: u32, column: u32) {
    for (var e = 0u; e < 8u * FOURS; e += 1u) {
        (*results)[FOURS * first + e] = kept((*results)[FOURS * first + e]);
    }
    for (var f = 0u; f < FOURS; f += 1u) {
        var held = rows_of(results, first, f);
        for (var r = 0u; r < 4u; r += 1u) {
            let own = row_of(row, 4u * f + r);
            if (own < rows && column + first < OUTPUTS) {
                y[(own * size.y_stride + size.y_first + column + first) / 8u] = held[r];
            }
        }
    }
}

// Stores the tile, and leaves what y has there in `results`.
fn store_forward(results: ptr<function, Sums>, row: u32, rows: u32, column: u32, lane: u32) {
    if (size.add_y != 0u) {
        add_held(results, 0u, row, rows, column);
        add_held(results, 8u, row, rows, column);
        add_held(results, 16u, row, rows, column);
        add_held(results, 24u, row, rows, column);
    } else {
        let four = bias[min(column + 4u * lane, OUTPUTS - 4u) / 4u];
        add_bias(results, 0u, subgroupBroadcast(four, 0u));
        add_bias(results, 4u, subgroupBroadcast(four, 1u));
        add_bias(results, 8u, subgroupBroadcast(four, 2u));
        add_bias(results, 12u, subgroupBroadcast(four, 3u));
        add_bias(results, 16u, subgroupBroadcast(four, 4u));
        add_bias(results, 20u, subgroupBroadcast(four, 5u));
        add_bias(results, 24u, subgroupBroadcast(four, 6u));
        add_bias(results, 28u, subgroupBroadcast(four, 7u));
    }
    store_columns(results, 0u, row, rows, column);
    store_columns(results, 8u, row, rows, column);
    store_columns(results, 16u, row, rows, column);
    store_columns(results, 24u, row, rows, column);
}

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let row = first_row(group.z * groups.y + group.y, lane);
    let column = group.x * COLUMNS;
    var results: Sums;
    multiply_forward(&results, row, rows, column, lane);
    store_forward(&results, row, rows, column, lane);
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

// Sums of four columns from `first` on.
fn totals(results: ptr<function, Sums>, first: u32, exists: ptr<function, array<vec4<f32>, FOURS>>) -> vec4<f32> {
    var four: vec4<f32>;
    for (var e = 0u; e < 4u; e += 1u) {
        var own = NOTHING;
        for (var f = 0u; f < FOURS; f += 1u) {
            own += (*results)[FOURS * (first + e) + f] * (*exists)[f];
        }
        four[e] = total(own);
    }
    return four;
}

// Mean and sum of squared differences of four columns from `first` on, kept by the lane that they belong to.
fn moments_of(results: ptr<function, Sums>, first: u32, own: bool, exists: ptr<function, array<vec4<f32>, FOURS>>, count: f32, mean: ptr<function, vec4<f32>>, sum: ptr<function, vec4<f32>>) {
    let here = totals(results, first, exists) / max(1.0, count);
    for (var e = 0u; e < 4u * FOURS; e += 1u) {
        let apart = (*results)[FOURS * first + e] - here[e / FOURS];
        (*results)[FOURS * first + e] = apart * apart;
    }
    *mean = select(*mean, here, own);
    *sum = select(*sum, totals(results, first, exists), own);
}

// Also partial_sums[tile, output] = (rows, mean, sum of squared differences from it, 0) of the tile's y; four outputs to a lane.
@compute @workgroup_size(LANES)
fn forward_with_moments(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let tile = group.z * groups.y + group.y;
    let row = first_row(tile, lane);
    let column = group.x * COLUMNS;
    var results: Sums;
    multiply_forward(&results, row, rows, column, lane);
    store_forward(&results, row, rows, column, lane);
    var exists = rows_there(row, rows);
    let count = f32(min(rows, (tile + 1u) * ROWS) - min(rows, tile * ROWS));
    var mean = NOTHING;
    var sum = NOTHING;
    moments_of(&results, 0u, 0u == lane, &exists, count, &mean, &sum);
    moments_of(&results, 4u, 1u == lane, &exists, count, &mean, &sum);
    moments_of(&results, 8u, 2u == lane, &exists, count, &mean, &sum);
    moments_of(&results, 12u, 3u == lane, &exists, count, &mean, &sum);
    moments_of(&results, 16u, 4u == lane, &exists, count, &mean, &sum);
    moments_of(&results, 20u, 5u == lane, &exists, count, &mean, &sum);
    moments_of(&results, 24u, 6u == lane, &exists, count, &mean, &sum);
    moments_of(&results, 28u, 7u == lane, &exists, count, &mean, &sum);
    let own = column + 4u * lane;
    if (own < OUTPUTS && tile * ROWS < rows) {
        for (var e = 0u; e < 4u; e += 1u) {
            partial_sums[(size.first_split + tile) * OUTPUTS + own + e] = vec4<f32>(count, mean[e], sum[e], 0.0);
        }
    }
}
