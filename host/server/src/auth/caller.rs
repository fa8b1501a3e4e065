//! Who calls, and whose things they turn out to be about.

use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use http::request::Parts;
use stepcell_model::name::{GroupId, TenantId, UserId};
use stepcell_model::transition::{Actor, Standing};

use super::{Scope, Scopes};
use crate::problem::{Problem, ProblemCode};

tokio::task_local! {
    /// The tenant whose things the request at hand turned out to be about: the first that was looked at.
    static SUBJECT: Subject;
}

/// Where it is noted whose things a request is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// Whose the thing is that was found, the first one: the platform's where there is no tenant.
    found: OnceLock<Option<TenantId>>,
    /// Whom the request names.
    named: OnceLock<TenantId>,
}

impl Subject {
    /// That of the request at hand, for work that is done in another task.
    pub(super) fn at_hand() -> Self {
        SUBJECT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Has what is noted in `work` noted here.
    pub(super) async fn noted_in<T>(&self, work: impl Future<Output = T>) -> T {
        SUBJECT.scope(self.clone(), work).await
    }

    /// The tenant that was noted: what was found is whose it is, whomever the request names.
    pub(super) fn tenant(&self) -> Option<TenantId> {
        self.0.found.get().cloned().unwrap_or_else(|| self.0.named.get().cloned())
    }
}

/// Notes whose thing the request at hand is about, for the audit log; the first one holds.
pub(crate) fn note_subject(owner: Option<&TenantId>) {
    let _ = SUBJECT.try_with(|subject| subject.0.found.set(owner.cloned()));
}

/// Notes whom the request at hand names, for the audit log.
fn note_named(tenant: Option<&TenantId>) {
    if let Some(tenant) = tenant {
        let _ = SUBJECT.try_with(|subject| subject.0.named.set(tenant.clone()));
    }
}

/// Whoever sent a request, as its credentials say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub user: UserId,
    /// The groups that they are a member of, for human tasks.
    pub groups: Vec<GroupId>,
    /// Whose things they reach; without one, those of the platform and of every tenant.
    pub tenant: Option<TenantId>,
    /// How far they reach.
    pub scopes: Scopes,
    /// The id of the API key that they called with.
    pub key: Option<String>,
}

impl Caller {
    /// Somebody of the platform itself.
    #[must_use]
    pub const fn of_platform(user: UserId, scopes: Scopes) -> Self {
        Self { user, groups: Vec::new(), tenant: None, scopes, key: None }
    }

    /// Somebody of a tenant.
    #[must_use]
    pub const fn of_tenant(tenant: TenantId, user: UserId, scopes: Scopes) -> Self {
        Self { user, groups: Vec::new(), tenant: Some(tenant), scopes, key: None }
    }

    /// Whether what belongs to that tenant, or to nobody in particular, is there for them.
    #[must_use]
    pub fn sees(&self, tenant: Option<&TenantId>) -> bool {
        let sees = self.tenant.is_none() || self.tenant.as_ref() == tenant;
        if sees {
            note_subject(tenant);
        }
        sees
    }

    /// They, as somebody who acts on human tasks.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let standing = if self.scopes.allows(Scope::Admin) { Standing::Admin } else { Standing::Member };
        Actor { user: self.user.clone(), groups: self.groups.clone(), standing }
    }

    /// The tenant that a request is about: their own, or for callers of the platform the one that it names.
    ///
    /// # Errors
    /// [`ProblemCode::TenantNotFound`] if it names another tenant than theirs: for them there is none such.
    pub fn tenant_for(&self, named: Option<TenantId>) -> Result<Option<TenantId>, Problem> {
        match (&self.tenant, named) {
            (None, named) => {
                note_named(named.as_ref());
                Ok(named)
            }
            (Some(own), None) => Ok(Some(own.clone())),
            (Some(own), Some(named)) if *own == named => Ok(Some(named)),
            (Some(_), Some(named)) => {
                Err(Problem::new(ProblemCode::TenantNotFound, format!("there is no tenant `{named}`")))
            }
        }
    }

    /// Whether they reach that far.
    pub(crate) fn check_scope(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.allows(scope) {
            return Ok(());
        }
        let detail = format!("this takes the scope `{scope}`; use credentials that have it");
        Err(Problem::new(ProblemCode::ScopeMissing, detail))
    }

    /// Whether they are administrators of the platform.
    pub(crate) fn check_platform_admin(&self) -> Result<(), Problem> {
        if self.tenant.is_none() && self.scopes.allows(Scope::Admin) {
            return Ok(());
        }
        let detail = "this is for administrators of the platform: use credentials of no tenant with the scope `admin`";
        Err(Problem::new(ProblemCode::AdminOnly, detail))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Put there by `authorize`; a route without it is public, and asks for no caller.
        parts.extensions.get::<Self>().cloned().ok_or_else(unauthenticated)
    }
}

/// What somebody without credentials is told.
pub(super) fn unauthenticated() -> Problem {
    let detail = "there are no credentials; send `Authorization: Bearer` and an API key";
    Problem::new(ProblemCode::Unauthenticated, detail)
}
