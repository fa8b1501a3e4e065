//! Scores an event by who should look at it: Globex's policy. People come before programs, talk before code, and
//! security before everything.

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step};

/// What a setting `floor` may lift every score to.
const FLOOR_MAX: u8 = 50;

/// The part of a normalised event that counts.
#[derive(Default, Deserialize, Schema)]
#[serde(default)]
pub struct Event {
    /// The kind of event.
    pub event: String,
    /// What happened.
    pub action: String,
    /// Who did it.
    pub actor: Option<String>,
    /// Whether a program did it.
    pub is_bot: bool,
    /// How grave GitHub finds it.
    pub severity: Option<String>,
}

/// How urgent the event is.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Triage {
    /// 0 to 100.
    pub score: u8,
    /// What decided.
    pub reasons: Vec<String>,
    /// Who should look at it.
    pub audience: Audience,
}

/// Who should look at an event.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Those on call for security.
    Security,
    /// Whoever runs the organization.
    Administration,
    /// Whoever answers people outside.
    Community,
    /// The team itself.
    Developers,
    /// Nobody in particular.
    Nobody,
}

/// The step.
pub struct TriageGlobex;

impl Step for TriageGlobex {
    type Input = Event;
    type Output = Triage;

    fn execute(event: Event, ctx: &mut Context) -> Result<Triage, Failure> {
        let floor = ctx.config::<u8>("floor")?.unwrap_or(0).min(FLOOR_MAX);
        let mut triage = triage(&event);
        triage.score = triage.score.max(floor);
        ctx.set("score", triage.score)?;
        Ok(triage)
    }
}

fn triage(event: &Event) -> Triage {
    let audience = audience(&event.event);
    let mut score = match audience {
        Audience::Security => 80,
        Audience::Administration => 60,
        Audience::Community => 40,
        Audience::Developers => 25,
        Audience::Nobody => 5,
    };
    let mut reasons = vec![format!("{} is for {audience:?}", event.event).to_lowercase()];
    if event.severity.as_deref().is_some_and(|severity| matches!(severity, "critical" | "high")) {
        score = 95;
        reasons.push("severity".to_owned());
    }
    if event.action == "deleted" {
        score += 15;
        reasons.push("something is gone".to_owned());
    }
    if event.is_bot || event.actor.is_none() {
        score /= 2;
        reasons.push("no person did it".to_owned());
    }
    Triage { score: score.min(100), reasons, audience }
}

fn audience(event: &str) -> Audience {
    match event {
        "security_advisory"
        | "repository_vulnerability_alert"
        | "code_scanning_alert"
        | "dependabot_alert"
        | "secret_scanning_alert"
        | "deploy_key"
        | "branch_protection_rule" => Audience::Security,
        "member"
        | "membership"
        | "organization"
        | "org_block"
        | "team"
        | "team_add"
        | "repository"
        | "public"
        | "installation"
        | "marketplace_purchase"
        | "sponsorship" => Audience::Administration,
        "issues" | "issue_comment" | "discussion" | "discussion_comment" | "commit_comment" => Audience::Community,
        "star" | "watch" | "fork" | "ping" | "page_build" | "gollum" => Audience::Nobody,
        _ => Audience::Developers,
    }
}

stepcell_sdk::export!(TriageGlobex);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    fn event(event: &str) -> Event {
        Event { event: event.to_owned(), actor: Some("ada".to_owned()), ..Event::default() }
    }

    #[test]
    fn people_come_before_programs() {
        let by_program = Event { is_bot: true, ..event("issues") };

        assert!(triage(&event("issues")).score > triage(&by_program).score);
        assert_eq!(triage(&event("star")).audience, Audience::Nobody);
    }

    #[test]
    fn the_floor_lifts_low_scores_and_leaves_high_ones() {
        let mut ctx = MockContext::new().with_config("floor", 30);

        assert_eq!(TriageGlobex::execute(event("star"), &mut ctx).unwrap().score, 30);
        assert_eq!(TriageGlobex::execute(event("deploy_key"), &mut ctx).unwrap().score, 80);
    }
}
