//! The audit log: who did what.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use stepcell_model::name::ActionName;
use stepcell_model::time::Timestamp;
use stepcell_store::{AuditFilter, Whose};
use utoipa::IntoParams;

use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::{Query, read_parameter};
use crate::page::{Page, read_cursor, read_limit};
use crate::problem::Problem;
use crate::wire::AuditRow;

/// The name of the list in its cursors.
const LIST: &str = "audit";

/// Which records to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListAudit {
    /// Only this action, such as `instance.cancel`.
    #[param(example = "instance.cancel")]
    action: Option<String>,
    /// Only what this user did.
    user_id: Option<String>,
    /// Only what happened at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only what happened before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Only the log of this tenant: what its callers did, and what others did to its things. For callers of the platform.
    tenant_id: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// List who did what, newest first. A record shows a moment after its request was answered, and goes when its server forgets
/// it: `stepcell serve` after 90 days, unless told otherwise.
#[utoipa::path(
    get, path = "/audit", tag = "audit", operation_id = "list_audit",
    params(ListAudit), security(("bearer" = ["admin"])),
    responses((status = 200, description = "A page of records.", body = Page<AuditRow>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<ListAudit>,
) -> Result<Json<Page<AuditRow>>, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", asked.tenant_id.as_deref())?)?;
    let limit = read_limit(asked.limit)?;
    let action = read_parameter("action", asked.action.as_deref())?;
    check_known(&api, action.as_ref())?;
    let filter = AuditFilter {
        whose: tenant.map_or(Whose::Anybody, Whose::Of),
        action,
        user: read_parameter("user_id", asked.user_id.as_deref())?,
        since: asked.since,
        until: asked.until,
        after: read_cursor(LIST, asked.cursor.as_deref())?,
        limit: limit.asked(),
    };
    let page = api.engine().store().list_audit(&filter).await?;
    Ok(Json(Page::of(LIST, &page, limit, |last| &last.number, AuditRow::from)))
}

/// Refuses what is no action: a list of nothing would look as if nobody had done it.
fn check_known(api: &ApiState, action: Option<&ActionName>) -> Result<(), Problem> {
    match action {
        Some(unknown) if !api.actions().contains(unknown) => {
            let known: Vec<_> = api.actions().iter().map(ActionName::as_str).collect();
            let detail = format!("`{unknown}` is no action of this API; it knows {}", known.join(", "));
            Err(Problem::parameter("action", detail))
        }
        Some(_) | None => Ok(()),
    }
}
