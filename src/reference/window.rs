//! The geometry that the pooling layers share: windows over time and mel, channel by channel.

/// Pooling windows over images of shape `(batch, time, mel, channels)`; pairs are `[time, mel]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Images.
    pub batch: usize,
    /// Frames of the input.
    pub time: usize,
    /// Mel bands of the input.
    pub mel: usize,
    /// Channels, each pooled on its own.
    pub channels: usize,
    /// Size of a window.
    pub kernel: [usize; 2],
    /// Distance between windows.
    pub stride: [usize; 2],
    /// How far the first window reaches past the image on either side; at most half the kernel.
    pub padding: [usize; 2],
}

impl Window {
    /// Windows that tile the image without padding; what does not fill a window at the end is left out.
    pub fn tiles(batch: usize, time: usize, mel: usize, channels: usize, kernel: [usize; 2]) -> Self {
        Self { batch, time, mel, channels, kernel, stride: kernel, padding: [0, 0] }
    }

    /// Odd windows at stride 1, padded so that the output has the input's shape.
    pub fn same(batch: usize, time: usize, mel: usize, channels: usize, kernel: [usize; 2]) -> Self {
        Self { batch, time, mel, channels, kernel, stride: [1, 1], padding: kernel.map(|k| k / 2) }
    }

    /// Numbers in `x`.
    pub fn input_len(self) -> usize {
        self.batch * self.time * self.mel * self.channels
    }

    /// Frames and mel bands of the output: `(input + 2 padding - kernel) / stride + 1`, rounded down.
    pub fn output(self) -> [usize; 2] {
        let along = |axis: usize, input: usize| {
            let padded = input + 2 * self.padding[axis];
            if padded < self.kernel[axis] { 0 } else { (padded - self.kernel[axis]) / self.stride[axis] + 1 }
        };
        [along(0, self.time), along(1, self.mel)]
    }

    /// Numbers in `y`.
    pub fn output_len(self) -> usize {
        let [time, mel] = self.output();
        self.batch * time * mel * self.channels
    }

    /// Visits every output and every input in its window, in row-major window order, as `(output, input)` offsets.
    pub fn for_each(self, mut visit: impl FnMut(usize, usize)) {
        let [output_time, output_mel] = self.output();
        for b in 0..self.batch {
            for t in 0..output_time {
                for m in 0..output_mel {
                    for i in 0..self.kernel[0] {
                        for j in 0..self.kernel[1] {
                            let source_t = (t * self.stride[0] + i).wrapping_sub(self.padding[0]);
                            let source_m = (m * self.stride[1] + j).wrapping_sub(self.padding[1]);
                            if source_t >= self.time || source_m >= self.mel {
                                continue;
                            }
                            let target = ((b * output_time + t) * output_mel + m) * self.channels;
                            let source = ((b * self.time + source_t) * self.mel + source_m) * self.channels;
                            for c in 0..self.channels {
                                visit(target + c, source + c);
                            }
                        }
                    }
                }
            }
        }
    }
}
