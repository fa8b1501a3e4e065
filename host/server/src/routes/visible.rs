//! What a caller may see: what is another tenant's is not there.

use std::fmt::Display;
use std::str::FromStr;

use stepcell_engine::EngineError;
use stepcell_model::id::{InstanceId, TaskId};
use stepcell_model::name::TenantId;
use stepcell_model::record::{InstanceSummary, TaskRecord};
use stepcell_store::Owners;

use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::read_parameter;
use crate::problem::{Problem, ProblemCode};

/// The longest id that is told back.
const TOLD_LEN_MAX: usize = 80;

/// An instance that the caller may see.
pub(super) async fn instance(api: &ApiState, caller: &Caller, id: &str) -> Result<InstanceSummary, Problem> {
    let missing = || {
        let detail = format!("there is no instance `{}`; list those there are", told(id));
        Problem::new(ProblemCode::InstanceNotFound, detail)
    };
    let id: InstanceId = read(id).ok_or_else(missing)?;
    match api.engine().get_instance(id).await {
        Ok(found) if caller.sees(found.identity.tenant.as_ref()) => Ok(found),
        Ok(_) | Err(EngineError::InstanceNotFound { .. }) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

/// A task that the caller may see.
pub(super) async fn task(api: &ApiState, caller: &Caller, id: &str) -> Result<TaskRecord, Problem> {
    let missing = || {
        let detail = format!("there is no task `{}`; list those that wait", told(id));
        Problem::new(ProblemCode::TaskNotFound, detail)
    };
    let id: TaskId = read(id).ok_or_else(missing)?;
    match api.engine().get_task(id).await {
        Ok(found) if caller.sees(found.tenant.as_ref()) => Ok(found),
        Ok(_) | Err(EngineError::TaskNotFound { .. }) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

/// The tenant for whom something is made: the caller's own, or for callers of the platform the one that they name, which must
/// be there.
pub(super) async fn tenant_to_serve(
    api: &ApiState,
    caller: &Caller,
    named: Option<TenantId>,
) -> Result<Option<TenantId>, Problem> {
    let tenant = caller.tenant_for(named)?;
    if let (None, Some(tenant)) = (&caller.tenant, &tenant) {
        api.engine().check_known_tenant(tenant).await?;
    }
    Ok(tenant)
}

/// Whose definitions or components a list shows: what the tenant sees, or everybody's for callers of the platform.
pub(super) fn owners(caller: &Caller, tenant: Option<&str>) -> Result<Owners, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", tenant)?)?;
    Ok(tenant.map_or(Owners::All, Owners::SeenBy))
}

/// Whose a thing is that the caller sees and wants to change. What is shared is the platform's to change.
pub(super) fn own<'a>(
    caller: &Caller,
    owner: Option<&'a TenantId>,
    what: &str,
) -> Result<Option<&'a TenantId>, Problem> {
    if caller.sees(owner) {
        return Ok(owner);
    }
    let detail = format!("the {what} is shared by all tenants, and only the platform's own callers may change it");
    Err(Problem::new(ProblemCode::AdminOnly, detail))
}

/// Reads a name of a path; what is malformed names nothing.
pub(super) fn read<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// Reads a name of a body or a query; what is malformed is told.
pub(super) fn name<T: FromStr<Err: Display>>(parameter: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::parameter(parameter, error.to_string()))
}

/// An id or a name as one segment of a path. Source: RFC 3986, section 2.3.
pub(super) fn segment(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let write = |byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(write).collect()
}

/// An id as it is told back: not longer than any id is.
pub(super) fn told(id: &str) -> String {
    id.chars().filter(|letter| !letter.is_control()).take(TOLD_LEN_MAX).collect()
}
