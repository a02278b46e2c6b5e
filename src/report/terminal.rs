//! Progress on standard error: a bar where that is a terminal, plain lines elsewhere. Standard output stays free for
//! results.

use super::{bar::Bar, lines::Lines};
use crate::train::event::{Event, Observer};
use indicatif::ProgressDrawTarget;
use std::io::{IsTerminal, Stderr};

/// What a person sees of a run.
pub enum Terminal {
    /// A terminal that can redraw a line.
    Bar(Box<Bar>),
    /// Anything else.
    Lines(Lines<Stderr>),
}

impl Terminal {
    /// The one that suits standard error. `TERM=dumb` takes the bar away, `NO_COLOR` its colour.
    pub fn stderr() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if !std::io::stderr().is_terminal() || dumb {
            return Self::Lines(Lines::new(std::io::stderr()));
        }
        Self::Bar(Box::new(Bar::new(ProgressDrawTarget::stderr())))
    }
}

impl Observer for Terminal {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        match self {
            Self::Bar(bar) => bar.event(event),
            Self::Lines(lines) => lines.event(event),
        }
    }
}
