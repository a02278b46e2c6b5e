// `indrnn.wgsl` for units that come in eights, on adapters with integers of 64 bits: the same bindings and results.
// Software adapters load and store lane after lane, and every component of a vector costs a check and a jump: an invocation owns
// GROUPS times eight chains of neighbouring units, and a component of 64 bits brings two of them.
//
// Decomposition: a workgroup owns GROUPS times 512 bytes of every step, eights of all invocations side by side. Of a step that
// lies in a page of its own processors foresee little: the more of it a workgroup reads at once, the less it waits. Chains past
// the end read the last ones, and nothing is written of them.

const HIDDEN: u32 = 128u;
const GROUPS: u32 = 4u;

struct Size {
    batch: u32,
    frames: u32,
    first: u32,
    count: u32,
}
var<immediate> size: Size;

// Eight units: unit 2 i in the lower half of component i, unit 2 i + 1 in the upper.
alias Eight = vec4<u64>;

@group(0) @binding(0) var<storage, read> a: array<Eight>;
@group(0) @binding(1) var<storage, read> u: array<Eight>;
@group(0) @binding(2) var<storage, read_write> h: array<Eight>;
@group(0) @binding(3) var<storage, read> state: array<Eight>;     // h, read
@group(0) @binding(4) var<storage, read> dh: array<Eight>;
@group(0) @binding(5) var<storage, read_write> da: array<Eight>;
@group(0) @binding(6) var<storage, read_write> partial_sums: array<Eight>;   // (batch, hidden): du of each sample
@group(0) @binding(7) var<storage, read_write> carried: array<Eight>;        // (batch, hidden): d of step `first`
@group(0) @binding(8) var<storage, read_write> moments: array<vec4<f32>>;    // (batch, hidden): of each chain's states
@group(0) @binding(9) var<storage, read> norm: array<vec4<f32>>;             // mean, inv_std, scale, shift of each unit
@group(0) @binding(10) var<storage, read> corrections: array<vec2<f32>>;     // dbeta / n, dgamma / n
@group(0) @binding(11) var<storage, read_write> chain_sums: array<vec2<f32>>;   // (batch, hidden): du, and the sum of da

const LANES: u32 = 8u;
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// Of eight units of each group: the even ones, then the odd ones. As long as the loops over groups turn, which makes drivers
// write those loops out.
alias Chains = array<mat2x4<f32>, GROUPS>;

// Units 0, 2, 4 and 6 of eight, and 1, 3, 5 and 7.
fn even(eight: Eight) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(eight));
}

fn odd(eight: Eight) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(eight >> vec4<u32>(32u)));
}

fn together(even: vec4<f32>, odd: vec4<f32>) -> Eight {
    return vec4<u64>(bitcast<vec4<u32>>(even)) | vec4<u64>(bitcast<vec4<u32>>(odd)) << vec4<u32>(32u);
}

fn split(eight: Eight) -> mat2x4<f32> {
    return mat2x4<f32>(even(eight), odd(eight));
}

fn join(numbers: mat2x4<f32>) -> Eight {
    return together(numbers[0], numbers[1]);
}

// The first eight chains of an invocation; those of group g are LANES g further on.
fn first_of(group: vec3<u32>, groups: vec3<u32>, lane: u32) -> u32 {
    return (group.y * groups.x + group.x) * LANES * GROUPS + lane;
}

fn weights_of(first: u32) -> Chains {
    var result: Chains;
    for (var g = 0u; g < GROUPS; g += 1u) {
        result[g] = split(u[(first + LANES * g) % (HIDDEN / 8u)]);
    }
    return result;
}

// The states before step `size.first`.
fn begin(first: u32, step: u32) -> Chains {
    var result: Chains;
    if (size.first > 0u) {
        for (var g = 0u; g < GROUPS; g += 1u) {
            result[g] = split(h[(size.first - 1u) * step + min(first + LANES * g, step - 1u)]);
        }
    }
    return result;
}

// The states after those.
fn next(weight: mat2x4<f32>, value: mat2x4<f32>, input: mat2x4<f32>) -> mat2x4<f32> {
    return mat2x4<f32>(max(NOTHING, fma(weight[0], value[0], input[0])), max(NOTHING, fma(weight[1], value[1], input[1])));
}

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = first_of(group, groups, lane);
    let step = size.batch * HIDDEN / 8u;
    var weights = weights_of(first);
    var values = begin(first, step);
    for (var t = size.first; t < size.first + size.count; t += 1u) {
        for (var g = 0u; g < GROUPS; g += 1u) {
            let i = first + LANES * g;
            values[g] = next(weights[g], values[g], split(a[t * step + min(i, step - 1u)]));
            if (i < step) {
                h[t * step + i] = join(values[g]);
            }
        }
    }
}

