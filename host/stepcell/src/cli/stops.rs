//! Ctrl-C and SIGTERM, for verbs that end in order; SIGHUP, for those that read files again.

/// What a process is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// End in order.
    Stop,
    /// Read files again.
    Reload,
}

/// The signals that stop the process.
#[cfg(unix)]
pub(crate) struct Stops {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    reload: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Stops {
    /// Begins to listen: from here on they do not end the process by themselves.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, reload: None })
    }

    /// Begins to listen for SIGHUP too, which ends the process otherwise.
    pub(crate) fn with_reload(mut self) -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        self.reload = Some(signal(SignalKind::hangup())?);
        Ok(self)
    }

    /// Waits for the next request to stop or to read files again.
    pub(crate) async fn next_or_reload(&mut self) -> Told {
        let reload = async {
            match &mut self.reload {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = reload => Told::Reload,
        }
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signals that stop the process.
#[cfg(not(unix))]
pub(crate) struct Stops;

#[cfg(not(unix))]
impl Stops {
    #[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
    /// Begins to listen: from here on they do not end the process by themselves.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
    /// There is no such signal here.
    pub(crate) fn with_reload(self) -> anyhow::Result<Self> {
        Ok(self)
    }

    /// Waits for the next request to stop.
    pub(crate) async fn next_or_reload(&mut self) -> Told {
        self.next().await;
        Told::Stop
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
