//! Between the layout of weights in memory, where the output channel runs fastest, and that of files, which is
//! PyTorch's.
//!
//! | weight | in memory | in files |
//! |---|---|---|
//! | convolution | `(kernel_time, kernel_mel, in, out)` | `(out, in, kernel_time, kernel_mel)` |
//! | linear | `(in, out)` | `(out, in)` |
//!
//! Every function takes the shape of the data that it is given and panics where the data has another length. Vectors
//! (biases, norms, recurrent weights) are the same in both.

/// A convolution's weight for a file, from its `[kernel_time, kernel_mel, in, out]` in memory.
pub fn convolution_to_file<T: Copy>(memory: &[T], shape: [usize; 4]) -> Vec<T> {
    permuted(memory, shape, [3, 2, 0, 1])
}

/// A convolution's weight for memory, from its `[out, in, kernel_time, kernel_mel]` in a file.
pub fn convolution_from_file<T: Copy>(file: &[T], shape: [usize; 4]) -> Vec<T> {
    permuted(file, shape, [2, 3, 1, 0])
}

/// A linear layer's weight for a file, from its `[in, out]` in memory.
pub fn linear_to_file<T: Copy>(memory: &[T], [inputs, outputs]: [usize; 2]) -> Vec<T> {
    permuted(memory, [1, 1, inputs, outputs], [0, 1, 3, 2])
}

/// A linear layer's weight for memory, from its `[out, in]` in a file.
pub fn linear_from_file<T: Copy>(file: &[T], [outputs, inputs]: [usize; 2]) -> Vec<T> {
    permuted(file, [1, 1, outputs, inputs], [0, 1, 3, 2])
}

/// The same numbers with the axes in another order: axis `i` of the result is axis `axes[i]` of `data`
/// (`torch.permute`).
fn permuted<T: Copy>(data: &[T], shape: [usize; 4], axes: [usize; 4]) -> Vec<T> {
    assert_eq!(data.len(), shape.iter().product::<usize>(), "a weight of shape {shape:?}");
    let strides = [shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 1];
    let [a, b, c, d] = axes;
    let mut result = Vec::with_capacity(data.len());
    for i in 0..shape[a] {
        for j in 0..shape[b] {
            for k in 0..shape[c] {
                let start = i * strides[a] + j * strides[b] + k * strides[c];
                result.extend((0..shape[d]).map(|l| data[start + l * strides[d]]));
            }
        }
    }
    result
}
