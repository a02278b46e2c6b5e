// `convolution_aligned_subgroup.wgsl` for channels that come in eights: INPUTS, OUTPUTS, every stride and every first channel
// are multiples of 8, on adapters with integers of 64 bits and subgroups of 8. Software adapters load and store lane after
// lane, and every component of a vector costs a check and a jump: a component of 64 bits brings two channels for that.
// The same bindings and results up to the order of sums.
//
// Decomposition: a workgroup is one subgroup. It owns 32 rows x 32 columns; a lane owns the rows lane, lane + 8, lane + 16 and
// lane + 24 of them, so that it loads and stores its rows whole. Eight steps of the inner dimension at a time: a lane loads
// those of its rows; the weights of the 8 steps are loaded a step (of the gradient a column) to a lane, and broadcast.
// Groups: x = tiles of columns, so that neighbours in time read the same rows; y and z = tiles of rows.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;

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

// Rows and columns of a tile; rows that a lane owns lie LANES apart.
const ROWS: u32 = 32u;
const COLUMNS: u32 = 32u;
const LANES: u32 = 8u;
const OUTSIDE: u32 = 0xffffffffu;
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

// Time and mel of a row.
fn whereabouts(row: u32) -> vec2<i32> {
    return vec2<i32>(i32((row / MEL) % size.frames), i32(row % MEL));
}

// The row that lies `time` and `mel` steps from `row`, which lies at `place`, or OUTSIDE in the padding and past the end.
fn neighbour(row: u32, rows: u32, place: vec2<i32>, time: i32, mel: i32) -> u32 {
    if (KERNEL_TIME * KERNEL_MEL == 1u) {
        return select(OUTSIDE, row, row < rows);
    }
    let t = place.x + time;
    let m = place.y + mel;
    let inside = row < rows && t >= 0 && t < i32(size.frames) && m >= 0 && m < i32(MEL);
    return select(OUTSIDE, u32(i32(row) + time * i32(MEL) + mel), inside);
}

// The same of a lane's four rows from `row` on.
fn neighbours(row: u32, rows: u32, places: ptr<function, array<vec2<i32>, 4>>, time: i32, mel: i32) -> vec4<u32> {
    let low = vec2<u32>(neighbour(row, rows, (*places)[0], time, mel), neighbour(row + LANES, rows, (*places)[1], time, mel));
    let third = neighbour(row + 2u * LANES, rows, (*places)[2], time, mel);
    return vec4<u32>(low, third, neighbour(row + 3u * LANES, rows, (*places)[3], time, mel));
}

// Eight channels of four rows: element c is channel c of the rows.
fn channels(rows: array<Eight, 4>) -> array<vec4<f32>, 8> {
    let evens = transpose(mat4x4<f32>(even(rows[0]), even(rows[1]), even(rows[2]), even(rows[3])));
    let odds = transpose(mat4x4<f32>(odd(rows[0]), odd(rows[1]), odd(rows[2]), odd(rows[3])));
    return array<vec4<f32>, 8>(evens[0], odds[0], evens[1], odds[1], evens[2], odds[2], evens[3], odds[3]);
}

// A channel of four rows as an operand, after the activation; zeros OUTSIDE.
fn activation(value: vec4<f32>, factor: f32, offset: f32, outside: vec4<bool>) -> vec4<f32> {
    var result = value;
    if (FOLD) {
        result = max(NOTHING, fma(value, vec4<f32>(factor), vec4<f32>(offset)));
    }
    return operand(select(result, NOTHING, outside));
}

