//! What instances have to tell each other, from the sender's commit until it was handed over.

use std::sync::Arc;

use stepcell_model::letter::Letter;
use stepcell_model::transition::Transition;

use super::fixture::{after, all_letters, letter, register, start, start_as};
use crate::{LIST_LEN_MAX, LetterKey, StoreError, WorkflowStore};

type Outcome = Result<(), StoreError>;

/// A transition that sends letters.
fn sending(transition: Transition, letters: Vec<Letter>) -> Transition {
    Transition { letters, ..transition }
}

/// All letters that wait.
async fn waiting(store: &Arc<dyn WorkflowStore>) -> Result<Vec<Letter>, StoreError> {
    Ok(store.list_letters(LIST_LEN_MAX).await?.into_iter().map(|(_, letter)| letter).collect())
}

/// The keys of all letters that wait.
async fn keys(store: &Arc<dyn WorkflowStore>) -> Result<Vec<LetterKey>, StoreError> {
    Ok(store.list_letters(LIST_LEN_MAX).await?.into_iter().map(|(key, _)| key).collect())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn letters_of_a_first_and_of_a_later_transition_read_back(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    assert!(waiting(&store).await?.is_empty());
    let first = sending(start(1), all_letters());
    store.commit(first.clone()).await?;
    store.commit(start(2)).await?;
    assert_eq!(waiting(&store).await?, all_letters());

    store.commit(sending(after(&first), vec![letter(9)])).await?;

    assert_eq!(waiting(&store).await?, [all_letters(), vec![letter(9)]].concat());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn letters_are_listed_oldest_first_and_no_more_than_asked_for(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    for number in 1..=3 {
        let letters = vec![letter(number * 10), letter(number * 10 + 1)];
        store.commit(sending(start(number), letters)).await?;
    }

    let all = store.list_letters(LIST_LEN_MAX).await?;

    let expected = [10, 11, 20, 21, 30, 31].map(letter);
    assert_eq!(all.iter().map(|(_, letter)| letter.clone()).collect::<Vec<_>>(), expected);
    assert!(all.is_sorted_by(|(one, _), (next, _)| one < next), "keys grow: {all:?}");
    assert_eq!(store.list_letters(3).await?, all[..3]);
    assert!(store.list_letters(0).await?.is_empty());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_list_of_letters_is_bounded(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let letters = (0..u128::from(LIST_LEN_MAX) + 5).map(letter).collect();
    store.commit(sending(start(1), letters)).await?;

    let listed = store.list_letters(u32::MAX).await?;
    assert_eq!(listed.len(), LIST_LEN_MAX as usize);

    store.remove_letters(&listed.into_iter().map(|(key, _)| key).collect::<Vec<_>>()).await?;
    assert_eq!(waiting(&store).await?.len(), 5);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn letters_are_removed_by_key_as_often_as_one_likes(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    store.commit(sending(start(1), (1..=4).map(letter).collect())).await?;
    let keys = keys(&store).await?;

    for _ in 0..2 {
        store.remove_letters(&[keys[2], keys[0], keys[2]]).await?;
        assert_eq!(waiting(&store).await?, [letter(2), letter(4)]);
    }
    store.remove_letters(&[]).await?;
    store.remove_letters(&[LetterKey(404)]).await?;
    assert_eq!(waiting(&store).await?, [letter(2), letter(4)]);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn the_key_of_a_letter_is_never_used_again(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let mut last = sending(start(1), vec![letter(1)]);
    store.commit(last.clone()).await?;
    let mut used = Vec::new();
    for _ in 0..3 {
        let waiting = keys(&store).await?;
        store.remove_letters(&waiting).await?;
        used.extend(waiting);
        last = sending(after(&last), vec![letter(1)]);
        store.commit(last.clone()).await?;
    }

    used.extend(keys(&store).await?);

    assert_eq!(used.len(), 4);
    assert!(used.is_sorted_by(|one, next| one < next), "keys grow: {used:?}");
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_refused_transition_leaves_no_letter(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let keyed = |number| start_as(number, |identity| identity.idempotency_key = Some("once".to_owned()));
    let first = keyed(1);
    store.commit(first.clone()).await?;

    let unknown = start_as(3, |identity| identity.definition = super::fixture::definition("unknown", "1.0.0").id);
    let refused = [Transition { seq: 3, ..after(&first) }, first, keyed(2), unknown];
    for transition in refused {
        assert!(store.commit(sending(transition, vec![letter(1)])).await.is_err());
    }

    assert!(waiting(&store).await?.is_empty());
    Ok(())
}
