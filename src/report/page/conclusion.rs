//! What a run comes to, in plain words and drawn from its figures alone.

use super::{believed, tables};
use crate::report::record::RunRecord;
use crate::report::words::{self, count, percent, points};
use crate::train::calibration::BINS;
use crate::train::predictions::Evaluation;

/// Gaps between training and validation from which a network fits its training clips better than others, and from which
/// it does so by far.
const GAPS: [f64; 2] = [0.05, 0.15];
/// Distance of mean probability and accuracy from which probabilities mislead.
const MISLEADING: f64 = 0.05;

/// The most important first.
pub fn conclusion(record: &RunRecord) -> Vec<String> {
    let mut paragraphs = vec![result(record)];
    if record.evaluation.as_ref().is_some_and(|evaluation| evaluation.part == "test") {
        paragraphs.extend(
            words::too_few_groups(record.groups(), record.group_noun())
                .map(|few| format!("{few} how good that is. Other music may give quite another figure.")),
        );
    }
    if let Some(evaluation) = &record.evaluation {
        paragraphs.extend(against_majority(evaluation));
        paragraphs.extend(of_classes(evaluation));
    }
    paragraphs.push(training(record));
    paragraphs.extend(of_probabilities(record));
    if !record.bad.is_empty() {
        let files = count(record.bad.len(), "file");
        paragraphs.push(format!("{files} could not be used and had no part in this; bad_files.csv says why."));
    }
    paragraphs.extend(record.warnings().iter().map(|warning| format!("Warning: {warning}")));
    paragraphs
}

/// The accuracy, its interval and what that is of.
fn result(record: &RunRecord) -> String {
    let model = record.model();
    let Some(evaluation) = &record.evaluation else {
        return match record.is_over() {
            true => "There is neither a validation nor a test part: nothing is known of how it does on other music.".into(),
            false => "The run has not come to its end: it stopped, or still goes on, and nothing has been evaluated.".into(),
        };
    };
    let (clips, accuracy) = (count(evaluation.clips, &format!("{} clip", evaluation.part)), percent(evaluation.accuracy));
    if evaluation.part != "test" {
        return format!(
            "There is no test part. {model} names {accuracy} of the {} rightly, but these clips chose which epoch was kept, \
             which flatters it: how it does on music that played no part in training is not known.",
            clips.replace("valid clip", "validation clip")
        );
    }
    let said = match record.shared_with_training() {
        0 => format!("{model} names {accuracy} of {clips}, which played no part in training, rightly"),
        shared => format!(
            "{model} names {accuracy} of {clips} rightly, but {} of them have other clips of their {} in the training part, so \
             that it may have learnt these instead of classes: the figure is too good",
            words::thousands(shared),
            record.group_noun()
        ),
    };
    match &evaluation.accuracy_ci95 {
        None => format!("{said}. They are all of one {}, so there is no interval.", record.group_noun()),
        Some(interval) => {
            let (groups, noun) = (count(interval.groups, record.group_noun()), record.group_noun());
            let how = match noun {
                "clip" => format!("the {groups} are drawn anew {} times", words::thousands(interval.resamples)),
                _ => format!(
                    "whole {} are drawn anew {} times, {groups} each, since clips of one {noun} stand or fall together",
                    plural(noun),
                    words::thousands(interval.resamples)
                ),
            };
            format!("{said}. The 95 % interval is {}: {how}.", tables::interval(Some(interval)))
        }
    }
}

fn plural(noun: &str) -> String {
    count(2, noun).replacen("2 ", "", 1)
}

fn against_majority(evaluation: &Evaluation) -> Option<String> {
    let (majority, class) = (evaluation.majority_baseline?, evaluation.majority_class.as_ref()?);
    let said = format!("Always naming {class}, the largest class of the training part, gives {}", percent(majority));
    Some(match &evaluation.accuracy_ci95 {
        _ if evaluation.accuracy <= majority => format!("{said}: the network is no better than that."),
        Some(interval) if interval.low <= majority => format!("{said}, which the interval does not rule out."),
        Some(_) => format!("{said}, which lies below the interval."),
        None => format!("{said}."),
    })
}

