//! Checking a chain, link by link.

use std::fmt;

use super::{ChainHash, ChainHead, ChainLink};
use crate::id::InstanceId;

/// Recomputes the chain of one instance from its rows.
///
/// # Examples
/// ```
/// use stepcell_model::chain::{ChainCheck, ChainHash, ChainHead, ChainLink};
/// use stepcell_model::time::Timestamp;
///
/// let instance = "0198c0de-0000-7000-8000-000000000000".parse()?;
/// let mut link =
///     ChainLink { instance, seq: 1, at: Timestamp::from_unix_ms(0), events: "[]".to_owned(), chain: None };
/// link.chain = Some(link.after(ChainHash::START));
/// let mut check = ChainCheck::new(instance);
/// check.take(&link);
/// assert!(check.finish(&ChainHead { instance, seq: 1, chain: link.chain }).breaks.is_empty());
/// # Ok::<(), uuid::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChainCheck {
    instance: InstanceId,
    links: u64,
    seq: u64,
    /// The link that the next row goes on from; none where the last row has none.
    last: Option<ChainHash>,
    noted: Option<ChainHash>,
    noted_at: Option<u64>,
    breaks: Vec<ChainBreak>,
}

/// What checking an instance's chain came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedChain {
    /// The instance.
    pub instance: InstanceId,
    /// How many rows it has.
    pub links: u64,
    /// The link of its last row.
    pub head: Option<ChainHash>,
    /// The transition whose link is the one that was noted elsewhere, if that was asked for and found.
    pub noted_at: Option<u64>,
    /// Every break, in order; none if everything up to the head is as it was committed.
    pub breaks: Vec<ChainBreak>,
}

/// A place where a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainBreak {
    /// Whose chain.
    pub instance: InstanceId,
    /// At which transition.
    pub seq: u64,
    /// In which way.
    pub kind: BreakKind,
}

/// In which way a chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakKind {
    /// Its row is not there.
    Missing {
        /// The number of the next row that is there; none if there is no other.
        next: Option<u64>,
    },
    /// Its row stands where another one should.
    Misplaced {
        /// The number that should be there.
        expected: u64,
    },
    /// Its row, or one before it, is not what was committed.
    Altered {
        /// The link that the row comes to.
        expected: ChainHash,
        /// The link that it has.
        found: ChainHash,
    },
    /// Its row has no link.
    Unlinked {
        /// The link that the row comes to, where that can be known.
        expected: Option<ChainHash>,
    },
    /// The instance's own row says that the chain ends otherwise.
    Head {
        /// The link of the last row.
        expected: Option<ChainHash>,
        /// What the instance's row says.
        found: Option<ChainHash>,
    },
}

impl ChainCheck {
    /// Begins with an instance's first row.
    #[must_use]
    pub const fn new(instance: InstanceId) -> Self {
        Self {
            instance,
            links: 0,
            seq: 0,
            last: Some(ChainHash::START),
            noted: None,
            noted_at: None,
            breaks: Vec::new(),
        }
    }

    /// Looks for a link, too, that somebody noted elsewhere.
    #[must_use]
    pub fn looking_for(self, noted: Option<ChainHash>) -> Self {
        Self { noted, ..self }
    }

    /// The instance whose rows are taken.
    #[must_use]
    pub const fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Takes the instance's next row. Goes on from the link that the row has, so that each break is told once.
    pub fn take(&mut self, link: &ChainLink) {
        let expected_seq = self.seq.saturating_add(1);
        if link.seq == expected_seq {
            self.compare(link);
        } else if link.seq > expected_seq {
            self.tell(expected_seq, BreakKind::Missing { next: Some(link.seq) });
        } else {
            self.tell(link.seq, BreakKind::Misplaced { expected: expected_seq });
        }
        if self.noted.is_some() && link.chain == self.noted {
            self.noted_at = Some(link.seq);
        }
        self.links += 1;
        self.seq = link.seq;
        self.last = link.chain;
    }

