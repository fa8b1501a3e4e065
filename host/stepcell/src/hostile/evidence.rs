//! What a tenant sees of an attack afterwards, and what of it should not be there.

use stepcell_engine::EngineError;
use stepcell_hostile::Expected;
use stepcell_model::attempt::{AttemptTrace, LogLine, OUTPUT_BYTES_MAX};
use stepcell_model::failure::Failure;
use stepcell_model::history::Event;
use stepcell_model::json::Json;
use stepcell_model::record::InstanceSummary;
use stepcell_model::status::WorkflowStatus;
use stepcell_store::WorkflowStore;

use super::Ended;

/// What no text that a tenant sees may have in it: the host's runtime, its compiler, and how Rust tells of faults.
const OF_THE_HOST: [&str; 8] =
    ["wasmtime", "cranelift", "wasmparser", "panicked at", "backtrace", ".rs:", "<unknown>", "0x7f"];

/// The most bytes of a failure that anybody wants to keep: its message and its details.
const FAILURE_BYTES_MAX: usize = (8 << 10) + (64 << 10);

/// The most bytes of an attempt's log.
const LOG_BYTES_MAX: usize = 256 << 10;

/// The most transitions that an instance of one step comes to.
const HISTORY_LEN_MAX: u32 = 1_000;

/// What is found after an attack.
pub(super) struct Evidence {
    pub(super) ended: Ended,
    /// What was said of it, for whoever looks into it.
    pub(super) told: String,
    pub(super) cell_bytes_peak: u64,
    pub(super) problems: Vec<String>,
}

impl Evidence {
    /// Of a component that was not let in.
    pub(super) fn of_refusal(code: &str, reason: &str) -> Self {
        let ended = Ended::Refused(code.to_owned());
        let mut evidence = Self { ended, told: reason.to_owned(), cell_bytes_peak: 0, problems: Vec::new() };
        evidence.search("the refusal", reason);
        evidence
    }

    /// Of an attack that nothing stops.
    pub(super) fn of_what_goes_on() -> Self {
        let told = "it was still going on".to_owned();
        Self { ended: Ended::Never, told, cell_bytes_peak: 0, problems: Vec::new() }
    }

    /// Of an instance that is finished.
    pub(super) async fn of_instance(
        store: &dyn WorkflowStore,
        summary: &InstanceSummary,
        expected: Expected,
    ) -> Result<Self, EngineError> {
        let id = summary.identity.id;
        let history = store.list_history(id, 0, HISTORY_LEN_MAX).await?;
        let events: Vec<_> = history.iter().flat_map(|entry| &entry.events).collect();
        let mut evidence = Self::of_end(summary, &events, expected);
        events.iter().filter_map(|event| event.trace()).for_each(|trace| evidence.add_trace(trace));
        events.iter().filter_map(|event| failure_of(event)).for_each(|failure| evidence.add_failure(failure));
        for execution in store.list_executions(id).await? {
            if let Some(output) = &execution.output {
                evidence.bound("the output", output.len_bytes(), OUTPUT_BYTES_MAX);
                evidence.search("the output", output.text());
            }
        }
        if summary.status == WorkflowStatus::Failed && !store.load_context(id).await?.is_empty() {
            evidence.problems.push("what a failed step wrote was kept".to_owned());
        }
        Ok(evidence)
    }

    fn of_end(summary: &InstanceSummary, events: &[&Event], expected: Expected) -> Self {
        let hook = events.iter().find_map(|event| match event {
            Event::HookEnded { failure: Some(failure), .. } => Some(failure),
            _ => None,
        });
        let lines_dropped = events.iter().filter_map(|event| event.trace()).map(|trace| trace.log_lines_dropped).sum();
        let is_denied = events.iter().filter_map(|event| event.trace()).any(|trace| !trace.denials.is_empty());
        let (ended, told) = match (&summary.error, hook) {
            (_, Some(hook)) if matches!(expected, Expected::HookFailed(_)) => {
                (Ended::HookFailed(hook.code.to_string()), hook.to_string())
            }
            (Some(error), _) => (Ended::Failed(error.code.to_string()), format!("{}: {}", error.code, error.message)),
            (None, Some(hook)) => (Ended::HookFailed(hook.code.to_string()), hook.to_string()),
            (None, None) if is_denied && lines_dropped == 0 => (Ended::Denied, "it succeeded, denied".to_owned()),
            (None, None) => (Ended::Succeeded(lines_dropped), "it succeeded".to_owned()),
        };
        Self { ended, told, cell_bytes_peak: 0, problems: Vec::new() }
    }

