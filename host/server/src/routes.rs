//! Every route, one file a noun.
//!
//! A handler translates: it reads a request, asks the engine, and answers with what `wire` says. Whom an operation is for
//! stands in its `security`, and is held to before the handler is reached; what a caller may see of it is asked here.

mod admin;
mod audit;
mod callbacks;
mod components;
mod definitions;
mod events;
mod instances;
mod keys;
mod operate;
mod secrets;
mod tasks;
mod usage;
mod visible;
mod webhooks;

pub(crate) use self::instances::{IDEMPOTENCY_REPLAYED, idempotency_key};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::ApiState;
use crate::auth::Secured as _;

/// The routes of workflows, instances and tasks.
pub(crate) fn api(state: &ApiState) -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .secured(state, routes!(definitions::list, definitions::register))
        .secured(state, routes!(definitions::get))
        .secured(state, routes!(definitions::versions))
        .secured(state, routes!(definitions::get_version, definitions::unregister))
        .secured(state, routes!(definitions::deactivate))
        .secured(state, routes!(definitions::activate))
        .secured(state, routes!(definitions::graph))
        .secured(state, routes!(components::list, components::upload))
        .secured(state, routes!(components::get))
        .secured(state, routes!(instances::list, instances::start))
        .secured(state, routes!(instances::get))
        .secured(state, routes!(instances::history))
        .secured(state, routes!(instances::graph))
        .secured(state, routes!(instances::why))
        .secured(state, routes!(operate::cancel))
        .secured(state, routes!(operate::retry))
        .secured(state, routes!(operate::pause))
        .secured(state, routes!(operate::resume))
        .secured(state, routes!(operate::signal))
        .secured(state, routes!(callbacks::address))
        .secured(state, routes!(callbacks::deliver))
        .secured(state, routes!(events::follow))
        .secured(state, routes!(events::follow_instance))
        .secured(state, routes!(events::follow_tasks))
        .secured(state, routes!(tasks::list))
        .secured(state, routes!(tasks::get))
        .secured(state, routes!(tasks::claim))
        .secured(state, routes!(tasks::complete))
        .secured(state, routes!(tasks::reassign))
        .secured(state, routes!(webhooks::list, webhooks::create))
        .secured(state, routes!(webhooks::get, webhooks::change, webhooks::update, webhooks::delete))
        .secured(state, routes!(webhooks::rotate_secret))
        .secured(state, routes!(webhooks::ping))
        .secured(state, routes!(webhooks::deliveries::list))
        .secured(state, routes!(webhooks::deliveries::get))
        .secured(state, routes!(webhooks::deliveries::redeliver))
        .secured(state, routes!(webhooks::deliveries::redeliver_dead))
        .secured(state, routes!(usage::show))
        .secured(state, routes!(admin::stats::show))
        .secured(state, routes!(admin::tenants::get_own))
        .secured(state, routes!(keys::list, keys::create))
        .secured(state, routes!(keys::get, keys::revoke))
        .secured(state, routes!(secrets::list))
        .secured(state, routes!(secrets::set, secrets::delete))
        .secured(state, routes!(audit::list))
}

/// The routes of the platform's administrators.
pub(crate) fn admin(state: &ApiState) -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .secured(state, routes!(admin::tenants::list, admin::tenants::create))
        .secured(state, routes!(admin::tenants::get, admin::tenants::update))
        .secured(state, routes!(admin::stats::show_all))
        .secured(state, routes!(admin::blocked::list))
        .secured(state, routes!(components::revoke))
        .secured(state, routes!(components::restore))
}
