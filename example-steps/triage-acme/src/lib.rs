//! Scores an event by what it could cost: Acme's policy. Whoever may take something away, or let somebody in, is
//! looked at first; what happens in private weighs more.

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step};

/// The part of a normalised event that counts.
#[derive(Default, Deserialize, Schema)]
#[serde(default)]
pub struct Event {
    /// The kind of event.
    pub event: String,
    /// What happened.
    pub action: String,
    /// Whether a program did it.
    pub is_bot: bool,
    /// Whether the repository is private.
    pub is_private: bool,
    /// How grave GitHub finds it.
    pub severity: Option<String>,
    /// Commits, or changed lines.
    pub size: u64,
}

/// How urgent the event is.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Triage {
    /// 0 to 100.
    pub score: u8,
    /// What counted, the weightiest first.
    pub reasons: Vec<String>,
}

/// The step.
pub struct TriageAcme;

impl Step for TriageAcme {
    type Input = Event;
    type Output = Triage;

    fn execute(event: Event, ctx: &mut Context) -> Result<Triage, Failure> {
        let triage = triage(&event);
        ctx.set("score", triage.score)?;
        Ok(triage)
    }
}

fn triage(event: &Event) -> Triage {
    let mut findings = vec![of_kind(&event.event), of_action(&event.action)];
    if let Some(severity) = &event.severity {
        findings.push(of_severity(severity));
    }
    if event.is_private {
        findings.push((10, "happens in a private repository"));
    }
    if event.size > 500 {
        findings.push((10, "is large"));
    }
    if event.is_bot {
        findings.push((-10, "was done by a program"));
    }
    findings.retain(|(points, _)| *points != 0);
    findings.sort_by_key(|(points, _)| -points);
    let total: i32 = findings.iter().map(|(points, _)| points).sum();
    Triage {
        score: u8::try_from(total.clamp(0, 100)).unwrap_or(100),
        reasons: findings.into_iter().map(|(_, reason)| reason.to_owned()).collect(),
    }
}

fn of_kind(event: &str) -> (i32, &'static str) {
    match event {
        "security_advisory"
        | "repository_vulnerability_alert"
        | "code_scanning_alert"
        | "dependabot_alert"
        | "secret_scanning_alert" => (60, "is about security"),
        "branch_protection_rule" => (55, "changes what protects a branch"),
        "deploy_key" | "github_app_authorization" | "installation" => (50, "changes who may get in"),
        "member" | "membership" | "organization" | "team" | "team_add" | "org_block" => (45, "changes who is who"),
        "repository" | "public" | "delete" | "meta" => (35, "changes a repository as a whole"),
        "push" | "pull_request" | "release" | "deployment" | "deployment_status" => (20, "changes code"),
        "star" | "watch" | "fork" | "ping" => (0, "is applause"),
        _ => (10, "is everyday work"),
    }
}

fn of_action(action: &str) -> (i32, &'static str) {
    match action {
        "deleted" | "removed" | "revoked" | "delete" => (30, "takes something away"),
        "publicized" | "public" => (40, "makes something public"),
        "transferred" => (30, "gives something away"),
        "member_added" | "added" | "added_to_repository" => (15, "lets somebody in"),
        _ => (0, ""),
    }
}

fn of_severity(severity: &str) -> (i32, &'static str) {
    match severity {
        "critical" => (40, "is critical"),
        "high" | "error" => (30, "is grave"),
        "moderate" | "medium" | "warning" => (15, "is not harmless"),
        _ => (0, ""),
    }
}

stepcell_sdk::export!(TriageAcme);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    fn score(event: &str, action: &str) -> u8 {
        let event = Event { event: event.to_owned(), action: action.to_owned(), ..Event::default() };
        triage(&event).score
    }

    #[test]
    fn what_could_cost_most_comes_first() {
        assert!(score("branch_protection_rule", "deleted") > score("member", "added"));
        assert!(score("member", "added") > score("pull_request", "opened"));
        assert!(score("pull_request", "opened") > score("star", "created"));
        assert_eq!(score("watch", "started"), 0);
    }

    #[test]
    fn a_score_never_leaves_its_range_and_lands_in_the_context() {
        let event = Event {
            event: "security_advisory".to_owned(),
            action: "deleted".to_owned(),
            severity: Some("critical".to_owned()),
            ..Event::default()
        };
        let mut ctx = MockContext::new();

        let triage = TriageAcme::execute(event, &mut ctx).unwrap();

        assert_eq!((triage.score, ctx.written("score")), (100, Some(100.into())));
        assert_eq!(triage.reasons[0], "is about security");
    }
}
