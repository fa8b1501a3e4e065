//! Components that may not run.

use axum::Json;
use axum::extract::State;
use stepcell_model::guard::ComponentBlock;
use stepcell_model::id::ComponentDigest;

use crate::api::ApiState;
use crate::extract::Query;
use crate::page::{Page, PageQuery, read_cursor, read_limit, write_cursor};
use crate::problem::Problem;
use crate::wire::BlockedComponent;

/// The name of the list in its cursors.
const LIST: &str = "blocked_components";

/// List the components that were revoked or put in quarantine, by digest.
#[utoipa::path(
    get, path = "/admin/blocked-components", tag = "admin", operation_id = "list_blocked_components",
    params(PageQuery), security(("bearer" = ["platform-admin"])),
    responses((status = 200, description = "A page of components.", body = Page<BlockedComponent>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    Query(asked): Query<PageQuery>,
) -> Result<Json<Page<BlockedComponent>>, Problem> {
    let after: Option<ComponentDigest> = read_cursor(LIST, asked.cursor.as_deref())?;
    let limit = read_limit(asked.limit)?.rows() as usize;
    let blocks = api.engine().list_blocks().await?;
    let rest = |block: &&ComponentBlock| after.is_none_or(|after| block.digest > after);
    let mut rest = blocks.iter().filter(rest);
    let items: Vec<_> = rest.by_ref().take(limit).map(BlockedComponent::from).collect();
    let next_cursor = match (rest.next(), items.last()) {
        (Some(_), Some(last)) => Some(write_cursor(LIST, &last.digest)),
        _ => None,
    };
    Ok(Json(Page { items, total: blocks.len() as u64, next_cursor }))
}
