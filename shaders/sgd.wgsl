// Stochastic gradient descent with momentum over the whole parameter arena, as torch.optim.SGD has it (dampening 0, no
// Nesterov).
//
//   g = clamp(gradient * factor, -clip_value, clip_value) + decay[i] * p
//   b = momentum * b + g;  p -= learning_rate * b;  then |p| <= limits[i]
//
// b begins at 0, so that the first step takes the gradient itself.
// `control` comes from gradient_clip.wgsl: factor, finite, .. With a non-finite gradient nothing changes.
// `traits` holds per element the weight decay and the largest magnitude (0: none), which recurrent weights need.

const COUNT: u32 = 1024u;

struct Size {
    learning_rate: f32,
    momentum: f32,
    clip_value: f32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> gradients: array<f32>;
@group(0) @binding(1) var<storage, read> control: array<f32>;
@group(0) @binding(2) var<storage, read> traits: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> momentum: array<f32>;

@compute @workgroup_size(64)
fn step(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= COUNT || control[1] == 0.0) {
        return;
    }
    var g = gradients[i] * control[0];
    if (size.clip_value > 0.0) {
        g = clamp(g, -size.clip_value, size.clip_value);
    }
    var p = parameters[i];
    g = fma(traits[i].x, p, g);
    let b = fma(size.momentum, momentum[i], g);
    momentum[i] = b;
    p -= size.learning_rate * b;
    if (traits[i].y > 0.0) {
        p = clamp(p, -traits[i].y, traits[i].y);
    }
    parameters[i] = p;
}
