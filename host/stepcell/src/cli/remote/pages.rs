//! Lists of a server: as many of its pages as are asked for.

use serde::de::DeserializeOwned;
use stepcell_server::{PAGE_LEN_MAX, Page};

use super::{Ask, Server};

/// Rows of a list, and how many there are in all.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub(crate) items: Vec<T>,
    pub(crate) total: u64,
}

impl Server {
    /// A part of a list: at most `limit` rows behind the first `offset` ones.
    ///
    /// A server gives no places in a list but the one behind a page: what is passed over is read, too.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        ask: Ask<'_>,
        limit: usize,
        offset: u64,
    ) -> anyhow::Result<Rows<T>> {
        let (mut items, mut passed, mut cursor) = (Vec::new(), 0_u64, None);
        loop {
            let left = offset.saturating_sub(passed).saturating_add((limit - items.len()) as u64);
            let len = left.clamp(1, PAGE_LEN_MAX.into());
            let mut query = vec![("limit", len.to_string())];
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: Page<T> = self.ask(ask.with(&query)).await?;
            let over = usize::try_from(offset.saturating_sub(passed)).unwrap_or(usize::MAX).min(page.items.len());
            passed += over as u64;
            let room = limit - items.len();
            items.extend(page.items.into_iter().skip(over).take(room));
            match page.next_cursor {
                Some(next) if items.len() < limit => cursor = Some(next),
                _ => return Ok(Rows { items, total: page.total }),
            }
        }
    }

    /// A list as a whole.
    pub(crate) async fn all<T: DeserializeOwned>(&self, ask: Ask<'_>) -> anyhow::Result<Rows<T>> {
        self.rows(ask, usize::MAX, 0).await
    }
}
