//! Tokens that hold, and every way in which one does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use futures::FutureExt as _;

use super::keys::{FETCH_INTERVAL, KEPT_FOR, RENEWED_AFTER, TRUSTED_FOR};
use super::*;

/// An Ed25519 key as PKCS #8, which stands before its 32 bytes.
fn signing_key(seed: u8) -> (EncodingKey, String) {
    let mut der = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    der.extend([seed; 32]);
    let public = stepcell_model::signature::PrivateKey::from_bytes(&[seed; 32]).public();
    // As a key set writes it.
    let public = public.to_string().rsplit(':').next().unwrap().replace('+', "-").replace('/', "_");
    (EncodingKey::from_ed_der(&der), public.trim_end_matches('=').to_owned())
}

fn key_set(keys: &[(&str, u8)]) -> String {
    let keys: Vec<_> = keys
        .iter()
        .map(|(id, seed)| json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig", "x": signing_key(*seed).1 }))
        .collect();
    json!({ "keys": keys }).to_string()
}

fn guard(change: impl FnOnce(&mut TokenSettings)) -> TokenGuard {
    let mut settings = TokenSettings {
        keys: TokenKeys::Given(key_set(&[("one", 1), ("two", 2)])),
        ..TokenSettings::of_issuer("https://id.example", "stepcell")
    };
    change(&mut settings);
    TokenGuard::new(settings).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": ["other", "stepcell"], "exp": 4_000_000_000_u64, "sub": "ann",
        "tenant": "acme", "roles": ["worker", "offline_access"], "groups": ["finance"],
    })
}

fn with(changed: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changed.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn signed(claims: &Value, id: Option<&str>, seed: u8) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
    encode(&header, claims, &signing_key(seed).0).unwrap()
}

async fn ask(guard: &TokenGuard, token: &str) -> Result<Option<Caller>, Problem> {
    let request = http::Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap();
    guard.authenticate(&request.into_parts().0).await
}

#[tokio::test]
async fn a_token_that_holds_says_who_calls_and_how_far_they_reach() {
    let caller = ask(&guard(|_| {}), &signed(&claims(), Some("two"), 2)).await.unwrap().unwrap();

    assert_eq!((caller.user.as_str(), caller.tenant.unwrap().as_str()), ("ann", "acme"));
    assert_eq!((caller.scopes, caller.groups[0].as_str()), (Scopes::of(&[Scope::Worker]), "finance"));
    let without_id = ask(&guard(|_| {}), &signed(&claims(), None, 2)).await.unwrap();
    assert!(without_id.is_some(), "a token that names no key is held against all");
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_refused_with_why() {
    let other = |changed: Value| signed(&with(&changed), Some("one"), 1);
    let none =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims().to_string()));
    let shared = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
    let shared = encode(&shared, &claims(), &EncodingKey::from_secret(signing_key(1).1.as_bytes())).unwrap();
    for (token, why) in [
        (signed(&claims(), Some("one"), 2), "signed with none"),
        (signed(&claims(), Some("three"), 1), "signed with none"),
        (other(json!({"exp": 1})), "expired"),
        (other(json!({"nbf": 4_000_000_000_u64})), "its time has not come"),
        (other(json!({"aud": "somebody"})), "for somebody else"),
        (other(json!({"iss": "https://evil.example"})), "another issuer"),
        (other(json!({"sub": ""})), "names no user"),
        (other(json!({"tenant": 7})), "tenant is malformed"),
        (none, "malformed"),
        (shared, "none that counts"),
        (format!("ey{}.a.b", "A".repeat(20_000)), "too long"),
    ] {
        let refused = ask(&guard(|_| {}), &token).await.unwrap_err();
        assert_eq!(refused.code(), ProblemCode::TokenRefused);
        assert!(refused.body().detail.contains(why), "{why}: {refused}");
    }
    let mut lacking = claims();
    lacking.as_object_mut().unwrap().remove("aud");
    assert!(ask(&guard(|_| {}), &signed(&lacking, Some("one"), 1)).await.is_err());
}

#[tokio::test]
async fn a_token_without_a_tenant_is_one_of_the_platform_only_where_that_is_set() {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove("tenant");
    let token = signed(&claims, Some("one"), 1);

    assert!(ask(&guard(|_| {}), &token).await.is_err());
    let caller = ask(&guard(|settings| settings.without_tenant = WithoutTenant::OfPlatform), &token).await.unwrap();
    assert_eq!(caller.unwrap().tenant, None);
}

