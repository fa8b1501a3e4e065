//! Outgoing webhooks: subscriptions and deliveries.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use stepcell_model::id::{DeliveryId, WebhookId};
use stepcell_model::name::{TenantId, UserId, WorkflowName};
use stepcell_model::time::Timestamp;
use stepcell_model::webhook::{DeliveryStatus, SealedWebhookSecret, WebhookDelivery, WebhookSubscription};

use super::SqliteStore;
use super::rows::{self, Columns};
use super::statements::webhooks as statements;
use super::transition::{signed, text_of};
use crate::error::StoreError;
use crate::query::{Admitted, LIST_LEN_MAX, Page};
use crate::webhooks::{
    DEACTIVATED, DeliveryFilter, ENDED_DELIVERIES_MAX, MadeDeliveries, PENDING_DELIVERIES_MAX, Redelivered,
    SubscriptionChange, WebhookFilter, WebhookHead, WebhookStore, beyond_pending,
};

fn head(connection: &Connection) -> Result<WebhookHead, StoreError> {
    let read =
        |row: &Columns<'_>| Ok(WebhookHead { revision: row.count("revision")?, position: row.count("position")? });
    let found = rows::find(connection, statements::SELECT_HEAD, [], read)?;
    found.ok_or_else(|| StoreError::damaged("the row of `webhook_head` is gone"))
}

/// Tells everybody who keeps subscriptions at hand that they changed.
fn raise(connection: &Connection) -> Result<(), StoreError> {
    connection.prepare_cached(statements::RAISE_HEAD)?.execute([])?;
    Ok(())
}

