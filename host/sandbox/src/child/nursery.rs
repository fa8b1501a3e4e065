//! Who starts children, and buries them.
//!
//! One thread does both, for as long as the sandbox is there: the kernel kills a child when the *thread* that started
//! it ends, so that no child outlives its host, however that ends. Where a sandbox is dropped, whoever still talks with
//! a child finds the talk ended.

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::ChildCommand;

/// How much of what a child said on its standard error is looked at, in bytes. For the operator's log alone.
const LAST_WORDS_BYTES_MAX: u64 = 4 << 10;

/// Starts and buries children until it is closed; then those that are left are killed.
#[derive(Debug)]
pub(crate) struct Nursery {
    orders: Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Order {
    Start(ChildCommand, Sender<io::Result<ChildProcess>>),
    Bury(Child),
    Close,
}

/// A child, killed when dropped.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    child: Option<Child>,
    /// The host's end of the socket. Reads and writes wait.
    pub(crate) socket: Arc<UnixStream>,
    orders: Sender<Order>,
}

/// How a child ended, and what it said last.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What the system says of it.
    pub(crate) status: ExitStatus,
    /// Whether it had ended before its host ended it.
    pub(crate) is_by_itself: bool,
    /// The beginning of what it said on its standard error.
    pub(crate) last_words: String,
}

impl Nursery {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system said when it gave no thread.
    pub(crate) fn open() -> io::Result<Self> {
        let (orders, received) = channel();
        let of_thread = orders.clone();
        let thread = thread::Builder::new().name("stepcell-nursery".to_owned());
        let thread = thread.spawn(move || work(&received, &of_thread))?;
        Ok(Self { orders, thread: Mutex::new(Some(thread)) })
    }

    /// Starts a child. Waits for as long as that takes: some milliseconds.
    ///
    /// # Errors
    /// What the system said when it gave no process.
    pub(crate) fn start(&self, command: &ChildCommand) -> io::Result<ChildProcess> {
        let closed = || io::Error::other("the sandbox is closing");
        let (reply, replied) = channel();
        self.orders.send(Order::Start(command.clone(), reply)).map_err(|_| closed())?;
        replied.recv().map_err(|_| closed())?
    }

    /// Ends every talk with a child, kills those that are left, and starts no more.
    pub(crate) fn close(&self) {
        let _ = self.orders.send(Order::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.close();
    }
}

impl ChildProcess {
    /// Whether the child has not ended yet.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Kills the child if it still lives, and says how it ended. Waits until it is gone.
    pub(crate) fn end(self) -> io::Result<Ended> {
        self.end_after(Duration::ZERO)
    }

    /// Kills the child if it has not ended by itself within that time, and says how it ended. Waits until it is gone.
    pub(crate) fn end_after(mut self, patience: Duration) -> io::Result<Ended> {
        let mut child = self.child.take().expect("only this and dropping take it, and each takes the whole");
        wait_for_end(&child, patience);
        let is_by_itself = child.try_wait()?.is_some();
        // What has ended already is left as it ended.
        let _ = child.kill();
        let status = child.wait()?;
        let mut last_words = Vec::new();
        if let Some(said) = child.stderr.take() {
            // Somebody else may still hold the other end; what is there already is enough.
            let _ = rustix::io::ioctl_fionbio(&said, true);
            let _ = said.take(LAST_WORDS_BYTES_MAX).read_to_end(&mut last_words);
        }
        Ok(Ended { status, is_by_itself, last_words: String::from_utf8_lossy(&last_words).into_owned() })
    }
}

impl Drop for ChildProcess {
    /// Kills at once and leaves the waiting to the nursery's thread.
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = child.kill();
        if let Err(unsent) = self.orders.send(Order::Bury(child))
            && let Order::Bury(mut child) = unsent.0
        {
            let _ = child.wait();
        }
    }
}

/// Waits until a child has ended, for no longer than that; where the system can not tell, not at all.
fn wait_for_end(child: &Child, patience: Duration) {
    let Ok(patience) = Timespec::try_from(patience) else { return };
    if let Ok(end) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) {
        let _ = retry_on_intr(|| poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&patience)));
    }
}

fn work(received: &Receiver<Order>, orders: &Sender<Order>) {
    let mut sockets: Vec<Weak<UnixStream>> = Vec::new();
    loop {
        match received.recv() {
            Ok(Order::Start(command, reply)) => {
                let child = start(&command, orders.clone());
                sockets.retain(|socket| socket.strong_count() > 0);
                sockets.extend(child.as_ref().ok().map(|child| Arc::downgrade(&child.socket)));
                let _ = reply.send(child);
            }
            Ok(Order::Bury(mut child)) => drop(child.wait()),
            Ok(Order::Close) | Err(_) => break,
        }
    }
    for socket in sockets.iter().filter_map(Weak::upgrade) {
        let _ = socket.shutdown(Shutdown::Both);
    }
    // Whoever was given up last is buried, too.
    while let Ok(order) = received.try_recv() {
        if let Order::Bury(mut child) = order {
            let _ = child.wait();
        }
    }
}

fn start(command: &ChildCommand, orders: Sender<Order>) -> io::Result<ChildProcess> {
    let (socket, of_child) = UnixStream::pair()?;
    let child = Command::new(&command.program)
        .args(&command.args)
        .env_clear()
        // Memory is bounded by its address space, of which each of the allocator's arenas takes a large piece.
        .env("MALLOC_ARENA_MAX", "2")
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(OwnedFd::from(of_child)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // What a terminal tells its foreground is for the host alone.
        .process_group(0)
        .spawn()?;
    Ok(ChildProcess { child: Some(child), socket: Arc::new(socket), orders })
}
