//! Holds what a store has against its chains.

use stepcell_model::chain::{ChainBreak, ChainCheck, ChainHash, ChainHead, ChainLink, CheckedChain};
use stepcell_model::id::InstanceId;

use crate::error::StoreError;
use crate::query::LIST_LEN_MAX;
use crate::upkeep::UpkeepStore;

/// How many breaks are told one by one. Protects memory where a whole database is broken; all are counted.
pub const BREAKS_LEN_MAX: usize = 1_000;

/// What holding a store against its chains came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedChains {
    /// How many instances there are.
    pub instances: u64,
    /// How many rows of history they have.
    pub links: u64,
    /// How many breaks were found.
    pub broken: u64,
    /// The first [`BREAKS_LEN_MAX`] of them.
    pub breaks: Vec<ChainBreak>,
}

/// Reads the whole history of an instance with its links, and where its chain ends; none if there is no instance.
///
/// An instance that moves meanwhile is read as of the last page.
///
/// # Errors
/// What the store says.
pub async fn load_chain(
    store: &(impl UpkeepStore + ?Sized),
    id: InstanceId,
) -> Result<Option<(ChainHead, Vec<ChainLink>)>, StoreError> {
    let (mut head, mut links) = (None, Vec::<ChainLink>::new());
    loop {
        let after = links.last().map_or(0, |link| link.seq);
        let page = store.list_links_of(id, after, LIST_LEN_MAX).await?;
        let is_last = page.len() < LIST_LEN_MAX as usize;
        head = page.last().map(|kept| kept.head).or(head);
        links.extend(page.into_iter().filter_map(|kept| kept.link));
        if is_last {
            return Ok(head.map(|head| (head, links)));
        }
    }
}

/// Holds one instance's history against its chain, and looks for a link that somebody noted elsewhere; none if there is no
/// instance.
///
/// # Errors
/// What the store says.
pub async fn check_chain(
    store: &(impl UpkeepStore + ?Sized),
    id: InstanceId,
    noted: Option<ChainHash>,
) -> Result<Option<CheckedChain>, StoreError> {
    let Some((head, links)) = load_chain(store, id).await? else { return Ok(None) };
    let mut check = ChainCheck::new(id).looking_for(noted);
    links.iter().for_each(|link| check.take(link));
    Ok(Some(check.finish(&head)))
}

/// Holds every instance's history against its chain, while others may go on writing. Tells after each page how many rows
/// were read so far.
///
/// # Errors
/// What the store says.
pub async fn check_chains(
    store: &(impl UpkeepStore + ?Sized),
    mut on_progress: impl FnMut(u64),
) -> Result<CheckedChains, StoreError> {
    let mut all = CheckedChains::default();
    let mut place = None;
    let mut under_way: Option<(ChainCheck, ChainHead)> = None;
    loop {
        let page = store.list_links(place, LIST_LEN_MAX).await?;
        let Some(last) = page.last() else { break };
        place = Some((last.head.instance, last.link.as_ref().map_or(0, |link| link.seq)));
        for kept in page {
            let next = kept.head.instance;
            if let Some((check, head)) = under_way.take_if(|(check, _)| check.instance() != next) {
                all.take(store, check.finish(&head)).await?;
            }
            let (check, head) = under_way.get_or_insert_with(|| (ChainCheck::new(next), kept.head));
            *head = kept.head;
            if let Some(link) = &kept.link {
                check.take(link);
            }
        }
        on_progress(all.links);
    }
    if let Some((check, head)) = under_way {
        all.take(store, check.finish(&head)).await?;
    }
    Ok(all)
}

impl CheckedChains {
    /// Takes what was found of one instance. A break is looked at again: the instance may have gone between two pages.
    async fn take(&mut self, store: &(impl UpkeepStore + ?Sized), checked: CheckedChain) -> Result<(), StoreError> {
        let checked = match checked.breaks.is_empty() {
            true => checked,
            false => match check_chain(store, checked.instance, None).await? {
                Some(checked) => checked,
                None => return Ok(()),
            },
        };
        self.instances += 1;
        self.links += checked.links;
        self.broken += checked.breaks.len() as u64;
        let room = BREAKS_LEN_MAX.saturating_sub(self.breaks.len());
        self.breaks.extend(checked.breaks.into_iter().take(room));
        Ok(())
    }
}
