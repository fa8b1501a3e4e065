//! What an attempt wanted and was not granted: counted, and each kept once, within a bound.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepcell_model::attempt::{DENIALS_LEN_MAX, DENIED_NAME_BYTES_MAX, Denial, Wanted};

/// What an attempt wanted and was not granted. Cloning shares it: requests are denied beside the guest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Denials(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    kept: Vec<Denial>,
    count: u64,
}

impl Denials {
    /// Notes one more.
    pub(crate) fn note(&self, wanted: Wanted, name: &str) {
        let mut noted = self.noted();
        noted.count += 1;
        let name = &name[..name.floor_char_boundary(DENIED_NAME_BYTES_MAX)];
        if let Some(known) = noted.kept.iter_mut().find(|known| known.wanted == wanted && known.name == name) {
            known.count = known.count.saturating_add(1);
        } else if noted.kept.len() < DENIALS_LEN_MAX {
            noted.kept.push(Denial { wanted, name: name.to_owned(), count: 1 });
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.noted().count
    }

    /// Each that was kept.
    pub(crate) fn kept(&self) -> Vec<Denial> {
        self.noted().kept.clone()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_denial_is_kept_once_and_counted_within_a_bound() {
        let denials = Denials::default();

        for round in 0..3 {
            for name in 0..DENIALS_LEN_MAX + 5 {
                denials.note(Wanted::Secret, &format!("{name}"));
            }
            denials.note(Wanted::Http, &"ä".repeat(1_000));
            assert_eq!(denials.count(), (round + 1) * (DENIALS_LEN_MAX as u64 + 6));
        }

        let kept = denials.kept();
        assert_eq!(kept.len(), DENIALS_LEN_MAX);
        assert!(kept.iter().all(|denial| denial.count == 3 && denial.name.len() <= DENIED_NAME_BYTES_MAX));
    }
}
