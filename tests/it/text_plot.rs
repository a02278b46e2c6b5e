//! Curves in the terminal.

use melgrad::report::text_plot::{Symbols, accuracy, text_plot};
use melgrad::train::event::EpochMetrics;

#[test]
fn a_curve_of_shares_reads_like_this() {
    let shares = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, f64::NAN, 0.75, 0.8];
    assert_eq!(
        text_plot(&shares, 40, 4, Symbols::Blocks),
        "  80%         ▆█
           ▄█ ██
         ▄███ ██
   0% ▁▄█████ ██
      1       10 epochs"
    );
    assert_eq!(text_plot(&shares, 40, 2, Symbols::Ascii), "  80%       # ##\n   0%   ##### ##\n      1       10 epochs");
}

#[test]
fn many_epochs_share_columns_and_few_make_do() {
    let shares: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0).collect();
    let text = text_plot(&shares, 50, 5, Symbols::Blocks);
    assert!(text.lines().all(|line| line.chars().count() <= 6 + 50 + " epochs".len()), "{text}");
    assert_eq!(text.lines().count(), 6);
    assert!(text.starts_with(" 100%") && text.ends_with("1000 epochs"), "{text}");
    assert_eq!(text_plot(&[0.5], 50, 2, Symbols::Blocks), "  50% █\n   0% █\n      1");
    assert_eq!(text_plot(&[], 50, 2, Symbols::Blocks), "");
    assert_eq!(text_plot(&[f64::NAN; 2], 50, 1, Symbols::Ascii), "  10%\n      12 epochs");
}

#[test]
fn blocks_need_a_locale_that_knows_them() {
    for (locale, expected) in [
        (Some("de_DE.UTF-8"), Symbols::Blocks),
        (Some("C.utf8"), Symbols::Blocks),
        (Some("C"), Symbols::Ascii),
        (Some("ja_JP.eucJP"), Symbols::Ascii),
        (None, Symbols::Ascii),
    ] {
        assert_eq!(Symbols::for_locale(locale, false), expected, "{locale:?}");
    }
    assert_eq!(Symbols::for_locale(None, true), Symbols::Blocks);
}

#[test]
fn a_run_shows_its_validation_or_else_its_training_accuracy() {
    let epoch = |epoch: usize, val_accuracy: Option<f64>| EpochMetrics {
        epoch,
        train_loss: 1.0,
        train_accuracy: 1.0,
        val_loss: val_accuracy,
        val_accuracy,
        learning_rate: 0.1,
        epoch_seconds: 1.0,
        gpu_seconds: None,
    };
    let validated = accuracy(&[epoch(1, Some(0.25)), epoch(2, Some(0.5))], Symbols::Ascii).unwrap();
    assert!(validated.starts_with("validation accuracy\n  50%  #\n") && validated.lines().count() == 7, "{validated}");
    let unvalidated = accuracy(&[epoch(1, None), epoch(2, None)], Symbols::Ascii).unwrap();
    assert!(unvalidated.starts_with("training accuracy\n 100% ##\n"), "{unvalidated}");
    assert_eq!(accuracy(&[epoch(1, Some(0.5))], Symbols::Ascii), None, "one epoch has no course");
}
