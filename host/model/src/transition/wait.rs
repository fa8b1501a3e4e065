//! Steps that wait for a time or a message, and everything that happens because a time has come.

use std::time::Duration;

use super::draft::{Done, Draft};
use super::flow::Leaving;
use super::{KEPT_MESSAGES_LEN_BYTES_MAX, KEPT_MESSAGES_MAX, MESSAGE_LEN_BYTES_MAX, Refusal};
use crate::attempt::ContextWrites;
use crate::definition::TimerStep;
use crate::failure::{EngineCode, Failure};
use crate::history::Event;
use crate::instance::{Active, Phase};
use crate::json::Json;
use crate::name::{ContextKey, SignalName, StepName};
use crate::plan::{MessageSource, PlannedKind, PlannedMessage};
use crate::record::{KeptMessage, MessageChange, TaskRecord};
use crate::schema::FieldError;
use crate::status::TaskStatus;
use crate::time::{DURATION_MAX, Span, Timestamp};

/// How many ids of deliveries a webhook step remembers, so that one that is repeated has no effect.
const DELIVERY_IDS_MAX: usize = 8;

impl Draft<'_> {
    pub(super) fn begin_timer(&mut self, active: &Active, timer: &TimerStep) {
        match self.until(active, timer) {
            Err(failure) => self.fail_unbegun(active, &failure),
            Ok(until) if until <= self.now => self.pass_on(active),
            Ok(until) => {
                self.set_phase(active.number, Phase::AwaitingTime { until });
                self.record_begun(active.number, self.incoming(active));
            }
        }
    }

    fn until(&mut self, active: &Active, timer: &TimerStep) -> Result<Timestamp, Failure> {
        if let Some(until) = timer.until {
            return Ok(until);
        }
        let Some(key) = &timer.duration_key else {
            return Ok(self.now.after(timer.duration.map_or(Duration::ZERO, Span::length)));
        };
        let context = self.context();
        let value = context.get(key).map(Json::tree);
        let length = match value {
            Some(serde_json::Value::Number(seconds)) => seconds.as_f64().and_then(length_of_seconds),
            Some(serde_json::Value::String(text)) if text.starts_with('-') => Some(Duration::ZERO),
            Some(serde_json::Value::String(text)) => text.parse().ok().map(Span::length),
            _ => None,
        };
        length.map(|length| self.now.after(length)).ok_or_else(|| {
            let found = if value.is_none() { "has no value" } else { "holds no duration" };
            let message = format!(
                "the timer `{}` does not know how long to wait: the context key `{key}` {found}; give it a number of \
                 seconds or a text such as `5m`",
                active.step
            );
            Failure::engine(EngineCode::Input, message)
        })
    }

    /// Takes the message that was kept for a step, or waits for one.
    pub(super) fn begin_message(&mut self, active: &Active, message: &PlannedMessage) {
        if let Some(kept) = self.kept_for(&active.step, &message.source) {
            self.messages.push(MessageChange::Removed(kept.number));
            return self.take_message(active, message, kept.payload, Some(kept.number));
        }
        let timeout_at = message.timeout.map(|timeout| self.now.after(timeout.length()));
        self.set_phase(active.number, Phase::AwaitingMessage { timeout_at });
        self.record_begun(active.number, self.incoming(active));
    }

    fn take_message(&mut self, active: &Active, message: &PlannedMessage, payload: Json, number: Option<u32>) {
        let (execution, step) = (active.number, active.step.clone());
        self.events.push(Event::MessageTaken { execution, step, message: number });
        if let MessageSource::Webhook { .. } = message.source {
            self.state.control.callbacks.entry(active.step.clone()).or_default().taken += 1;
        }
        self.complete_wait(active, self.incoming(active), message.key.as_ref(), Some(payload));
    }

    /// Ends an execution that waited for a result, which goes into the context where it has a key for it.
    pub(super) fn complete_wait(
        &mut self,
        active: &Active,
        input: Option<Json>,
        key: Option<&ContextKey>,
        result: Option<Json>,
    ) {
        let value = || result.clone().unwrap_or_else(Json::null);
        let writes: ContextWrites = key.map(|key| (key.clone(), Some(value()))).into_iter().collect();
        if let Err(failure) = self.check_context_size(&writes) {
            return self.fail_and_tell(active, input, &failure);
        }
        let wrote = writes.keys().cloned().collect();
        self.write_all(writes);
        self.complete(active, Done { input, output: result.clone(), wrote, ..Done::default() });
        self.leave(Leaving::succeeded(active.clone(), result));
    }

    /// The oldest message that is kept for a step; for a signal that is any with its name.
    fn kept_for(&self, step: &StepName, source: &MessageSource) -> Option<KeptMessage> {
        let fits = |message: &&KeptMessage| match source {
            MessageSource::Webhook { .. } => message.step == *step,
            MessageSource::Signal(_) => self.message_of(&message.step).is_some_and(|known| known.source == *source),
        };
        self.kept_messages().into_iter().find(fits).cloned()
    }

    /// The messages that are kept as this transition leaves them, oldest first.
    fn kept_messages(&self) -> Vec<&KeptMessage> {
        let fresh = self.messages.iter().filter_map(|change| match change {
            MessageChange::Kept(message) => Some(message),
            MessageChange::Removed(_) => None,
        });
        let is_removed = |message: &&KeptMessage| self.messages.contains(&MessageChange::Removed(message.number));
        self.instance.messages.values().chain(fresh).filter(|message| !is_removed(message)).collect()
    }

    fn message_of(&self, step: &StepName) -> Option<&PlannedMessage> {
        match &self.plan.step(self.plan.find(step)?).kind {
            PlannedKind::Message(message) => Some(message),
            _ => None,
        }
    }

    /// Takes in a callback: the step that waits gets it; for one that is still to come it is kept.
    pub(super) fn delivered(&mut self, step: &StepName, id: Option<String>, payload: Json) -> Result<(), Refusal> {
        let message = self.message_of(step).filter(|message| matches!(message.source, MessageSource::Webhook { .. }));
        let Some(source) = message.map(|message| message.source.clone()) else {
            return Err(self.nobody_waits(&format!("a callback of `{step}`"), "webhook"));
        };
        let known = self.state.control.callbacks.get(step).cloned().unwrap_or_default();
        if id.as_ref().is_some_and(|id| known.ids.contains(id)) {
            return Err(Refusal::Repeated { step: step.clone() });
        }
        let is_waited_for = self.waits_for_message(|waiting| waiting.step == *step).is_some();
        let may_be_repeated = known.taken > 0 && id.is_none();
        if !is_waited_for && (may_be_repeated || self.kept_for(step, &source).is_some()) {
            return Err(Refusal::Repeated { step: step.clone() });
        }
        if !is_waited_for && !self.is_to_come(step) {
            if known.taken > 0 {
                return Err(Refusal::Repeated { step: step.clone() });
            }
            return Err(self.nobody_waits(&format!("a callback of `{step}`"), "webhook"));
        }
        if let Some(id) = id {
            let state = self.state.control.callbacks.entry(step.clone()).or_default();
            state.ids.push(id);
            state.ids.drain(..state.ids.len().saturating_sub(DELIVERY_IDS_MAX));
        }
        self.hand_over(step, payload, |waiting| waiting.step == *step)
    }

    /// Takes in a signal: the oldest step that waits for it gets it; for one that is still to come it is kept.
    pub(super) fn signaled(&mut self, signal: &SignalName, payload: Json) -> Result<(), Refusal> {
        let source = MessageSource::Signal(signal.clone());
        let plan = self.plan;
        let takes = |step: &StepName| {
            let kind = plan.find(step).map(|index| &plan.step(index).kind);
            matches!(kind, Some(PlannedKind::Message(message)) if message.source == source)
        };
        let steps: Vec<_> = plan.steps().map(|step| &step.name).filter(|step| takes(step)).collect();
        let waiting = self.waits_for_message(|waiting| takes(&waiting.step)).map(|waiting| waiting.step.clone());
        let to_come = || steps.iter().find(|step| self.is_to_come(step)).map(|step| (*step).clone());
        match waiting.or_else(to_come) {
            Some(step) => self.hand_over(&step, payload, |waiting| waiting.step == step),
            None => Err(self.nobody_waits(&format!("the signal `{signal}`"), "signal")),
        }
    }

    fn waits_for_message(&self, is_meant: impl Fn(&Active) -> bool) -> Option<&Active> {
        let mut waiting = self.state.control.active.iter();
        waiting.find(|active| matches!(active.phase, Phase::AwaitingMessage { .. }) && is_meant(active))
    }

    /// Whether a step that is no part of what runs now can still be reached, or is about to be.
    fn is_to_come(&self, step: &StepName) -> bool {
        let Some(top) = self.plan.find(&step.top()) else { return false };
        let branches = self.state.control.active.iter().filter(|active| active.place.is_graph());
        branches.map(|active| self.planned(active).0).any(|at| at == top || self.plan.can_reach(at, top))
    }

    fn hand_over(&mut self, step: &StepName, payload: Json, is_meant: impl Fn(&Active) -> bool) -> Result<(), Refusal> {
        if payload.len_bytes() > MESSAGE_LEN_BYTES_MAX {
            let message = format!("has {} bytes; at most {MESSAGE_LEN_BYTES_MAX}", payload.len_bytes());
            let errors = vec![FieldError { pointer: String::new(), message }];
            return Err(Refusal::InvalidData { step: step.clone(), errors });
        }
        if let Some(waiting) = self.waits_for_message(is_meant).cloned() {
            let (_, planned) = self.planned(&waiting);
            if let PlannedKind::Message(message) = &planned.kind {
                self.take_message(&waiting, message, payload, None);
            }
            return Ok(());
        }
        let kept = self.kept_messages();
        let bytes = kept.iter().map(|message| message.payload.len_bytes()).sum::<usize>() + payload.len_bytes();
        if kept.len() >= KEPT_MESSAGES_MAX || bytes > KEPT_MESSAGES_LEN_BYTES_MAX {
            return Err(Refusal::TooManyMessages { step: step.clone() });
        }
        self.state.control.messages += 1;
        let number = self.state.control.messages;
        self.messages.push(MessageChange::Kept(KeptMessage { number, step: step.clone(), payload }));
        self.events.push(Event::MessageKept { message: number, step: step.clone() });
        Ok(())
    }

    fn nobody_waits(&self, what: &str, kind: &str) -> Refusal {
        let known = self.plan.steps().filter_map(|step| match &step.kind {
            PlannedKind::Message(PlannedMessage { source: MessageSource::Signal(signal), .. }) if kind == "signal" => {
                Some(signal.to_string())
            }
            PlannedKind::Message(PlannedMessage { source: MessageSource::Webhook { .. }, .. }) if kind == "webhook" => {
                Some(step.name.to_string())
            }
            _ => None,
        });
        Refusal::NobodyWaits { what: what.to_owned(), known: known.collect() }
    }

    /// Forgets what nobody will take any more, as the instance is finished.
    pub(super) fn forget_messages(&mut self) {
        let numbers: Vec<_> = self.kept_messages().iter().map(|message| message.number).collect();
        self.messages.extend(numbers.into_iter().map(MessageChange::Removed));
    }

    /// Does everything whose time has come.
    pub(super) fn time_came(&mut self) -> Result<(), Refusal> {
        let due = self.state.control.active.iter().filter(|active| active.phase.is_due(self.now));
        let due: Vec<_> = due.map(|active| active.number).collect();
        if due.is_empty() || self.state.control.paused_at.is_some() {
            return Err(Refusal::NothingDue);
        }
        for number in due {
            // What came before may have canceled it, or changed where its branch ends.
            if let Some(active) = self.state.control.find_active(number).cloned() {
                self.wake(&active);
            }
        }
        Ok(())
    }

    fn wake(&mut self, active: &Active) {
        match &active.phase {
            Phase::AwaitingTime { .. } => self.pass_on(active),
            Phase::AwaitingMessage { .. } => self.time_out(active, "no message came"),
            Phase::AwaitingChild { child, .. } => {
                self.cancel_child(*child, &format!("the step `{}` that started it timed out", active.step));
                self.time_out(active, "its workflow did not finish");
            }
            Phase::AwaitingTask { .. } => self.wake_task(active),
            Phase::Joining
            | Phase::Scheduled { .. }
            | Phase::Running
            | Phase::FailureHook { .. }
            | Phase::RunningParts(_) => {}
        }
    }

    fn wake_task(&mut self, active: &Active) {
        let Phase::AwaitingTask { task, remind_at, overdue_at, timeout_at } = active.phase.clone() else { return };
        let has_come = |at: Option<Timestamp>| at.is_some_and(|at| at <= self.now);
        let (reminds, is_overdue, is_given_up) = (has_come(remind_at), has_come(overdue_at), has_come(timeout_at));
        let step = active.step.clone();
        if reminds {
            self.events.push(Event::TaskReminded { task, step: step.clone() });
        }
        if is_overdue {
            self.events.push(Event::TaskOverdue { task, step: step.clone() });
        }
        let (remind_at, overdue_at) = (remind_at.filter(|_| !reminds), overdue_at.filter(|_| !is_overdue));
        self.set_phase(active.number, Phase::AwaitingTask { task, remind_at, overdue_at, timeout_at });
        if is_given_up {
            if let Some(record) = self.pending_task(active.number) {
                let (status, completed_at) = (TaskStatus::Canceled, Some(self.now));
                self.put_task(TaskRecord { status, completed_at, ..record });
                self.events.push(Event::TaskCanceled { task, step });
            }
            self.time_out(active, "nobody did the task");
        }
    }

    /// Fails an execution that waited for too long.
    fn time_out(&mut self, active: &Active, why: &str) {
        let after = Span::new(self.now.since(active.activated_at));
        let message = format!("the step `{}` timed out after {after}: {why}", active.step);
        let failure = Failure::engine(EngineCode::Timeout, message);
        self.fail_and_tell(active, self.given(active), &failure);
    }
}

/// A length of time from a number of seconds; nothing or less is none, and too much is as long as any.
fn length_of_seconds(seconds: f64) -> Option<Duration> {
    if seconds.is_nan() {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(DURATION_MAX).min(DURATION_MAX))
}
