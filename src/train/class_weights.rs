//! How much each class counts in the loss.

use crate::config::ClassWeights;

/// A weight per class from the clips that each has in the training part; a class without any weighs nothing.
pub(super) fn class_weights(choice: ClassWeights, clips: &[usize]) -> Vec<f32> {
    let all: usize = clips.iter().sum();
    let balanced = |&count: &usize| if count == 0 { 0.0 } else { (all as f64 / (clips.len() * count) as f64) as f32 };
    match choice {
        ClassWeights::None => vec![1.0; clips.len()],
        ClassWeights::Balanced => clips.iter().map(balanced).collect(),
    }
}

/// What to tell of classes that weigh nothing.
pub(super) fn warning(choice: ClassWeights, classes: &[String], clips: &[usize]) -> Option<String> {
    let weights = class_weights(choice, clips);
    let without: Vec<&str> = classes.iter().zip(weights).filter(|(_, w)| *w == 0.0).map(|(name, _)| name.as_str()).collect();
    let names = without.join(", ");
    (!without.is_empty())
        .then(|| format!("the training part has no clips of {names}: balanced class weights leave it out of the loss"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_classes_count_alike_and_one_without_clips_not_at_all() {
        let clips = [10, 30, 0, 40];
        let weights = class_weights(ClassWeights::Balanced, &clips);
        assert_eq!(weights, [2.0, 80.0 / 120.0, 0.0, 0.5]);
        let names = ["a", "b", "c", "d"].map(String::from);
        let warning = |choice| warning(choice, &names, &clips);
        assert!(warning(ClassWeights::Balanced).unwrap().contains("no clips of c:"));
        assert_eq!((class_weights(ClassWeights::None, &clips), warning(ClassWeights::None)), (vec![1.0; 4], None));
    }
}
