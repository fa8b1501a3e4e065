//! Letters between instances: children are started and canceled, and parents are told how they ended.
//!
//! One loop hands them over, in the order in which they were written: those to one instance one after another, those to
//! several at once. A letter is removed once it had its effect, so it may be handed over again after a crash; each of
//! them is made for that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use indexmap::IndexMap;
use stepcell_model::failure::{EngineCode, Failure, InstanceError};
use stepcell_model::id::InstanceId;
use stepcell_model::instance::Phase;
use stepcell_model::letter::{ChildOutcome, ChildStart, Letter};
use stepcell_model::record::ParentLink;
use stepcell_model::transition::Cause;
use stepcell_store::{LIST_LEN_MAX, LetterKey, StoreError};
use tokio::time::Instant;

use crate::engine::Inner;
use crate::error::EngineError;
use crate::start::StartRequest;

/// How many letters are handed over in one round.
const ROUND_LEN_MAX: u32 = 100;

/// To how many instances letters are handed over at once.
const RECIPIENTS_AT_ONCE_MAX: usize = 16;

/// How often the loop looks for letters that other processes wrote.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a letter is left alone whose recipient can not be read.
const POSTPONED_FOR: Duration = Duration::from_secs(10);

/// Hands over letters as long as the engine drives.
pub(crate) async fn hand_over(inner: Arc<Inner>) -> Result<(), EngineError> {
    let mut postponed = HashMap::new();
    loop {
        let now = Instant::now();
        postponed.retain(|_, until| *until > now);
        let passed_over = u32::try_from(postponed.len()).unwrap_or(LIST_LEN_MAX);
        let mut letters = inner.store.list_letters((ROUND_LEN_MAX + passed_over).min(LIST_LEN_MAX)).await?;
        letters.retain(|(key, _)| !postponed.contains_key(key));
        if letters.is_empty() {
            // A letter that was written since the look has left a permit.
            let _ = tokio::time::timeout(LOOK_INTERVAL, inner.letters.notified()).await;
            continue;
        }
        fail_point!(inner, LettersFound)?;
        let rounds = futures::stream::iter(by_recipient(letters)).map(|letters| inner.hand_over_all(letters));
        let rounds: Vec<_> = rounds.buffer_unordered(RECIPIENTS_AT_ONCE_MAX).collect().await;
        let mut done = Vec::new();
        for round in rounds {
            let round = round?;
            done.extend(round.done);
            postponed.extend(round.left.into_iter().map(|key| (key, now + POSTPONED_FOR)));
        }
        inner.store.remove_letters(&done).await?;
        fail_point!(inner, LettersRemoved)?;
    }
}

/// What became of the letters to one instance.
#[derive(Default)]
struct Round {
    done: Vec<LetterKey>,
    left: Vec<LetterKey>,
}

fn by_recipient(letters: Vec<(LetterKey, Letter)>) -> Vec<Vec<(LetterKey, Letter)>> {
    let mut all: IndexMap<InstanceId, Vec<_>> = IndexMap::new();
    for (key, letter) in letters {
        all.entry(letter.recipient()).or_default().push((key, letter));
    }
    all.into_values().collect()
}

impl Inner {
    /// Hands over letters to one instance. Where its rows do not read, or its definition does not, they are left.
    async fn hand_over_all(self: &Arc<Self>, letters: Vec<(LetterKey, Letter)>) -> Result<Round, EngineError> {
        let mut round = Round::default();
        for (key, letter) in letters {
            if !round.left.is_empty() {
                round.left.push(key);
                continue;
            }
            match self.hand_over_one(letter).await {
                Ok(()) => {
                    fail_point!(self, LetterHandedOver)?;
                    round.done.push(key);
                }
                // Others may be moving it all the time, or its rows or its definition do not read.
                Err(EngineError::Store(error @ (StoreError::Damaged { .. } | StoreError::Stale { .. }))) => {
                    tracing::error!(%error, "a letter can not be handed over now");
                    round.left.push(key);
                }
                Err(EngineError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::debug!(%error, "a letter had no effect");
                    round.done.push(key);
                }
            }
        }
        Ok(round)
    }

    async fn hand_over_one(self: &Arc<Self>, letter: Letter) -> Result<(), EngineError> {
        match letter {
            Letter::StartChild(start) => self.start_child(start).await,
            Letter::CancelChild { child, reason, compensation } => {
                let cause = Cause::Canceled { reason, by: None, compensation };
                self.change(child, |_| Ok(cause.clone())).await
            }
            Letter::ChildEnded { parent, child, outcome } => {
                let cause = Cause::ChildEnded { execution: parent.execution, child, outcome };
                self.change(parent.instance, |_| Ok(cause.clone())).await
            }
        }
    }

    async fn start_child(self: &Arc<Self>, start: ChildStart) -> Result<(), EngineError> {
        let ChildStart { child, parent, .. } = start;
        match self.try_start_child(start).await {
            // It was started in between.
            Ok(_) | Err(EngineError::Store(StoreError::Stale { .. })) => Ok(()),
            Err(error @ EngineError::Store(StoreError::UnknownDefinition { .. })) => {
                self.refuse_child(parent, child, &error).await
            }
            Err(EngineError::Store(error)) => Err(error.into()),
            Err(error) => self.refuse_child(parent, child, &error).await,
        }
    }

    async fn try_start_child(self: &Arc<Self>, start: ChildStart) -> Result<(), EngineError> {
        if self.store.find_instance(start.child).await?.is_some() {
            // It was started before, whatever may be started now.
            return Ok(());
        }
        let instance = self.load(start.parent.instance).await?;
        let active = instance.state.control.find_active(start.parent.execution);
        let waits = |phase: &Phase| matches!(phase, Phase::AwaitingChild { child, .. } if *child == start.child);
        if !active.is_some_and(|active| waits(&active.phase)) {
            return Ok(());
        }
        let identity = &instance.identity;
        let owner = self.registry.owner_of(identity.definition).await?;
        let view = self.registry.view(owner.as_ref());
        let version = view.find_startable(&start.workflow, start.version.as_ref()).await?;
        let metadata: serde_json::Map<_, _> =
            identity.metadata.iter().map(|(key, value)| (key.to_string(), value.tree().clone())).collect();
        let request = StartRequest {
            data: start.data,
            metadata: serde_json::Value::Object(metadata).into(),
            tenant: identity.tenant.clone(),
            user: identity.created_by.clone(),
            correlation_id: identity.correlation_id.clone(),
            ..StartRequest::new(start.workflow)
        };
        self.start(start.child, Some(start.parent), version, request).await.map(drop)
    }

    /// Tells the step that a child could not be started.
    async fn refuse_child(
        self: &Arc<Self>,
        parent: ParentLink,
        child: InstanceId,
        error: &EngineError,
    ) -> Result<(), EngineError> {
        let is_quota = matches!(error, EngineError::QuotaExceeded { .. } | EngineError::TenantSuspended { .. });
        let code = if is_quota { EngineCode::Quota } else { EngineCode::Input };
        let failure = Failure::engine(code, error.to_string());
        let outcome = ChildOutcome::Failed { error: InstanceError::of(&failure) };
        let cause = Cause::ChildEnded { execution: parent.execution, child, outcome };
        self.change(parent.instance, |_| Ok(cause.clone())).await
    }
}
