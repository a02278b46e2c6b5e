//! What a run's events become: lines, a bar, `events.jsonl`, `metrics.csv`; and tables.

use indicatif::{ProgressDrawTarget, TermLike};
use melgrad::report::table::{Column, Table};
use melgrad::report::time_left::TimeLeft;
use melgrad::report::{WriteError, bar::Bar, fan_out::FanOut, jsonl::EventLog, lines::Lines, metrics_csv::MetricsTable, words};
use melgrad::train::event::{EpochMetrics, Event, Observer, Started, Step, Summary};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

fn started(epochs: usize) -> Event {
    Event::Started(Started {
        run: "runs/indrnn-1".into(),
        model: "indrnn".into(),
        parameters: 190_826,
        trainable_parameters: 185_642,
        epochs,
        batch_size: 32,
        frames: 647,
        clips: [1_169, 43, 77],
        classes: vec!["blues".into(), "rock".into()],
        precision: melgrad::gpu::Precision::F32,
        adapter: "Some GPU (vulkan, 1.0)".into(),
    })
}

fn step(epoch: usize, step: usize) -> Event {
    Event::Step(Step { epoch, step, steps: 40, loss: 1.6, accuracy: 0.05 })
}

fn metrics(epoch: usize) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: 1.25,
        train_accuracy: 0.5,
        val_loss: Some(1.5),
        val_accuracy: Some(1.0),
        learning_rate: 0.0002,
        epoch_seconds: 39.84,
        gpu_seconds: Some(38.5),
    }
}

fn summary() -> Summary {
    Summary {
        run: "runs/indrnn-1".into(),
        model: "indrnn".into(),
        parameters: 190_826,
        trainable_parameters: 185_642,
        epochs: 12,
        best_epoch: 7,
        val_accuracy: Some(0.712),
        test_accuracy: Some(0.662),
        test_accuracy_ci95: Some([0.47, 0.84]),
        test_groups: Some(23),
        majority_baseline: Some(0.312),
        epoch_seconds_median: 11.84,
        adapter: "Some GPU (vulkan, 1.0)".into(),
    }
}

fn finished() -> Event {
    Event::Finished(Box::new(summary()))
}

/// The lines that `events`, each at its second, become.
fn lines(events: &[(u64, Event)]) -> String {
    let mut text = Vec::new();
    let begin = Instant::now();
    let mut lines = Lines::new(&mut text);
    events.iter().for_each(|(second, event)| lines.event_at(event, begin + SECOND * *second as u32));
    drop(lines);
    String::from_utf8(text).unwrap()
}

#[test]
fn a_run_in_plain_lines_reads_like_this() {
    let mut events = vec![(0, started(10))];
    // Preparation takes 5 s, a step 1 s, validation 4 s.
    events.extend((1..=40).map(|s| (5 + s, step(1, s as usize))));
    events.push((49, Event::Epoch(metrics(1))));
    events.push((50, Event::Warning { message: "2 files cannot be used".into() }));
    events.push((51, Event::StoppedEarly { epoch: 1, reason: "nothing got better".into() }));
    events.push((60, finished()));
    assert_eq!(
        lines(&events),
        "indrnn: 185,642 trained parameters, up to 10 epochs in batches of 32 x 647 frames
data: 1,169 clips to train on, 43 to validate, 77 to test; 2 classes
adapter: Some GPU (vulkan, 1.0)
run: runs/indrnn-1
epoch  1/10  loss 1.6000  accuracy   5.0%  step 5/40  about 7 min left
epoch  1/10  loss 1.6000  accuracy   5.0%  step 15/40  about 6 min left
epoch  1/10  loss 1.6000  accuracy   5.0%  step 25/40  about 6 min left
epoch  1/10  loss 1.6000  accuracy   5.0%  step 35/40  about 6 min left
epoch  1/10  loss 1.2500  accuracy  50.0%  val loss 1.5000  val accuracy 100.0%  39.8 s  about 7 min left
warning: 2 files cannot be used
stopped after epoch 1: nothing got better
Trained indrnn for 12 epochs, 11.8 s each; kept the weights of epoch 7.
Validation accuracy 71.2%.
Test accuracy 66.2%, 95% interval 47.0% to 84.0%.
Always naming the largest class gives 31.2%.
Warning: 23 groups in the test part: too few groups to tell how good that is.
The run is in runs/indrnn-1.
"
    );
}

