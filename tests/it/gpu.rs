//! The GPU floor: choosing an adapter, limits, memory, passes, results that come back by themselves, failures.

use melgrad::gpu::{
    AdapterChoice, Element, Gpu, GpuError, GpuOptions, Grid, Pass, Readback, Shader, Staging, Tensor, list_adapters,
};
use melgrad::layers::Slices;

fn open() -> Gpu {
    Gpu::open(&GpuOptions::default()).expect("these tests need an adapter, a software one will do")
}

fn choose(name: &str) -> Result<Gpu, GpuError> {
    let choice = AdapterChoice { name: Some(name.into()), backend: None };
    Gpu::open(&GpuOptions { choice, ..GpuOptions::default() })
}

/// `y = relu(x)` over `count` elements.
fn relu(gpu: &Gpu, x: &Tensor, y: &Tensor) -> melgrad::gpu::Dispatch {
    Shader("relu").dispatch(gpu, "forward", &[], &[("x", x), ("y", y)]).unwrap()
}

#[test]
fn adapters_are_chosen_by_index_or_name_and_a_wrong_one_says_what_there_is() {
    let all = list_adapters();
    assert!(!all.is_empty(), "these tests need an adapter, a software one will do");
    assert!(all.iter().enumerate().all(|(place, adapter)| adapter.index == place));
    assert!(all.windows(2).all(|pair| !pair[0].is_software() || pair[1].is_software()), "hardware before software");
    assert_eq!(open().summary().name, all[0].name, "without a choice it is the first");
    assert_eq!(choose("0").unwrap().summary().index, 0);
    let same_name = all.iter().filter(|adapter| adapter.name.to_lowercase().contains(&all[0].name.to_lowercase())).count();
    match choose(&all[0].name.to_uppercase()) {
        Ok(gpu) => assert_eq!((gpu.summary().index, same_name), (0, 1)),
        Err(error) => assert!(matches!(error, GpuError::AmbiguousAdapter { .. }) && same_name > 1, "{error}"),
    }
    for wanted in ["no such adapter", "4711"] {
        match choose(wanted).err() {
            Some(GpuError::UnknownAdapter { wanted: said, found }) => {
                assert!(said == wanted && found.contains(&all[0].name), "{found}")
            }
            other => panic!("{wanted}: {other:?}"),
        }
    }
}

#[test]
fn what_an_adapter_cannot_hold_or_bind_is_too_large() {
    let gpu = open();
    let (buffer, binding) = (gpu.summary().max_buffer_bytes, gpu.summary().max_binding_bytes);
    let elements = usize::try_from(buffer / 4).unwrap() + 1;
    match gpu.tensor("enormous", Element::F32, &[elements]) {
        Err(GpuError::TooLarge { label, bytes, limit }) => {
            assert_eq!((label.as_str(), bytes, limit), ("enormous", 4 * elements as u64, buffer))
        }
        other => panic!("{other:?}"),
    }
    let row = usize::try_from(binding).unwrap();
    assert_eq!((gpu.rows_per_binding(7, row), gpu.rows_per_binding(7, row + 4)), (1, 0));
    assert!(matches!(Slices::new(&gpu, 3, row + 4), Err(GpuError::TooLarge { .. })));
    assert_eq!(Slices::new(&gpu, 7, row / 3).unwrap().ranges().collect::<Vec<_>>(), [0..3, 3..6, 6..7]);
    // A device that offers bindings as large as its memory cannot be shown a tensor beyond them.
    if binding < buffer.min(1 << 30) {
        let small = gpu.tensor("small", Element::F32, &[4]).unwrap();
        let wide = gpu.tensor("wide", Element::F32, &[row / 4 + 1]).unwrap();
        let refused = Shader("relu").dispatch(&gpu, "forward", &[], &[("x", &wide), ("y", &small)]).err();
        assert!(matches!(&refused, Some(GpuError::TooLarge { label, .. }) if label == "wide"), "{refused:?}");
    }
    gpu.health().unwrap();
}

