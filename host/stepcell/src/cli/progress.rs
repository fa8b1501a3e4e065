//! What moves on a terminal while somebody waits. Nothing is shown where stderr is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use stepcell::WorkflowEngine;
use stepcell::engine::{EventFilter, FeedStart};
use stepcell::model::history::Event;
use stepcell::model::id::InstanceId;

const FRAME_INTERVAL: Duration = Duration::from_millis(100);

/// A line that moves until it is dropped.
pub(crate) struct Waiting(ProgressBar);

impl Waiting {
    /// Shows what is waited for.
    pub(crate) fn on(what: impl Into<String>) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what.into());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(FRAME_INTERVAL);
        Self(bar)
    }

    /// Shows something else.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }

    /// Shows which step of an instance runs, and never ends.
    pub(crate) async fn follow(&self, engine: &WorkflowEngine, instance: InstanceId) {
        let filter = EventFilter { instance: Some(instance), ..EventFilter::default() };
        if !self.0.is_hidden()
            && let Ok(mut feed) = engine.events(filter, FeedStart::Beginning).await
        {
            // Whoever waits for the instance is told why it can not be read.
            while let Ok(Some(entry)) = feed.next().await {
                entry.events.iter().filter_map(in_words).for_each(|words| self.0.set_message(words));
            }
        }
        std::future::pending::<()>().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn in_words(event: &Event) -> Option<String> {
    match event {
        Event::StepActivated { step, .. } => Some(format!("step `{step}`")),
        Event::StepStarted { step, attempt, .. } => Some(format!("step `{step}`, attempt {attempt}")),
        Event::StepRetryScheduled { step, attempt, retry_at, .. } => {
            Some(format!("step `{step}`: attempt {attempt} failed, the next one begins at {retry_at}"))
        }
        Event::ChildStarted { step, child, .. } => Some(format!("step `{step}`, instance {child}")),
        _ => None,
    }
}
