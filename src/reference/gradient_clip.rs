//! Gradient clipping: by the norm of all gradients together, or element by element.

/// What `torch.nn.utils.clip_grad_norm_` adds to the norm before dividing by it.
pub const NORM_EPS: f64 = 1e-6;

/// The Euclidean norm of all gradients together.
pub fn norm(grad: &[f64]) -> f64 {
    grad.iter().map(|grad| grad * grad).sum::<f64>().sqrt()
}

/// Scales `grad` by `min(1, max_norm / (norm + 1e-6))`, as `torch.nn.utils.clip_grad_norm_` does; gives the norm
/// before.
pub fn by_norm(grad: &mut [f64], max_norm: f64) -> f64 {
    let norm = norm(grad);
    let scale = (max_norm / (norm + NORM_EPS)).min(1.0);
    for grad in grad {
        *grad *= scale;
    }
    norm
}

/// Clamps each element to `[-limit, limit]`.
pub fn by_value(grad: &mut [f64], limit: f64) {
    for grad in grad {
        *grad = grad.clamp(-limit, limit);
    }
}