// Channels channel .. channel + 7 of x's rows after the activation.
fn activations(rows: vec4<u32>, channel: u32, lane: u32) -> array<vec4<f32>, 8> {
    let outside = rows == vec4<u32>(OUTSIDE);
    let place = (select(rows, vec4<u32>(0u), outside) * size.x_stride + size.x_first + channel) / 8u;
    var factor = 1.0;
    var offset = 0.0;
    if (FOLD) {
        factor = scale[size.weight_first + channel + lane];
        offset = shift[size.weight_first + channel + lane];
    }
    var a = channels(array<Eight, 4>(x[place.x], x[place.y], x[place.z], x[place.w]));
    a[0] = activation(a[0], subgroupBroadcast(factor, 0u), subgroupBroadcast(offset, 0u), outside);
    a[1] = activation(a[1], subgroupBroadcast(factor, 1u), subgroupBroadcast(offset, 1u), outside);
    a[2] = activation(a[2], subgroupBroadcast(factor, 2u), subgroupBroadcast(offset, 2u), outside);
    a[3] = activation(a[3], subgroupBroadcast(factor, 3u), subgroupBroadcast(offset, 3u), outside);
    a[4] = activation(a[4], subgroupBroadcast(factor, 4u), subgroupBroadcast(offset, 4u), outside);
    a[5] = activation(a[5], subgroupBroadcast(factor, 5u), subgroupBroadcast(offset, 5u), outside);
    a[6] = activation(a[6], subgroupBroadcast(factor, 6u), subgroupBroadcast(offset, 6u), outside);
    a[7] = activation(a[7], subgroupBroadcast(factor, 7u), subgroupBroadcast(offset, 7u), outside);
    return a;
}

// results[c] += eight steps of a column's weights, the even and the odd ones, with those of the rows.
fn add(results: ptr<function, array<vec4<f32>, 32>>, c: u32, evens: vec4<f32>, odds: vec4<f32>, left: ptr<function, array<vec4<f32>, 8>>) {
    var sum = fma((*left)[0], evens.xxxx, (*results)[c]);
    sum = fma((*left)[1], odds.xxxx, sum);
    sum = fma((*left)[2], evens.yyyy, sum);
    sum = fma((*left)[3], odds.yyyy, sum);
    sum = fma((*left)[4], evens.zzzz, sum);
    sum = fma((*left)[5], odds.zzzz, sum);
    sum = fma((*left)[6], evens.wwww, sum);
    (*results)[c] = fma((*left)[7], odds.wwww, sum);
}

// A column whose step s lies in lane s.
fn add_steps(results: ptr<function, array<vec4<f32>, 32>>, c: u32, value: f32, left: ptr<function, array<vec4<f32>, 8>>) {
    let evens = vec4<f32>(subgroupBroadcast(value, 0u), subgroupBroadcast(value, 2u), subgroupBroadcast(value, 4u), subgroupBroadcast(value, 6u));
    let odds = vec4<f32>(subgroupBroadcast(value, 1u), subgroupBroadcast(value, 3u), subgroupBroadcast(value, 5u), subgroupBroadcast(value, 7u));
    add(results, c, evens, odds, left);
}

