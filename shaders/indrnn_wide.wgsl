// `indrnn.wgsl` for units that come in eights, on adapters with integers of 64 bits: the same bindings and results.
// Software adapters load and store lane after lane, and every component of a vector costs a check and a jump: an invocation owns
// eight chains of neighbouring units, and a component of 64 bits brings two of them.

const HIDDEN: u32 = 128u;

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

const NOTHING: vec4<f32> = vec4<f32>(0.0);

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

// The state after one.
fn next(weight: vec4<f32>, value: vec4<f32>, input: vec4<f32>) -> vec4<f32> {
    return max(NOTHING, fma(weight, value, input));
}

@compute @workgroup_size(8)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 8u + lane;
    let step = size.batch * HIDDEN / 8u;
    if (i >= step) {
        return;
    }
    let weight = u[i % (HIDDEN / 8u)];
    var evens = NOTHING;
    var odds = NOTHING;
    if (size.first > 0u) {
        let before = h[(size.first - 1u) * step + i];
        evens = even(before);
        odds = odd(before);
    }
    for (var t = size.first; t < size.first + size.count; t += 1u) {
        let input = a[t * step + i];
        evens = next(even(weight), evens, even(input));
        odds = next(odd(weight), odds, odd(input));
        h[t * step + i] = together(evens, odds);
    }
}

// d of a step from that of the step after; its share of g is taken by fma everywhere, so that it is rounded alike wherever a cut
// falls.
fn step_back(weight: vec4<f32>, d: vec4<f32>, gradient: vec4<f32>, value: vec4<f32>) -> vec4<f32> {
    return select(NOTHING, fma(weight, d, gradient), value > NOTHING);
}

@compute @workgroup_size(8)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 8u + lane;
    let step = size.batch * HIDDEN / 8u;
    if (i >= step) {
        return;
    }
    let weight = u[i % (HIDDEN / 8u)];
    let end = size.first + size.count;
    // Of the even units, and of the odd ones.
    var d = mat2x4<f32>();
    var sums = mat2x4<f32>();
    if (end < size.frames) {
        let after = carried[i];
        let so_far = partial_sums[i];
        d = mat2x4<f32>(even(after), odd(after));
        sums = mat2x4<f32>(even(so_far), odd(so_far));
    }
    var value = state[(end - 1u) * step + i];
    for (var t = end; t > size.first; t -= 1u) {
        let at = (t - 1u) * step + i;
        var before = Eight();
        if (t > 1u) {
            before = state[at - step];
        }
        let gradient = dh[at];
        d[0] = step_back(even(weight), d[0], even(gradient), even(value));
        d[1] = step_back(odd(weight), d[1], odd(gradient), odd(value));
        da[at] = together(d[0], d[1]);
        sums[0] = fma(d[0], even(before), sums[0]);
        sums[1] = fma(d[1], odd(before), sums[1]);
        value = before;
    }
    carried[i] = together(d[0], d[1]);
    partial_sums[i] = together(sums[0], sums[1]);
}

// Mean of the states so far, `count` of them with this one, and the sum of squared differences from it (Welford 1962).
fn with_value(so_far: mat2x4<f32>, count: f32, value: vec4<f32>) -> mat2x4<f32> {
    let apart = value - so_far[0];
    let mean = so_far[0] + apart / count;
    return mat2x4<f32>(mean, fma(apart, value - mean, so_far[1]));
}

// As `forward`; also leaves the moments of each chain's states.
@compute @workgroup_size(8)
fn forward_with_moments(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 8u + lane;
    let step = size.batch * HIDDEN / 8u;
    if (i >= step) {
        return;
    }
    let weight = u[i % (HIDDEN / 8u)];
    var evens = NOTHING;
    var odds = NOTHING;
    var count = f32(size.first);
    // Of the even units, and of the odd ones: mean, squared differences.
    var low = mat2x4<f32>();
    var high = mat2x4<f32>();
    if (size.first > 0u) {
        let before = h[(size.first - 1u) * step + i];
        evens = even(before);
        odds = odd(before);
        for (var e = 0u; e < 4u; e += 1u) {
            let own = moments[8u * i + 2u * e];
            let other = moments[8u * i + 2u * e + 1u];
            low[0][e] = own.y;
            low[1][e] = own.z;
            high[0][e] = other.y;
            high[1][e] = other.z;
        }
    }
    for (var t = size.first; t < size.first + size.count; t += 1u) {
        let input = a[t * step + i];
        evens = next(even(weight), evens, even(input));
        odds = next(odd(weight), odds, odd(input));
        h[t * step + i] = together(evens, odds);
        count += 1.0;
        low = with_value(low, count, evens);
        high = with_value(high, count, odds);
    }
    for (var e = 0u; e < 4u; e += 1u) {
        moments[8u * i + 2u * e] = vec4<f32>(count, low[0][e], low[1][e], 0.0);
        moments[8u * i + 2u * e + 1u] = vec4<f32>(count, high[0][e], high[1][e], 0.0);
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
@compute @workgroup_size(8)
fn backward_through_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 8u + lane;
    let step = size.batch * HIDDEN / 8u;
    if (i >= step) {
        return;
    }
    let weight = u[i % (HIDDEN / 8u)];
    let evens = norm_of(8u * i % HIDDEN);
    let odds = norm_of(8u * i % HIDDEN + 1u);
    let end = size.first + size.count;
    var d = mat2x4<f32>();
    // Of d times the state before, and of d.
    var low = mat2x4<f32>();
    var high = mat2x4<f32>();
    if (end < size.frames) {
        let after = carried[i];
        d = mat2x4<f32>(even(after), odd(after));
        for (var e = 0u; e < 4u; e += 1u) {
            let own = chain_sums[8u * i + 2u * e];
            let other = chain_sums[8u * i + 2u * e + 1u];
            low[0][e] = own.x;
            low[1][e] = own.y;
            high[0][e] = other.x;
            high[1][e] = other.y;
        }
    }
    var value = state[(end - 1u) * step + i];
    for (var t = end; t > size.first; t -= 1u) {
        let at = (t - 1u) * step + i;
        var before = Eight();
        if (t > 1u) {
            before = state[at - step];
        }
        let dz = dh[at];
        d[0] = step_back(even(weight), d[0], through_norm(even(dz), even(value), evens), even(value));
        d[1] = step_back(odd(weight), d[1], through_norm(odd(dz), odd(value), odds), odd(value));
        da[at] = together(d[0], d[1]);
        low = mat2x4<f32>(fma(d[0], even(before), low[0]), low[1] + d[0]);
        high = mat2x4<f32>(fma(d[1], odd(before), high[0]), high[1] + d[1]);
        value = before;
    }
    carried[i] = together(d[0], d[1]);
    for (var e = 0u; e < 4u; e += 1u) {
        chain_sums[8u * i + 2u * e] = vec2<f32>(low[0][e], low[1][e]);
        chain_sums[8u * i + 2u * e + 1u] = vec2<f32>(high[0][e], high[1][e]);
    }
}