#[test]
fn tensors_and_their_views_are_written_read_copied_and_cleared() {
    let gpu = open();
    let aligned = gpu.alignment() as usize / 4;
    let whole = gpu.tensor("whole", Element::F32, &[4, aligned]).unwrap();
    assert_eq!(gpu.read::<f32>(&whole).unwrap(), vec![0.0; 4 * aligned], "a new tensor is zero");
    let numbers: Vec<f32> = (0..4 * aligned).map(|i| i as f32).collect();
    gpu.write(&whole, &numbers);
    let rows = whole.rows(1, 2);
    assert_eq!((rows.shape(), rows.offset(), rows.bytes()), ([2, aligned].as_slice(), gpu.alignment(), 2 * gpu.alignment()));
    assert_eq!(gpu.read::<f32>(&rows).unwrap(), numbers[aligned..3 * aligned]);
    gpu.write(&whole.view(aligned + 1, &[2]), &[-1.0f32, -2.0]);
    assert_eq!(gpu.read::<f32>(&whole.view(aligned, &[4])).unwrap(), [aligned as f32, -1.0, -2.0, (aligned + 3) as f32]);

    let copy = gpu.tensor("copy", Element::F32, &[2, aligned]).unwrap();
    let mut pass = Pass::new(&gpu);
    pass.copy(&whole.rows(3, 1), &copy.rows(1, 1), aligned);
    pass.clear(&whole.rows(3, 1));
    pass.submit().unwrap();
    assert_eq!(gpu.read::<f32>(&copy).unwrap(), [&vec![0.0; aligned][..], &numbers[3 * aligned..]].concat());
    assert_eq!(gpu.read::<f32>(&whole.rows(3, 1)).unwrap(), vec![0.0; aligned]);
    let labels = gpu.tensor("labels", Element::U32, &[3]).unwrap();
    gpu.write(&labels, &[1u32, u32::MAX, 3]);
    assert_eq!(gpu.read::<u32>(&labels).unwrap(), [1, u32::MAX, 3]);
}

#[test]
#[should_panic(expected = "is past")]
fn a_view_past_the_end_is_a_mistake() {
    open().tensor("short", Element::F32, &[8]).unwrap().view(4, &[5]);
}

#[test]
fn a_grid_reaches_every_element_whatever_their_number() {
    for (threads, size) in [(0, 64), (1, 64), (64, 64), (65, 64), (65_535 * 64, 64), (65_536 * 64, 64), (200_000_000, 64)] {
        let Grid([x, y, z]) = Grid::threads(threads, size);
        assert!(x <= 65_535 && y <= 65_535 && z == 1);
        assert!(x as usize * y as usize * size >= threads, "{threads} threads in {x} x {y}");
    }
}

#[test]
fn a_pass_counts_its_dispatches_and_splits_where_it_grows_too_long() {
    let gpu = open();
    let [x, y] = ["x", "y"].map(|name| gpu.tensor(name, Element::F32, &[64]).unwrap());
    gpu.write(&x, &[-1.0f32; 32]);
    let dispatch = relu(&gpu, &x, &y);
    let record = |work: usize| {
        let mut pass = Pass::new(&gpu);
        for _ in 0..6 {
            pass.run(&dispatch, Grid::threads(64, 64), &[64], work);
        }
        pass.run(&dispatch, Grid::threads(0, 64), &[0], work);
        assert_eq!(pass.dispatches(), 6, "nothing to do is no dispatch");
        pass.submit().unwrap()
    };
    assert_eq!(record(64), 1, "a short step is one submission");
    // Far more work than any adapter does in 200 ms.
    assert!(record(1 << 55) > 1, "a long step is cut between dispatches");
    assert_eq!(Pass::new(&gpu).submit().unwrap(), 0, "nothing recorded, nothing submitted");
    for _ in 0..5 {
        record(64);
        gpu.end_step().unwrap();
    }
    gpu.wait().unwrap();
}

