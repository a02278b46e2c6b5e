// The gradients of several batches, added up for one update in the order of the batches: sum = gradients for the first of
// them, then sum += gradients.

const COUNT: u32 = 1024u;

struct Size {
    first: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> gradients: array<f32>;
@group(0) @binding(1) var<storage, read_write> sum: array<f32>;

@compute @workgroup_size(64)
fn add(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= COUNT) {
        return;
    }
    if (size.first != 0u) {
        sum[i] = gradients[i];
    } else {
        sum[i] += gradients[i];
    }
}
