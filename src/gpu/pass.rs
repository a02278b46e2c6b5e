//! Recording prepared dispatches, and how much of them goes into one submission.

use super::{AdapterSummary, Dispatch, Gpu, GpuError, Profile, Tensor, Timer};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest that one submission should run: drivers reset a device that is busy for seconds.
const SUBMISSION_LIMIT: Duration = Duration::from_millis(200);
/// Steps that may be under way at once: one runs while the next is recorded.
const STEPS_IN_FLIGHT: usize = 2;
/// Workgroups along one axis that every adapter takes.
const GRID_AXIS: usize = 65_535;

/// Workgroups of one dispatch. Kernels find their linear index as `id.y * count.x + id.x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid(pub [u32; 3]);

impl Grid {
    /// At least `count` workgroups in a row, folded into a second axis where one is too short.
    pub fn linear(count: usize) -> Self {
        let rows = count.div_ceil(GRID_AXIS).max(1);
        Self([count.div_ceil(rows) as u32, rows as u32, 1])
    }

    /// Workgroups of `size` invocations for `threads` of them.
    pub fn threads(threads: usize, size: usize) -> Self {
        Self::linear(threads.div_ceil(size))
    }

    /// `x` by `y` workgroups, each at most 65,535.
    pub fn plane(x: usize, y: usize) -> Self {
        debug_assert!(x <= GRID_AXIS && y <= GRID_AXIS, "{x} x {y} workgroups");
        Self([x as u32, y as u32, 1])
    }
}

/// Dispatches being recorded; submitted when dropped through [`Pass::submit`], and in between where it grows too long.
pub struct Pass<'g> {
    gpu: &'g Gpu,
    encoder: Option<wgpu::CommandEncoder>,
    open: Option<wgpu::ComputePass<'static>>,
    timer: Option<&'g Timer>,
    profile: Option<&'g Profile>,
    /// Of the submission being recorded.
    work: f64,
    /// The most that it should have: asked for once per submission.
    most_work: f64,
    counts: Counts,
}

/// What a pass was given to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kernels.
    pub dispatches: usize,
    /// Submissions so far.
    pub submissions: usize,
    /// The sum of what the dispatches bind: see [`Dispatch::bytes_bound`].
    pub bytes_bound: u64,
    /// The sum of the work that the dispatches were recorded with.
    pub work: u64,
}

impl<'g> Pass<'g> {
    /// Starts recording.
    pub fn new(gpu: &'g Gpu) -> Self {
        let (most_work, counts) = (work_per_submission(gpu), Counts::default());
        Self { gpu, encoder: None, open: None, timer: None, profile: None, work: 0.0, most_work, counts }
    }

    /// Starts recording, with the device time of every submission added to `timer`.
    pub fn timed(gpu: &'g Gpu, timer: Option<&'g Timer>) -> Self {
        Self { timer, ..Self::new(gpu) }
    }

    /// Submits and waits for every dispatch by itself, as often as `profile` asks for, and adds its time there: the device's
    /// by `timer`, or else the wall's.
    pub fn profiled(gpu: &'g Gpu, profile: &'g Profile, timer: Option<&'g Timer>) -> Self {
        Self { profile: Some(profile), ..Self::timed(gpu, timer) }
    }

    /// Records one dispatch. `immediates` are the 32-bit words of the kernel's `var<immediate>`; `work` its operations
    /// or memory accesses, whichever are more, which decides where submissions are cut.
    pub fn run(&mut self, dispatch: &Dispatch, grid: Grid, immediates: &[u32], work: usize) {
        assert_eq!(immediates.len() * 4, dispatch.kernel.immediate_bytes, "{}: immediates", dispatch.label());
        if grid.0.contains(&0) {
            return;
        }
        self.counts.dispatches += 1;
        self.counts.bytes_bound += dispatch.bytes_bound;
        self.counts.work += work as u64;
        match self.profile {
            Some(profile) => {
                self.flush();
                let seconds = profile.sample(|repeats| {
                    (0..repeats).for_each(|_| self.record(dispatch, grid, immediates, work));
                    self.seconds_alone()
                });
                profile.add(dispatch.label(), work, dispatch.bytes_bound, &seconds);
            }
            None => {
                if self.work > 0.0 && self.work + work as f64 > self.most_work {
                    self.flush();
                }
                self.record(dispatch, grid, immediates, work);
            }
        }
    }

    fn record(&mut self, dispatch: &Dispatch, grid: Grid, immediates: &[u32], work: usize) {
        let pass = self.open();
        pass.set_pipeline(&dispatch.kernel.pipeline);
        pass.set_bind_group(0, &dispatch.group, &[]);
        if !immediates.is_empty() {
            pass.set_immediates(0, bytemuck::cast_slice(immediates));
        }
        pass.dispatch_workgroups(grid.0[0], grid.0[1], grid.0[2]);
        self.work += work as f64;
    }

    /// Seconds that what is recorded takes, submitted and waited for.
    fn seconds_alone(&mut self) -> f64 {
        let start = Instant::now();
        self.flush();
        // A lost device shows at the pass's end.
        let _ = self.gpu.wait();
        let wall = start.elapsed().as_secs_f64();
        self.timer.and_then(Timer::take).unwrap_or(wall)
    }

    /// Units of work that one submission, and so one dispatch, should have at most: 200 ms of it, at the measured rate.
    pub fn work_per_submission(&self) -> f64 {
        work_per_submission(self.gpu)
    }

    /// Copies the first `elements` of `from` to `to`.
    pub fn copy(&mut self, from: &Tensor, to: &Tensor, elements: usize) {
        self.copy_to_buffer(from, to.buffer(), to.offset(), (elements * from.element().bytes()) as u64);
    }

