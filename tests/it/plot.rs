//! Pictures: well-formed, self-contained, and drawn without anything of the system.

use melgrad::config::FeatureConfig;
use melgrad::report::plot::Plot;
use melgrad::report::plot::accuracy_curves::{AccuracyCurves, ModelCurves};
use melgrad::report::plot::class_bars::{ClassBars, ModelBars};
use melgrad::report::plot::confusion::Confusion;
use melgrad::report::plot::epoch_times::{EpochTimes, ModelTime};
use melgrad::report::plot::learning_curves::LearningCurves;
use melgrad::report::plot::mel_spectrogram::MelSpectrogram;
use melgrad::train::event::EpochMetrics;

const NASTY: &str = "<script>alert(\"1\")</script> & 'co' \u{1}";

fn epochs(count: usize) -> Vec<EpochMetrics> {
    let epoch = |epoch| EpochMetrics {
        epoch,
        train_loss: if epoch == 3 { f64::NAN } else { 2.0 / epoch as f64 },
        train_accuracy: 1.0 - 1.0 / (1 + epoch) as f64,
        val_loss: Some(2.5 / epoch as f64),
        val_accuracy: Some(0.5),
        learning_rate: 1e-3,
        epoch_seconds: 1.0,
        gpu_seconds: None,
    };
    (1..=count).map(epoch).collect()
}

fn curves(count: usize) -> LearningCurves {
    LearningCurves { title: NASTY.into(), note: "an adapter".into(), epochs: epochs(count), best_epoch: Some(count) }
}

fn confusion(classes: usize) -> Confusion {
    let counts = (0..classes).map(|i| (0..classes).map(|j| if i == j { 1234 } else { i * j % 3 }).collect()).collect();
    Confusion { title: NASTY.into(), note: String::new(), classes: vec![NASTY.repeat(3); classes], counts }
}

fn mel_spectrogram(frames: usize) -> MelSpectrogram {
    let config = FeatureConfig::default();
    MelSpectrogram {
        title: "日本 Ünïcode ♪".into(),
        note: NASTY.into(),
        decibels: (0..frames * 128).map(|i| -((i % 128) as f32)).collect(),
        band_hertz: melgrad::features::band_hertz(&config),
        seconds_per_frame: 0.0464,
    }
}

fn bars(models: usize, classes: usize) -> ClassBars {
    let value = |i: usize| (i != 1).then_some(1.0 / (i + 1) as f64);
    let model = |_| ModelBars { name: NASTY.into(), values: (0..classes).map(value).collect() };
    let (classes, models) = (vec![NASTY.repeat(3); classes], (0..models).map(model).collect());
    ClassBars { title: NASTY.into(), note: String::new(), metric: "F1".into(), classes, models }
}

fn times(models: usize) -> EpochTimes {
    let model = |i| ModelTime {
        name: NASTY.into(),
        median: if i == 3 { f64::NAN } else { 0.25 * i as f64 },
        quartiles: [0.2 * i as f64, 0.3 * i as f64],
    };
    EpochTimes { title: NASTY.into(), note: "an adapter".into(), models: (0..models).map(model).collect() }
}

fn accuracies(marks: usize) -> AccuracyCurves {
    let run = |seed| (0..marks).map(|mark| (mark + seed != 3).then_some(0.01 * seed as f64 + 0.5)).collect();
    let model = |i| ModelCurves { name: NASTY.into(), runs: (i..3).map(run).collect() };
    AccuracyCurves {
        axis: "epochs trained".into(),
        title: NASTY.into(),
        note: String::new(),
        marks: (1..=marks).map(|i| 5 * i).collect(),
        models: (0..4).map(model).collect(),
    }
}

fn all() -> Vec<Box<dyn Plot>> {
    let mut all: Vec<Box<dyn Plot>> = Vec::new();
    for count in [0, 1, 2, 5, 200] {
        all.push(Box::new(curves(count)));
        all.push(Box::new(confusion(count.min(60))));
        all.push(Box::new(mel_spectrogram(count * 10)));
        all.push(Box::new(bars(count.min(7), count.min(30))));
        all.push(Box::new(times(count)));
        all.push(Box::new(accuracies(count)));
    }
    all
}

/// Tags open and close in order, attributes are quoted, and no bare `<` or `&` is left.
pub fn check_well_formed(xml: &str) {
    let (mut open, mut rest) = (Vec::new(), xml);
    while let Some(at) = rest.find('<') {
        check_text(&rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        check_text(tag);
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn check_text(text: &str) {
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    for entity in text.split('&').skip(1) {
        assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|known| entity.starts_with(known)), "&{entity}");
    }
}

/// Width and height of a PNG that tiny-skia reads back, and how many of its pixels are not white.
fn decoded(png: &[u8]) -> (u32, u32, usize) {
    let picture = tiny_skia::Pixmap::decode_png(png).unwrap();
    let dark = picture.pixels().iter().filter(|pixel| (pixel.red(), pixel.green(), pixel.blue()) != (255, 255, 255)).count();
    (picture.width(), picture.height(), dark)
}

#[test]
fn every_picture_is_well_formed_and_refers_to_nothing() {
    for plot in all() {
        let svg = plot.svg();
        check_well_formed(&svg);
        assert!(!svg.contains("<script") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        let outside = svg.replacen("http://www.w3.org/2000/svg", "", 1);
        assert!(!outside.contains("http") && !outside.contains("id=\"") && !outside.contains("url("), "{svg}");
        assert_eq!(plot.png(), plot.png(), "the same bytes every time");
        let (width, height, dark) = decoded(&plot.png());
        assert!(width >= 1440 && height > 200 && dark > 1000, "{width} x {height}, {dark}");
    }
}

#[test]
fn text_is_drawn_with_the_font_in_the_program() {
    let titled = |title: &str| Confusion { title: title.into(), ..confusion(2) };
    let dark = |title| decoded(&titled(title).png()).2;
    assert!(dark("Ωμέγα, Ж, é, i") > dark("") + 1000);
    assert_ne!(titled("abc").png(), titled("abd").png());
}

#[test]
fn axes_have_round_numbers_and_the_plots_say_what_they_must() {
    let svg = curves(12).svg();
    for text in [">2.0<", ">epoch<", ">loss<", ">100 %<", ">training<", ">validation<", ">kept: epoch 12<", ">an adapter<"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    let svg = mel_spectrogram(647).svg();
    for text in [">256<", ">1024<", ">8192<", ">30<", ">seconds<", ">decibels<", ">-100<", ">日本 Ünïcode ♪<"] {
        assert!(svg.contains(text), "{text}");
    }
    let svg = confusion(2).svg();
    for text in [">1234<", ">100%<", ">true class<", ">predicted class<"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    let svg =
        EpochTimes { models: vec![ModelTime { name: "lstm".into(), median: 0.684, quartiles: [0.6, 0.7] }], ..times(0) }.svg();
    for text in [">lstm<", ">0.68 s<", ">seconds per epoch<"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    let svg = bars(1, 2).svg();
    for text in [">F1<", ">none<", ">100 %<"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    let svg = accuracies(20).svg();
    for text in [">100<", ">epochs trained<", ">accuracy<", ">50 %<"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
}