// A gradient, or 0 where it has faded below 2^-100: what comes of so little would be subnormal, and processors take a hundred times
// as long over that. What is no number stays.
fn faded(d: vec4<f32>) -> vec4<f32> {
    return select(d, NOTHING, abs(d) < vec4<f32>(7.888609e-31));
}

// d of a step from that of the step after; its share of g is taken by fma everywhere, so that it is rounded alike wherever a cut
// falls.
fn step_back(weight: vec4<f32>, d: vec4<f32>, gradient: vec4<f32>, value: vec4<f32>) -> vec4<f32> {
    return faded(select(NOTHING, fma(weight, d, gradient), value > NOTHING));
}

// The states of a group at step t.
fn states_of(t: u32, i: u32, step: u32) -> mat2x4<f32> {
    return split(state[t * step + min(i, step - 1u)]);
}

@compute @workgroup_size(LANES)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = first_of(group, groups, lane);
    let step = size.batch * HIDDEN / 8u;
    let end = size.first + size.count;
    var weights = weights_of(first);
    var d: Chains;
    var sums: Chains;
    var values: Chains;
    for (var g = 0u; g < GROUPS; g += 1u) {
        let i = first + LANES * g;
        if (end < size.frames) {
            d[g] = split(carried[min(i, step - 1u)]);
            sums[g] = split(partial_sums[min(i, step - 1u)]);
        }
        values[g] = states_of(end - 1u, i, step);
    }
    for (var t = end; t > size.first; t -= 1u) {
        for (var g = 0u; g < GROUPS; g += 1u) {
            let i = first + LANES * g;
            var before = mat2x4<f32>();
            if (t > 1u) {
                before = states_of(t - 2u, i, step);
            }
            let gradient = split(dh[(t - 1u) * step + min(i, step - 1u)]);
            d[g][0] = step_back(weights[g][0], d[g][0], gradient[0], values[g][0]);
            d[g][1] = step_back(weights[g][1], d[g][1], gradient[1], values[g][1]);
            if (i < step) {
                da[(t - 1u) * step + i] = join(d[g]);
            }
            sums[g][0] = fma(d[g][0], before[0], sums[g][0]);
            sums[g][1] = fma(d[g][1], before[1], sums[g][1]);
            values[g] = before;
        }
    }
    for (var g = 0u; g < GROUPS; g += 1u) {
        let i = first + LANES * g;
        if (i < step) {
            carried[i] = join(d[g]);
            partial_sums[i] = join(sums[g]);
        }
    }
}

// Mean of the states so far, of which this one is a `share`, and the sum of squared differences from it (Welford 1962).
fn with_value(so_far: mat2x4<f32>, share: f32, value: vec4<f32>) -> mat2x4<f32> {
    let apart = value - so_far[0];
    let mean = fma(apart, vec4<f32>(share), so_far[0]);
    return mat2x4<f32>(mean, fma(apart, value - mean, so_far[1]));
}

// As `forward`; also leaves the moments of each chain's states.
@compute @workgroup_size(LANES)
fn forward_with_moments(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = first_of(group, groups, lane);
    let step = size.batch * HIDDEN / 8u;
    var weights = weights_of(first);
    var values = begin(first, step);
    var count = f32(size.first);
    // Of the even units, and of the odd ones: mean, squared differences.
    var low: Chains;
    var high: Chains;
    if (size.first > 0u) {
        for (var g = 0u; g < GROUPS; g += 1u) {
            let i = min(first + LANES * g, step - 1u);
            for (var e = 0u; e < 4u; e += 1u) {
                let own = moments[8u * i + 2u * e];
                let other = moments[8u * i + 2u * e + 1u];
                low[g][0][e] = own.y;
                low[g][1][e] = own.z;
                high[g][0][e] = other.y;
                high[g][1][e] = other.z;
            }
        }
    }
    for (var t = size.first; t < size.first + size.count; t += 1u) {
        count += 1.0;
        let share = 1.0 / count;
        for (var g = 0u; g < GROUPS; g += 1u) {
            let i = first + LANES * g;
            values[g] = next(weights[g], values[g], split(a[t * step + min(i, step - 1u)]));
            if (i < step) {
                h[t * step + i] = join(values[g]);
            }
            low[g] = with_value(low[g], share, values[g][0]);
            high[g] = with_value(high[g], share, values[g][1]);
        }
    }
    for (var g = 0u; g < GROUPS; g += 1u) {
        let i = first + LANES * g;
        if (i < step) {
            for (var e = 0u; e < 4u; e += 1u) {
                moments[8u * i + 2u * e] = vec4<f32>(count, low[g][0][e], low[g][1][e], 0.0);
                moments[8u * i + 2u * e + 1u] = vec4<f32>(count, high[g][0][e], high[g][1][e], 0.0);
            }
        }
    }
}

