// max_pool.wgsl for windows around every position and channels and bands that come in eights, on adapters with integers of 64 bits:
// what `convolution_wide.wgsl` says of software adapters. The winners' taps lie as max_pool_vectors.wgsl has them.
//
// Decomposition: an invocation owns eight channels of eight neighbouring bands of a frame. It brings what lies around them once, band
// after band of each frame that the windows reach.

const KERNEL_TIME: u32 = 3u;
const KERNEL_MEL: u32 = 3u;
const CHANNELS: u32 = 32u;
const MEL: u32 = 128u;
const ADD_DX: bool = false;

const EIGHTS: u32 = CHANNELS / 8u;
// Bands of an invocation, those around them, and invocations of a frame.
const OWN: u32 = 8u;
const AROUND: u32 = OWN + KERNEL_MEL - 1u;
const RUNS: u32 = MEL / OWN * EIGHTS;
const NONE: vec4<u32> = vec4<u32>(255u);
const NOTHING: vec4<f32> = vec4<f32>(0.0);

// What maps hold: numbers as they are, or rounded (the host replaces such lines).
fn kept(four: vec4<f32>) -> vec4<f32> { return four; }

struct Size {
    batch: u32,
    frames: u32,
    // As many as there are frames.
    out_frames: u32,
}
var<immediate> size: Size;

// Eight channels: channel 2 i in the lower half of component i, channel 2 i + 1 in the upper.
alias Eight = vec4<u64>;

@group(0) @binding(0) var<storage, read> x: array<Eight>;
@group(0) @binding(1) var<storage, read_write> y: array<Eight>;
@group(0) @binding(2) var<storage, read_write> taps_out: array<u64>;             // eight bits to a channel
@group(0) @binding(3) var<storage, read> taps: array<u64>;
@group(0) @binding(4) var<storage, read> dy: array<Eight>;
@group(0) @binding(5) var<storage, read_write> dx: array<Eight>;

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

// Eight channels of a frame's bands from `mel` on.
struct Run {
    frame: u32,
    // Of all samples' frames.
    row: u32,
    mel: u32,
    eight: u32,
}

fn run_of(i: u32) -> Run {
    let row = i / RUNS;
    return Run(row % size.frames, row, i / EIGHTS % (MEL / OWN) * OWN, i % EIGHTS);
}

// Where eight channels of a band and a frame lie, that may lie beyond the image: then those of its edge.
fn place_of(run: Run, time: i32, mel: i32) -> u32 {
    let t = clamp(time, 0, i32(size.frames) - 1) - i32(run.frame);
    return (u32(i32(run.row) + t) * MEL + u32(clamp(mel, 0, i32(MEL) - 1))) * EIGHTS + run.eight;
}

fn lies_inside(time: i32, mel: i32) -> bool {
    return time >= 0 && time < i32(size.frames) && mel >= 0 && mel < i32(MEL);
}

// The largest so far of four channels, and which tap had it.
struct Best {
    value: vec4<f32>,
    tap: vec4<u32>,
}

fn better(best: Best, value: vec4<f32>, tap: u32, inside: bool) -> Best {
    let wins = vec4<bool>(inside) & ((best.tap == NONE) | (value > best.value));
    return Best(select(best.value, value, wins), select(best.tap, vec4<u32>(tap), wins));
}

// Eight channels of the bands around those of an invocation in one frame, and which of them there are.
struct Around {
    eights: array<Eight, AROUND>,
    inside: array<bool, AROUND>,
}

// The largest so far of each band of an invocation: of its even channels, then of the odd ones.
alias Largest = array<array<Best, 2>, OWN>;

// Taps come in their order to band r: of equals the first wins.
fn compare(largest: ptr<function, Largest>, r: u32, around: ptr<function, Around>, first_tap: u32) {
    for (var k = 0u; k < KERNEL_MEL; k += 1u) {
        let value = (*around).eights[r + k];
        let inside = (*around).inside[r + k];
        (*largest)[r][0] = better((*largest)[r][0], even(value), first_tap + k, inside);
        (*largest)[r][1] = better((*largest)[r][1], odd(value), first_tap + k, inside);
    }
}

