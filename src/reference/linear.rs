//! Linear layer: `y[n, o] = sum_k x[n, k] weight[k, o] + bias[o]`.
//!
//! `x` is `(rows, inputs)`, `weight` `(inputs, outputs)`, `bias` `(outputs)`, `y` `(rows, outputs)`.
//! Backward: `dx = dy weight^T`, `dweight = x^T dy`, `dbias = sum over rows of dy`.

/// The sizes of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows of `x` and `y`: the batch, or time x batch of a sequence.
    pub rows: usize,
    /// Features read.
    pub inputs: usize,
    /// Features written.
    pub outputs: usize,
}

impl Size {
    /// Numbers in `x`.
    pub fn input_len(self) -> usize {
        self.rows * self.inputs
    }

    /// Numbers in `weight`.
    pub fn weight_len(self) -> usize {
        self.inputs * self.outputs
    }

    /// Numbers in `y`.
    pub fn output_len(self) -> usize {
        self.rows * self.outputs
    }
}

/// `y` of shape `(rows, outputs)`; without a bias it is the plain product.
pub fn forward(size: Size, x: &[f64], weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    assert_eq!((x.len(), weight.len()), (size.input_len(), size.weight_len()), "{size:?}");
    let mut y = match bias {
        Some(bias) => bias.repeat(size.rows),
        None => vec![0.0; size.output_len()],
    };
    assert_eq!(y.len(), size.output_len(), "{size:?}");
    for (x, y) in x.chunks_exact(size.inputs).zip(y.chunks_exact_mut(size.outputs)) {
        for (x, weight) in x.iter().zip(weight.chunks_exact(size.outputs)) {
            for (y, weight) in y.iter_mut().zip(weight) {
                *y += x * weight;
            }
        }
    }
    y
}

/// `dx` of shape `(rows, inputs)`.
pub fn backward_input(size: Size, dy: &[f64], weight: &[f64]) -> Vec<f64> {
    assert_eq!((dy.len(), weight.len()), (size.output_len(), size.weight_len()), "{size:?}");
    let mut dx = vec![0.0; size.input_len()];
    for (dx, dy) in dx.chunks_exact_mut(size.inputs).zip(dy.chunks_exact(size.outputs)) {
        for (dx, weight) in dx.iter_mut().zip(weight.chunks_exact(size.outputs)) {
            *dx = dy.iter().zip(weight).map(|(dy, weight)| dy * weight).sum();
        }
    }
    dx
}

/// `dweight` of shape `(inputs, outputs)`.
pub fn backward_weight(size: Size, x: &[f64], dy: &[f64]) -> Vec<f64> {
    assert_eq!((x.len(), dy.len()), (size.input_len(), size.output_len()), "{size:?}");
    let mut dweight = vec![0.0; size.weight_len()];
    for (x, dy) in x.chunks_exact(size.inputs).zip(dy.chunks_exact(size.outputs)) {
        for (x, dweight) in x.iter().zip(dweight.chunks_exact_mut(size.outputs)) {
            for (dweight, dy) in dweight.iter_mut().zip(dy) {
                *dweight += x * dy;
            }
        }
    }
    dweight
}

/// `dbias` of shape `(outputs)`.
pub fn backward_bias(size: Size, dy: &[f64]) -> Vec<f64> {
    assert_eq!(dy.len(), size.output_len(), "{size:?}");
    let mut dbias = vec![0.0; size.outputs];
    for dy in dy.chunks_exact(size.outputs) {
        for (dbias, dy) in dbias.iter_mut().zip(dy) {
            *dbias += dy;
        }
    }
    dbias
}