#[tokio::test]
async fn claims_are_found_by_the_names_that_are_set() {
    let claims = with(&json!({"realm_access": {"roles": "admin other"}, "org": "bolt", "email": "ann@example"}));
    let guard = guard(|settings| {
        settings.roles_claim = "realm_access.roles".to_owned();
        settings.tenant_claim = "org".to_owned();
        settings.user_claim = "email".to_owned();
    });

    let caller = ask(&guard, &signed(&claims, Some("one"), 1)).await.unwrap().unwrap();

    assert_eq!((caller.user.as_str(), caller.tenant.unwrap().as_str()), ("ann@example", "bolt"));
    assert!(caller.scopes.allows(Scope::Admin));
}

#[tokio::test]
async fn other_credentials_are_for_other_guards() {
    for text in ["sck_abc", "opaque", ""] {
        assert!(ask(&guard(|_| {}), text).await.unwrap().is_none(), "{text}");
    }
}

/// What an issuer that takes requests and answers none has for keys.
const HANGS: &str = "hangs";

/// An issuer on this machine; counts how often it was asked for its keys.
struct Issuer {
    url: String,
    asked: Arc<AtomicUsize>,
    /// What it answers; nothing that can be used if that is empty.
    keys: Arc<Mutex<String>>,
}

impl Issuer {
    async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, keys) = (Arc::<AtomicUsize>::default(), Arc::new(Mutex::new(key_set(&[("one", 1)]))));
        let (counted, told) = (Arc::clone(&asked), Arc::clone(&keys));
        let discovery = json!({ "jwks_uri": format!("{url}/keys") }).to_string();
        let answer = move || async move {
            counted.fetch_add(1, Ordering::SeqCst);
            let told = told.lock().unwrap().clone();
            if told == HANGS { std::future::pending().await } else { told }
        };
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(move || async move { discovery }))
            .route("/keys", get(answer));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, asked, keys }
    }

    fn guard(&self) -> TokenGuard {
        TokenGuard::new(TokenSettings::of_issuer(&self.url, "stepcell")).unwrap()
    }

    fn tell(&self, keys: &[(&str, u8)]) {
        *self.keys.lock().unwrap() = key_set(keys);
    }

    fn fall_silent(&self) {
        self.keys.lock().unwrap().clear();
    }

    fn hang(&self) {
        HANGS.clone_into(&mut self.keys.lock().unwrap());
    }

    /// Until it was asked so often for its keys.
    async fn until_asked(&self, count: usize) {
        while self.asked() < count {
            tokio::task::yield_now().await;
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn token(&self, id: &str, seed: u8) -> String {
        signed(&with(&json!({"iss": self.url})), Some(id), seed)
    }
}

/// Lets time pass for the guard alone: connections go on in real time.
async fn later(wait: Duration) {
    tokio::time::pause();
    tokio::time::advance(wait).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_issuers_keys_are_fetched_once_whatever_tokens_come() {
    let issuer = Issuer::new().await;
    let guard = issuer.guard();

    for _ in 0..3 {
        assert!(ask(&guard, &issuer.token("one", 1)).await.unwrap().is_some());
        assert_eq!(ask(&guard, &issuer.token("unheard-of", 2)).await.unwrap_err().code(), ProblemCode::TokenRefused);
    }

    assert_eq!(issuer.asked(), 1, "a key that is not known asks for no more than one look a minute");
}

#[tokio::test]
async fn a_key_that_is_not_known_has_the_issuer_asked_once_a_minute_however_many_come() {
    let issuer = Issuer::new().await;
    let guard = issuer.guard();
    ask(&guard, &issuer.token("one", 1)).await.unwrap();

    for minute in 1..=3 {
        later(FETCH_INTERVAL).await;
        let tokens: Vec<_> = (0..20).map(|number| issuer.token(&format!("forged-{number}"), 9)).collect();
        let all = futures::future::join_all(tokens.iter().map(|token| ask(&guard, token))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(issuer.asked(), 1 + minute);
    }
}

#[tokio::test]
async fn keys_that_were_rotated_at_the_issuer_are_taken_once_it_may_be_asked_again() {
    let issuer = Issuer::new().await;
    let guard = issuer.guard();
    let (old, new) = (issuer.token("one", 1), issuer.token("two", 2));
    assert!(ask(&guard, &old).await.is_ok());

    issuer.tell(&[("two", 2)]);
    assert!(ask(&guard, &new).await.is_err(), "it was asked a moment ago");
    later(FETCH_INTERVAL).await;

    assert!(ask(&guard, &new).await.is_ok());
    assert!(ask(&guard, &old).await.is_err(), "what the issuer took back does not count");
}

#[tokio::test]
async fn a_key_that_the_issuer_took_back_counts_no_longer_than_keys_are_kept() {
    let issuer = Issuer::new().await;
    let guard = issuer.guard();
    let old = issuer.token("one", 1);
    assert!(ask(&guard, &old).await.is_ok());

    issuer.tell(&[("two", 2)]);
    later(KEPT_FOR).await;

    assert!(ask(&guard, &old).await.is_err());
}

#[tokio::test]
async fn keys_of_an_issuer_that_fell_silent_count_for_a_day_and_not_for_ever() {
    let issuer = Issuer::new().await;
    let guard = issuer.guard();
    let token = issuer.token("one", 1);
    assert!(ask(&guard, &token).await.is_ok());

    issuer.fall_silent();
    later(TRUSTED_FOR - FETCH_INTERVAL).await;
    assert!(ask(&guard, &token).await.is_ok(), "an issuer that is away for a while keeps nobody out");
    later(FETCH_INTERVAL).await;
    for _ in 0..2 {
        let refused = ask(&guard, &token).await.unwrap_err();
        assert_eq!(refused.status(), http::StatusCode::SERVICE_UNAVAILABLE);
    }

    issuer.tell(&[("one", 1)]);
    later(FETCH_INTERVAL).await;
    assert!(ask(&guard, &token).await.is_ok());
}

#[tokio::test]
async fn keys_in_use_are_renewed_behind_whoever_uses_them() {
    let issuer = Issuer::new().await;
    let guard = issuer.guard();
    let token = issuer.token("one", 1);
    assert!(ask(&guard, &token).await.is_ok());

    issuer.hang();
    later(RENEWED_AFTER).await;
    for _ in 0..3 {
        let told = ask(&guard, &token).now_or_never();
        assert!(told.expect("nobody waits for the issuer").is_ok());
    }

    issuer.until_asked(2).await;
}

#[tokio::test]
async fn an_issuer_that_is_silent_is_asked_behind_whoever_has_a_key_that_is_trusted() {
    let issuer = Issuer::new().await;
    let guard = issuer.guard();
    let token = issuer.token("one", 1);
    assert!(ask(&guard, &token).await.is_ok());
    issuer.fall_silent();
    later(KEPT_FOR).await;
    assert!(ask(&guard, &token).await.is_ok(), "it is asked, and does not answer");

    issuer.hang();
    later(FETCH_INTERVAL).await;
    for _ in 0..3 {
        let told = ask(&guard, &token).now_or_never();
        assert!(told.expect("nobody waits for the issuer").is_ok());
    }

    issuer.until_asked(3).await;
}

#[tokio::test]
async fn a_fetch_whose_first_client_went_away_is_for_those_who_come_after() {
    let issuer = Issuer::new().await;
    let guard = issuer.guard();
    let token = issuer.token("one", 1);

    assert!(ask(&guard, &token).now_or_never().is_none());

    assert!(ask(&guard, &token).await.is_ok());
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_issuer_that_can_not_be_reached_is_no_mistake_of_the_token() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let guard = TokenGuard::new(TokenSettings::of_issuer(&url, "stepcell")).unwrap();

    let refused = ask(&guard, &signed(&with(&json!({"iss": url})), Some("one"), 1)).await.unwrap_err();

    assert_eq!(refused.status(), http::StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn settings_that_would_let_strangers_in_are_refused() {
    let settings = || TokenSettings {
        keys: TokenKeys::Given(key_set(&[])),
        ..TokenSettings::of_issuer("https://id.example", "stepcell")
    };
    for (bad, told) in [
        (TokenSettings { algorithms: vec!["HS256".to_owned()], ..settings() }, "`HS256` can not be"),
        (TokenSettings { algorithms: vec!["none".to_owned()], ..settings() }, "`none` can not be"),
        (TokenSettings { algorithms: Vec::new(), ..settings() }, "name one or more"),
        (TokenSettings { audiences: Vec::new(), ..settings() }, "there is no audience"),
        (TokenSettings { keys: TokenKeys::Given("{".to_owned()), ..settings() }, "no JSON Web Key Set"),
        (
            TokenSettings { keys: TokenKeys::At("http://id.example/keys".to_owned()), ..settings() },
            "not reached by https",
        ),
    ] {
        let error = TokenGuard::new(bad).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
