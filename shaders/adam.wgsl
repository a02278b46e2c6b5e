// Adam over the whole parameter arena (Kingma & Ba 2015), as torch.optim.Adam and, DECOUPLED, AdamW (Loshchilov & Hutter
// 2019) have it.
//
//   g = clamp(gradient * factor, -clip_value, clip_value)
//   g += decay[i] * p, or, DECOUPLED, p = p * (1 - learning_rate * decay[i])
//   m += (1 - beta1) (g - m);  v += (1 - beta2) (g^2 - v)
//   p -= learning_rate / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + epsilon);  then |p| <= limits[i]
//
// `control` comes from gradient_clip.wgsl: factor, finite, .., step. With a non-finite gradient nothing changes.
// `traits` holds per element the weight decay and the largest magnitude (0: none), which recurrent weights need.

const COUNT: u32 = 1024u;
const DECOUPLED: bool = false;

struct Size {
    learning_rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    clip_value: f32,
    ln_beta1: f32,
    ln_beta2: f32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> gradients: array<f32>;
@group(0) @binding(1) var<storage, read> control: array<f32>;
@group(0) @binding(2) var<storage, read> traits: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> first_moment: array<f32>;
@group(0) @binding(5) var<storage, read_write> second_moment: array<f32>;

// 1 - e^z for z < 0. Near 0, where pow and exp would leave three digits of it, by its series.
fn one_minus_exp(z: f32) -> f32 {
    if (z < -0.5) {
        return 1.0 - exp(z);
    }
    return -z * (1.0 + z / 2.0 * (1.0 + z / 3.0 * (1.0 + z / 4.0 * (1.0 + z / 5.0 * (1.0 + z / 6.0 * (1.0 + z / 7.0))))));
}

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
    if (DECOUPLED) {
        p *= 1.0 - size.learning_rate * traits[i].x;
    } else {
        g = fma(traits[i].x, p, g);
    }
    let m = fma(1.0 - size.beta1, g - first_moment[i], first_moment[i]);
    let v = fma(1.0 - size.beta2, g * g - second_moment[i], second_moment[i]);
    first_moment[i] = m;
    second_moment[i] = v;
    let steps = control[4];
    let correction1 = one_minus_exp(size.ln_beta1 * steps);
    let correction2 = one_minus_exp(size.ln_beta2 * steps);
    p -= size.learning_rate / correction1 * m / (sqrt(v / correction2) + size.epsilon);
    if (traits[i].y > 0.0) {
        p = clamp(p, -traits[i].y, traits[i].y);
    }
    parameters[i] = p;
}
