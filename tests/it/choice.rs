//! Kernels that do the same: measured, compared, remembered.

use melgrad::gpu::{BackendName, Contest, Element, Gpu, GpuError, GpuOptions, KernelPolicy};
use melgrad::layers::{IndrnnRecurrence, Map, Param};
use std::path::Path;
use std::time::Duration;

/// Candidates that take what is said.
struct Given {
    microseconds: Vec<u64>,
    agrees: Vec<bool>,
}

impl Contest for Given {
    fn time(&mut self, candidate: usize) -> Result<Duration, GpuError> {
        Ok(Duration::from_micros(self.microseconds[candidate]))
    }

    fn agrees(&mut self, candidate: usize) -> Result<bool, GpuError> {
        Ok(self.agrees[candidate])
    }
}

fn open(kernels: KernelPolicy) -> Gpu {
    Gpu::open(&GpuOptions { choice: crate::chosen(), kernels, ..GpuOptions::default() }).expect("these tests need an adapter")
}

fn open_in(folder: &Path) -> Gpu {
    open(KernelPolicy::MeasuredIn(folder.into()))
}

const NAMES: [&str; 3] = ["plain", "second", "third"];

fn choose(gpu: &Gpu, key: &str, microseconds: [u64; 3], agrees: [bool; 3]) -> &'static str {
    let given = Given { microseconds: microseconds.into(), agrees: agrees.into() };
    NAMES[gpu.choose(key, &NAMES, || Ok(given))]
}

fn not_measured(gpu: &Gpu, key: &str) -> &'static str {
    NAMES[gpu.choose(key, &NAMES, || -> Result<Given, _> { panic!("{key} is measured") })]
}