    /// Compares the end with what the instance's own row says, and tells what was found.
    #[must_use]
    pub fn finish(mut self, head: &ChainHead) -> CheckedChain {
        let chain = self.last.filter(|_| self.links > 0);
        if self.seq < head.seq {
            self.tell(self.seq + 1, BreakKind::Missing { next: None });
        } else if self.seq > head.seq {
            self.tell(self.seq, BreakKind::Misplaced { expected: head.seq });
        } else if chain != head.chain || chain.is_none() {
            self.tell(head.seq, BreakKind::Head { expected: chain, found: head.chain });
        }
        CheckedChain {
            instance: self.instance,
            links: self.links,
            head: chain,
            noted_at: self.noted_at,
            breaks: self.breaks,
        }
    }

    fn compare(&mut self, link: &ChainLink) {
        let expected = self.last.map(|previous| link.after(previous));
        match (expected, link.chain) {
            (expected, None) => self.tell(link.seq, BreakKind::Unlinked { expected }),
            (Some(expected), Some(found)) if expected != found => {
                self.tell(link.seq, BreakKind::Altered { expected, found });
            }
            // After a row without a link nothing can be said of the next one but that it has one.
            (Some(_) | None, Some(_)) => {}
        }
    }

    fn tell(&mut self, seq: u64, kind: BreakKind) {
        self.breaks.push(ChainBreak { instance: self.instance, seq, kind });
    }
}

impl BreakKind {
    /// The kind in one word, for programs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Misplaced { .. } => "misplaced",
            Self::Altered { .. } => "altered",
            Self::Unlinked { .. } => "unlinked",
            Self::Head { .. } => "head",
        }
    }

    /// The link that should be there, where it is about links.
    #[must_use]
    pub const fn expected(&self) -> Option<ChainHash> {
        match self {
            Self::Missing { .. } | Self::Misplaced { .. } => None,
            Self::Altered { expected, .. } => Some(*expected),
            Self::Unlinked { expected } | Self::Head { expected, .. } => *expected,
        }
    }

    /// The link that is there, where it is about links.
    #[must_use]
    pub const fn found(&self) -> Option<ChainHash> {
        match self {
            Self::Missing { .. } | Self::Misplaced { .. } | Self::Unlinked { .. } => None,
            Self::Altered { found, .. } => Some(*found),
            Self::Head { found, .. } => *found,
        }
    }
}

