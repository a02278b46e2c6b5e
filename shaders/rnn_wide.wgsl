// `rnn_subgroup.wgsl` with memory read and written in 64 bits: the same results up to the order of sums. For software
// adapters with 64-bit integers whose subgroups all have 8 invocations, where a load or a store costs as much for 64 bits as
// for 32. HIDDEN is even.
//
// Decomposition: a workgroup is one subgroup and owns ROWS (4, 8, 12 or 16) rows of the batch. A lane owns the pairs of
// units 2 lane, 2 lane + 1 of all blocks of 16. For each row it keeps two vec4, the even and the odd units of its pairs of four
// blocks.
//
// Sixteen steps of the inner dimension at a time, written out since a loop would move all that a lane keeps in every turn: a
// lane loads its pair of each row and broadcasts first the even units, then the odd ones. The weights are repacked in that
// order, with zeros past their end; uniform buffers are read faster than storage.
//
// A lane reads of h[t-1] and of the gradient of step t + 1 only what it wrote itself: no barrier is needed, which on software
// adapters would double the time. All state lies in storage: a dispatch may begin at any step, and with one step per dispatch
// blocks may be spread over groups.y.

const HIDDEN: u32 = 128u;
const ROWS: u32 = 16u;
const RELU: bool = false;
// Of `pack_units`: for `backward`.
const TRANSPOSED: bool = false;

const LANES: u32 = 8u;
const PAIRS: u32 = HIDDEN / 2u;
// Of 16 units, of which each lane has a pair; and all their units.
const BLOCKS: u32 = (PAIRS + LANES - 1u) / LANES;
const INNER: u32 = 16u * BLOCKS;
// Places (two steps, lane) of the repacked weight in uniform buffers; 1 where they do not hold it and it is read from storage.
const HELD: u32 = 1024u;

struct Size {
    batch: u32,
    frames: u32,
    // Steps of earlier dispatches, in the direction of this one, and steps of this one.
    done: u32,
    steps: u32,
}
var<immediate> size: Size;

// Four pairs of units: the even one of a pair in the lower half of its component, the odd one in the upper.
alias Eight = vec4<u64>;

// Pairs of units as one number each.
@group(0) @binding(0) var<storage, read> a: array<u64>;                      // (time, batch, pair)
@group(0) @binding(1) var<storage, read> weight: array<f32>;                 // (unit before, unit)
@group(0) @binding(2) var<storage, read> bias: array<u64>;                   // (pair)
@group(0) @binding(3) var<storage, read_write> repacked: array<u64>;         // the weight as a direction reads it, in pairs: see `keep`
@group(0) @binding(4) var<storage, read> packed: array<vec4<u64>>;           // the same
@group(0) @binding(5) var<uniform> part_0: array<vec2<u64>, HELD>;           // its pair 0 of four
@group(0) @binding(6) var<uniform> part_1: array<vec2<u64>, HELD>;           // its pair 1 of four
@group(0) @binding(7) var<uniform> part_2: array<vec2<u64>, HELD>;           // its pair 2 of four
@group(0) @binding(8) var<uniform> part_3: array<vec2<u64>, HELD>;           // its pair 3 of four
@group(0) @binding(9) var<storage, read_write> h: array<u64>;                // (time, batch, pair)
@group(0) @binding(10) var<storage, read> dh: array<u64>;                    // (time, batch, pair)
@group(0) @binding(11) var<storage, read_write> dhidden: array<u64>;         // (time, batch, pair)

fn split(both: u64) -> vec2<f32> {
    return bitcast<vec2<f32>>(vec2<u32>(u32(both), u32(both >> 32u)));
}

fn join(numbers: vec2<f32>) -> u64 {
    let words = bitcast<vec2<u32>>(numbers);
    return u64(words.x) | (u64(words.y) << 32u);
}

// Units 0, 2, 4 and 6 of four pairs, and 1, 3, 5 and 7.
fn even(eight: Eight) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(eight));
}

fn odd(eight: Eight) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(eight >> vec4<u32>(32u)));
}

fn together(even: vec4<f32>, odd: vec4<f32>) -> Eight {
    return vec4<u64>(bitcast<vec4<u32>>(even)) | vec4<u64>(bitcast<vec4<u32>>(odd)) << vec4<u32>(32u);
}

// Without overflow and, unlike WGSL's own, of known accuracy: 1 - e cancels near 0, where the series takes over.
fn hyperbolic_tangent(x: vec2<f32>) -> vec2<f32> {
    let e = exp(-2.0 * abs(x));
    let s = x * x;
    let series = x * ((((0.021869488 * s - 0.053968254) * s + 0.13333333) * s - 0.33333333) * s + 1.0);
    return select(sign(x) * (1.0 - e) / (1.0 + e), series, abs(x) < vec2<f32>(0.25));
}