fn count(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<u64, StoreError> {
    Ok(rows::find(connection, sql, params, |row| row.count("count"))?.unwrap_or_default())
}

fn key(id: WebhookId) -> Vec<u8> {
    id.as_uuid().as_bytes().to_vec()
}

fn insert(connection: &Connection, webhook: &WebhookSubscription, max: u64) -> Result<Admitted, StoreError> {
    let tenant = webhook.tenant.as_ref().map(TenantId::as_str);
    if find(connection, webhook.id)?.is_some() {
        return Ok(Admitted::AlreadyThere);
    }
    if count(connection, statements::COUNT_WEBHOOKS_OF, [tenant])? >= max {
        return Ok(Admitted::Full);
    }
    let row = params![
        key(webhook.id),
        tenant,
        webhook.url.as_str(),
        text_of(&webhook.types)?,
        webhook.workflow.as_ref().map(WorkflowName::as_str),
        webhook.description,
        webhook.is_active,
        webhook.stopped,
        webhook.secret.current,
        webhook.secret.former.as_ref().map(|former| &former.0),
        webhook.secret.former.as_ref().map(|former| former.1.unix_ms()),
        webhook.created_at.unix_ms(),
        webhook.created_by.as_ref().map(UserId::as_str),
    ];
    connection.execute(statements::INSERT_WEBHOOK, row)?;
    raise(connection)?;
    Ok(Admitted::New)
}

fn change(
    connection: &Connection,
    id: WebhookId,
    change: &SubscriptionChange,
    now: Timestamp,
) -> Result<Option<WebhookSubscription>, StoreError> {
    let Some(mut webhook) = find(connection, id)? else { return Ok(None) };
    change(&mut webhook);
    let row = params![
        key(id),
        webhook.url.as_str(),
        text_of(&webhook.types)?,
        webhook.workflow.as_ref().map(WorkflowName::as_str),
        webhook.description,
        webhook.is_active,
        webhook.stopped,
        webhook.secret.current,
        webhook.secret.former.as_ref().map(|former| &former.0),
        webhook.secret.former.as_ref().map(|former| former.1.unix_ms()),
    ];
    connection.execute(statements::UPDATE_WEBHOOK, row)?;
    if !webhook.is_active {
        let why = webhook.stopped.as_deref().unwrap_or(DEACTIVATED);
        connection.execute(statements::GIVE_UP_PENDING, params![key(id), why, now.unix_ms()])?;
    }
    raise(connection)?;
    find(connection, id)
}

fn delete(connection: &Connection, id: WebhookId) -> Result<bool, StoreError> {
    connection.execute(statements::DELETE_DELIVERIES_OF, [key(id)])?;
    let was_there = connection.execute(statements::DELETE_WEBHOOK, [key(id)])? > 0;
    if was_there {
        raise(connection)?;
    }
    Ok(was_there)
}

fn find(connection: &Connection, id: WebhookId) -> Result<Option<WebhookSubscription>, StoreError> {
    let sql = format!("{} WHERE {}", statements::SELECT_WEBHOOKS, statements::WEBHOOK_BY_ID);
    rows::find(connection, &sql, [key(id)], subscription)
}

fn list(connection: &Connection, filter: &WebhookFilter) -> Result<Page<WebhookSubscription>, StoreError> {
    let (after, limit) = (filter.after.map(key), filter.limit.rows());
    let select = |condition| format!("{} WHERE {condition}", statements::SELECT_WEBHOOKS);
    let Some(tenant) = filter.tenant.as_ref().map(TenantId::as_str) else {
        let items = rows::list(connection, &select(statements::WEBHOOKS_AFTER), params![after, limit], subscription)?;
        return Ok(Page { items, total: count(connection, statements::COUNT_WEBHOOKS, [])? });
    };
    let of_tenant = select(statements::WEBHOOKS_OF_TENANT_AFTER);
    let items = rows::list(connection, &of_tenant, params![after, limit, tenant], subscription)?;
    Ok(Page { items, total: count(connection, statements::COUNT_WEBHOOKS_OF_TENANT, [tenant])? })
}

fn subscription(row: &Columns<'_>) -> Result<WebhookSubscription, StoreError> {
    let former = row.value::<Option<Vec<u8>>>("former_secret")?.zip(row.time_maybe("former_until")?);
    Ok(WebhookSubscription {
        id: WebhookId::from_uuid(row.uuid("id")?),
        tenant: row.word_maybe("tenant")?,
        url: row.word("url")?,
        types: row.document("types")?,
        workflow: row.word_maybe("workflow")?,
        description: row.value("description")?,
        is_active: row.value("is_active")?,
        stopped: row.value("stopped")?,
        since: row.count("since")?,
        created_at: row.time("created_at")?,
        created_by: row.word_maybe("created_by")?,
        secret: SealedWebhookSecret { current: row.value("secret")?, former },
    })
}

fn webhook_id(row: &Columns<'_>) -> Result<WebhookId, StoreError> {
    Ok(WebhookId::from_uuid(row.uuid("id")?))
}

fn make(connection: &Connection, made: &MadeDeliveries) -> Result<bool, StoreError> {
    let MadeDeliveries { head, up_to, deliveries } = made;
    let moved = params![signed(head.revision), signed(head.position), signed(*up_to)];
    if connection.prepare_cached(statements::MOVE_HEAD)?.execute(moved)? == 0 {
        return Ok(false);
    }
    let mut pending = BTreeMap::new();
    for delivery in deliveries {
        let count = match pending.get(&delivery.webhook) {
            Some(count) => *count,
            None => count(connection, statements::COUNT_PENDING, [key(delivery.webhook)])?,
        };
        pending.insert(delivery.webhook, count + 1);
        let is_beyond = count >= u64::from(PENDING_DELIVERIES_MAX);
        if is_beyond {
            insert_delivery(connection, &beyond_pending(delivery.clone()))?;
        } else {
            insert_delivery(connection, delivery)?;
        }
    }
    Ok(true)
}

fn insert_delivery(connection: &Connection, delivery: &WebhookDelivery) -> Result<bool, StoreError> {
    let row = params![
        delivery.id.as_uuid().as_bytes(),
        key(delivery.webhook),
        signed(delivery.position),
        delivery.index,
        delivery.event_type,
        delivery.body.text(),
        delivery.status.as_str(),
        delivery.attempts,
        delivery.next_attempt_at.map(Timestamp::unix_ms),
        delivery.last_status,
        delivery.last_error,
        delivery.created_at.unix_ms(),
        delivery.ended_at.map(Timestamp::unix_ms),
    ];
    Ok(connection.prepare_cached(statements::INSERT_DELIVERY)?.execute(row)? > 0)
}

fn delivery(row: &Columns<'_>) -> Result<WebhookDelivery, StoreError> {
    Ok(WebhookDelivery {
        id: DeliveryId::from_uuid(row.uuid("id")?),
        webhook: WebhookId::from_uuid(row.uuid("webhook_id")?),
        position: row.count("position")?,
        index: row.value("event")?,
        event_type: row.value("event_type")?,
        body: row.json("body")?,
        status: row.word("status")?,
        attempts: row.value("attempts")?,
        next_attempt_at: row.time_maybe("next_attempt_at")?,
        last_status: row.value("last_status")?,
        last_error: row.value("last_error")?,
        created_at: row.time("created_at")?,
        ended_at: row.time_maybe("ended_at")?,
    })
}

fn list_deliveries(
    connection: &Connection,
    filter: &DeliveryFilter,
) -> Result<Page<(u64, WebhookDelivery)>, StoreError> {
    let sql = format!("{} WHERE {}", statements::SELECT_DELIVERIES, statements::DELIVERIES_LATEST_FIRST);
    let status = filter.status.map(DeliveryStatus::as_str);
    let given = params![key(filter.webhook), filter.before.map(signed), status, filter.limit.rows()];
    let items = rows::list(connection, &sql, given, |row| Ok((row.count("key")?, delivery(row)?)))?;
    Ok(Page { items, total: count(connection, statements::COUNT_DELIVERIES, params![key(filter.webhook), status])? })
}

fn put_attempt(connection: &Connection, delivery: &WebhookDelivery) -> Result<bool, StoreError> {
    let row = params![
        delivery.id.as_uuid().as_bytes(),
        delivery.status.as_str(),
        delivery.attempts,
        delivery.next_attempt_at.map(Timestamp::unix_ms),
        delivery.last_status,
        delivery.last_error,
        delivery.ended_at.map(Timestamp::unix_ms),
    ];
    Ok(connection.prepare_cached(statements::PUT_ATTEMPT)?.execute(row)? > 0)
}

fn redeliver(
    connection: &Connection,
    webhook: WebhookId,
    which: Redelivered,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let (webhook, now) = (key(webhook), now.unix_ms());
    let changed = match which {
        Redelivered::One(id) => {
            connection.execute(statements::REDELIVER_ONE, params![webhook, now, id.as_uuid().as_bytes()])?
        }
        Redelivered::DeadSince(since) => {
            connection.execute(statements::REDELIVER_DEAD, params![webhook, now, since.unix_ms(), LIST_LEN_MAX])?
        }
    };
    Ok(changed as u64)
}

fn forget(connection: &Connection, ended_before: Timestamp) -> Result<u64, StoreError> {
    let given = params![ended_before.unix_ms(), LIST_LEN_MAX];
    let mut forgotten = connection.execute(statements::FORGET_ENDED_BEFORE, given)?;
    for webhook in rows::list(connection, statements::LIST_WEBHOOK_IDS, [], webhook_id)? {
        for status in [DeliveryStatus::Delivered, DeliveryStatus::Dead] {
            let given = params![key(webhook), status.as_str(), LIST_LEN_MAX, ENDED_DELIVERIES_MAX];
            forgotten += connection.prepare_cached(statements::FORGET_BEYOND)?.execute(given)?;
        }
    }
    Ok(forgotten as u64)
}

#[async_trait]
impl WebhookStore for SqliteStore {
    async fn webhook_head(&self) -> Result<WebhookHead, StoreError> {
        self.readers.run(head).await
    }

    async fn insert_webhook(&self, webhook: WebhookSubscription, max: u64) -> Result<Admitted, StoreError> {
        self.writer()?.run(move |connection| insert(connection, &webhook, max)).await
    }

    async fn find_webhook(&self, id: WebhookId) -> Result<Option<WebhookSubscription>, StoreError> {
        self.readers.run(move |connection| find(connection, id)).await
    }

    async fn list_webhooks(&self, filter: &WebhookFilter) -> Result<Page<WebhookSubscription>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| list(connection, &filter)).await
    }

    async fn change_webhook(
        &self,
        id: WebhookId,
        given: SubscriptionChange,
        now: Timestamp,
    ) -> Result<Option<WebhookSubscription>, StoreError> {
        self.writer()?.run(move |connection| change(connection, id, &given, now)).await
    }

    async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        self.writer()?.run(move |connection| delete(connection, id)).await
    }

    async fn make_deliveries(&self, made: MadeDeliveries) -> Result<bool, StoreError> {
        self.writer()?.run(move |connection| make(connection, &made)).await
    }

    async fn insert_delivery(&self, delivery: WebhookDelivery) -> Result<bool, StoreError> {
        self.writer()?.run(move |connection| insert_delivery(connection, &delivery)).await
    }

    async fn find_delivery(&self, id: DeliveryId) -> Result<Option<WebhookDelivery>, StoreError> {
        let sql = format!("{} WHERE {}", statements::SELECT_DELIVERIES, statements::DELIVERY_BY_ID);
        let id = id.as_uuid().as_bytes().to_vec();
        self.readers.run(move |connection| rows::find(connection, &sql, [id], delivery)).await
    }

    async fn list_deliveries(&self, filter: &DeliveryFilter) -> Result<Page<(u64, WebhookDelivery)>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| list_deliveries(connection, &filter)).await
    }

    async fn list_waiting_webhooks(&self) -> Result<Vec<WebhookId>, StoreError> {
        self.readers.run(|connection| rows::list(connection, statements::LIST_WAITING_WEBHOOKS, [], webhook_id)).await
    }

    async fn list_pending(&self, webhook: WebhookId, limit: u32) -> Result<Vec<WebhookDelivery>, StoreError> {
        let sql = format!("{} WHERE {}", statements::SELECT_DELIVERIES, statements::DELIVERIES_PENDING);
        let given = (key(webhook), limit.min(LIST_LEN_MAX));
        self.readers.run(move |connection| rows::list(connection, &sql, given, delivery)).await
    }

    async fn put_attempt(&self, delivery: WebhookDelivery) -> Result<bool, StoreError> {
        self.writer()?.run(move |connection| put_attempt(connection, &delivery)).await
    }

    async fn redeliver(&self, webhook: WebhookId, which: Redelivered, now: Timestamp) -> Result<u64, StoreError> {
        self.writer()?.run(move |connection| redeliver(connection, webhook, which, now)).await
    }

    async fn forget_deliveries(&self, ended_before: Timestamp) -> Result<u64, StoreError> {
        self.writer()?.run(move |connection| forget(connection, ended_before)).await
    }
}