// What a batch norm that reads the states leaves of the gradient at its output.
struct Norm {
    mean: vec4<f32>,
    inv_std: vec4<f32>,
    scale: vec4<f32>,
    // dbeta / n, dgamma / n
    of_beta: vec4<f32>,
    of_gamma: vec4<f32>,
}

// That of units unit, unit + 2, unit + 4 and unit + 6.
fn norm_of(unit: u32) -> Norm {
    let four = transpose(mat4x4<f32>(norm[unit], norm[unit + 2u], norm[unit + 4u], norm[unit + 6u]));
    let low = mat2x2<f32>(corrections[unit], corrections[unit + 2u]);
    let high = mat2x2<f32>(corrections[unit + 4u], corrections[unit + 6u]);
    let of_beta = vec4<f32>(low[0].x, low[1].x, high[0].x, high[1].x);
    return Norm(four[0], four[1], four[2], of_beta, vec4<f32>(low[0].y, low[1].y, high[0].y, high[1].y));
}

fn through_norm(dz: vec4<f32>, value: vec4<f32>, norm: Norm) -> vec4<f32> {
    return norm.scale * (dz - norm.of_beta - (value - norm.mean) * norm.inv_std * norm.of_gamma);
}

// As `backward`, from the gradient `dh` at the output of a batch norm of the states; also leaves the sum of each chain's da.
@compute @workgroup_size(LANES)
fn backward_through_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = first_of(group, groups, lane);
    let step = size.batch * HIDDEN / 8u;
    let end = size.first + size.count;
    var weights = weights_of(first);
    var evens: array<Norm, GROUPS>;
    var odds: array<Norm, GROUPS>;
    var d: Chains;
    // Of d times the state before, and of d.
    var low: Chains;
    var high: Chains;
    var values: Chains;
    for (var g = 0u; g < GROUPS; g += 1u) {
        let i = min(first + LANES * g, step - 1u);
        evens[g] = norm_of(8u * i % HIDDEN);
        odds[g] = norm_of(8u * i % HIDDEN + 1u);
        if (end < size.frames) {
            d[g] = split(carried[i]);
            for (var e = 0u; e < 4u; e += 1u) {
                let own = chain_sums[8u * i + 2u * e];
                let other = chain_sums[8u * i + 2u * e + 1u];
                low[g][0][e] = own.x;
                low[g][1][e] = own.y;
                high[g][0][e] = other.x;
                high[g][1][e] = other.y;
            }
        }
        values[g] = states_of(end - 1u, i, step);
    }
    for (var t = end; t > size.first; t -= 1u) {
        for (var g = 0u; g < GROUPS; g += 1u) {
            let i = first + LANES * g;
            var before = mat2x4<f32>();
            if (t > 1u) {
                before = states_of(t - 2u, i, step);
            }
            let dz = split(dh[(t - 1u) * step + min(i, step - 1u)]);
            d[g][0] = step_back(weights[g][0], d[g][0], through_norm(dz[0], values[g][0], evens[g]), values[g][0]);
            d[g][1] = step_back(weights[g][1], d[g][1], through_norm(dz[1], values[g][1], odds[g]), values[g][1]);
            if (i < step) {
                da[(t - 1u) * step + i] = join(d[g]);
            }
            low[g] = mat2x4<f32>(fma(d[g][0], before[0], low[g][0]), low[g][1] + d[g][0]);
            high[g] = mat2x4<f32>(fma(d[g][1], before[1], high[g][0]), high[g][1] + d[g][1]);
            values[g] = before;
        }
    }
    for (var g = 0u; g < GROUPS; g += 1u) {
        let i = first + LANES * g;
        if (i < step) {
            carried[i] = join(d[g]);
            for (var e = 0u; e < 4u; e += 1u) {
                chain_sums[8u * i + 2u * e] = vec2<f32>(low[g][0][e], low[g][1][e]);
                chain_sums[8u * i + 2u * e + 1u] = vec2<f32>(high[g][0][e], high[g][1][e]);
            }
        }
    }
}