// Eight columns from `first` on: lane s holds step s of each.
fn multiply_steps(results: ptr<function, array<vec4<f32>, 32>>, first: u32, right: Eight, left: ptr<function, array<vec4<f32>, 8>>) {
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

// The sums of a tile of y.
fn multiply_forward(results: ptr<function, array<vec4<f32>, 32>>, row: u32, rows: u32, column: u32, lane: u32) {
    // Once: where software divides, it does so lane after lane.
    var places = array<vec2<i32>, 4>(whereabouts(row), whereabouts(row + LANES), whereabouts(row + 2u * LANES), whereabouts(row + 3u * LANES));
    for (var tap = 0u; tap < KERNEL_TIME * KERNEL_MEL; tap += 1u) {
        let near = neighbours(row, rows, &places, i32(tap / KERNEL_MEL) - i32(KERNEL_TIME / 2u), i32(tap % KERNEL_MEL) - i32(KERNEL_MEL / 2u));
        for (var i = 0u; i < INPUTS; i += 8u) {
            var left = activations(near, i, lane);
            let w = (tap * size.weight_inputs + size.weight_first + i + lane) * OUTPUTS;
            multiply_steps(results, 0u, weight[(w + known(column, OUTPUTS)) / 8u], &left);
            multiply_steps(results, 8u, weight[(w + known(column + 8u, OUTPUTS)) / 8u], &left);
            multiply_steps(results, 16u, weight[(w + known(column + 16u, OUTPUTS)) / 8u], &left);
            multiply_steps(results, 24u, weight[(w + known(column + 24u, OUTPUTS)) / 8u], &left);
        }
    }
}

// Eight columns from `first` on as rows: element r is row r of the lane's.
fn rows_of(results: ptr<function, array<vec4<f32>, 32>>, first: u32) -> array<Eight, 4> {
    let evens = transpose(mat4x4<f32>((*results)[first], (*results)[first + 2u], (*results)[first + 4u], (*results)[first + 6u]));
    let odds = transpose(mat4x4<f32>((*results)[first + 1u], (*results)[first + 3u], (*results)[first + 5u], (*results)[first + 7u]));
    return array<Eight, 4>(together(evens[0], odds[0]), together(evens[1], odds[1]), together(evens[2], odds[2]), together(evens[3], odds[3]));
}

// Four columns from `first` on start from the bias.
fn add_bias(results: ptr<function, array<vec4<f32>, 32>>, first: u32, four: vec4<f32>) {
    (*results)[first] += four.x;
    (*results)[first + 1u] += four.y;
    (*results)[first + 2u] += four.z;
    (*results)[first + 3u] += four.w;
}

// Eight columns from `first` on are added to what y holds.
fn add_held(results: ptr<function, array<vec4<f32>, 32>>, first: u32, row: u32, rows: u32, column: u32) {
    let near = min(vec4<u32>(row, row + LANES, row + 2u * LANES, row + 3u * LANES), vec4<u32>(rows - 1u));
    let place = (near * size.y_stride + size.y_first + known(column + first, OUTPUTS)) / 8u;
    let held = channels(array<Eight, 4>(y[place.x], y[place.y], y[place.z], y[place.w]));
    (*results)[first] += held[0];
    (*results)[first + 1u] += held[1];
    (*results)[first + 2u] += held[2];
    (*results)[first + 3u] += held[3];
    (*results)[first + 4u] += held[4];
    (*results)[first + 5u] += held[5];
    (*results)[first + 6u] += held[6];
    (*results)[first + 7u] += held[7];
}

fn store_columns(results: ptr<function, array<vec4<f32>, 32>>, first: u32, row: u32, rows: u32, column: u32) {
    (*results)[first] = kept((*results)[first]);
    (*results)[first + 1u] = kept((*results)[first + 1u]);
    (*results)[first + 2u] = kept((*results)[first + 2u]);
    (*results)[first + 3u] = kept((*results)[first + 3u]);
    (*results)[first + 4u] = kept((*results)[first + 4u]);
    (*results)[first + 5u] = kept((*results)[first + 5u]);
    (*results)[first + 6u] = kept((*results)[first + 6u]);
    (*results)[first + 7u] = kept((*results)[first + 7u]);
    var held = rows_of(results, first);
    for (var r = 0u; r < 4u; r += 1u) {
        if (row + r * LANES < rows && column + first < OUTPUTS) {
            y[((row + r * LANES) * size.y_stride + size.y_first + column + first) / 8u] = held[r];
        }
    }
}

// Stores the tile, and leaves what y has there in `results`.
fn store_forward(results: ptr<function, array<vec4<f32>, 32>>, row: u32, rows: u32, column: u32, lane: u32) {
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
    let row = (group.z * groups.y + group.y) * ROWS + lane;
    let column = group.x * COLUMNS;
    var results: array<vec4<f32>, 32>;
    multiply_forward(&results, row, rows, column, lane);
    store_forward(&results, row, rows, column, lane);
}

// The sum of all rows of the tile.
fn total(value: vec4<f32>) -> f32 {
    let own = (value.x + value.y) + (value.z + value.w);
    let low = (subgroupBroadcast(own, 0u) + subgroupBroadcast(own, 1u)) + (subgroupBroadcast(own, 2u) + subgroupBroadcast(own, 3u));
    let high = (subgroupBroadcast(own, 4u) + subgroupBroadcast(own, 5u)) + (subgroupBroadcast(own, 6u) + subgroupBroadcast(own, 7u));
    return low + high;
}

// Sums of four columns from `first` on.
fn totals(results: ptr<function, array<vec4<f32>, 32>>, first: u32, exists: vec4<f32>) -> vec4<f32> {
    let low = vec2<f32>(total((*results)[first] * exists), total((*results)[first + 1u] * exists));
    return vec4<f32>(low, total((*results)[first + 2u] * exists), total((*results)[first + 3u] * exists));
}

// Four columns from `first` on become the squares of their differences from the mean.
fn square(results: ptr<function, array<vec4<f32>, 32>>, first: u32, mean: vec4<f32>) {
    let apart = mat4x4<f32>((*results)[first] - mean.x, (*results)[first + 1u] - mean.y, (*results)[first + 2u] - mean.z, (*results)[first + 3u] - mean.w);
    (*results)[first] = apart[0] * apart[0];
    (*results)[first + 1u] = apart[1] * apart[1];
    (*results)[first + 2u] = apart[2] * apart[2];
    (*results)[first + 3u] = apart[3] * apart[3];
}

// Mean and sum of squared differences of four columns from `first` on, kept by the lane that they belong to.
fn moments_of(results: ptr<function, array<vec4<f32>, 32>>, first: u32, own: bool, exists: vec4<f32>, count: f32, mean: ptr<function, vec4<f32>>, sum: ptr<function, vec4<f32>>) {
    let here = totals(results, first, exists) / max(1.0, count);
    square(results, first, here);
    *mean = select(*mean, here, own);
    *sum = select(*sum, totals(results, first, exists), own);
}

// Also partial_sums[tile, output] = (rows, mean, sum of squared differences from it, 0) of the tile's y; four outputs to a lane.
@compute @workgroup_size(LANES)
fn forward_with_moments(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let tile = group.z * groups.y + group.y;
    let row = tile * ROWS + lane;
    let column = group.x * COLUMNS;
    var results: array<vec4<f32>, 32>;
    multiply_forward(&results, row, rows, column, lane);
    store_forward(&results, row, rows, column, lane);
    let exists = select(NOTHING, vec4<f32>(1.0), vec4<u32>(row, row + LANES, row + 2u * LANES, row + 3u * LANES) < vec4<u32>(rows));
    let count = f32(min(rows, (tile + 1u) * ROWS) - min(rows, tile * ROWS));
    var mean = NOTHING;
    var sum = NOTHING;
    moments_of(&results, 0u, 0u == lane, exists, count, &mean, &sum);
    moments_of(&results, 4u, 1u == lane, exists, count, &mean, &sum);
    moments_of(&results, 8u, 2u == lane, exists, count, &mean, &sum);
    moments_of(&results, 12u, 3u == lane, exists, count, &mean, &sum);
    moments_of(&results, 16u, 4u == lane, exists, count, &mean, &sum);
    moments_of(&results, 20u, 5u == lane, exists, count, &mean, &sum);
    moments_of(&results, 24u, 6u == lane, exists, count, &mean, &sum);
    moments_of(&results, 28u, 7u == lane, exists, count, &mean, &sum);
    let own = column + 4u * lane;
    if (own < OUTPUTS && tile * ROWS < rows) {
        for (var e = 0u; e < 4u; e += 1u) {
            partial_sums[(size.first_split + tile) * OUTPUTS + own + e] = vec4<f32>(count, mean[e], sum[e], 0.0);
        }
    }
}
