//! Two-dimensional convolution (cross-correlation, as in PyTorch) with stride 1 and same padding.
//!
//! `y[b, t, m, o] = bias[o] + sum_{i, j, c} x[b, t + i - kt/2, m + j - km/2, c] weight[i, j, c, o]`, zero outside.
//!
//! `x` is `(batch, time, mel, inputs)`, `weight` `(kernel_time, kernel_mel, inputs, outputs)`, `bias` `(outputs)`,
//! `y` `(batch, time, mel, outputs)`. Each pair of a position and a kernel tap is a small linear layer: forward and
//! both gradients visit the same pairs.

/// The sizes of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Images.
    pub batch: usize,
    /// Frames, of input and output alike.
    pub time: usize,
    /// Mel bands, of input and output alike.
    pub mel: usize,
    /// Channels read.
    pub inputs: usize,
    /// Channels written.
    pub outputs: usize,
    /// Kernel length along time; odd.
    pub kernel_time: usize,
    /// Kernel length along mel; odd.
    pub kernel_mel: usize,
}

impl Size {
    /// Numbers in `x`.
    pub fn input_len(self) -> usize {
        self.batch * self.time * self.mel * self.inputs
    }

    /// Numbers in `weight`.
    pub fn weight_len(self) -> usize {
        self.kernel_time * self.kernel_mel * self.inputs * self.outputs
    }

    /// Numbers in `y`.
    pub fn output_len(self) -> usize {
        self.batch * self.time * self.mel * self.outputs
    }

    /// Visits every output position and kernel tap that meets the image, as `(input pixel, tap, output pixel)`.
    fn for_each_tap(self, mut visit: impl FnMut(usize, usize, usize)) {
        assert!(self.kernel_time % 2 == 1 && self.kernel_mel % 2 == 1, "same padding needs odd kernels: {self:?}");
        let pixel = |b, t, m| (b * self.time + t) * self.mel + m;
        for b in 0..self.batch {
            for t in 0..self.time {
                for m in 0..self.mel {
                    for i in 0..self.kernel_time {
                        for j in 0..self.kernel_mel {
                            let source_t = (t + i).wrapping_sub(self.kernel_time / 2);
                            let source_m = (m + j).wrapping_sub(self.kernel_mel / 2);
                            if source_t < self.time && source_m < self.mel {
                                visit(pixel(b, source_t, source_m), i * self.kernel_mel + j, pixel(b, t, m));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The `index`-th run of `len` numbers.
fn row(data: &[f64], index: usize, len: usize) -> &[f64] {
    &data[index * len..][..len]
}

fn row_mut(data: &mut [f64], index: usize, len: usize) -> &mut [f64] {
    &mut data[index * len..][..len]
}

/// `y` of shape `(batch, time, mel, outputs)`.
pub fn forward(size: Size, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    assert_eq!((x.len(), weight.len(), bias.len()), (size.input_len(), size.weight_len(), size.outputs), "{size:?}");
    let mut y = bias.repeat(size.batch * size.time * size.mel);
    size.for_each_tap(|source, tap, target| {
        let y = row_mut(&mut y, target, size.outputs);
        let weight = row(weight, tap, size.inputs * size.outputs);
        for (x, weight) in row(x, source, size.inputs).iter().zip(weight.chunks_exact(size.outputs)) {
            for (y, weight) in y.iter_mut().zip(weight) {
                *y += x * weight;
            }
        }
    });
    y
}

/// `dx` of shape `(batch, time, mel, inputs)`.
pub fn backward_input(size: Size, dy: &[f64], weight: &[f64]) -> Vec<f64> {
    assert_eq!((dy.len(), weight.len()), (size.output_len(), size.weight_len()), "{size:?}");
    let mut dx = vec![0.0; size.input_len()];
    size.for_each_tap(|source, tap, target| {
        let dy = row(dy, target, size.outputs);
        let weight = row(weight, tap, size.inputs * size.outputs);
        for (dx, weight) in row_mut(&mut dx, source, size.inputs).iter_mut().zip(weight.chunks_exact(size.outputs)) {
            *dx += dy.iter().zip(weight).map(|(dy, weight)| dy * weight).sum::<f64>();
        }
    });
    dx
}

/// `dweight` of shape `(kernel_time, kernel_mel, inputs, outputs)`.
pub fn backward_weight(size: Size, x: &[f64], dy: &[f64]) -> Vec<f64> {
    assert_eq!((x.len(), dy.len()), (size.input_len(), size.output_len()), "{size:?}");
    let mut dweight = vec![0.0; size.weight_len()];
    size.for_each_tap(|source, tap, target| {
        let dy = row(dy, target, size.outputs);
        let dweight = row_mut(&mut dweight, tap, size.inputs * size.outputs);
        for (x, dweight) in row(x, source, size.inputs).iter().zip(dweight.chunks_exact_mut(size.outputs)) {
            for (dweight, dy) in dweight.iter_mut().zip(dy) {
                *dweight += x * dy;
            }
        }
    });
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
