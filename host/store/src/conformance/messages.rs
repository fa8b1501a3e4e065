//! Messages that came before their steps were reached.

use std::collections::BTreeMap;
use std::sync::Arc;

use stepcell_model::json::Json;
use stepcell_model::record::{KeptMessage, MessageChange};
use stepcell_model::transition::Transition;

use super::fixture::{after, load, message, register, start, step};
use crate::{StoreError, WorkflowStore};

type Outcome = Result<(), StoreError>;

/// A transition that changes messages, of an instance that kept `kept` in all.
fn changing(transition: Transition, kept: u32, messages: Vec<MessageChange>) -> Transition {
    let mut transition = Transition { messages, ..transition };
    transition.state.control.messages = kept;
    transition
}

/// The messages that are loaded with an instance.
async fn loaded(store: &Arc<dyn WorkflowStore>, number: u128) -> Result<Vec<KeptMessage>, StoreError> {
    let messages = load(store, number).await?.messages;
    assert!(messages.iter().all(|(number, message)| *number == message.number));
    Ok(messages.into_values().collect())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_kept_message_is_loaded_until_it_is_removed(store: Arc<dyn WorkflowStore>) -> Outcome {
    use MessageChange::{Kept, Removed};
    register(&store).await?;
    let first = start(1);
    store.commit(first.clone()).await?;
    assert_eq!(load(&store, 1).await?.messages, BTreeMap::new());

    let second = changing(after(&first), 2, vec![Kept(message(1)), Kept(message(2))]);
    store.commit(second.clone()).await?;
    assert_eq!(loaded(&store, 1).await?, [message(1), message(2)]);

    let third = changing(after(&second), 3, vec![Removed(1), Kept(message(3)), Removed(7)]);
    store.commit(third.clone()).await?;
    assert_eq!(loaded(&store, 1).await?, [message(2), message(3)]);

    let fourth = after(&third);
    store.commit(fourth.clone()).await?;
    assert_eq!(loaded(&store, 1).await?, [message(2), message(3)], "a transition without messages leaves them");

    store.commit(changing(after(&fourth), 3, vec![Removed(3), Removed(2)])).await?;
    assert!(loaded(&store, 1).await?.is_empty());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn changes_of_one_message_hold_in_their_order(store: Arc<dyn WorkflowStore>) -> Outcome {
    use MessageChange::{Kept, Removed};
    register(&store).await?;
    let again = KeptMessage { step: step("later"), payload: Json::trusted("[ 1.50 ]".to_owned()), ..message(2) };
    let changes =
        vec![Kept(message(1)), Removed(1), Kept(message(2)), Removed(2), Kept(message(2)), Kept(again.clone())];

    store.commit(changing(start(1), 2, changes)).await?;

    let loaded = loaded(&store, 1).await?;
    assert_eq!(loaded, std::slice::from_ref(&again));
    assert_eq!(loaded[0].payload.text(), again.payload.text(), "the text is kept to the letter");
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn instances_do_not_share_messages(store: Arc<dyn WorkflowStore>) -> Outcome {
    use MessageChange::{Kept, Removed};
    register(&store).await?;
    let (one, two) = (changing(start(1), 1, vec![Kept(message(1))]), changing(start(2), 2, vec![Kept(message(2))]));
    store.commit(one.clone()).await?;
    store.commit(two).await?;

    store.commit(changing(after(&one), 1, vec![Removed(1), Removed(2)])).await?;

    assert!(loaded(&store, 1).await?.is_empty());
    assert_eq!(loaded(&store, 2).await?, [message(2)]);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_refused_transition_changes_no_message(store: Arc<dyn WorkflowStore>) -> Outcome {
    use MessageChange::{Kept, Removed};
    register(&store).await?;
    let first = changing(start(1), 1, vec![Kept(message(1))]);
    store.commit(first.clone()).await?;

    let stale = Transition { seq: 7, ..changing(after(&first), 2, vec![Removed(1), Kept(message(2))]) };
    let refused = store.commit(stale).await;

    assert!(matches!(refused, Err(StoreError::Stale { .. })), "{refused:?}");
    assert_eq!(loaded(&store, 1).await?, [message(1)]);
    Ok(())
}