// h[t] of a pair of units, to which bias and h[t-1] bring `state`.
fn forward_pair(t: u32, sample: u32, pair: u32, state: vec2<f32>) {
    let place = (t * size.batch + sample) * PAIRS + pair;
    let x = split(a[place]) + state;
    h[place] = join(select(hyperbolic_tangent(x), max(vec2<f32>(0.0), x), RELU));
}

// A gradient, or 0 where it has faded below 2^-100: what comes of so little would be subnormal, and processors take a hundred times
// as long over that. What is no number stays.
fn faded(d: vec2<f32>) -> vec2<f32> {
    return select(d, vec2<f32>(0.0), abs(d) < vec2<f32>(7.888609e-31));
}

// The gradients of a pair of units at step t, to which step t + 1 brings `later`.
fn backward_pair(t: u32, sample: u32, pair: u32, later: vec2<f32>) {
    let place = (t * size.batch + sample) * PAIRS + pair;
    let state = split(h[place]);
    let slope = select(1.0 - state * state, select(vec2<f32>(0.0), vec2<f32>(1.0), state > vec2<f32>(0.0)), RELU);
    dhidden[place] = join(faded((split(dh[place]) + later) * slope));
}

// The two vec4 of a row += value of lane s * right of step s. Written out, since a lane to broadcast from is a constant.
fn multiply_row(results: ptr<function, array<vec4<f32>, 32>>, row: u32, value: f32, right: ptr<function, array<vec4<u64>, 8>>) {
    var first = (*results)[2u * row];
    var second = (*results)[2u * row + 1u];
    add(&first, &second, subgroupBroadcast(value, 0u), (*right)[0]);
    add(&first, &second, subgroupBroadcast(value, 1u), (*right)[1]);
    add(&first, &second, subgroupBroadcast(value, 2u), (*right)[2]);
    add(&first, &second, subgroupBroadcast(value, 3u), (*right)[3]);
    add(&first, &second, subgroupBroadcast(value, 4u), (*right)[4]);
    add(&first, &second, subgroupBroadcast(value, 5u), (*right)[5]);
    add(&first, &second, subgroupBroadcast(value, 6u), (*right)[6]);
    add(&first, &second, subgroupBroadcast(value, 7u), (*right)[7]);
    (*results)[2u * row] = first;
    (*results)[2u * row + 1u] = second;
}

fn add(first: ptr<function, vec4<f32>>, second: ptr<function, vec4<f32>>, value: f32, right: vec4<u64>) {
    *first = fma(vec4<f32>(value), even(right), *first);
    *second = fma(vec4<f32>(value), odd(right), *second);
}

// results += product of a block of the inner dimension: `left` is the lane's pair of each row. That it is as long as the loop
// over rows turns makes drivers write that loop out.
fn multiply(results: ptr<function, array<vec4<f32>, 32>>, left: ptr<function, array<u64, ROWS>>, block: u32, lane: u32) {
    multiply_half(results, left, 0u, 2u * block, lane);
    multiply_half(results, left, 1u, 2u * block + 1u, lane);
}

fn multiply_half(results: ptr<function, array<vec4<f32>, 32>>, left: ptr<function, array<u64, ROWS>>, half: u32, eight: u32, lane: u32) {
    var right: array<vec4<u64>, 8>;
    for (var s = 0u; s < 8u; s += 2u) {
        let place = (eight * 4u + s / 2u) * LANES + lane;
        if (HELD > 1u) {
            let two = array<vec2<u64>, 4>(part_0[place], part_1[place], part_2[place], part_3[place]);
            right[s] = vec4<u64>(two[0].x, two[1].x, two[2].x, two[3].x);
            right[s + 1u] = vec4<u64>(two[0].y, two[1].y, two[2].y, two[3].y);
        } else {
            right[s] = packed[2u * place];
            right[s + 1u] = packed[2u * place + 1u];
        }
    }
    for (var r = 0u; r < ROWS; r += 1u) {
        multiply_row(results, r, bitcast<f32>(u32((*left)[r] >> (32u * half))), &right);
    }
}

fn begin(results: ptr<function, array<vec4<f32>, 32>>, value: vec4<u64>) {
    for (var r = 0u; r < ROWS; r += 1u) {
        (*results)[2u * r] = even(value);
        (*results)[2u * r + 1u] = odd(value);
    }
}

// Results of a row: a choice among registers, since an array at a place that is not constant would be one of branches.
fn of_row(results: ptr<function, array<vec4<f32>, 32>>, row: u32) -> array<vec4<f32>, 2> {
    var first = (*results)[0];
    var second = (*results)[1];
    for (var r = 1u; r < ROWS; r += 1u) {
        first = select(first, (*results)[2u * r], r == row);
        second = select(second, (*results)[2u * r + 1u], r == row);
    }
    return array<vec4<f32>, 2>(first, second);
}

