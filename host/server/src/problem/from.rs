//! What the engine and the store refuse, as problems.

use std::time::Duration;

use stepcell_engine::EngineError;
use stepcell_model::problem::Problems;
use stepcell_model::schema::FieldError;
use stepcell_store::StoreError;
use stepcell_webhooks::WebhookError;

use super::{FieldProblem, Problem, ProblemCode, pointer_of};

/// When to come back after the store could not be used. Most such troubles are over then, or take an operator.
const STORE_RETRY: Duration = Duration::from_secs(2);

/// When to come back where there is no room until somebody makes some.
const QUOTA_RETRY: Duration = Duration::from_secs(60);

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        use ProblemCode as Code;
        let code = match error {
            EngineError::Validation { problems } => return Self::of_definition(&problems),
            EngineError::InvalidData { what, errors } => return Self::of_data(&what, errors),
            EngineError::Store(error) => return error.into(),
            EngineError::InstanceNotFound { id } => {
                return Self::new(Code::InstanceNotFound, format!("there is no instance `{id}`; list those there are"));
            }
            EngineError::TaskNotFound { what } => {
                return Self::new(Code::TaskNotFound, format!("there is no {what}; list those that wait"));
            }
            EngineError::QuotaExceeded { retry_after, .. } => {
                return Self::new(Code::QuotaExceeded, error.to_string()).retry_after(retry_after);
            }
            EngineError::TooMany { .. } => {
                return Self::new(Code::QuotaExceeded, error.to_string()).retry_after(QUOTA_RETRY);
            }
            EngineError::TenantSuspended { .. } => Code::TenantSuspended,
            EngineError::TenantNotFound { tenant } => {
                return Self::new(Code::TenantNotFound, format!("there is no tenant `{tenant}`"));
            }
            EngineError::KeyNotFound { id } => {
                return Self::new(Code::KeyNotFound, format!("there is no API key `{id}`; list those there are"));
            }
            EngineError::Stopping => {
                return Self::new(Code::Unavailable, error.to_string()).retry_after(STORE_RETRY);
            }
            EngineError::WorkflowNotFound { .. } | EngineError::NoVersionFits { .. } => Code::DefinitionNotFound,
            EngineError::WorkflowInactive { .. } => Code::DefinitionInactive,
            EngineError::ComponentNotFound { .. } => Code::ComponentNotFound,
            EngineError::ComponentRefused { .. } => Code::ComponentRefused,
            EngineError::WantsMore { .. } => Code::ComponentWantsMore,
            EngineError::VersionTaken { .. } => Code::VersionTaken,
            EngineError::TooManyVersions { name, max } => {
                let detail = format!(
                    "workflow `{name}` has {max} versions, the most there may be; remove old ones that nothing runs on, or \
                     register it under a new name"
                );
                return Self::new(Code::TooManyVersions, detail);
            }
            EngineError::InUse { .. } => Code::DefinitionInUse,
            EngineError::PositionNotFound { .. } => Code::PositionNotFound,
            EngineError::InvalidTransition { .. } => Code::WrongState,
            EngineError::AlreadyCompleted { .. } => Code::InstanceFinished,
            EngineError::TaskAlreadyCompleted { .. } => Code::TaskFinished,
            EngineError::TaskUnauthorized { .. } => Code::TaskUnauthorized,
            EngineError::NobodyWaits { .. } | EngineError::Repeated => Code::NobodyWaits,
            EngineError::CallbackRefused { .. } => Code::CallbackRefused,
            EngineError::CallbackMalformed { .. } => Code::RequestInvalid,
            EngineError::NoHostKey | EngineError::SecretUnreadable { .. } => Code::NotConfigured,
            EngineError::StepExecution { .. } => Code::WrongState,
            other => {
                tracing::error!(error = %other, "a refusal of the engine has no code");
                return Self::internal();
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        let code = match error {
            WebhookError::NotFound { .. } | WebhookError::DeliveryNotFound { .. } => ProblemCode::WebhookNotFound,
            WebhookError::TooMany { .. } => {
                return Self::new(ProblemCode::QuotaExceeded, error.to_string()).retry_after(QUOTA_RETRY);
            }
            WebhookError::Inactive => ProblemCode::WrongState,
            WebhookError::Address { .. } => return Self::of_field("/url", &error),
            WebhookError::Description { .. } => return Self::of_field("/description", &error),
            WebhookError::Engine(error) => return error.into(),
        };
        Self::new(code, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Stale { .. } => ProblemCode::WrongState,
            StoreError::DuplicateStart { .. } => ProblemCode::AlreadyExists,
            StoreError::UnknownDefinition { .. } => ProblemCode::DefinitionNotFound,
            StoreError::Conflict { .. } => ProblemCode::VersionTaken,
            _ => {
                // What stands in the way is the operator's: clients are told that, and not which file.
                tracing::error!(%error, "the store can not be used");
                let detail = "the store can not be used right now; nothing was stored, try again";
                return Self::new(ProblemCode::StoreUnavailable, detail).retry_after(STORE_RETRY);
            }
        };
        Self::new(code, error.to_string())
    }
}

impl Problem {
    /// Everything that is wrong with a definition.
    pub(crate) fn of_definition(problems: &Problems) -> Self {
        let errors = problems.as_slice().iter().map(|problem| FieldProblem {
            pointer: Some(pointer_of(&problem.parts)),
            line: problem.span.map(|position| position.line),
            column: problem.span.map(|position| position.column),
            detail: problem.message.clone(),
            parameter: None,
        });
        let count = problems.as_slice().len();
        let detail = format!("the definition has {count} problems, which `errors` names; nothing was registered");
        Self::new(ProblemCode::DefinitionInvalid, detail).with_errors(errors)
    }

    fn of_field(pointer: &str, error: &WebhookError) -> Self {
        let detail = error.to_string();
        Self::new(ProblemCode::DataInvalid, detail.clone()).with_errors([FieldProblem::at(pointer, detail)])
    }

    fn of_data(what: &str, errors: Vec<FieldError>) -> Self {
        let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let detail = format!("{what} is not valid: {}; nothing was changed", told.join("; "));
        let errors = errors.into_iter().map(|error| FieldProblem::at(error.pointer, error.message));
        Self::new(ProblemCode::DataInvalid, detail).with_errors(errors)
    }
}

#[cfg(test)]
mod tests {
    use stepcell_model::problem::Problem as DefinitionProblem;

    use super::*;

    #[test]
    fn a_problem_is_pointed_at_whatever_the_keys_on_the_way_are() {
        let path = ["edges".into(), 1.into(), "a.b[2]".into(), "c/d~e".into(), "".into()];
        let problems = Problems::from(DefinitionProblem::at(&path, "is wrong"));

        let told = Problem::of_definition(&problems).body().errors;

        assert_eq!(told[0].pointer.as_deref(), Some("/edges/1/a.b[2]/c~1d~0e/"));
    }
}