    /// Sets every element of `tensor` to zero.
    pub fn clear(&mut self, tensor: &Tensor) {
        self.close();
        self.encoder().clear_buffer(tensor.buffer(), tensor.offset(), Some(tensor.bytes()));
    }

    pub(super) fn copy_to_buffer(&mut self, from: &Tensor, to: &wgpu::Buffer, offset: u64, bytes: u64) {
        self.close();
        self.encoder().copy_buffer_to_buffer(from.buffer(), from.offset(), to, offset, bytes);
    }

    pub(super) fn copy_from_buffer(&mut self, from: &wgpu::Buffer, to: &Tensor, bytes: u64) {
        self.close();
        self.encoder().copy_buffer_to_buffer(from, 0, to.buffer(), to.offset(), bytes);
    }

    /// The device that it is for.
    pub fn gpu(&self) -> &'g Gpu {
        self.gpu
    }

    /// Dispatches recorded so far.
    pub fn dispatches(&self) -> usize {
        self.counts.dispatches
    }

    /// What was recorded so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Submits what is recorded; returns the number of submissions that the pass took.
    pub fn submit(mut self) -> Result<usize, GpuError> {
        self.flush();
        self.gpu.health()?;
        Ok(self.counts.submissions)
    }

    fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        let device = self.gpu.device();
        self.encoder.get_or_insert_with(|| device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("pass") }))
    }

    fn open(&mut self) -> &mut wgpu::ComputePass<'static> {
        if self.open.is_none() {
            let timer = self.timer;
            let writes = timer.and_then(Timer::writes);
            let descriptor = wgpu::ComputePassDescriptor { label: Some("pass"), timestamp_writes: writes };
            self.open = Some(self.encoder().begin_compute_pass(&descriptor).forget_lifetime());
        }
        self.open.as_mut().expect("opened above")
    }

    fn close(&mut self) {
        if self.open.take().is_some()
            && let (Some(timer), Some(encoder)) = (self.timer, self.encoder.as_mut())
        {
            timer.resolve(encoder);
        }
    }

    fn flush(&mut self) {
        self.close();
        let Some(encoder) = self.encoder.take() else { return };
        let queue = self.gpu.queue();
        let submitted = Instant::now();
        let buffer = encoder.finish();
        let handed_over = Instant::now();
        let index = queue.submit([buffer]);
        let handing_over = handed_over.elapsed();
        if let Some(timer) = self.timer {
            timer.submitted();
        }
        let mut pace = self.gpu.pace().lock().unwrap_or_else(PoisonError::into_inner);
        let (work, measured) = (self.work, pace.measured.clone());
        pace.last = Some(index);
        pace.handing_over += handing_over;
        drop(pace);
        queue.on_submitted_work_done(move || measured.lock().unwrap_or_else(PoisonError::into_inner).done(submitted, work));
        self.work = 0.0;
        self.most_work = work_per_submission(self.gpu);
        self.counts.submissions += 1;
        let _ = self.gpu.device().poll(wgpu::PollType::Poll);
    }
}

fn work_per_submission(gpu: &Gpu) -> f64 {
    gpu.pace().lock().unwrap_or_else(PoisonError::into_inner).work_per_submission()
}

impl Gpu {
    /// Marks the end of a training step and, when two are already under way, waits for the older one.
    pub fn end_step(&self) -> Result<(), GpuError> {
        let oldest = {
            let mut pace = self.pace().lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(last) = pace.last.take() {
                pace.steps.push_back(last);
            }
            if pace.steps.len() > STEPS_IN_FLIGHT { pace.steps.pop_front() } else { None }
        };
        if let Some(index) = oldest {
            let wait = wgpu::PollType::Wait { submission_index: Some(index), timeout: None };
            self.device().poll(wait).map_err(|error| GpuError::DeviceLost { message: error.to_string() })?;
        }
        self.keep_pipelines();
        self.health()
    }
}

impl Gpu {
    /// How long the host has been at handing submissions over, since the device was opened. Software that computes within
    /// that call computes here.
    pub fn handing_over(&self) -> Duration {
        self.pace().lock().unwrap_or_else(PoisonError::into_inner).handing_over
    }
}

/// How fast the device works through what it is given, and what it still has to do.
pub(super) struct Pace {
    last: Option<wgpu::SubmissionIndex>,
    steps: VecDeque<wgpu::SubmissionIndex>,
    handing_over: Duration,
    measured: Arc<Mutex<Measured>>,
}

struct Measured {
    /// Units of work per second, the slowest of the last few submissions weighing most.
    rate: f64,
    finished: Option<Instant>,
}

impl Pace {
    pub(super) fn new(adapter: &AdapterSummary) -> Self {
        let rate = if adapter.is_software() { 2e9 } else { 2e11 };
        Self {
            last: None,
            steps: VecDeque::new(),
            handing_over: Duration::ZERO,
            measured: Arc::new(Mutex::new(Measured { rate, finished: None })),
        }
    }

    fn work_per_submission(&self) -> f64 {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).rate * SUBMISSION_LIMIT.as_secs_f64()
    }
}

impl Measured {
    fn done(&mut self, submitted: Instant, work: f64) {
        let now = Instant::now();
        let began = self.finished.map_or(submitted, |finished| finished.max(submitted));
        self.finished = Some(now);
        let seconds = (now - began).as_secs_f64();
        // Callbacks run when someone polls: short spans say nothing, and late ones only make the estimate careful.
        if seconds > 0.01 && work > 0.0 {
            let rate = work / seconds;
            self.rate = if rate < self.rate { 0.5 * (self.rate + rate) } else { 0.9 * self.rate + 0.1 * rate };
        }
    }
}