// Four taps of eight bits, those of even channels and of odd ones.
fn word(evens: vec2<u32>, odds: vec2<u32>) -> u32 {
    return evens.x | odds.x << 8u | evens.y << 16u | odds.y << 24u;
}

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.frames * RUNS) {
        return;
    }
    let run = run_of(i);
    var largest: Largest;
    for (var r = 0u; r < OWN; r += 1u) {
        largest[r] = array<Best, 2>(Best(NOTHING, NONE), Best(NOTHING, NONE));
    }
    for (var j = 0u; j < KERNEL_TIME; j += 1u) {
        let time = i32(run.frame + j) - i32(KERNEL_TIME / 2u);
        var around: Around;
        for (var q = 0u; q < AROUND; q += 1u) {
            let mel = i32(run.mel + q) - i32(KERNEL_MEL / 2u);
            around.inside[q] = lies_inside(time, mel);
            around.eights[q] = x[place_of(run, time, mel)];
        }
        // Written out: a compiler leaves loops that are long as loops, and arrays in them in memory.
        compare(&largest, 0u, &around, j * KERNEL_MEL);
        compare(&largest, 1u, &around, j * KERNEL_MEL);
        compare(&largest, 2u, &around, j * KERNEL_MEL);
        compare(&largest, 3u, &around, j * KERNEL_MEL);
        compare(&largest, 4u, &around, j * KERNEL_MEL);
        compare(&largest, 5u, &around, j * KERNEL_MEL);
        compare(&largest, 6u, &around, j * KERNEL_MEL);
        compare(&largest, 7u, &around, j * KERNEL_MEL);
    }
    for (var r = 0u; r < OWN; r += 1u) {
        let place = (run.row * MEL + run.mel + r) * EIGHTS + run.eight;
        y[place] = together(kept(largest[r][0].value), kept(largest[r][1].value));
        let evens = largest[r][0].tap;
        let odds = largest[r][1].tap;
        taps_out[place] = u64(word(evens.xy, odds.xy)) | u64(word(evens.zw, odds.zw)) << 32u;
    }
}

// The taps of channels 0, 2, 4 and 6, after a shift by eight bits of the others.
fn taps_of(word: u64) -> vec4<u32> {
    let low = u32(word);
    let high = u32(word >> 32u);
    return vec4<u32>(low, low >> 16u, high, high >> 16u) & NONE;
}

// The gradients of eight channels of the windows around the bands of an invocation and its neighbours in one frame, and their taps;
// those of none where there is no window.
struct Windows {
    eights: array<Eight, AROUND>,
    taps: array<u64, AROUND>,
}

// Band r gets what those windows had from it whose taps, from `first_tap` on, lie there.
fn collect(sums: ptr<function, array<array<vec4<f32>, 2>, OWN>>, r: u32, windows: ptr<function, Windows>, first_tap: u32) {
    for (var k = 0u; k < KERNEL_MEL; k += 1u) {
        let q = r + KERNEL_MEL - 1u - k;
        let eight = (*windows).eights[q];
        let tap = vec4<u32>(first_tap + k);
        (*sums)[r][0] += select(NOTHING, even(eight), taps_of((*windows).taps[q]) == tap);
        (*sums)[r][1] += select(NOTHING, odd(eight), taps_of((*windows).taps[q] >> 8u) == tap);
    }
}

@compute @workgroup_size(64)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.frames * RUNS) {
        return;
    }
    let run = run_of(i);
    var sums: array<array<vec4<f32>, 2>, OWN>;
    for (var j = 0u; j < KERNEL_TIME; j += 1u) {
        let time = i32(run.frame + KERNEL_TIME / 2u) - i32(j);
        var windows: Windows;
        for (var q = 0u; q < AROUND; q += 1u) {
            let mel = i32(run.mel + q) - i32(KERNEL_MEL / 2u);
            let place = place_of(run, time, mel);
            windows.taps[q] = select(~u64(0), taps[place], lies_inside(time, mel));
            windows.eights[q] = dy[place];
        }
        collect(&sums, 0u, &windows, j * KERNEL_MEL);
        collect(&sums, 1u, &windows, j * KERNEL_MEL);
        collect(&sums, 2u, &windows, j * KERNEL_MEL);
        collect(&sums, 3u, &windows, j * KERNEL_MEL);
        collect(&sums, 4u, &windows, j * KERNEL_MEL);
        collect(&sums, 5u, &windows, j * KERNEL_MEL);
        collect(&sums, 6u, &windows, j * KERNEL_MEL);
        collect(&sums, 7u, &windows, j * KERNEL_MEL);
    }
    for (var r = 0u; r < OWN; r += 1u) {
        let place = (run.row * MEL + run.mel + r) * EIGHTS + run.eight;
        if (ADD_DX) {
            let held = dx[place];
            dx[place] = together(kept(even(held) + sums[r][0]), kept(odd(held) + sums[r][1]));
        } else {
            dx[place] = together(kept(sums[r][0]), kept(sums[r][1]));
        }
    }
}
