// The last step of a sequence (time, batch, channel), and its gradient: zero everywhere else.

const CHANNELS: u32 = 128u;

struct Size {
    batch: u32,
    frames: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<storage, read> dy_vectors: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx_vectors: array<vec4<f32>>;

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let step = size.batch * CHANNELS;
    if (i < step) {
        y[i] = x[(size.frames - 1u) * step + i];
    }
}

@compute @workgroup_size(64)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let step = size.batch * CHANNELS;
    if (i < step * size.frames) {
        let before = step * (size.frames - 1u);
        if (i < before) {
            dx[i] = 0.0;
        } else {
            dx[i] = dy[i - before];
        }
    }
}

// The same of channels that come in fours.
@compute @workgroup_size(64)
fn backward_input_vectors(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let step = size.batch * CHANNELS / 4u;
    if (i < step * size.frames) {
        let before = step * (size.frames - 1u);
        if (i < before) {
            dx_vectors[i] = vec4<f32>(0.0);
        } else {
            dx_vectors[i] = dy_vectors[i - before];
        }
    }
}