#[test]
fn results_come_back_in_the_state_of_their_step_without_waiting() {
    let gpu = open();
    let [x, y] = ["x", "y"].map(|name| gpu.tensor(name, Element::F32, &[4]).unwrap());
    let dispatch = relu(&gpu, &x, &y);
    let mut readback = Readback::new(2);
    let mut results = Vec::new();
    for tag in 0..20 {
        gpu.write(&x, &[tag as f32, -1.0, 7.0, 7.0]);
        let mut pass = Pass::new(&gpu);
        pass.run(&dispatch, Grid::threads(4, 64), &[4], 4);
        readback.fetch(&gpu, &mut pass, &y, tag).unwrap();
        pass.submit().unwrap();
        readback.submitted();
        gpu.end_step().unwrap();
        results.extend(readback.ready());
    }
    assert!(results.len() >= 10, "two steps may be under way, {} results have come of 20", results.len());
    results.extend(readback.finish(&gpu).unwrap());
    results.sort_by_key(|(tag, _)| *tag);
    let expected: Vec<(u64, Vec<f32>)> = (0..20).map(|tag| (tag, vec![tag as f32, 0.0])).collect();
    assert_eq!(results, expected);
    assert!(readback.finish(&gpu).unwrap().is_empty(), "each comes once");
}

#[test]
fn threads_that_share_a_device_read_their_own_results() {
    let gpu = open();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let gpu = &gpu;
            scope.spawn(move || {
                let tensor = gpu.tensor("number", Element::F32, &[1]).unwrap();
                for round in 0..50 {
                    let number = (100 * thread + round) as f32;
                    gpu.write(&tensor, &[number]);
                    assert_eq!(gpu.read::<f32>(&tensor).unwrap(), [number]);
                }
            });
        }
    });
}

#[test]
fn an_error_that_no_call_returned_is_remembered() {
    let gpu = open();
    gpu.health().unwrap();
    let [short, long] = [4, 64].map(|elements| gpu.tensor("copied", Element::F32, &[elements]).unwrap());
    let mut pass = Pass::new(&gpu);
    pass.copy(&long, &short, 64);
    let refused = pass.submit();
    assert!(matches!(refused, Err(GpuError::Validation { .. })), "{refused:?}");
    assert!(matches!(gpu.health(), Err(GpuError::Validation { .. })));
    assert!(gpu.wait().is_err() && gpu.end_step().is_err() && gpu.read::<f32>(&short).is_err(), "and every later call says so");
    assert!(open().health().is_ok(), "another device is well");
}

#[test]
fn streamed_arrays_arrive_in_order_and_an_abandoned_stream_leaves_its_buffers() {
    let gpu = open();
    let x = gpu.tensor("x", Element::F32, &[1000]).unwrap();
    let staging = Staging::new(&gpu, 1000).unwrap();
    let array = |i: usize| (0..1000 - i).map(move |k| (i * k) as f32);
    for (taken, of) in [(7, 7), (1, 9), (0, 5), (2, 2), (12, 40), (20, 20)] {
        let mut stream = staging.stream(of, move |i, values| values.extend(array(i)));
        for i in 0..taken {
            let mut pass = Pass::new(&gpu);
            stream.next(&mut pass, &x).unwrap();
            pass.submit().unwrap();
            stream.submitted();
            gpu.end_step().unwrap();
            // Now and then: reading waits, and some of it should be under way.
            if i % 3 == 0 {
                assert!(gpu.read::<f32>(&x).unwrap()[..1000 - i].iter().copied().eq(array(i)), "{i} of {of}");
            }
        }
        if taken == of {
            let mut pass = Pass::new(&gpu);
            assert!(stream.next(&mut pass, &x).is_err(), "there are no more than {of}");
        }
    }
}
