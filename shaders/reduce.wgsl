// Sums of partial results in a fixed order: out[i] = partial_sums[0, i] + partial_sums[1, i] + ..
// The rows of `partial_sums` have COUNT elements; `out` is written from OUT_FIRST on.

const COUNT: u32 = 1024u;
const OUT_FIRST: u32 = 0u;

struct Size {
    splits: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> partial_sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= COUNT) {
        return;
    }
    var total = 0.0;
    for (var s = 0u; s < size.splits; s += 1u) {
        total += partial_sums[s * COUNT + i];
    }
    out[OUT_FIRST + i] = total;
}