/// The best and the worst class, and the most frequent mistake.
fn of_classes(evaluation: &Evaluation) -> Option<String> {
    let mut recalls: Vec<(&str, f64)> =
        evaluation.classes.iter().filter_map(|class| Some((class.name.as_str(), class.metrics.recall?))).collect();
    // The order of the classes stays among equals.
    recalls.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (best, worst) = (recalls.first()?, recalls.last()?);
    if best.1 == worst.1 {
        return None;
    }
    let mut said = format!("It knows {} best (recall {}) and {} least ({}).", best.0, percent(best.1), worst.0, percent(worst.1));
    let counts = &evaluation.confusion_matrix.counts;
    let pairs = (0..counts.len()).flat_map(|label| (0..counts.len()).map(move |named| (label, named)));
    let wrong = pairs.filter(|(label, named)| label != named).rev().max_by_key(|&(label, named)| counts[label][named]);
    if let Some((label, named)) = wrong.filter(|&(label, named)| counts[label][named] > 1) {
        let [label_name, named_name] = [label, named].map(|class| &evaluation.classes[class].name);
        said += &format!(" Most often, {label_name} was taken for {named_name}: {}.", count(counts[label][named], "clip"));
    }
    Some(said)
}

/// Which epoch was kept, and whether the network fits its training clips better than others.
fn training(record: &RunRecord) -> String {
    let (best, epochs) = (record.best_epoch(), count(record.epochs.len(), "epoch"));
    let (Some(accuracy), clips) = (best.val_accuracy, record.part("valid").len()) else {
        return format!("After {epochs} the newest weights are kept: there is no validation part to choose by.");
    };
    let gap = best.train_accuracy - accuracy;
    let meaning = match gap {
        gap if gap >= GAPS[1] => {
            format!("{} apart, so it fits its training clips far better than others (over-fitting)", points(gap))
        }
        gap if gap >= GAPS[0] => format!("{} apart, so it fits its training clips somewhat better than others", points(gap)),
        gap if gap > -GAPS[0] => "about the same, so no over-fitting is to be seen".into(),
        _ => "fewer than in validation, so no over-fitting is to be seen".into(),
    };
    let mut said = format!(
        "Of {epochs}, epoch {} is kept, the best in validation. In it, {} of the training crops were named rightly and {} of \
         the {}: {meaning}.",
        best.epoch,
        percent(best.train_accuracy),
        percent(accuracy),
        count(clips, "validation clip"),
    );
    match record.stopped_early() {
        Some(reason) => said += &format!(" Training stopped early: {reason}."),
        None if best.epoch == record.config.train.epochs => {
            said += " Validation was best in the last epoch: more of them may give more."
        }
        None => {}
    }
    said
}

fn of_probabilities(record: &RunRecord) -> Option<String> {
    let calibration = believed(record.config.data.classes.len(), &record.predictions)?;
    let accuracy = record.evaluation.as_ref()?.accuracy;
    let clips = record.predictions.len();
    let sure = record.predictions.iter().map(|p| f64::from(p.probabilities[p.class() as usize])).sum::<f64>() / clips as f64;
    let meaning = match sure - accuracy {
        over if over > MISLEADING => "it is surer than it should be",
        over if over < -MISLEADING => "it is less sure than it could be",
        _ => "on the whole neither too sure nor too unsure",
    };
    let error = points(calibration.expected_calibration_error);
    // The distance in a bin of few clips is mostly chance, and all distances count as errors.
    let inflated = if clips < 10 * BINS { format!(", which so few clips in {BINS} bins inflate") } else { String::new() };
    Some(format!(
        "What it names it gives a probability of {} on average, and {} were right: {meaning} (expected calibration error \
         {error}{inflated}).",
        percent(sure),
        percent(accuracy),
    ))
}
