// Puts a batch of features (batch, frames, mel) where a network reads it.
//
//   sequence[t, s, m] = (features[s, t, m] - mean[m]) / deviation[m]      for recurrent networks
//   image[s, t, m] likewise                                          for convolutional ones
//
// Bands that come in fours are moved so by the entries with `vectors` in their name.
//
// Images are read in slices of SLICE samples that begin where a full batch of SLICE_FRAMES frames puts them.

const MEL: u32 = 128u;
const SLICE: u32 = 1024u;
const SLICE_FRAMES: u32 = 1024u;
const VECTORS: u32 = max(MEL / 4u, 1u);
// Frames of an invocation that moves vectors to a sequence.
const EACH: u32 = 1u;

struct Size {
    batch: u32,
    frames: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> features: array<f32>;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> deviation: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
// The same, where bands come in fours.
@group(0) @binding(4) var<storage, read> feature_vectors: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> mean_vectors: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> deviation_vectors: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> y_vectors: array<vec4<f32>>;

@compute @workgroup_size(64)
fn sequence(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.frames * MEL) {
        return;
    }
    let m = i % MEL;
    let sample = (i / MEL) % size.batch;
    let t = i / (MEL * size.batch);
    y[i] = (features[(sample * size.frames + t) * MEL + m] - mean[m]) / deviation[m];
}

@compute @workgroup_size(64)
fn image(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.frames * MEL) {
        return;
    }
    let m = i % MEL;
    let sample = i / (size.frames * MEL);
    let skipped = (sample / SLICE) * SLICE * (SLICE_FRAMES - size.frames) * MEL;
    y[i + skipped] = (features[i] - mean[m]) / deviation[m];
}

@compute @workgroup_size(64)
fn sequence_vectors(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let first = i / (VECTORS * size.batch) * EACH;
    if (first >= size.frames) {
        return;
    }
    let v = i % VECTORS;
    let sample = (i / VECTORS) % size.batch;
    let mean = mean_vectors[v];
    let deviation = deviation_vectors[v];
    for (var t = first; t < min(first + EACH, size.frames); t++) {
        y_vectors[(t * size.batch + sample) * VECTORS + v] = (feature_vectors[(sample * size.frames + t) * VECTORS + v] - mean) / deviation;
    }
}

@compute @workgroup_size(64)
fn image_vectors(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.frames * VECTORS) {
        return;
    }
    let v = i % VECTORS;
    let sample = i / (size.frames * VECTORS);
    let skipped = (sample / SLICE) * SLICE * (SLICE_FRAMES - size.frames) * VECTORS;
    y_vectors[i + skipped] = (feature_vectors[i] - mean_vectors[v]) / deviation_vectors[v];
}