// results = what bias and h[t-1] bring to the lane's pairs of four blocks of h[t]. Rows past the batch
// repeat its last and are never written.
fn units_from_state(results: ptr<function, array<vec4<f32>, 32>>, t: u32, first_row: u32, tile: u32, lane: u32) {
    var left: array<u64, ROWS>;
    var start = vec4<u64>();
    for (var e = 0u; e < 4u; e += 1u) {
        start[e] = bias[min((tile * 4u + e) * LANES + lane, PAIRS - 1u)];
    }
    begin(results, start);
    if (t == 0u) {
        return;
    }
    for (var k = 0u; k < BLOCKS; k += 1u) {
        let pair = k * LANES + lane;
        for (var r = 0u; r < ROWS; r += 1u) {
            let row = (t - 1u) * size.batch + min(first_row + r, size.batch - 1u);
            left[r] = select(0lu, h[row * PAIRS + min(pair, PAIRS - 1u)], pair < PAIRS);
        }
        multiply(results, &left, tile * BLOCKS + k, lane);
    }
}

// results = what step t + 1 brings to the gradient at the lane's pairs of four blocks of h[t].
fn units_from_gradient(results: ptr<function, array<vec4<f32>, 32>>, t: u32, first_row: u32, tile: u32, lane: u32) {
    var left: array<u64, ROWS>;
    begin(results, vec4<u64>());
    if (t + 1u >= size.frames) {
        return;
    }
    for (var k = 0u; k < BLOCKS; k += 1u) {
        let pair = k * LANES + lane;
        for (var r = 0u; r < ROWS; r += 1u) {
            let row = (t + 1u) * size.batch + min(first_row + r, size.batch - 1u);
            left[r] = select(0lu, dhidden[row * PAIRS + min(pair, PAIRS - 1u)], pair < PAIRS);
        }
        multiply(results, &left, tile * BLOCKS + k, lane);
    }
}

// Writes the four pairs of place `i`, (inner, lane), of `count`. In uniform buffers, whose elements are of 16 bytes at least, one
// pair of all places (two steps, lane), after the other; in storage (two steps, lane, step, pair).
fn keep(i: u32, count: u32, pairs: vec4<u64>) {
    let place = i / 16u * 8u + i % 8u;
    let step = i / 8u % 2u;
    for (var p = 0u; p < 4u; p += 1u) {
        repacked[select((place * 2u + step) * 4u + p, p * count + place * 2u + step, HELD > 1u)] = pairs[p];
    }
}

// The unit at place `inner` of a repacked weight: of each block the even ones before the odd ones.
fn unit_at(inner: u32) -> u32 {
    return inner / 16u * 16u + inner % 8u * 2u + inner / 8u % 2u;
}

// (four blocks, inner, lane): four pairs of units.
@compute @workgroup_size(64)
fn pack_units(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let count = (BLOCKS + 3u) / 4u * INNER * LANES;
    if (i >= count) {
        return;
    }
    let inner = unit_at(i / LANES % INNER);
    var first = vec4<f32>(0.0);
    var second = vec4<f32>(0.0);
    for (var e = 0u; e < 4u; e += 1u) {
        let unit = (i / LANES / INNER * 4u + e) * 16u + i % LANES * 2u;
        if (inner < HIDDEN && unit < HIDDEN) {
            let place = select(inner * HIDDEN + unit, unit * HIDDEN + inner, TRANSPOSED);
            first[e] = weight[place];
            second[e] = weight[place + select(1u, HIDDEN, TRANSPOSED)];
        }
    }
    keep(i, count, together(first, second));
}

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_row = group.x * ROWS;
    let rows = min(ROWS, size.batch - first_row);
    var results: array<vec4<f32>, 32>;
    for (var t = size.done; t < size.done + size.steps; t += 1u) {
        for (var tile = group.y; tile * 4u < BLOCKS; tile += groups.y) {
            units_from_state(&results, t, first_row, tile, lane);
            for (var r = 0u; r < rows; r += 1u) {
                let row = of_row(&results, r);
                for (var e = 0u; e < 4u; e += 1u) {
                    let pair = (tile * 4u + e) * LANES + lane;
                    if (pair < PAIRS) {
                        forward_pair(t, first_row + r, pair, vec2<f32>(row[0][e], row[1][e]));
                    }
                }
            }
        }
    }
}

@compute @workgroup_size(LANES)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_row = group.x * ROWS;
    let rows = min(ROWS, size.batch - first_row);
    var results: array<vec4<f32>, 32>;
    for (var back = size.done; back < size.done + size.steps; back += 1u) {
        let t = size.frames - 1u - back;
        for (var tile = group.y; tile * 4u < BLOCKS; tile += groups.y) {
            units_from_gradient(&results, t, first_row, tile, lane);
            for (var r = 0u; r < rows; r += 1u) {
                let row = of_row(&results, r);
                for (var e = 0u; e < 4u; e += 1u) {
                    let pair = (tile * 4u + e) * LANES + lane;
                    if (pair < PAIRS) {
                        backward_pair(t, first_row + r, pair, vec2<f32>(row[0][e], row[1][e]));
                    }
                }
            }
        }
    }
}
