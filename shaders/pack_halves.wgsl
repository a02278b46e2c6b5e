// Weights as halves, for kernels that read them straight into matrix units: y = x, matrix after matrix.

// Fours of a matrix, and from one to the next in x.
const COUNT: u32 = 16384u;
const LEVEL_WEIGHT: u32 = 0u;

// How four numbers are stored: as they are, or as halves (the host replaces these lines).
alias Stored = vec4<f32>;
fn packed(four: vec4<f32>) -> Stored { return four; }

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;

// Groups: z = matrices.
@compute @workgroup_size(64)
fn pack(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i < COUNT) {
        y[group.z * COUNT + i] = packed(x[group.z * LEVEL_WEIGHT + i]);
    }
}