/// The one file of what is remembered.
fn file(folder: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> = std::fs::read_dir(folder.join("kernels")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[test]
fn the_first_is_taken_unless_another_is_clearly_faster_and_right() {
    let folder = tempfile::tempdir().unwrap();
    let gpu = open_in(folder.path());
    for (key, microseconds, agrees, expected) in [
        ("slower", [100, 110, 200], [true; 3], "plain"),
        ("a little faster", [119, 100, 200], [true; 3], "plain"),
        ("faster", [121, 100, 110], [true; 3], "second"),
        ("the fastest", [300, 100, 90], [true; 3], "third"),
        ("fast and wrong", [300, 100, 200], [true, false, true], "third"),
        ("all wrong", [300, 100, 200], [true, false, false], "plain"),
    ] {
        assert_eq!(choose(&gpu, key, microseconds, agrees), expected, "{key}");
        assert_eq!(not_measured(&gpu, key), expected, "{key}: chosen once per device");
    }
    let failing = gpu.choose("failing", &NAMES, || Err::<Given, _>(GpuError::UnknownShader { name: "x".into() }));
    assert_eq!((failing, gpu.choose("alone", &NAMES[..1], || -> Result<Given, _> { panic!("alone") })), (0, 0));
    let all = gpu.choices();
    assert_eq!((all.len(), all["faster"].as_str(), all["failing"].as_str()), (8, "second", "plain"));
}

/// A stack of levels is measured with products inside it, whose kernels are chosen too.
#[test]
fn what_is_measured_may_have_kernels_of_its_own_to_choose() {
    let folder = tempfile::tempdir().unwrap();
    let gpu = open_in(folder.path());
    let outer = gpu.choose("outer", &NAMES, || {
        assert_eq!(choose(&gpu, "inner", [300, 200, 100], [true; 3]), "third");
        assert_eq!(not_measured(&gpu, "inner"), "third");
        Ok(Given { microseconds: vec![300, 100, 200], agrees: vec![true; 3] })
    });
    assert_eq!(NAMES[outer], "second");
    // Both are kept, and whoever comes from another thread waits for neither.
    let again = open_in(folder.path());
    std::thread::scope(|scope| {
        for (key, expected) in [("inner", "third"), ("outer", "second")] {
            let again = &again;
            scope.spawn(move || assert_eq!(not_measured(again, key), expected));
        }
    });
}

#[test]
fn a_choice_is_remembered_between_runs_and_measured_again_where_the_memory_is_of_no_use() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(choose(&open_in(folder.path()), "a", [300, 100, 200], [true; 3]), "second");
    let file = file(folder.path());
    assert_eq!(not_measured(&open_in(folder.path()), "a"), "second");
    assert_eq!(choose(&open_in(folder.path()), "b", [300, 200, 100], [true; 3]), "third");
    assert_eq!(not_measured(&open_in(folder.path()), "a"), "second", "the others stay");

    // Two processes that measure at the same time: the first to write decides.
    let (early, late) = (open_in(folder.path()), open_in(folder.path()));
    let given = Given { microseconds: vec![300, 100, 200], agrees: vec![true; 3] };
    let in_between = || {
        assert_eq!(choose(&early, "c", [300, 200, 100], [true; 3]), "third");
        Ok(given)
    };
    assert_eq!(NAMES[late.choose("c", &NAMES, in_between)], "third");

    let text = std::fs::read_to_string(&file).unwrap();
    let other_device = text.replace("melgrad", "another program");
    assert!(other_device != text);
    for useless in ["", "{", &text[..text.len() / 2], &other_device, &text.replace("second", "unknown")] {
        std::fs::write(&file, useless).unwrap();
        assert_eq!(choose(&open_in(folder.path()), "a", [300, 200, 100], [true; 3]), "third", "{useless}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "").unwrap();
    for _ in 0..2 {
        assert_eq!(choose(&open_in(&in_the_way), "a", [300, 100, 200], [true; 3]), "second", "measured each time");
    }
}

#[test]
fn nothing_is_measured_where_plain_kernels_are_wanted_or_kernels_are_checked() {
    let plain = open(KernelPolicy::Plain);
    let options = GpuOptions { choice: crate::chosen(), runtime_checks: true, ..GpuOptions::default() };
    for gpu in [plain, Gpu::open(&options).unwrap()] {
        assert_eq!(not_measured(&gpu, "a"), "plain");
        assert_eq!(gpu.choices()["a"], "plain");
    }
}

#[test]
fn the_indrnn_recurrence_is_measured_only_where_the_scan_has_something_to_gain() {
    let folder = tempfile::tempdir().unwrap();
    let gpu = open_in(folder.path());
    let build = |frames, batch, hidden| {
        let [a, h] = ["a", "h"].map(|label| Map::new(&gpu, label, &[frames, batch, hidden]).unwrap());
        let [value, grad, scratch] =
            [hidden, hidden, batch * hidden].map(|elements| gpu.tensor("vector", Element::F32, &[elements]).unwrap());
        IndrnnRecurrence::new(&gpu, &a, &h, &Param { value, grad }, &scratch).unwrap();
    };
    build(647, 128, 128);
    build(64, 1, 1);
    assert!(gpu.choices().values().all(|kernel| kernel == "sequential"), "{:?}", gpu.choices());
    assert!(!folder.path().join("kernels").exists(), "nothing was measured");
    build(20_000, 1, 1);
    println!("{}", std::fs::read_to_string(file(folder.path())).unwrap());
    let chosen = &gpu.choices()["indrnn, 20000 frames x 1 x 1"];
    assert!(["sequential", "scan"].contains(&chosen.as_str()), "{chosen}");
}

/// The files of what the driver made of kernels.
fn pipelines(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder.join("pipelines")).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
    entries.unwrap_or_default()
}

#[test]
fn what_the_driver_made_of_kernels_is_kept_and_damage_only_costs_time() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let gpu = open_in(folder.path());
        let x = gpu.tensor("x", Element::F32, &[4]).unwrap();
        gpu.write(&x, &[-1.0f32, 2.0, -3.0, 4.0]);
        let map = |tensor: &melgrad::gpu::Tensor| melgrad::layers::Channels::whole(tensor);
        let y = gpu.tensor("y", Element::F32, &[4]).unwrap();
        let [x, y] = [&x, &y].map(|tensor| Map { value: map(tensor), grad: map(tensor) });
        let relu = melgrad::layers::Relu::new(&gpu, &x, &y).unwrap();
        let mut pass = melgrad::gpu::Pass::new(&gpu);
        relu.forward(&mut pass, 4);
        pass.submit().unwrap();
        gpu.end_step().unwrap();
        assert_eq!(gpu.read::<f32>(&y.value.tensor).unwrap(), [0.0, 2.0, 0.0, 4.0]);
    };
    run();
    // No other interface has such a thing.
    if open_in(folder.path()).summary().backend != BackendName::Vulkan {
        return assert!(pipelines(folder.path()).is_empty());
    }
    let [file] = pipelines(folder.path()).try_into().unwrap();
    let kept = std::fs::read(&file).unwrap();
    let written = || std::fs::metadata(&file).unwrap().modified().unwrap();
    let first = written();
    run();
    assert_eq!(written(), first, "nothing is written where nothing is new");
    // Not as long as it was, not what it was, and somebody else's.
    let mut changed = kept.clone();
    *changed.last_mut().unwrap() ^= 1;
    for damaged in [&kept[..kept.len() / 2], &changed, &[], &[7; 100]] {
        std::fs::write(&file, damaged).unwrap();
        run();
        assert_eq!(std::fs::read(&file).unwrap().len(), kept.len(), "{} bytes are not made good again", damaged.len());
    }
    let foreign = b"what another driver made".to_vec();
    std::fs::write(&file, [blake3::hash(&foreign).as_bytes().as_slice(), &foreign].concat()).unwrap();
    run();
    assert_eq!(pipelines(folder.path()).len(), 1, "no parts are left behind");
}
