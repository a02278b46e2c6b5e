// The gradient of the input as `convolution_wide.wgsl` does the forward product.
//
// Decomposition: as there; a workgroup is one subgroup. It owns 32 rows x 32 columns; a lane owns the rows lane, lane + 8, lane + 16 and
// lane + 24 of them, so that it loads and stores its rows whole. Eight steps of the inner dimension at a time: a lane loads
// those of its rows; the weights of the 8 steps are loaded a step (of the gradient a column) to a lane, and broadcast.
// Groups: x = tiles of columns, so that neighbours in time read the same rows; y and z = tiles of rows.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const INPUTS: u32 = 32u;
const OUTPUTS: u32 = 32u;
const MEL: u32 = 128u;
const FOLD: bool = false;
// Where the channels of x begin in `moments`.
const STATISTICS_FIRST: u32 = 0u;

// An operand of a product: as it is, or rounded to f16 (the host replaces such lines).
fn operand(value: vec4<f32>) -> vec4<f32> { return value; }

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

// Channels channel .. channel + 7 of dy's rows.
fn gradients(rows: vec4<u32>, channel: u32) -> array<vec4<f32>, 8> {
    let outside = rows == vec4<u32>(OUTSIDE);
    let place = (select(rows, vec4<u32>(0u), outside) * size.y_stride + size.y_first + channel) / 8u;
    var g = channels(array<Eight, 4>(dy[place.x], dy[place.y], dy[place.z], dy[place.w]));
    for (var c = 0u; c < 8u; c += 1u) {
        g[c] = operand(select(g[c], NOTHING, outside));
    }
    return g;
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

// Eight columns from `first` on, one to a lane, which holds all steps of it.
fn multiply_columns(results: ptr<function, array<vec4<f32>, 32>>, first: u32, right: Eight, left: ptr<function, array<vec4<f32>, 8>>) {
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

// The sums of a tile of dx.
fn multiply_backward(results: ptr<function, array<vec4<f32>, 32>>, row: u32, rows: u32, column: u32, lane: u32) {
    // Once: where software divides, it does so lane after lane.
    var places = array<vec2<i32>, 4>(whereabouts(row), whereabouts(row + LANES), whereabouts(row + 2u * LANES), whereabouts(row + 3u * LANES));
    for (var tap = 0u; tap < KERNEL_TIME * KERNEL_MEL; tap += 1u) {
        let near = neighbours(row, rows, &places, i32(KERNEL_TIME / 2u) - i32(tap / KERNEL_MEL), i32(KERNEL_MEL / 2u) - i32(tap % KERNEL_MEL));
        let w = tap * size.weight_inputs + size.weight_first + lane;
        for (var o = 0u; o < OUTPUTS; o += 8u) {
            var left = gradients(near, o);
            multiply_columns(results, 0u, weight[((w + known(column, INPUTS)) * OUTPUTS + o) / 8u], &left);
            multiply_columns(results, 8u, weight[((w + known(column + 8u, INPUTS)) * OUTPUTS + o) / 8u], &left);
            multiply_columns(results, 16u, weight[((w + known(column + 16u, INPUTS)) * OUTPUTS + o) / 8u], &left);
            multiply_columns(results, 24u, weight[((w + known(column + 24u, INPUTS)) * OUTPUTS + o) / 8u], &left);
        }
    }
}

// Eight columns from `first` on as rows: element r is row r of the lane's.
fn rows_of(results: ptr<function, array<vec4<f32>, 32>>, first: u32) -> array<Eight, 4> {
    let evens = transpose(mat4x4<f32>((*results)[first], (*results)[first + 2u], (*results)[first + 4u], (*results)[first + 6u]));
    let odds = transpose(mat4x4<f32>((*results)[first + 1u], (*results)[first + 3u], (*results)[first + 5u], (*results)[first + 7u]));
    return array<Eight, 4>(together(evens[0], odds[0]), together(evens[1], odds[1]), together(evens[2], odds[2]), together(evens[3], odds[3]));
}

// Eight columns from `first` on are stored, or added to what dx holds.
fn store_columns(results: ptr<function, array<vec4<f32>, 32>>, first: u32, row: u32, rows: u32, column: u32) {
    var values = rows_of(results, first);
    for (var r = 0u; r < 4u; r += 1u) {
        if (row + r * LANES < rows && column + first < INPUTS) {
            let place = ((row + r * LANES) * size.dx_stride + size.dx_first + column + first) / 8u;
            if (size.add_dx != 0u) {
                let held = dx[place];
                dx[place] = together(even(held) + even(values[r]), odd(held) + odd(values[r]));
            } else {
                dx[place] = values[r];
            }
        }
    }
}

fn store_backward(results: ptr<function, array<vec4<f32>, 32>>, row: u32, rows: u32, column: u32) {
    store_columns(results, 0u, row, rows, column);
    store_columns(results, 8u, row, rows, column);
    store_columns(results, 16u, row, rows, column);
    store_columns(results, 24u, row, rows, column);
}

@compute @workgroup_size(LANES)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let row = (group.z * groups.y + group.y) * ROWS + lane;
    var results: array<vec4<f32>, 32>;
    multiply_backward(&results, row, rows, group.x * COLUMNS, lane);
    store_backward(&results, row, rows, group.x * COLUMNS);
}

// The sum of all rows of the tile.
fn total(value: vec4<f32>) -> f32 {
    let own = (value.x + value.y) + (value.z + value.w);
    let low = (subgroupBroadcast(own, 0u) + subgroupBroadcast(own, 1u)) + (subgroupBroadcast(own, 2u) + subgroupBroadcast(own, 3u));
    let high = (subgroupBroadcast(own, 4u) + subgroupBroadcast(own, 5u)) + (subgroupBroadcast(own, 6u) + subgroupBroadcast(own, 7u));
    return low + high;
}

// What the fold makes of four columns, and the moments that it was made from.
struct Fold {
    factor: vec4<f32>,
    offset: vec4<f32>,
    mean: vec4<f32>,
}

// A column of the gradient becomes what it adds to dx; returns the sums of dz and of dz (x - mean).
fn fold_back(results: ptr<function, array<vec4<f32>, 32>>, c: u32, input: vec4<f32>, factor: f32, offset: f32, mean: f32, exists: vec4<bool>) -> vec2<f32> {
    let dz = select(NOTHING, (*results)[c], fma(input, vec4<f32>(factor), vec4<f32>(offset)) > NOTHING & exists);
    (*results)[c] = factor * dz;
    return vec2<f32>(total(dz), total(dz * (input - mean)));
}

// Four columns from `first` on, of those of x that `inputs` holds from `from` on.
fn fold_four(results: ptr<function, array<vec4<f32>, 32>>, first: u32, inputs: ptr<function, array<vec4<f32>, 8>>, place: u32, fold: Fold, exists: vec4<bool>) -> mat4x2<f32> {
    return mat4x2<f32>(
        fold_back(results, first, (*inputs)[place], fold.factor.x, fold.offset.x, fold.mean.x, exists),
        fold_back(results, first + 1u, (*inputs)[place + 1u], fold.factor.y, fold.offset.y, fold.mean.y, exists),
        fold_back(results, first + 2u, (*inputs)[place + 2u], fold.factor.z, fold.offset.z, fold.mean.z, exists),
        fold_back(results, first + 3u, (*inputs)[place + 3u], fold.factor.w, fold.offset.w, fold.mean.w, exists),
    );
}

// Channels of x where eight columns from `first` on lie.
fn inputs_of(first: u32, row: u32, rows: u32, column: u32) -> array<vec4<f32>, 8> {
    let near = min(vec4<u32>(row, row + LANES, row + 2u * LANES, row + 3u * LANES), vec4<u32>(rows - 1u));
    let place = (near * size.x_stride + size.x_first + known(column + first, INPUTS)) / 8u;
    return channels(array<Eight, 4>(x[place.x], x[place.y], x[place.z], x[place.w]));
}

// As backward_folded of convolution_tiled_back.wgsl; partial sums of four inputs to a lane.
@compute @workgroup_size(LANES)
fn backward_folded(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = size.batch * size.frames * MEL;
    let tile = group.z * groups.y + group.y;
    let row = tile * ROWS + lane;
    let column = group.x * COLUMNS;
    var results: array<vec4<f32>, 32>;
    multiply_backward(&results, row, rows, column, lane);
    let exists = vec4<u32>(row, row + LANES, row + 2u * LANES, row + 3u * LANES) < vec4<u32>(rows);
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
    let four0 = fold_four(&results, 0u, &inputs, 0u, fold0, exists);
    if (lane == 0u) { sums = four0; }
    let fold1 = Fold(subgroupBroadcast(factor, 1u), subgroupBroadcast(offset, 1u), subgroupBroadcast(mean, 1u));
    let four1 = fold_four(&results, 4u, &inputs, 4u, fold1, exists);
    if (lane == 1u) { sums = four1; }
    inputs = inputs_of(8u, row, rows, column);
    let fold2 = Fold(subgroupBroadcast(factor, 2u), subgroupBroadcast(offset, 2u), subgroupBroadcast(mean, 2u));
    let four2 = fold_four(&results, 8u, &inputs, 0u, fold2, exists);
    if (lane == 2u) { sums = four2; }
    let fold3 = Fold(subgroupBroadcast(factor, 3u), subgroupBroadcast(offset, 3u), subgroupBroadcast(mean, 3u));
    let four3 = fold_four(&results, 12u, &inputs, 4u, fold3, exists);
    if (lane == 3u) { sums = four3; }
    inputs = inputs_of(16u, row, rows, column);
    let fold4 = Fold(subgroupBroadcast(factor, 4u), subgroupBroadcast(offset, 4u), subgroupBroadcast(mean, 4u));
    let four4 = fold_four(&results, 16u, &inputs, 0u, fold4, exists);
    if (lane == 4u) { sums = four4; }
    let fold5 = Fold(subgroupBroadcast(factor, 5u), subgroupBroadcast(offset, 5u), subgroupBroadcast(mean, 5u));
    let four5 = fold_four(&results, 20u, &inputs, 4u, fold5, exists);
    if (lane == 5u) { sums = four5; }
    inputs = inputs_of(24u, row, rows, column);
    let fold6 = Fold(subgroupBroadcast(factor, 6u), subgroupBroadcast(offset, 6u), subgroupBroadcast(mean, 6u));
    let four6 = fold_four(&results, 24u, &inputs, 0u, fold6, exists);
    if (lane == 6u) { sums = four6; }
    let fold7 = Fold(subgroupBroadcast(factor, 7u), subgroupBroadcast(offset, 7u), subgroupBroadcast(mean, 7u));
    let four7 = fold_four(&results, 28u, &inputs, 4u, fold7, exists);
    if (lane == 7u) { sums = four7; }
    store_backward(&results, row, rows, column);
    if (column + 4u * lane < INPUTS && tile * ROWS < rows) {
        let place = ((size.first_split + tile) * INPUTS + column + 4u * lane) / 2u;
        partial_sums[place] = vec4<f32>(sums[0].x, sums[0].y * inv_std.x, sums[1].x, sums[1].y * inv_std.y);
        partial_sums[place + 1u] = vec4<f32>(sums[2].x, sums[2].y * inv_std.z, sums[3].x, sums[3].y * inv_std.w);
    }
}
