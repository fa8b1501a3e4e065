//! How the process ends: which error means which exit code, and how an error is told. Nowhere else.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use stepcell::engine::EngineError;
use stepcell::lock::LockError;
use stepcell::store::StoreError;
use stepcell::{HostError, WorkflowStatus};
use stepcell_webhooks::WebhookError;

use super::print::{has_colours, log_line, note, notes_are_logged};

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The command line, a file or data is wrong.
    BadInput = 1,
    /// The workflow or a step failed.
    Failed = 2,
    /// What was named is not there, or not where this can happen.
    WrongState = 3,
    /// The database or the server can not be used.
    Unusable = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// How a verb ends that drove an instance until it settled.
    pub(crate) const fn of_status(status: WorkflowStatus) -> Self {
        match status {
            WorkflowStatus::Failed | WorkflowStatus::Canceled => Self::Failed,
            WorkflowStatus::Pending
            | WorkflowStatus::Running
            | WorkflowStatus::Waiting
            | WorkflowStatus::Paused
            | WorkflowStatus::Completed => Self::Done,
        }
    }
}

/// What the command line itself refuses.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Refused {
    exit: Exit,
    why: String,
    details: Vec<String>,
    hint: Option<String>,
}

impl Refused {
    /// Something given is wrong.
    pub(crate) fn input(why: impl Into<String>) -> Self {
        Self { exit: Exit::BadInput, why: why.into(), details: Vec::new(), hint: None }
    }

    /// What was named is not there, or not where this can happen.
    pub(crate) fn state(why: impl Into<String>) -> Self {
        Self { exit: Exit::WrongState, ..Self::input(why) }
    }

    /// What was to be checked does not hold.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, ..Self::input(why) }
    }

    /// The database or the server can not be used.
    pub(crate) fn unusable(why: impl Into<String>) -> Self {
        Self { exit: Exit::Unusable, ..Self::input(why) }
    }

    /// Says what to do.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Says what is wrong one by one, before the error itself.
    pub(crate) fn details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }
}

/// What clap says of the command line. It would end with 2, which is the workflow's failure here.
pub(crate) fn of_usage(refusal: &clap::Error) -> ExitCode {
    // A stream that nobody reads is no reason to end otherwise.
    let _ = refusal.print();
    if refusal.use_stderr() { Exit::BadInput.into() } else { Exit::Done.into() }
}

/// Tells an error on stderr, and what it ends the process with.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    if error.chain().any(is_broken_pipe) {
        return Exit::Done;
    }
    let told = Told::of(error);
    for line in &told.details {
        note(line);
    }
    if notes_are_logged() {
        log_line("ERROR", &told.message, told.hint.as_deref());
        return told.exit;
    }
    let (red, blue, end) =
        if has_colours(&io::stderr()) { ("\x1b[1;31m", "\x1b[1;34m", "\x1b[0m") } else { ("", "", "") };
    note(format!("{red}error:{end} {}", told.message));
    if let Some(hint) = told.hint {
        note(format!("{blue}hint:{end} {hint}"));
    }
    told.exit
}

/// Whoever reads what is printed may stop at any time, such as `head`; that is no error.
fn is_broken_pipe(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An error as it is told.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    exit: Exit,
    message: String,
    details: Vec<String>,
    hint: Option<String>,
}

impl Told {
    /// What was tried, then what stood in the way. Below an error of ours stands nothing that it does not say itself.
    fn of(error: &anyhow::Error) -> Self {
        let mut layers = Vec::new();
        let mut told = Self { exit: Exit::Unusable, message: String::new(), details: Vec::new(), hint: None };
        for cause in error.chain() {
            let text = cause.to_string();
            if layers.last() != Some(&text) {
                layers.push(text);
            }
            if let Some(refused) = cause.downcast_ref::<Refused>() {
                told.exit = refused.exit;
                told.details.clone_from(&refused.details);
                told.hint.clone_from(&refused.hint);
                break;
            }
            if let Some(exit) = exit_of(cause) {
                told.exit = exit;
                told.hint = hint_for(cause);
                break;
            }
        }
        told.message = layers.join(": ");
        told
    }
}

