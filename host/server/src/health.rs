//! Whether the process answers; what a load balancer or an orchestrator asks. Not whether the store can be used.

use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

/// Returns the route that says that the process is alive.
///
/// | route | answers |
/// |---|---|
/// | `GET /healthz` | `200` with `{"status":"ok"}`: the process accepts and answers requests |
pub fn health() -> Router {
    Router::new().route("/healthz", get(show))
}

/// The body of an answer.
#[derive(Serialize)]
struct Health {
    /// Always `ok`: a process that is not does not answer.
    status: &'static str,
}

/// Answers `GET /healthz`.
async fn show() -> Json<Health> {
    Json(Health { status: "ok" })
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt as _;

    const BODY_BYTES_MAX: usize = 1024;

    async fn answer_to(method: &str, path: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = super::health().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), BODY_BYTES_MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_running_server_says_that_it_is_ok() {
        assert_eq!(answer_to("GET", "/healthz").await, (StatusCode::OK, r#"{"status":"ok"}"#.to_owned()));
    }

    #[tokio::test]
    async fn health_can_only_be_read() {
        assert_eq!(answer_to("POST", "/healthz").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn an_unknown_route_is_not_found() {
        assert_eq!(answer_to("GET", "/nowhere").await.0, StatusCode::NOT_FOUND);
    }
}
