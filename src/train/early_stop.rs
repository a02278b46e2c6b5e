//! Stopping before the last epoch.

use crate::config::{EarlyStopMetric, TrainConfig};

/// Watches one metric for improvement.
#[derive(Debug, Clone)]
pub struct EarlyStop {
    metric: EarlyStopMetric,
    patience: usize,
    min_delta: f64,
    best: f64,
    since: usize,
}

impl EarlyStop {
    /// As the recipe says; a patience of 0 never stops.
    pub fn new(recipe: &TrainConfig) -> Self {
        let min_delta = f64::from(recipe.min_delta);
        Self { metric: recipe.early_stop_metric, patience: recipe.patience, min_delta, best: f64::INFINITY, since: 0 }
    }

    /// Takes note of an epoch; the reason in words if training should stop.
    pub fn after(&mut self, epoch: usize, train_loss: f64, val_loss: Option<f64>) -> Option<String> {
        let (name, value) = watched(self.metric, train_loss, val_loss);
        if value < self.best - self.min_delta {
            (self.best, self.since) = (value, 0);
        } else {
            self.since += 1;
        }
        let stop = self.patience > 0 && self.since >= self.patience;
        stop.then(|| {
            format!(
                "the {name} loss has not improved by {} for {} epochs (best {:.4}, epoch {epoch}: {value:.4})",
                self.min_delta, self.since, self.best
            )
        })
    }
}

/// The loss that early stopping and the schedule `plateau` watch, with its name. Without a validation part the training
/// loss stands in for the validation loss.
pub(super) fn watched(metric: EarlyStopMetric, train_loss: f64, val_loss: Option<f64>) -> (&'static str, f64) {
    match (metric, val_loss) {
        (EarlyStopMetric::ValLoss, Some(loss)) => ("validation", loss),
        _ => ("training", train_loss),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelName;

    #[test]
    fn it_stops_after_as_many_epochs_without_improvement_as_patience_says() {
        let recipe = TrainConfig {
            patience: 2,
            min_delta: 0.1,
            early_stop_metric: EarlyStopMetric::TrainLoss,
            ..TrainConfig::new(ModelName::Bbnn)
        };
        let mut stop = EarlyStop::new(&recipe);
        let losses = [1.0, 0.8, 0.75, 0.65, 0.64, 0.63];
        let stopped = losses.iter().position(|&loss| stop.after(1, loss, None).is_some());
        assert_eq!(stopped, Some(5), "0.65 improves on 0.8 by more than 0.1, the two after it do not");
        let mut never = EarlyStop::new(&TrainConfig { patience: 0, ..recipe });
        assert!((0..50).all(|epoch| never.after(epoch, 1.0, None).is_none()));
    }
}
