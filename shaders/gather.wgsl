// Cuts a batch of crops (batch, frames, mel) out of clips that lie on the device, changed as augmentation says.
//
//   x[s, t, m] = max(clips[first[s] + (t - later[s]) mod frames, m], floor[s]) + gain[s]
//   y[s, t, m] = mean[s] where a mask of sample s covers frame t or band m, else x[s, t, m]
//
// A crop is a row of 2 + MASKS vectors of `table`:
//   chunk, first, later, 0          which chunk of the clips, the row of it where the crop begins, its rotation
//   floor, gain, mean, 0            bits of floats; without a floor the least float
//   frames and bands of each mask   begin and end, begin and end
//
// The clips are cut into chunks where one binding cannot hold them: a dispatch for each, which leaves the crops of the others.

const MEL: u32 = 128u;
const MASKS: u32 = 2u;
const ROW: u32 = 2u + MASKS;
const VECTORS: u32 = max(MEL / 4u, 1u);
// Frames of an invocation that moves vectors.
const EACH: u32 = 1u;

struct Size {
    batch: u32,
    frames: u32,
    chunk: u32,
    // The batch's first row of the table.
    row: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> table: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> clips: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
// The same, where bands come in fours.
@group(0) @binding(3) var<storage, read> clip_vectors: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y_vectors: array<vec4<f32>>;

// Where frame t of a crop comes from.
fn source(place: vec4<u32>, t: u32) -> u32 {
    return place.y + select(t - place.z, t + size.frames - place.z, t < place.z);
}

@compute @workgroup_size(64)
fn scalars(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.frames * MEL) {
        return;
    }
    let m = i % MEL;
    let t = (i / MEL) % size.frames;
    let row = (size.row + i / (MEL * size.frames)) * ROW;
    let place = table[row];
    if (place.x != size.chunk) {
        return;
    }
    let change = bitcast<vec4<f32>>(table[row + 1u]);
    var x = max(clips[source(place, t) * MEL + m], change.x);
    if (change.y != 0.0) {
        x += change.y;
    }
    for (var k = 0u; k < MASKS; k++) {
        let mask = table[row + 2u + k];
        if ((t >= mask.x && t < mask.y) || (m >= mask.z && m < mask.w)) {
            x = change.z;
        }
    }
    y[i] = x;
}

@compute @workgroup_size(64)
fn vectors(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let runs = (size.frames + EACH - 1u) / EACH;
    if (i >= size.batch * runs * VECTORS) {
        return;
    }
    let v = i % VECTORS;
    let sample = i / (VECTORS * runs);
    let row = (size.row + sample) * ROW;
    let place = table[row];
    if (place.x != size.chunk) {
        return;
    }
    let change = bitcast<vec4<f32>>(table[row + 1u]);
    let first = (i / VECTORS) % runs * EACH;
    for (var t = first; t < min(first + EACH, size.frames); t++) {
        var x = max(clip_vectors[source(place, t) * VECTORS + v], vec4<f32>(change.x));
        if (change.y != 0.0) {
            x += vec4<f32>(change.y);
        }
        for (var k = 0u; k < MASKS; k++) {
            let mask = table[row + 2u + k];
            let m = 4u * v + vec4<u32>(0u, 1u, 2u, 3u);
            let masked = (m >= vec4<u32>(mask.z)) & (m < vec4<u32>(mask.w));
            x = select(x, vec4<f32>(change.z), masked | vec4<bool>(t >= mask.x && t < mask.y));
        }
        y_vectors[(sample * size.frames + t) * VECTORS + v] = x;
    }
}
