//! What attempts used.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use stepcell_model::guard::Usage as Sum;
use stepcell_model::name::TenantId;
use stepcell_store::{UsageFilter, Whose};
use utoipa::IntoParams;

use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::{Query, read_parameter};
use crate::page::{Page, read_cursor, read_limit};
use crate::problem::Problem;
use crate::wire::Usage;

/// The most days that one look goes back.
const DAYS_MAX: i64 = 3_650;

/// How many days one looks back unless told.
const DAYS_DEFAULT: i64 = 30;

const MS_PER_DAY: i64 = 86_400_000;

/// The name of the list in its cursors.
const LIST: &str = "usage";

/// Which time, and whose.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AskUsage {
    /// How many days in UTC, today among them.
    #[param(minimum = 1, maximum = 3650, default = 30)]
    days: Option<i64>,
    /// Only this tenant, for callers of the platform.
    tenant_id: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// Show what attempts used, summed up by tenant, and how often each limit ended one.
#[utoipa::path(
    get, path = "/usage", tag = "usage", operation_id = "get_usage",
    params(AskUsage), security(("bearer" = ["viewer"])),
    responses((status = 200, description = "A page of tenants with what they used.", body = Page<Usage>)),
)]
pub(crate) async fn show(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<AskUsage>,
) -> Result<Json<Page<Usage>>, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", asked.tenant_id.as_deref())?)?;
    let days = asked.days.unwrap_or(DAYS_DEFAULT);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(Problem::parameter("days", format!("{days} is not 1 to {DAYS_MAX}")));
    }
    let after: Option<Option<TenantId>> = read_cursor(LIST, asked.cursor.as_deref())?;
    let limit = read_limit(asked.limit)?;
    let today = api.engine().now().unix_ms().div_euclid(MS_PER_DAY);
    let whose = tenant.map_or(Whose::Anybody, Whose::Of);
    let filter = UsageFilter { whose, since_day: today - days + 1, after, limit: limit.asked() };
    let page = api.engine().list_usage(&filter).await?;
    let mut sums = BTreeMap::<Option<TenantId>, Sum>::new();
    for used in page.items {
        sums.entry(used.tenant).or_default().add(&used.usage);
    }
    let items = sums.into_iter().map(|(tenant, used)| Usage { used, tenant }).collect();
    let page = stepcell_store::Page { items, total: page.total };
    Ok(Json(Page::of(LIST, &page, limit, |last: &Usage| &last.tenant, Clone::clone)))
}