#[test]
fn short_epochs_get_one_line_each_and_the_last_has_no_time_left() {
    let mut events = vec![(0, started(3))];
    for epoch in 1..=3 {
        // 5 s each, the first step after one of them.
        events.extend((1..=40).map(|s| (5 * epoch - 4 + s / 10, step(epoch as usize, s as usize))));
        let unvalidated = EpochMetrics { val_loss: None, val_accuracy: None, ..metrics(epoch as usize) };
        events.push((5 * epoch, Event::Epoch(unvalidated)));
    }
    let text = lines(&events);
    let epochs: Vec<&str> = text.lines().skip(4).collect();
    assert_eq!(
        epochs,
        [
            "epoch 1/3  loss 1.2500  accuracy  50.0%  39.8 s  about 8 s left",
            "epoch 2/3  loss 1.2500  accuracy  50.0%  39.8 s  about 5 s left",
            "epoch 3/3  loss 1.2500  accuracy  50.0%  39.8 s",
        ]
    );
}

#[test]
fn a_reader_that_has_gone_away_does_not_end_a_run() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(ErrorKind::BrokenPipe.into())
        }
    }
    assert!(Lines::new(Closed).event(&started(3)).is_ok());
}

#[test]
fn the_time_left_follows_the_median_of_the_last_epochs() {
    let begin = Instant::now();
    let at = |second: u64| begin + Duration::from_secs(second);
    let mut left = TimeLeft::new(100);
    assert_eq!(left.left(), None);
    left.step(1, 0.25, at(100));
    assert_eq!(left.left(), None, "one step says nothing: before it lies the preparation");
    left.step(1, 0.5, at(110));
    assert_eq!(left.left(), Some(SECOND * 3980), "40 s per epoch, 99.5 left");
    left.epoch_over(1, at(130));
    assert_eq!(left.left(), Some(SECOND * 3960));
    // 20 s each from now on, but one that was disturbed.
    for (epoch, second) in [(2, 150), (3, 170), (4, 1000), (5, 1020), (6, 1040)] {
        left.epoch_over(epoch, at(second));
    }
    assert_eq!(left.left(), Some(SECOND * 94 * 20));
    left.step(7, 0.5, at(1045));
    assert_eq!(left.left(), Some(SECOND * 1870));
    left.epoch_over(100, at(3000));
    assert_eq!(left.left(), None);
}

#[test]
fn numbers_are_written_for_people() {
    let rough = |seconds| words::rough(Duration::from_secs(seconds));
    assert_eq!([0, 1, 59, 60, 89, 90].map(rough), ["1 s", "1 s", "59 s", "1 min", "1 min", "2 min"]);
    assert_eq!(
        [3569, 3570, 7200, 86_369, 86_370, 200_000].map(rough),
        ["59 min", "1 h 0 min", "2 h 0 min", "23 h 59 min", "1 d 0 h", "2 d 7 h"]
    );
    assert_eq!(
        [0.8444, 9.994, 9.996, 99.94, 99.96, 612.3].map(words::seconds),
        ["0.84 s", "9.99 s", "10.0 s", "99.9 s", "100 s", "612 s"]
    );
    assert_eq!([0, 999, 1000, 185_642, 1_000_000].map(words::thousands), ["0", "999", "1,000", "185,642", "1,000,000"]);
    assert_eq!(
        [words::count(1, "class"), words::count(2, "class"), words::count(0, "clip")],
        ["1 class", "2 classes", "0 clips"]
    );
}

