//! Tenants, and how much they may have.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use stepcell_model::access::{TenantRecord, TenantStatus};
use stepcell_model::name::{Label, TenantId};
use stepcell_store::{Inserted, TenantFilter};
use utoipa::{IntoParams, ToSchema};

use super::super::definitions::Whose;
use super::super::visible;
use crate::api::ApiState;
use crate::auth::{Caller, note_subject};
use crate::extract::{AsObject, Id, JsonBody, Query, read_parameter};
use crate::page::{Page, read_cursor, read_limit};
use crate::problem::{Problem, ProblemCode};
use crate::wire::{QuotaChanges, Quotas, Tenant, TenantDetail};

/// The name of the list in its cursors.
const LIST: &str = "tenants";

const MS_PER_DAY: i64 = 86_400_000;

/// Which tenants to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListTenants {
    /// Only those with this status: `active` or `suspended`.
    status: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// A tenant that is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTenant {
    /// Its id, which never changes.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    id: TenantId,
    /// What people call it; its id without one.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    display_name: Option<Label>,
    /// How much it may have.
    #[serde(default)]
    #[schema(value_type = Quotas)]
    quotas: AsObject<Quotas>,
}

/// What is to change of a tenant; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeTenant {
    /// What people call it.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    display_name: Option<Label>,
    /// `active`, or `suspended`: nobody comes in then, and nothing of it is started; what runs goes on.
    #[schema(value_type = Option<String>)]
    status: Option<TenantStatus>,
    /// How much it may have: a quota that is left out stays, and null is as much as it likes.
    #[schema(value_type = Option<QuotaChanges>)]
    quotas: Option<AsObject<QuotaChanges>>,
}

/// List the tenants by id.
#[utoipa::path(
    get, path = "/admin/tenants", tag = "admin", operation_id = "list_tenants",
    params(ListTenants), security(("bearer" = ["platform-admin"])),
    responses((status = 200, description = "A page of tenants.", body = Page<Tenant>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    Query(asked): Query<ListTenants>,
) -> Result<Json<Page<Tenant>>, Problem> {
    let limit = read_limit(asked.limit)?;
    let filter = TenantFilter {
        status: read_parameter("status", asked.status.as_deref())?,
        after: read_cursor(LIST, asked.cursor.as_deref())?,
        limit: limit.asked(),
    };
    let page = api.engine().store().list_tenants(&filter).await?;
    Ok(Json(Page::of(LIST, &page, limit, |last| &last.id, Tenant::from)))
}

/// Keep a new tenant.
#[utoipa::path(
    post, path = "/admin/tenants", tag = "admin", operation_id = "create_tenant",
    request_body = CreateTenant, security(("bearer" = ["platform-admin"])),
    responses(
        (status = 201, description = "The tenant.", body = Tenant,
            headers(("Location" = String, description = "Where it is."))),
        (status = 409, description = "There is a tenant of that id."),
    ),
)]
pub(crate) async fn create(
    State(api): State<ApiState>,
    JsonBody(asked): JsonBody<CreateTenant>,
) -> Result<Response, Problem> {
    let mut record = TenantRecord::new(asked.id, api.engine().now())
        .map_err(|error| Problem::new(ProblemCode::RequestInvalid, error.to_string()))?;
    note_subject(Some(&record.id));
    record.quotas = asked.quotas.0.into();
    if let Some(name) = asked.display_name {
        record.display_name = name;
    }
    if api.engine().add_tenant(record.clone()).await? == Inserted::AlreadyThere {
        let detail = format!("there is a tenant `{}` already; change that one, or choose another id", record.id);
        return Err(Problem::new(ProblemCode::AlreadyExists, detail));
    }
    Ok(api.made(
        StatusCode::CREATED,
        &format!("/admin/tenants/{}", visible::segment(record.id.as_str())),
        Tenant::from(&record),
    ))
}

/// Get the caller's tenant, with what it may have and what it has of that.
#[utoipa::path(
    get, path = "/tenant", tag = "usage", operation_id = "get_own_tenant",
    params(Whose), security(("bearer" = ["viewer"])),
    responses(
        (status = 200, description = "The tenant.", body = TenantDetail),
        (status = 404, description = "There is no such tenant, or the caller is of the platform and names none."),
    ),
)]
pub(crate) async fn get_own(
    State(api): State<ApiState>,
    caller: Caller,
    Query(whose): Query<Whose>,
) -> Result<Json<TenantDetail>, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", whose.tenant_id.as_deref())?)?;
    if caller.tenant.is_none() {
        // What there is of all tenants is for administrators of the platform, as under `/admin`.
        api.admit_admin(&caller)?;
    }
    let tenant = tenant.ok_or_else(|| {
        let detail = "these credentials are of no tenant; name one with `tenant_id`";
        Problem::new(ProblemCode::TenantNotFound, detail)
    })?;
    detail(&api, &tenant).await
}

/// Get a tenant, with what it may have and what it has.
#[utoipa::path(
    get, path = "/admin/tenants/{id}", tag = "admin", operation_id = "get_tenant",
    params(("id" = String, Path, description = "The tenant.")), security(("bearer" = ["platform-admin"])),
    responses((status = 200, description = "The tenant.", body = TenantDetail)),
)]
pub(crate) async fn get(State(api): State<ApiState>, Id(id): Id<String>) -> Result<Json<TenantDetail>, Problem> {
    detail(&api, &read(&id)?).await
}

async fn detail(api: &ApiState, id: &TenantId) -> Result<Json<TenantDetail>, Problem> {
    let record = api.engine().get_tenant(id).await?;
    let today = api.engine().now().unix_ms().div_euclid(MS_PER_DAY);
    let used = api.engine().store().load_tenant_use(&record.id, today).await?;
    Ok(Json(TenantDetail { tenant: Tenant::from(&record), used: used.into() }))
}

/// Change a tenant: its name, its quotas, or whether it may work.
#[utoipa::path(
    patch, path = "/admin/tenants/{id}", tag = "admin", operation_id = "update_tenant",
    params(("id" = String, Path, description = "The tenant.")), request_body = ChangeTenant,
    security(("bearer" = ["platform-admin"])),
    responses((status = 200, description = "The tenant as it is then.", body = Tenant)),
)]
pub(crate) async fn update(
    State(api): State<ApiState>,
    Id(id): Id<String>,
    JsonBody(asked): JsonBody<ChangeTenant>,
) -> Result<Json<Tenant>, Problem> {
    let id = read(&id)?;
    let quotas = asked.quotas.map(|AsObject(quotas)| quotas);
    let change = move |record: &mut TenantRecord| {
        record.status = asked.status.unwrap_or(record.status);
        record.quotas = quotas.as_ref().map_or(record.quotas, |quotas| quotas.applied_to(record.quotas));
        if let Some(name) = &asked.display_name {
            record.display_name = name.clone();
        }
    };
    let record = api.engine().change_tenant(&id, change).await?;
    note_subject(Some(&record.id));
    Ok(Json(Tenant::from(&record)))
}

fn read(id: &str) -> Result<TenantId, Problem> {
    let missing = || Problem::new(ProblemCode::TenantNotFound, format!("there is no tenant `{}`", visible::told(id)));
    visible::read(id).ok_or_else(missing)
}
