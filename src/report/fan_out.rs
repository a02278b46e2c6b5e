//! Several observers as one.

use crate::train::event::{Event, Observer};

/// Hands every event to each observer in turn.
#[derive(Default)]
pub struct FanOut<'a> {
    observers: Vec<Box<dyn Observer + 'a>>,
}

impl<'a> FanOut<'a> {
    /// Nobody listens yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more, which hears each event after those before it.
    pub fn with(mut self, observer: impl Observer + 'a) -> Self {
        self.observers.push(Box::new(observer));
        self
    }
}

impl Observer for FanOut<'_> {
    /// All hear the event, even where one before them failed; the first failure is returned.
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        let mut outcome = Ok(());
        for observer in &mut self.observers {
            outcome = outcome.and(observer.event(event));
        }
        outcome
    }
}