fn exit_of(cause: &(dyn Error + 'static)) -> Option<Exit> {
    if let Some(error) = cause.downcast_ref::<EngineError>() {
        return Some(of_engine(error));
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return Some(of_store(error));
    }
    if let Some(error) = cause.downcast_ref::<WebhookError>() {
        return Some(of_webhook(error));
    }
    if let Some(error) = cause.downcast_ref::<HostError>() {
        return Some(of_host(error));
    }
    cause.downcast_ref::<LockError>().map(|_| Exit::Unusable)
}

fn of_host(error: &HostError) -> Exit {
    match error {
        HostError::Store(error) => of_store(error),
        HostError::Engine(error) => of_engine(error),
        HostError::Lock(_) | HostError::Sandbox(_) | HostError::HostKey(_) | HostError::Webhooks(_) => Exit::Unusable,
    }
}

fn of_engine(error: &EngineError) -> Exit {
    match error {
        EngineError::WantsMore { .. }
        | EngineError::ComponentRefused { .. }
        | EngineError::CallbackMalformed { .. }
        | EngineError::Validation { .. }
        | EngineError::InvalidData { .. } => Exit::BadInput,
        EngineError::Store(error) => of_store(error),
        EngineError::Stopping => Exit::Unusable,
        // What is left names something that is not there or not where this can happen: a callback that was refused, a
        // message that nobody waits for, an instance that is finished.
        _ => Exit::WrongState,
    }
}

fn of_webhook(error: &WebhookError) -> Exit {
    match error {
        WebhookError::Address { .. } | WebhookError::Description { .. } => Exit::BadInput,
        WebhookError::Engine(error) => of_engine(error),
        WebhookError::NotFound { .. }
        | WebhookError::DeliveryNotFound { .. }
        | WebhookError::TooMany { .. }
        | WebhookError::Inactive => Exit::WrongState,
    }
}

fn of_store(error: &StoreError) -> Exit {
    if error.is_refusal() && !matches!(error, StoreError::ReadOnly) { Exit::WrongState } else { Exit::Unusable }
}

fn hint_for(cause: &(dyn Error + 'static)) -> Option<String> {
    let of_store = || match cause.downcast_ref::<HostError>() {
        Some(HostError::Store(error)) => Some(error),
        Some(_) | None => cause.downcast_ref::<StoreError>(),
    };
    if let Some(StoreError::Lost { .. }) = of_store() {
        return Some(
            "`stepcell serve --accept-loss` goes on without what is lost, and keeps the damaged log".to_owned(),
        );
    }
    let hint = match cause.downcast_ref::<EngineError>()? {
        EngineError::WorkflowInactive { name, .. } => {
            format!("`stepcell definition list --all` shows the versions of `{name}` that are active")
        }
        EngineError::VersionTaken { .. } => "write a new `version:` and apply it again".to_owned(),
        EngineError::TaskUnauthorized { .. } => {
            "`--group` names the user's groups, and `--admin` lets them act on any task".to_owned()
        }
        EngineError::NobodyWaits { .. } => "`stepcell instance why ID` tells what an instance waits for".to_owned(),
        _ => return None,
    };
    Some(hint)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn told(error: impl Into<anyhow::Error>) -> (Exit, String) {
        let told = Told::of(&error.into());
        (told.exit, told.message)
    }

    #[test]
    fn a_store_that_can_not_be_used_ends_with_4_whatever_layer_says_so() {
        let newer = || StoreError::Newer { found: 9, known: 1 };

        assert_eq!(told(newer()).0, Exit::Unusable);
        assert_eq!(told(EngineError::Store(newer())).0, Exit::Unusable);
        assert_eq!(told(HostError::Store(newer())).0, Exit::Unusable);
        assert_eq!(told(EngineError::Store(StoreError::Full)).0, Exit::Unusable);
    }

    #[test]
    fn what_can_not_happen_as_things_stand_ends_with_3_and_what_was_given_wrong_with_1() {
        let text = || "x".to_owned();
        let moved = EngineError::InvalidTransition { what: text(), from: text(), to: text(), why: text() };
        for error in [
            moved,
            EngineError::NobodyWaits { why: text() },
            EngineError::Repeated,
            EngineError::CallbackRefused { why: text() },
        ] {
            assert_eq!(told(error).0, Exit::WrongState);
        }
        assert_eq!(told(EngineError::InvalidData { what: text(), errors: Vec::new() }).0, Exit::BadInput);
        assert_eq!(told(EngineError::Stopping).0, Exit::Unusable);
    }

    #[test]
    fn what_was_tried_stands_before_what_stood_in_the_way_and_nothing_is_said_twice() {
        let error = Err::<(), _>(EngineError::Store(StoreError::Full)).context("can not start `expense`").unwrap_err();

        assert_eq!(told(error).1, format!("can not start `expense`: {}", StoreError::Full));
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("can not print");

        assert_eq!(report(&error), Exit::Done);
    }
}