#[test]
fn the_summary_warns_of_few_groups_and_never_calls_validation_test() {
    let text = |change: &dyn Fn(&mut Summary)| {
        let mut summary = summary();
        change(&mut summary);
        words::summary(&summary)
    };
    assert!(text(&|s| s.test_groups = Some(29)).contains("29 groups in the test part: too few groups to tell"));
    assert!(text(&|s| s.test_groups = Some(1)).contains("1 group in the test part: too few groups to tell"));
    assert!(!text(&|s| s.test_groups = Some(30)).contains("too few groups"));
    assert!(text(&|s| s.test_accuracy_ci95 = None).contains("Test accuracy 66.2%, with no interval."));
    let untested = text(&|s| {
        (s.test_accuracy, s.test_accuracy_ci95, s.test_groups, s.majority_baseline) = (None, None, None, None);
    });
    assert!(untested.contains("There is no test part") && untested.contains("Validation accuracy 71.2%"), "{untested}");
    assert!(!untested.contains("Test accuracy"), "{untested}");
}

/// A terminal of 80 columns that keeps what is written to it.
#[derive(Debug, Clone, Default)]
struct Screen(Arc<Mutex<String>>);

impl TermLike for Screen {
    fn width(&self) -> u16 {
        80
    }
    fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> std::io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }
    fn write_str(&self, text: &str) -> std::io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }
    fn clear_line(&self) -> std::io::Result<()> {
        self.write_str("\n")
    }
    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_bar_shows_loss_accuracy_epoch_and_time_left_and_gives_way_to_the_summary() {
    let screen = Screen::default();
    let shown = || std::mem::take(&mut *screen.0.lock().unwrap());
    let mut bar = Bar::new(ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255));
    let begin = Instant::now();
    // The bar draws at most 255 times a second, by its own clock.
    let mut at = |second: u32, event: &Event| {
        std::thread::sleep(Duration::from_millis(20));
        bar.event_at(event, begin + SECOND * second);
        shown()
    };
    let last_line = |text: String| text.lines().last().map(String::from).unwrap_or_default();
    let opening = at(0, &started(2));
    assert!(opening.contains("run: runs/indrnn-1") && opening.contains("epoch 1/2  preparing"), "{opening}");
    at(10, &step(1, 10));
    let half = last_line(at(20, &step(1, 20)));
    assert!(half.contains("epoch 1/2  loss 1.6000  accuracy   5.0%  1 min left  ") && half.contains('█'), "{half}");
    let filled = |text: &str| text.matches('█').count() as f64 / text.matches(['█', '▌', '░']).count() as f64;
    assert!((filled(&half) - 0.25).abs() < 0.05, "20 of 80 steps: {half}");
    at(45, &Event::Epoch(metrics(1)));
    let second = at(50, &step(2, 1));
    assert!(second.contains("epoch 2/2  loss 1.6000  accuracy   5.0%  val 100.0%  46 s left"), "{second}");
    let warning = at(51, &Event::Warning { message: "the loss was not finite".into() });
    assert!(warning.contains("warning: the loss was not finite"), "{warning}");
    let evaluating = at(90, &Event::Epoch(metrics(2)));
    assert!(evaluating.contains("epoch 2/2  evaluating"), "{evaluating}");
    let end = at(95, &finished());
    assert!(end.contains("Test accuracy 66.2%") && !end.contains("evaluating"), "{end}");
}

/// The lines of a file.
fn read(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(String::from).collect()
}

