//! Weights between memory and PyTorch's files.
//!
//! ```python
//! import torch
//! w = torch.arange(24).reshape(2, 3, 4, 1)  # kernel_time, kernel_mel, in, out
//! print(w.permute(3, 2, 0, 1).flatten().tolist())
//! ```

use melgrad::reference::noise::Noise;
use melgrad::reference::{convolution, linear};
use melgrad::train::permute::{convolution_from_file, convolution_to_file, linear_from_file, linear_to_file};

#[test]
fn a_convolution_goes_to_pytorch_s_order_of_axes() {
    let memory: Vec<u32> = (0..24).collect();
    let expected = [0, 4, 8, 12, 16, 20, 1, 5, 9, 13, 17, 21, 2, 6, 10, 14, 18, 22, 3, 7, 11, 15, 19, 23];
    assert_eq!(convolution_to_file(&memory, [2, 3, 4, 1]), expected);
}

#[test]
fn every_element_of_a_convolution_lands_where_its_indices_say() {
    let [kernel_time, kernel_mel, inputs, outputs] = [3, 5, 2, 4];
    let memory: Vec<usize> = (0..120).collect();
    let file = convolution_to_file(&memory, [kernel_time, kernel_mel, inputs, outputs]);
    for (i, j, c, o) in (0..120).map(|at| (at / 40, at / 8 % 5, at / 4 % 2, at % 4)) {
        let in_memory = ((i * kernel_mel + j) * inputs + c) * outputs + o;
        let in_file = ((o * inputs + c) * kernel_time + i) * kernel_mel + j;
        assert_eq!(file[in_file], memory[in_memory], "[{i}, {j}, {c}, {o}]");
    }
}

#[test]
fn a_linear_layer_is_transposed() {
    assert_eq!(linear_to_file(&[1, 2, 3, 4, 5, 6], [2, 3]), [1, 4, 2, 5, 3, 6]);
    assert_eq!(linear_from_file(&[1, 4, 2, 5, 3, 6], [3, 2]), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn going_to_a_file_and_back_changes_nothing() {
    for (kernel_time, kernel_mel, inputs, outputs) in [(1, 1, 1, 1), (1, 1, 7, 5), (3, 3, 1, 32), (5, 3, 4, 6)] {
        let size = convolution::Size { batch: 0, time: 0, mel: 0, inputs, outputs, kernel_time, kernel_mel };
        let memory = Noise::new(1).numbers(size.weight_len());
        let file = convolution_to_file(&memory, [kernel_time, kernel_mel, inputs, outputs]);
        assert_eq!(convolution_from_file(&file, [outputs, inputs, kernel_time, kernel_mel]), memory, "{size:?}");

        let size = linear::Size { rows: 0, inputs, outputs };
        let memory = Noise::new(2).numbers(size.weight_len());
        let file = linear_to_file(&memory, [inputs, outputs]);
        assert_eq!(linear_from_file(&file, [outputs, inputs]), memory, "{size:?}");
    }
}

#[test]
#[should_panic(expected = "a weight of shape [3, 3, 2, 4]")]
fn data_of_another_length_is_refused() {
    convolution_to_file(&[0.0; 71], [3, 3, 2, 4]);
}
