//! HTTP for a cell in a worker: the worker has no network, so it asks its host, which holds every request against the
//! attempt's rules itself. What the attempt has used up is not asked for: a host takes who asks on for broken.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use stepcell_outbound::{Outbound, OutboundError, OutboundRequest, OutboundResponse, OutboundRules};
use tokio::sync::{mpsc, oneshot};

use super::wire::{HttpAnswered, HttpAsked};
use crate::child::frame::Kind;

/// A frame on its way to the host.
pub(crate) type Outgoing = (Kind, Vec<u8>);

/// Asks the host to send what the cell wants to send.
#[derive(Debug)]
pub(crate) struct Broker {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    last: u64,
    of_attempt: u32,
    waiting: HashMap<u64, oneshot::Sender<Result<OutboundResponse, OutboundError>>>,
}

impl Broker {
    pub(crate) fn new(outgoing: mpsc::UnboundedSender<Outgoing>) -> Self {
        Self { outgoing, asked: Mutex::default() }
    }

    /// Hands an answer of the host to the request that waits for it, if it still does.
    pub(crate) fn answer(&self, answered: HttpAnswered) {
        if let Some(waiting) = self.asked().waiting.remove(&answered.number) {
            let _ = waiting.send(answered.answer);
        }
    }

    /// Forgets the requests of an attempt that has ended.
    pub(crate) fn forget(&self) {
        let mut asked = self.asked();
        asked.waiting.clear();
        asked.of_attempt = 0;
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Outbound for Broker {
    async fn send(&self, request: OutboundRequest, rules: &OutboundRules) -> Result<OutboundResponse, OutboundError> {
        let (sender, answered) = oneshot::channel();
        let number = {
            let mut asked = self.asked();
            let requests_max = rules.limits().requests_max;
            if asked.of_attempt >= requests_max {
                return Err(OutboundError::RequestsUsedUp { requests_max });
            }
            asked.of_attempt += 1;
            asked.last += 1;
            let number = asked.last;
            asked.waiting.insert(number, sender);
            number
        };
        let frame = serde_json::to_vec(&HttpAsked { number, request }).map_err(|_| OutboundError::BrokeOff)?;
        self.outgoing.send((Kind::HttpAsked, frame)).map_err(|_| OutboundError::BrokeOff)?;
        answered.await.map_err(|_| OutboundError::BrokeOff)?
    }
}
