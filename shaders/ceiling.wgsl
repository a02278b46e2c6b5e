// What the other kernels are measured against: the most bytes that a kernel moves in a second, and the most products that it
// adds up. Nothing here is of any use to a network.

struct Size {
    // Vectors that are copied.
    count: u32,
    // Turns of the loop of products.
    turns: u32,
    multiplier: f32,
    addend: f32,
}

var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> copied: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

// Vectors that an invocation copies, each as far from its last as there are invocations.
const EACH: u32 = 1u;
const GROUP: u32 = 256u;

@compute @workgroup_size(GROUP)
fn copy(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let invocations = groups.x * groups.y * GROUP;
    let first = (group.y * groups.x + group.x) * GROUP + lane;
    for (var i = 0u; i < EACH; i++) {
        let at = first + i * invocations;
        if at < size.count {
            copied[at] = source[at];
        }
    }
}

// Twelve chains of x = multiplier * x + addend, 8 links of each in a turn: 192 operations that touch nothing but registers.
// The chains differ in where they begin, and their sum is kept, so that no compiler leaves one out.
@compute @workgroup_size(GROUP)
fn products(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = (group.y * groups.x + group.x) * GROUP + lane;
    let m = vec4(size.multiplier);
    let s = vec4(size.addend);
    var a = vec4(0.0, 1.0, 2.0, 3.0) + f32(at % 64u);
    var b = a + 4.0;
    var c = a + 8.0;
    for (var turn = 0u; turn < size.turns; turn++) {
        a = fma(a, m, s);
        b = fma(b, m, s);
        c = fma(c, m, s);
        a = fma(a, m, s);
        b = fma(b, m, s);
        c = fma(c, m, s);
        a = fma(a, m, s);
        b = fma(b, m, s);
        c = fma(c, m, s);
        a = fma(a, m, s);
        b = fma(b, m, s);
        c = fma(c, m, s);
        a = fma(a, m, s);
        b = fma(b, m, s);
        c = fma(c, m, s);
        a = fma(a, m, s);
        b = fma(b, m, s);
        c = fma(c, m, s);
        a = fma(a, m, s);
        b = fma(b, m, s);
        c = fma(c, m, s);
        a = fma(a, m, s);
        b = fma(b, m, s);
        c = fma(c, m, s);
    }
    let sum = a + b + c;
    sums[at] = sum.x + sum.y + sum.z + sum.w;
}