impl fmt::Display for ChainBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, seq, kind } = self;
        write!(f, "instance {instance}, transition {seq}: ")?;
        match kind {
            BreakKind::Missing { next: Some(next) } => write!(f, "its row is missing; the next one there is {next}"),
            BreakKind::Missing { next: None } => f.write_str("its row is missing, and so is any after it"),
            BreakKind::Misplaced { expected } => write!(f, "its row stands where {expected} should end the history"),
            BreakKind::Altered { expected, found } => {
                write!(
                    f,
                    "its row, or one before it, is not what was committed: it comes to {expected}, its link is {found}"
                )
            }
            BreakKind::Unlinked { .. } => f.write_str("its row has no link"),
            BreakKind::Head { expected, found } => {
                let told = |chain: &Option<ChainHash>| chain.map_or("nothing".to_owned(), |chain| chain.to_string());
                write!(f, "the history ends with {}, the instance's row says {}", told(expected), told(found))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::time::Timestamp;

    type Damage = fn(&mut Vec<ChainLink>, &mut ChainHead);

    const INSTANCE: InstanceId = InstanceId::from_uuid(Uuid::from_u128(7));

    /// A sound chain of four transitions.
    fn chain() -> (Vec<ChainLink>, ChainHead) {
        let mut previous = ChainHash::START;
        let links: Vec<_> = (1..=4_u32)
            .map(|seq| {
                let at = Timestamp::from_unix_ms(i64::from(seq) * 10);
                let events = format!(r#"[{{"number":{seq}}}]"#);
                let mut link = ChainLink { instance: INSTANCE, seq: seq.into(), at, events, chain: None };
                previous = link.after(previous);
                link.chain = Some(previous);
                link
            })
            .collect();
        (links, ChainHead { instance: INSTANCE, seq: 4, chain: Some(previous) })
    }

    fn check(links: &[ChainLink], head: &ChainHead, noted: Option<ChainHash>) -> CheckedChain {
        let mut check = ChainCheck::new(INSTANCE).looking_for(noted);
        links.iter().for_each(|link| check.take(link));
        check.finish(head)
    }

    fn rebuild(links: &mut [ChainLink], from: usize) {
        for index in from..links.len() {
            let previous = index.checked_sub(1).map_or(ChainHash::START, |before| links[before].chain.unwrap());
            links[index].chain = Some(links[index].after(previous));
        }
    }

    #[test]
    fn a_sound_chain_has_no_break_and_ends_with_its_head() {
        let (links, head) = chain();

        let checked = check(&links, &head, None);

        assert_eq!((checked.links, checked.head, checked.breaks), (4, head.chain, Vec::new()));
    }

    #[test]
    fn each_damage_is_told_once_and_where_it_is() {
        let damages: [(&[(u64, &str)], Damage); 10] = [
            (&[(2, "altered")], |links, _| links[1].events.push(' ')),
            (&[(3, "altered")], |links, _| links[2].at = Timestamp::from_unix_ms(0)),
            (&[(3, "altered")], |links, _| {
                links[1].events.push(' ');
                rebuild(&mut links[..2], 1);
            }),
            (&[(2, "missing")], |links, _| drop(links.remove(1))),
            (&[(1, "missing")], |links, _| drop(links.remove(0))),
            (&[(4, "missing")], |links, _| drop(links.pop())),
            (&[(1, "missing")], |links, _| links.clear()),
            (&[(2, "unlinked")], |links, _| links[1].chain = None),
            (&[(4, "head")], |_, head| head.chain = None),
            (&[(4, "misplaced")], |_, head| head.seq = 3),
        ];
        for (told, damage) in damages {
            let (mut links, mut head) = chain();
            damage(&mut links, &mut head);

            let breaks = check(&links, &head, None).breaks;

            let found: Vec<_> = breaks.iter().map(|broken| (broken.seq, broken.kind.as_str())).collect();
            assert_eq!(found, told, "{breaks:?}");
        }
    }

    #[test]
    fn a_row_put_in_twice_is_misplaced() {
        let (mut links, head) = chain();
        links.insert(2, links[1].clone());

        let breaks = check(&links, &head, None).breaks;

        assert_eq!(breaks[0].kind, BreakKind::Misplaced { expected: 3 });
    }

    #[test]
    fn whoever_rewrites_every_link_is_found_out_by_a_head_that_was_noted_before() {
        let (mut links, mut head) = chain();
        let noted = links[2].chain;
        assert_eq!(check(&links, &head, noted).noted_at, Some(3));

        links[0].events = "[]".to_owned();
        rebuild(&mut links, 0);
        head.chain = links[3].chain;
        let checked = check(&links, &head, noted);

        assert_eq!((checked.breaks, checked.noted_at), (Vec::new(), None));
    }

    #[test]
    fn a_break_says_what_is_there_and_what_should_be() {
        let (mut links, head) = chain();
        links.remove(2);
        let missing = check(&links, &head, None).breaks;
        let (mut links, head) = chain();
        links[3].events.clear();
        let altered = check(&links, &head, None).breaks;

        let id = INSTANCE.to_string();
        assert_eq!(
            missing[0].to_string(),
            format!("instance {id}, transition 3: its row is missing; the next one there is 4")
        );
        assert!(altered[0].to_string().contains(&head.chain.unwrap().to_string()), "{}", altered[0]);
    }
}
