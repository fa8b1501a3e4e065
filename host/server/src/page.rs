//! Lists in pages: `limit`, `cursor`, `total`.
//!
//! A cursor says where the next page begins. It is no secret and gives no access: what a caller may see is decided
//! anew for each page, so that a forged one leads to rows that the caller sees anyway, or is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stepcell_store::PageLimit;
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Problem, ProblemCode};

/// The most rows of a page.
pub const PAGE_LEN_MAX: u32 = 100;

/// How many rows a page has unless told.
pub const PAGE_LEN_DEFAULT: u32 = 50;

/// The longest cursor, in bytes. Protects whatever reads it.
pub(crate) const CURSOR_LEN_BYTES_MAX: usize = 1_024;

/// Some rows of a longer list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// How many rows there are in all.
    pub total: u64,
    /// Where the next page begins, as `cursor`; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of the list of that name as the store has it: `place` says where a row stands, `row` how it is sent.
    pub(crate) fn of<'a, R, P: Serialize>(
        list: &str,
        found: &'a stepcell_store::Page<R>,
        limit: PageLen,
        place: impl Fn(&'a R) -> P,
        row: impl Fn(&'a R) -> T,
    ) -> Self {
        let len = found.items.len().min(limit.rows() as usize);
        let rows = &found.items[..len];
        let next_cursor = rows.last().filter(|_| len < found.items.len()).map(|last| write_cursor(list, &place(last)));
        Self { items: rows.iter().map(row).collect(), total: found.total, next_cursor }
    }
}

/// How many rows a page has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageLen(u32);

impl PageLen {
    /// The number of rows.
    pub(crate) const fn rows(self) -> u32 {
        self.0
    }

    /// How many rows to ask the store for: one more than fit, so that it is known whether a page follows.
    pub(crate) const fn asked(self) -> PageLimit {
        PageLimit::clamped(self.0 + 1)
    }
}

/// Which part of a list to answer with.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    pub limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    pub cursor: Option<String>,
}

/// Reads how many rows were asked for.
pub(crate) fn read_limit(limit: Option<u32>) -> Result<PageLen, Problem> {
    match limit {
        None => Ok(PageLen(PAGE_LEN_DEFAULT)),
        Some(rows) if (1..=PAGE_LEN_MAX).contains(&rows) => Ok(PageLen(rows)),
        Some(rows) => Err(Problem::parameter("limit", format!("{rows} is not 1 to {PAGE_LEN_MAX}"))),
    }
}

/// Writes a cursor of the list of that name.
pub(crate) fn write_cursor(list: &str, place: &impl Serialize) -> String {
    let text = serde_json::to_string(&(list, place)).expect("a place in a list is plain data");
    URL_SAFE_NO_PAD.encode(text)
}

/// Reads a cursor of the list of that name.
pub(crate) fn read_cursor<T: DeserializeOwned>(list: &str, cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let refused = || {
        let detail = "`cursor` is not one of this list; give the `next_cursor` of a page of it, or leave it out";
        Problem::new(ProblemCode::CursorInvalid, detail)
    };
    if cursor.len() > CURSOR_LEN_BYTES_MAX {
        return Err(refused());
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
    let (of, place): (String, T) = serde_json::from_slice(&bytes).map_err(|_| refused())?;
    if of == list { Ok(Some(place)) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place_and_to_no_other_list() {
        let cursor = write_cursor("tasks", &(7_u64, "x"));

        assert_eq!(read_cursor::<(u64, String)>("tasks", Some(&cursor)).unwrap(), Some((7, "x".to_owned())));
        let forged =
            [cursor.as_str(), "", "AAAA", "🦀", &URL_SAFE_NO_PAD.encode("[\"instances\", {}]"), &"A".repeat(2000)];
        for forged in forged {
            let refused = read_cursor::<(u64, String)>("instances", Some(forged)).unwrap_err();
            assert_eq!(refused.code(), ProblemCode::CursorInvalid, "{forged}");
        }
    }

    #[test]
    fn a_page_leads_on_only_where_rows_follow() {
        let page = |found: Vec<u64>| {
            let found = stepcell_store::Page { items: found, total: 9 };
            let page = Page::of("numbers", &found, read_limit(Some(3)).unwrap(), |last| *last, |row| *row);
            (page.items, page.total, page.next_cursor)
        };

        assert_eq!(read_limit(Some(3)).unwrap().asked().rows(), 4);
        assert_eq!(page(vec![1, 2]), (vec![1, 2], 9, None));
        assert_eq!(page(vec![1, 2, 3]), (vec![1, 2, 3], 9, None));
        assert_eq!(page(vec![1, 2, 3, 4]), (vec![1, 2, 3], 9, Some(write_cursor("numbers", &3_u64))));
    }

    #[test]
    fn a_page_has_one_to_a_hundred_rows() {
        assert_eq!(read_limit(None).unwrap().rows(), 50);
        assert_eq!((read_limit(Some(1)).unwrap().rows(), read_limit(Some(100)).unwrap().rows()), (1, 100));
        assert!(read_limit(Some(0)).is_err() && read_limit(Some(101)).is_err());
    }
}
