//! Step by step or as a scan: which of the two kernels of the IndRNN recurrence an adapter gets for a shape.

use super::contest::{close, wave};
use super::{IndrnnPath, IndrnnRecurrence, Map, Param, Size};
use crate::gpu::{Contest, Element, Gpu, GpuError, Pass, Tensor};
use std::time::{Duration, Instant};

const PATHS: [IndrnnPath; 2] = [IndrnnPath::Sequential, IndrnnPath::Scan];
const NAMES: [&str; 2] = ["sequential", "scan"];
/// With fewer, the whole recurrence takes about as long as its submission.
const FEWEST_FRAMES: usize = 256;
/// With more, chains alone fill most hardware; the scan reads its input twice and so has nothing to gain.
const MOST_CHAINS: usize = 8192;
/// A processor runs a vector of chains as fast as one: lavapipe takes the scan for 1 and 2 chains only.
const MOST_CHAINS_IN_SOFTWARE: usize = 2;
/// Numbers in a tensor that is measured with: longer sequences are measured by their beginning.
const MOST_NUMBERS: usize = 1 << 22;
/// What a measurement should take, so that the cost of a submission does not count.
const LONG_ENOUGH: Duration = Duration::from_millis(3);
const MOST_REPEATS: u32 = 32;

/// The path for batches of `capacity`, measured where the scan may have something to gain.
pub(super) fn choose(gpu: &Gpu, capacity: Size, hidden: usize) -> IndrnnPath {
    let Size { batch, frames } = capacity;
    let chains = batch * hidden;
    let most = if gpu.summary().is_software() { MOST_CHAINS_IN_SOFTWARE } else { MOST_CHAINS };
    let candidates = if frames >= FEWEST_FRAMES && chains <= most { &NAMES[..] } else { &NAMES[..1] };
    let key = format!("indrnn, {frames} frames x {batch} x {hidden}");
    let measured = Size { batch, frames: frames.min(MOST_NUMBERS / chains.max(1)) };
    PATHS[gpu.choose(&key, candidates, || Trial::new(gpu, measured, hidden))]
}

/// Both over one set of tensors.
struct Trial<'g> {
    gpu: &'g Gpu,
    size: Size,
    layers: Vec<IndrnnRecurrence>,
    /// h, da, du, and the sums that du is made of.
    written: [Tensor; 4],
    repeats: Option<u32>,
}

impl<'g> Trial<'g> {
    fn new(gpu: &'g Gpu, size: Size, hidden: usize) -> Result<Self, GpuError> {
        let shape = [size.frames, size.batch, hidden];
        let (a, h) = (Map::new(gpu, "measured input", &shape)?, Map::new(gpu, "measured states", &shape)?);
        let vector = |label| gpu.tensor(label, Element::F32, &[hidden]);
        let u = Param { value: vector("measured weights")?, grad: vector("measured gradient")? };
        let scratch = gpu.tensor("measured sums", Element::F32, &[size.batch, hidden])?;
        // Inputs and weights of either sign, states that live long.
        wave(gpu, &a.value.tensor, 0.7, 1.0);
        wave(gpu, &h.grad.tensor, 0.3, 1.0);
        wave(gpu, &u.value, 1.9, 1.0);
        let layers = PATHS.map(|path| IndrnnRecurrence::with_path(gpu, path, size, &a, &h, &u, &scratch));
        let layers = layers.into_iter().collect::<Result<_, _>>()?;
        Ok(Self { gpu, size, layers, written: [h.value.tensor, a.grad.tensor, u.grad, scratch], repeats: None })
    }

    fn run(&self, repeats: u32, forward: usize, backward: usize) -> Result<Duration, GpuError> {
        self.gpu.wait()?;
        let began = Instant::now();
        let mut pass = Pass::new(self.gpu);
        for _ in 0..repeats {
            self.layers[forward].forward(&mut pass, self.size);
            self.layers[backward].backward(&mut pass, self.size);
        }
        pass.submit()?;
        self.gpu.wait()?;
        Ok(began.elapsed() / repeats)
    }
}

impl Contest for Trial<'_> {
    fn time(&mut self, candidate: usize) -> Result<Duration, GpuError> {
        let repeats = match self.repeats {
            Some(repeats) => repeats,
            None => {
                let once = self.run(1, 0, 0)?;
                (LONG_ENOUGH.as_secs_f64() / once.as_secs_f64().max(1e-9)).clamp(1.0, f64::from(MOST_REPEATS)) as u32
            }
        };
        self.repeats = Some(repeats);
        self.run(repeats, candidate, candidate)
    }

    /// Backward is judged on the states of the first: which of them are 0 is a matter of rounding where a sum nearly
    /// vanishes.
    fn agrees(&mut self, candidate: usize) -> Result<bool, GpuError> {
        let results = |forward, backward| {
            // What a kernel leaves out must not stand there from before.
            let mut pass = Pass::new(self.gpu);
            self.written.iter().for_each(|tensor| pass.clear(tensor));
            pass.submit()?;
            self.run(1, forward, backward)?;
            let [h, da, du, _] = &self.written;
            Ok::<_, GpuError>([self.gpu.read(h)?, self.gpu.read(da)?, self.gpu.read(du)?])
        };
        let [h, da, du] = results(0, 0)?;
        let [other_h, ..] = results(candidate, 0)?;
        let [_, other_da, other_du] = results(0, candidate)?;
        Ok(close(&h, &other_h) && close(&da, &other_da) && close(&du, &other_du))
    }
}
