//! Who calls, and how far they reach.
//!
//! A [`Guard`] makes a [`Caller`] of a request's head. What an operation asks of its caller stands in its own entry of
//! the OpenAPI document, as `security`, and is read from there: what is documented is what is held to, and an operation
//! that says nothing of it can not be built.

mod audit;
mod authorize;
mod caller;
mod keys;
mod rate;
mod repeat;
mod token;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::request::Parts;

pub(crate) use self::audit::actions;
pub use self::audit::{AUDIT_LEFT_OUT_TOTAL, AUDIT_LOST_TOTAL, AuditLog, audit_actions};
pub(crate) use self::authorize::{Requirement, SCHEME, Secured, operations};
pub use self::caller::Caller;
pub(crate) use self::caller::note_subject;
pub use self::keys::KeyGuard;
pub use self::rate::RateLimit;
pub(crate) use self::rate::Rates;
pub(crate) use self::repeat::{Answers, HEAD as IDEMPOTENCY_HEAD, KeptInstead, keeps_answers};
pub use self::token::{TokenError, TokenGuard, TokenKeys, TokenSettings, WithoutTenant};
use crate::problem::{Problem, ProblemCode};
pub use stepcell_model::access::{Scope, Scopes};

/// Makes out who calls.
///
/// # Examples
/// An embedding program that has authenticated its users already.
/// ```
/// use stepcell_server::{Caller, Guard, Problem, ProblemCode, Scopes};
///
/// struct Upstream;
///
/// #[async_trait::async_trait]
/// impl Guard for Upstream {
///     async fn authenticate(&self, head: &http::request::Parts) -> Result<Option<Caller>, Problem> {
///         let Some(user) = head.headers.get("x-user").and_then(|user| user.to_str().ok()) else { return Ok(None) };
///         let user = user.parse().map_err(|_| Problem::new(ProblemCode::Unauthenticated, "`x-user` is no user's id"))?;
///         Ok(Some(Caller::of_platform(user, Scopes::all())))
///     }
/// }
/// ```
#[async_trait]
pub trait Guard: Send + Sync + 'static {
    /// The caller; nothing if the request has no credentials of the kind that this guard looks at.
    ///
    /// # Errors
    /// A [`Problem`] if it has such credentials, and they do not hold.
    async fn authenticate(&self, head: &Parts) -> Result<Option<Caller>, Problem>;
}

/// Decides who is an administrator of the platform: who may use their routes, and do of every tenant what a tenant's
/// administrators do of theirs (keys, secrets, webhooks, the audit log).
pub trait AdminGuard: Send + Sync + 'static {
    /// Lets a caller through.
    ///
    /// # Errors
    /// A [`Problem`] that says why not.
    fn admit(&self, caller: &Caller) -> Result<(), Problem>;
}

/// The guards of an API: the first of the first kind that knows a request's credentials decides.
#[derive(Clone)]
pub struct Guards {
    callers: Vec<Arc<dyn Guard>>,
    admin: Arc<dyn AdminGuard>,
}

impl Guards {
    /// Guards that let nobody in.
    #[must_use]
    pub fn none() -> Self {
        Self { callers: Vec::new(), admin: Arc::new(PlatformAdmins) }
    }

    /// The same with one more way to be known.
    #[must_use]
    pub fn with(mut self, guard: Arc<dyn Guard>) -> Self {
        self.callers.push(guard);
        self
    }

    /// The same with another opinion of who is an administrator of the platform.
    #[must_use]
    pub fn with_admin(mut self, guard: Arc<dyn AdminGuard>) -> Self {
        self.admin = guard;
        self
    }

    /// Lets an administrator of the platform through.
    pub(crate) fn admit_admin(&self, caller: &Caller) -> Result<(), Problem> {
        self.admin.admit(caller)
    }

    /// The caller, as the first guard that knows the request's credentials says.
    pub(crate) async fn authenticate(&self, head: &Parts) -> Result<Option<Caller>, Problem> {
        for guard in &self.callers {
            if let Some(caller) = guard.authenticate(head).await? {
                return Ok(Some(caller));
            }
        }
        if head.headers.contains_key(AUTHORIZATION) {
            let detail =
                "the credentials are of no kind that is known here; send `Authorization: Bearer` and an API key";
            return Err(Problem::new(ProblemCode::Unauthenticated, detail));
        }
        Ok(None)
    }
}

impl fmt::Debug for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guards").field("callers", &self.callers.len()).finish_non_exhaustive()
    }
}

/// Callers of the platform itself, of no tenant, with the scope `admin`.
struct PlatformAdmins;

impl AdminGuard for PlatformAdmins {
    fn admit(&self, caller: &Caller) -> Result<(), Problem> {
        caller.check_platform_admin()
    }
}
