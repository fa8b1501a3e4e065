//! Waiting until nothing of an instance moves by itself any more.

use futures::future::select_all;
use stepcell_model::id::InstanceId;
use stepcell_model::record::InstanceSummary;
use tokio::sync::futures::OwnedNotified;

use crate::engine::WorkflowEngine;
use crate::error::EngineError;
use crate::waiters::Waiter;

impl WorkflowEngine {
    /// Waits until an instance is finished, is held, or waits for somebody outside.
    ///
    /// Timers, retry delays, and the instances that it has started are waited through.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`]; [`EngineError::Store`] once the store can not be used any more;
    /// [`EngineError::Stopping`] when the engine stops first.
    pub async fn wait_until_settled(&self, id: InstanceId) -> Result<InstanceSummary, EngineError> {
        let mut fault = self.inner.fault.subscribe();
        let mut stopping = self.inner.stopping.subscribe();
        loop {
            let (waiters, moving) = match self.look(id).await? {
                Look::Settled(summary) => return Ok(*summary),
                Look::Moving(moving, waiters) => (waiters, moving),
            };
            if let Some(error) = fault.borrow_and_update().clone() {
                return Err(error.into());
            }
            if *stopping.borrow_and_update() {
                return Err(EngineError::Stopping);
            }
            tokio::select! {
                biased;
                _ = select_all(moving.into_iter().map(Box::pin)) => {}
                _ = fault.changed() => {}
                _ = stopping.changed() => {}
            }
            if let Some(end) = waiters.first().and_then(Waiter::end) {
                return Ok(end);
            }
        }
    }

    /// Whether nothing of an instance moves by itself any more: see [`Self::wait_until_settled`].
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`].
    pub async fn is_settled(&self, id: InstanceId) -> Result<bool, EngineError> {
        Ok(matches!(self.look(id).await?, Look::Settled(_)))
    }

    /// Looks at an instance and at those that it waits for.
    async fn look(&self, id: InstanceId) -> Result<Look<'_>, EngineError> {
        let mut waiters = vec![self.inner.waiters.register(id)];
        let mut moving = vec![waiters[0].notified()];
        if self.inner.is_moving(id) {
            return Ok(Look::Moving(moving, waiters));
        }
        let instance = self.inner.load(id).await?;
        if !instance.state.is_settled() {
            // An instance whose definition can not be read is driven by nobody: whoever waits is told why.
            self.inner.registry.plan(instance.identity.definition).await?;
            return Ok(Look::Moving(moving, waiters));
        }
        let mut open: Vec<_> = instance.state.children().collect();
        while let Some(child) = open.pop() {
            let waiter = self.inner.waiters.register(child);
            moving.push(waiter.notified());
            waiters.push(waiter);
            match self.inner.store.load_instance(child).await? {
                Some(child) if child.state.is_settled() && !child.state.status.is_finished() => {
                    open.extend(child.state.children());
                }
                // It runs, is yet to be started, or has an end that is yet to be told.
                Some(_) | None => return Ok(Look::Moving(moving, waiters)),
            }
        }
        Ok(Look::Settled(Box::new(instance.summary())))
    }
}

enum Look<'a> {
    Settled(Box<InstanceSummary>),
    /// One of the first tells when to look again, as long as the second are there. Dropped in this order, so that nobody
    /// is kept on the list of those who wait.
    Moving(Vec<OwnedNotified>, Vec<Waiter<'a>>),
}
