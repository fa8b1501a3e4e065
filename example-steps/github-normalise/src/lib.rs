//! Turns any GitHub webhook into one small shape, and puts what others ask for most into the context.
//!
//! Deliveries differ in everything but their frame, so the payload is looked into, not parsed: what is not there is
//! left out.

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step, Value};

/// The longest title that is kept, in characters.
const TITLE_CHARS_MAX: usize = 200;

/// One delivery.
#[derive(Deserialize, Schema)]
pub struct Delivery {
    /// The kind of event, as in the header `X-GitHub-Event`.
    pub event: String,
    /// The body.
    pub payload: Value,
}

/// What is left of it.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Event {
    /// The kind of event.
    pub event: String,
    /// What happened, such as `opened`; the kind itself where the event says nothing more.
    pub action: String,
    /// Who did it.
    pub actor: Option<String>,
    /// Whether a program did it.
    pub is_bot: bool,
    /// Where, as `owner/name`.
    pub repository: Option<String>,
    /// Whether the repository is private; false where there is none.
    pub is_private: bool,
    /// What it is about, at most 200 characters.
    pub title: Option<String>,
    /// How grave GitHub finds it, in alerts and advisories.
    pub severity: Option<String>,
    /// Commits, or changed lines of a pull request; 0 elsewhere.
    pub size: u64,
}

/// The step.
pub struct Normalise;

impl Step for Normalise {
    type Input = Delivery;
    type Output = Event;

    fn execute(delivery: Delivery, ctx: &mut Context) -> Result<Event, Failure> {
        if !delivery.payload.is_object() {
            return Err(Failure::new("not-a-delivery", "The payload of a webhook is an object."));
        }
        let event = normalise(delivery.event, &delivery.payload);
        ctx.set("event", &event.event)?;
        ctx.set("actor", &event.actor)?;
        ctx.set("repository", &event.repository)?;
        Ok(event)
    }
}

fn normalise(event: String, payload: &Value) -> Event {
    let text = |paths: &[&str]| first_text(payload, paths);
    let actor = text(&["/sender/login", "/pusher/name", "/installation/account/login"]);
    Event {
        action: text(&["/action"]).unwrap_or_else(|| event.clone()),
        is_bot: text(&["/sender/type"]).as_deref() == Some("Bot")
            || actor.as_ref().is_some_and(|actor| actor.ends_with("[bot]")),
        actor,
        repository: text(&["/repository/full_name", "/organization/login"]),
        is_private: payload.pointer("/repository/private").and_then(Value::as_bool).unwrap_or(false),
        title: title(payload),
        severity: text(&[
            "/alert/security_advisory/severity",
            "/alert/severity",
            "/alert/rule/security_severity_level",
            "/alert/rule/severity",
            "/security_advisory/severity",
        ]),
        size: size(payload),
        event,
    }
}

fn title(payload: &Value) -> Option<String> {
    let title = first_text(
        payload,
        &[
            "/pull_request/title",
            "/issue/title",
            "/discussion/title",
            "/release/name",
            "/security_advisory/summary",
            "/alert/rule/description",
            "/alert/security_advisory/summary",
            "/head_commit/message",
            "/milestone/title",
            "/label/name",
            "/check_run/name",
            "/workflow_run/name",
            "/workflow_job/name",
            "/team/name",
            "/rule/name",
            "/key/title",
            "/ref",
        ],
    )?;
    Some(title.lines().next().unwrap_or_default().chars().take(TITLE_CHARS_MAX).collect())
}

fn size(payload: &Value) -> u64 {
    let number = |path| payload.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let commits = payload.pointer("/commits").and_then(Value::as_array).map_or(0, |commits| commits.len() as u64);
    commits + number("/pull_request/additions") + number("/pull_request/deletions")
}

fn first_text(payload: &Value, paths: &[&str]) -> Option<String> {
    paths.iter().find_map(|path| payload.pointer(path)?.as_str()).map(str::to_owned)
}

stepcell_sdk::export!(Normalise);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::{MockContext, json, serde_json};

    const DELIVERIES: &str = include_str!("../../webhook-triage/github-webhooks.ndjson");

    #[test]
    fn every_real_delivery_is_normalised() {
        let mut with_actor = 0;
        for line in DELIVERIES.lines() {
            let delivery: Delivery = serde_json::from_str(line).unwrap();
            let mut ctx = MockContext::new();

            let event = Normalise::execute(delivery, &mut ctx).unwrap();

            assert!(!event.action.is_empty(), "{line}");
            assert_eq!(ctx.written("event"), Some(event.event.into()));
            with_actor += u32::from(event.actor.is_some());
        }
        assert_eq!(DELIVERIES.lines().count(), 329);
        assert!(with_actor > 300, "{with_actor}");
    }

    #[test]
    fn a_pull_request_keeps_its_title_and_its_size() {
        let payload = json!({
            "action": "opened",
            "pull_request": { "title": "Fix 🦀", "additions": 3, "deletions": 4 },
            "repository": { "full_name": "acme/site", "private": true },
            "sender": { "login": "dependabot[bot]" },
        });

        let event = normalise("pull_request".to_owned(), &payload);

        assert_eq!((event.title.as_deref(), event.size), (Some("Fix 🦀"), 7));
        assert!(event.is_private && event.is_bot);
    }

    #[test]
    fn a_payload_that_is_no_object_fails_with_a_code() {
        let delivery = Delivery { event: "push".to_owned(), payload: json!([]) };

        let failure = Normalise::execute(delivery, &mut MockContext::new()).unwrap_err();

        assert_eq!(failure.code, "not-a-delivery");
    }
}
