//! How many requests callers may send: each key, or user of a token, has a bucket of its own.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use stepcell_model::name::TenantId;

use super::Caller;
use crate::problem::{Problem, ProblemCode};

/// Of how many callers requests are counted one by one; those beyond share one bucket. Protects memory.
const CALLERS_LEN_MAX: usize = 10_000;

/// How many requests one caller may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many a second.
    pub per_second: NonZeroU32,
    /// How many at once.
    pub burst: NonZeroU32,
}

/// Counts the requests of callers, and those of each tenant.
pub(crate) struct Rates {
    of_callers: Option<Buckets<String>>,
    of_tenants: Option<Buckets<TenantId>>,
}

impl Rates {
    pub(crate) fn new(each: Option<RateLimit>, tenant: Option<RateLimit>) -> Self {
        Self { of_callers: each.map(Buckets::new), of_tenants: tenant.map(Buckets::new) }
    }

    /// Counts one request: for its caller, and if there was room for that for its tenant.
    ///
    /// # Errors
    /// A [`Problem`] that says when to come back.
    pub(crate) fn check(&self, caller: &Caller) -> Result<(), Problem> {
        if let Some(callers) = &self.of_callers {
            callers.check(&name_of(caller), "these credentials")?;
        }
        match (&self.of_tenants, &caller.tenant) {
            (Some(tenants), Some(tenant)) => tenants.check(tenant, "all credentials of the tenant together"),
            (None, _) | (_, None) => Ok(()),
        }
    }
}

/// A bucket for each name.
struct Buckets<N: Hash + Eq + Clone> {
    each: DefaultKeyedRateLimiter<N>,
    rest: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl<N: Hash + Eq + Clone> Buckets<N> {
    fn new(limit: RateLimit) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        Self {
            each: DefaultKeyedRateLimiter::keyed(quota),
            rest: DefaultDirectRateLimiter::direct(quota),
            clock: DefaultClock::default(),
        }
    }

    fn check(&self, name: &N, who: &str) -> Result<(), Problem> {
        if self.each.len() >= CALLERS_LEN_MAX {
            self.each.retain_recent();
        }
        let outcome = if self.each.len() >= CALLERS_LEN_MAX { self.rest.check() } else { self.each.check_key(name) };
        outcome.map_err(|denied| {
            let wait = denied.wait_time_from(self.clock.now());
            let detail = format!("{who} sent too many requests; send fewer, or come back when `Retry-After` says");
            Problem::new(ProblemCode::RateLimited, detail).retry_after(wait.max(Duration::from_millis(1)))
        })
    }
}

/// What a caller is counted under: no two share one, whatever they are called.
pub(super) fn name_of(caller: &Caller) -> String {
    match (&caller.key, &caller.tenant) {
        (Some(key), _) => format!("key\n{key}"),
        (None, Some(tenant)) => format!("user\n{}\n{tenant}", caller.user),
        (None, None) => format!("user\n{}", caller.user),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scopes;

    #[test]
    fn each_caller_has_a_bucket_of_its_own_and_is_told_when_to_come_back() {
        let one = NonZeroU32::MIN;
        let rates = Rates::new(Some(RateLimit { per_second: one, burst: NonZeroU32::new(2).unwrap() }), None);
        let caller = |key: &str| Caller {
            key: Some(key.to_owned()),
            ..Caller::of_platform("ann".parse().unwrap(), Scopes::all())
        };

        assert!(rates.check(&caller("a")).is_ok() && rates.check(&caller("a")).is_ok());
        let refused = rates.check(&caller("a")).unwrap_err();

        assert_eq!(refused.code(), ProblemCode::RateLimited);
        assert!(rates.check(&caller("b")).is_ok());
        assert!(rates.check(&Caller { key: None, ..caller("a") }).is_ok());
    }

    #[test]
    fn a_tenant_has_a_bucket_that_all_its_callers_share_and_the_platform_has_none() {
        let (one, two) = (NonZeroU32::MIN, NonZeroU32::new(2).unwrap());
        let rates = Rates::new(None, Some(RateLimit { per_second: one, burst: two }));
        let of =
            |tenant: &str, user: &str| Caller::of_tenant(tenant.parse().unwrap(), user.parse().unwrap(), Scopes::all());

        assert!(rates.check(&of("acme", "ann")).is_ok() && rates.check(&of("acme", "bob")).is_ok());
        let refused = rates.check(&of("acme", "eve")).unwrap_err();

        assert_eq!(refused.code(), ProblemCode::RateLimited);
        assert!(rates.check(&of("bolt", "ann")).is_ok());
        let platform = Caller::of_platform("ann".parse().unwrap(), Scopes::all());
        assert!((0..9).all(|_| rates.check(&platform).is_ok()));
    }

    #[test]
    fn callers_without_end_share_one_bucket_and_no_memory() {
        let one = NonZeroU32::MIN;
        let rates = Rates::new(Some(RateLimit { per_second: one, burst: one }), None);
        let of = |number: usize| Caller {
            key: Some(number.to_string()),
            ..Caller::of_platform("ann".parse().unwrap(), Scopes::all())
        };

        let refused = (0..CALLERS_LEN_MAX + 100).filter(|number| rates.check(&of(*number)).is_err()).count();

        assert!(rates.of_callers.unwrap().each.len() <= CALLERS_LEN_MAX);
        assert!(refused <= 100);
    }
}