    fn add_trace(&mut self, trace: &AttemptTrace) {
        self.cell_bytes_peak = self.cell_bytes_peak.max(trace.receipt.memory_bytes_peak);
        if let Some(fault) = trace.host_fault {
            self.problems.push(format!("it broke the host's side: {fault:?}"));
        }
        let fields = |line: &LogLine| line.fields.as_ref().map_or(0, Json::len_bytes);
        let bytes = trace.log.iter().map(|line| line.message.len() + fields(line)).sum();
        self.bound("the log", bytes, LOG_BYTES_MAX);
        for line in &trace.log {
            self.search("the log", &line.message);
        }
    }

    fn add_failure(&mut self, failure: &Failure) {
        let details = failure.details.as_ref().map_or("", |details| details.text());
        self.bound("the failure", failure.message.len() + details.len(), FAILURE_BYTES_MAX);
        self.search("the failure", &failure.message);
        self.search("the failure", details);
    }

    fn bound(&mut self, what: &str, bytes: usize, bytes_max: usize) {
        if bytes > bytes_max {
            self.problems.push(format!("{what} has {bytes} bytes, and may have {bytes_max}"));
        }
    }

    fn search(&mut self, what: &str, text: &str) {
        // What authors of steps in Rust are told to write is theirs.
        let text = &text.replace("stepcell_sdk::", "");
        let word = OF_THE_HOST.into_iter().find(|word| text.contains(word));
        if let Some(found) = word.map(str::to_owned).or_else(|| path_in(text)).or_else(|| type_in(text)) {
            self.problems.push(format!("{what} tells of the host, `{found}`: {text}"));
        }
    }
}

fn failure_of(event: &Event) -> Option<&Failure> {
    match event {
        Event::StepFailed { failure, .. }
        | Event::StepRetryScheduled { failure, .. }
        | Event::HookEnded { failure: Some(failure), .. } => Some(failure),
        _ => None,
    }
}

/// An absolute path in a text: one that begins at a word's begin and has more than one part.
fn path_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || "`'\"(),;[]{}<>".contains(c));
    let is_path = |word: &&str| word.starts_with('/') && word[1..].contains('/') && !word.starts_with("//");
    words.into_iter().find(is_path).map(str::to_owned)
}

/// The name of a Rust type in a text, with the module it lies in.
fn type_in(text: &str) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_type = |&at: &usize| text[..at].ends_with(is_name) && text[at + 2..].starts_with(is_name);
    let at = text.match_indices("::").map(|(at, _)| at).find(is_type)?;
    let begin = text[..at].rfind(|c| !is_name(c)).map_or(0, |before| before + 1);
    Some(text[begin..].chars().take_while(|&c| is_name(c) || c == ':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(text: &str) -> usize {
        Evidence::of_refusal("x", text).problems.len()
    }

    #[test]
    fn what_tells_of_the_host_is_found_in_what_a_tenant_sees() {
        for text in [
            "wasm trap in wasmtime",
            "can not open `/var/lib/cell`",
            "at stepcell_sandbox::run",
            "thread 'main' panicked at",
        ] {
            assert_eq!(problems_of(text), 1, "{text}");
        }
    }

    #[test]
    fn names_of_interfaces_and_addresses_are_nothing_of_the_host() {
        for text in [
            "wasm[1]::function[0]",
            "stepcell_sdk::export!(YourStep);",
            "lacks `execute` of `stepcell:step/step@0.1.0`",
            "https://acme.example/a/b",
            "1/2 of a/b",
        ] {
            assert_eq!(problems_of(text), 0, "{text}");
        }
    }
}