#[test]
fn the_event_log_has_every_event_but_steps_each_on_the_disk_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut log = EventLog::open(&path).unwrap();
    let before = jiff::Timestamp::now();
    let diverged = Event::Epoch(EpochMetrics { train_loss: f64::NAN, gpu_seconds: None, ..metrics(1) });
    for (written, event) in [(1, started(3)), (1, step(1, 1)), (2, diverged), (3, finished())] {
        log.event(&event).unwrap();
        assert_eq!(read(&path).len(), written, "after {event:?}");
    }
    drop(log);
    EventLog::open(&path).unwrap().event(&Event::Warning { message: "\"two\"\nlines".into() }).unwrap();

    let lines: Vec<serde_json::Value> = read(&path).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["started", "epoch", "finished", "warning"], "a log that is opened again goes on");
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.len() == "2026-01-31T23:59:59.123Z".len(), "{time}");
        let time: jiff::Timestamp = time.parse().unwrap();
        assert!(time.duration_since(before).as_secs_f64().abs() < 60.0, "{time} is not now");
    }
    assert_eq!(lines[0]["clips"], serde_json::json!([1169, 43, 77]));
    assert_eq!((&lines[1]["train_loss"], &lines[1]["val_loss"]), (&serde_json::Value::Null, &serde_json::json!(1.5)));
    assert_eq!(lines[2]["test_accuracy_ci95"], serde_json::json!([0.47, 0.84]));
    assert_eq!(lines[3]["message"], "\"two\"\nlines");
}

#[test]
fn the_metrics_table_has_a_row_per_epoch_and_leaves_empty_what_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.csv");
    let header = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,learning_rate,epoch_seconds,gpu_seconds";
    let mut table = MetricsTable::open(&path).unwrap();
    assert_eq!(read(&path), [header]);
    table.event(&started(3)).unwrap();
    table.event(&Event::Epoch(metrics(1))).unwrap();
    assert_eq!(read(&path), [header, "1,1.25,0.5,1.5,1.0,0.0002,39.84,38.5"]);
    drop(table);
    let mut table = MetricsTable::open(&path).unwrap();
    table.event(&Event::Epoch(EpochMetrics { val_loss: None, val_accuracy: None, gpu_seconds: None, ..metrics(2) })).unwrap();
    assert_eq!(read(&path)[1..], ["1,1.25,0.5,1.5,1.0,0.0002,39.84,38.5", "2,1.25,0.5,,,0.0002,39.84,"]);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gone").join("events.jsonl");
    for error in [EventLog::open(&path).err().unwrap(), MetricsTable::open(&path).err().unwrap()] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.get_ref().unwrap().downcast_ref::<WriteError>().unwrap().path, path);
        assert!(error.to_string().starts_with(&format!("{}: cannot be written: ", path.display())), "{error}");
    }
}

#[test]
fn all_of_several_observers_hear_an_event_though_one_fails() {
    struct Hears<'a>(&'a RefCell<Vec<&'static str>>, &'static str, bool);
    impl Observer for Hears<'_> {
        fn event(&mut self, _: &Event) -> std::io::Result<()> {
            self.0.borrow_mut().push(self.1);
            if self.2 { Ok(()) } else { Err(std::io::Error::other(self.1)) }
        }
    }
    let heard = RefCell::new(Vec::new());
    let hears = |name, succeeds| Hears(&heard, name, succeeds);
    let mut all = FanOut::new().with(hears("a", true)).with(hears("b", false)).with(hears("c", false)).with(hears("d", true));
    assert_eq!(all.event(&step(1, 1)).unwrap_err().to_string(), "b");
    assert_eq!(*heard.borrow(), ["a", "b", "c", "d"]);
    assert!(FanOut::new().with(hears("a", true)).event(&step(1, 1)).is_ok());
}

#[test]
fn tables_align_words_left_and_numbers_right() {
    let mut table = Table::new(&[Column::Left("model"), Column::Right("accuracy"), Column::Left("remark")]);
    table.row(["indrnn", "66.2%", "kept"]).row(["bbnn", "7.2%", "a remark of many words"]).row(["gru"]);
    assert_eq!(
        table.render(None),
        "model   accuracy  remark
indrnn     66.2%  kept
bbnn        7.2%  a remark of many words
gru"
    );
    let narrow = table.render(Some(32));
    assert!(narrow.lines().all(|line| line.chars().count() <= 32) && narrow.lines().count() > 4, "{narrow}");
}
