//! What a child gives up before it sees a byte of a tenant.
//!
//! Each part works without the others. Where the kernel lacks one, the child goes on and says so.

use std::collections::BTreeMap;
use std::io;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetStatus,
    Scope,
};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getpid, set_dumpable_behavior, set_parent_process_death_signal,
    setrlimit,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::Confined;

/// The most descriptors of a child. Protects the kernel's memory.
const DESCRIPTORS_MAX: u64 = 256;

/// Closes every descriptor but the standard three, which a host may have left open for its children by mistake.
///
/// To be called first thing in a child, before anything owns a descriptor.
#[expect(unsafe_code, reason = "there is no safe way to close descriptors that nobody in this process owns")]
pub(crate) fn close_inherited_descriptors() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: nothing in this process owns a descriptor yet; those that are closed were inherited.
    let _ = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
}

/// Leaves it to the host when to end: whoever stops a service, or a terminal, tells each of its processes to.
///
/// To be called first thing in a child.
#[expect(unsafe_code, reason = "there is no safe way to ignore a signal")]
pub(crate) fn ignore_requests_to_end() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: to ignore a signal runs no code of this process when it comes.
        let _ = unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Has the kernel kill this process when the thread that started it ends, and keeps other processes from reading it.
pub(crate) fn die_with_host() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    limit(Resource::Core, 0)
}

/// What a child may use up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Address space, in bytes.
    pub(crate) address_bytes_max: Option<u64>,
    /// Memory that can be written to, in bytes.
    pub(crate) data_bytes_max: Option<u64>,
    /// Time on a CPU, in seconds.
    pub(crate) cpu_s_max: Option<u64>,
    /// The longest file, in bytes. Files in memory count, too.
    pub(crate) file_bytes_max: u64,
}

/// Gives up what is left to be given up. Every thread that the child needs must have been started.
///
/// # Errors
/// If a limit can not be set; nothing of a tenant may be read then.
pub(crate) fn confine(bounds: Bounds, without_files: WithoutFiles) -> io::Result<Confined> {
    limit(Resource::Fsize, bounds.file_bytes_max)?;
    limit(Resource::Nofile, DESCRIPTORS_MAX)?;
    for (resource, most) in [(Resource::As, bounds.address_bytes_max), (Resource::Data, bounds.data_bytes_max)] {
        most.map_or(Ok(()), |most| limit(resource, most))?;
    }
    if let Some(most) = bounds.cpu_s_max {
        // The signal of the lower bound tells what happened; that of the upper one would be anybody's.
        setrlimit(Resource::Cpu, Rlimit { current: Some(most), maximum: Some(most + 1) })?;
    }
    let lacking = without_files.lacking.into_iter().chain(give_up_system_calls().err());
    Ok(Confined { lacking: lacking.collect() })
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).map_err(Into::into)
}

/// That a child has given up files, and so may start threads.
#[derive(Debug)]
pub(crate) struct WithoutFiles {
    /// What the kernel could not do for it.
    lacking: Option<String>,
}

/// Gives up files, ports and signals to others.
///
/// To be called before any thread is started: the kernel binds the thread that calls, and those that it starts.
pub(crate) fn give_up_files() -> WithoutFiles {
    WithoutFiles { lacking: restrict_itself().err() }
}

/// Sets `no_new_privs` first, as giving up system calls does: what nobody grants to a child can not be got by starting a
/// program either.
fn restrict_itself() -> Result<(), String> {
    const NEWEST: ABI = ABI::V6;
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    match restricted {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => Err("landlock".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("landlock ({error})")),
    }
}

/// Two filters, of which the kernel obeys the stricter: whatever is not needed fails, and what only an attacker would
/// try ends the process.
fn give_up_system_calls() -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("seccomp ({error})");
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| failed(&error))?;
    let filters = [
        filter(DEADLY.iter().map(|call| (*call, Vec::new())), SeccompAction::Allow, SeccompAction::KillProcess, arch),
        filter(needed().map_err(|error| failed(&error))?, not_permitted(), SeccompAction::Allow, arch),
    ];
    for filter in filters {
        seccompiler::apply_filter_all_threads(&filter.map_err(|error| failed(&error))?)
            .map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn not_permitted() -> SeccompAction {
    SeccompAction::Errno(libc::EPERM.unsigned_abs())
}

fn filter(
    rules: impl IntoIterator<Item = (i64, Vec<SeccompRule>)>,
    otherwise: SeccompAction,
    matched: SeccompAction,
    arch: TargetArch,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let rules: BTreeMap<_, _> = rules.into_iter().collect();
    SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()
}

/// What a child needs, with conditions where a call can do more than it needs.
fn needed() -> Result<Vec<(i64, Vec<SeccompRule>)>, seccompiler::BackendError> {
    let own_id = u64::from(getpid().as_raw_nonzero().get().unsigned_abs());
    // An abort is a signal of a thread to itself. With another one a child could pretend that somebody else ended it.
    let own = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, own_id)?;
    let abort = u64::from(libc::SIGABRT.unsigned_abs());
    let abort = SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, abort)?;
    let of_itself = SeccompRule::new(vec![own, abort])?;
    let mut rules: Vec<_> = NEEDED.iter().map(|call| (*call, Vec::new())).collect();
    rules.push((libc::SYS_tgkill, vec![of_itself]));
    rules
        .push((libc::SYS_fcntl, NEEDED_OF_FCNTL.iter().map(|command| is_command(*command)).collect::<Result<_, _>>()?));
    Ok(rules)
}

fn is_command(command: libc::c_int) -> Result<SeccompRule, seccompiler::BackendError> {
    let command = u64::from(command.unsigned_abs());
    SeccompRule::new(vec![SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, command)?])
}

/// What a child does with its descriptors. Not among it: to have the kernel signal somebody when one is ready.
const NEEDED_OF_FCNTL: &[libc::c_int] = &[
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_DUPFD_CLOEXEC,
    libc::F_ADD_SEALS,
    libc::F_GET_SEALS,
];

const NEEDED: &[i64] = &[
    // Talking with the host.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_close,
    libc::SYS_ppoll,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    // Memory, and files that are nothing but memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_memfd_create,
    libc::SYS_ftruncate,
    libc::SYS_lseek,
    libc::SYS_pwrite64,
    libc::SYS_fstat,
    // Threads that are there, their signals, and time.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What neither the compiler, nor the runtime, nor the library below them ever calls once it runs.
const DEADLY: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_mount,
    libc::SYS_bpf,
    libc::SYS_io_uring_setup,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_setuid,
    libc::SYS_setgid,
];

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::net::TcpStream;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, ExitStatus, Stdio};

    use super::*;

    /// What the test program does once it is confined, if it was started for that.
    const DEED: &str = "STEPCELL_TEST_DEED";

    /// `F_SETSIG` of Linux, which `libc` does not name.
    const F_SETSIG: libc::c_int = 10;

    /// What is done before system calls are given up.
    const IN_A_THREAD: &str = "read a file in a thread that was started since";

    fn bounds() -> Bounds {
        Bounds { address_bytes_max: Some(512 << 20), data_bytes_max: None, cpu_s_max: Some(1), file_bytes_max: 0 }
    }

    /// Starts the test program to do something, confined; it ends with 0 if that worked and 7 if the kernel refused.
    fn ends_after(deed: &str) -> ExitStatus {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child::confine::tests::does_a_deed_if_it_was_started_for_one", "--nocapture"]);
        command.args(["--test-threads=1"]).env(DEED, deed).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap()
    }

    #[test]
    fn does_a_deed_if_it_was_started_for_one() {
        let Ok(deed) = std::env::var(DEED) else { return };
        close_inherited_descriptors();
        die_with_host().unwrap();
        let parent = rustix::process::getppid().unwrap();
        let without_files = give_up_files();
        if deed == IN_A_THREAD {
            let lacks_landlock = without_files.lacking.is_some();
            let read = std::thread::spawn(|| File::open("/etc/passwd")).join().unwrap();
            std::process::exit(if read.is_ok() && !lacks_landlock { 0 } else { 7 });
        }
        let confined = confine(bounds(), without_files).unwrap();
        let done = match deed.as_str() {
            "say what is lacking" => {
                if confined.lacking.is_empty() {
                    Ok(())
                } else {
                    Err(io::Error::other("lacking"))
                }
            }
            "read a file" => File::open("/etc/hostname").map(drop),
            "make a file" => File::create("/tmp/stepcell-confined").and_then(|mut file| file.write_all(b"x")),
            "list a folder" => std::fs::read_dir("/").map(drop),
            "start a thread" => std::thread::Builder::new().spawn(|| ()).map(drop),
            "start a program" => Command::new("/bin/true").status().map(drop),
            "become a program" => Err(std::os::unix::process::CommandExt::exec(&mut Command::new("/bin/true"))),
            "connect" => TcpStream::connect("127.0.0.1:9").map(drop),
            "raise a limit" => limit(Resource::Fsize, 1 << 20),
            "signal another process" => rustix::process::kill_process(parent, Signal::WINCH).map_err(Into::into),
            "pretend to be killed" => send_own_thread(libc::SIGKILL),
            "have the host signalled" => control_input(libc::F_SETOWN, parent.as_raw_nonzero().get()),
            "choose a signal" => control_input(F_SETSIG, libc::SIGKILL),
            "look at a descriptor" => control_input(libc::F_GETFL, 0),
            "abort" => std::process::abort(),
            "take memory" => take_memory(),
            "compute for ever" => loop {
                std::hint::spin_loop();
            },
            _ => panic!("there is no deed `{deed}`"),
        };
        std::process::exit(if done.is_ok() { 0 } else { 7 });
    }

    #[expect(unsafe_code, reason = "there is no safe way to signal one thread")]
    fn send_own_thread(signal: libc::c_int) -> io::Result<()> {
        // SAFETY: passes numbers alone.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signal) };
        if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    #[expect(unsafe_code, reason = "there is no safe way to ask for what is to be refused")]
    fn control_input(command: libc::c_int, value: libc::c_int) -> io::Result<()> {
        // SAFETY: none of the commands takes a pointer.
        let controlled = unsafe { libc::fcntl(libc::STDIN_FILENO, command, value) };
        if controlled >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn take_memory() -> io::Result<()> {
        let mut memory: Vec<u8> = Vec::new();
        memory.try_reserve(1 << 30).map_err(io::Error::other)
    }

    #[test]
    fn a_confined_child_reaches_no_file_thread_program_or_other_process() {
        for deed in [
            "read a file",
            "make a file",
            "list a folder",
            "start a thread",
            "start a program",
            "raise a limit",
            "signal another process",
            "pretend to be killed",
            "have the host signalled",
            "choose a signal",
            "take memory",
        ] {
            assert_eq!(ends_after(deed).code(), Some(7), "{deed}");
        }
    }

    #[test]
    fn a_confined_child_that_does_what_only_an_attacker_does_is_killed() {
        for deed in ["connect", "become a program"] {
            assert_eq!(ends_after(deed).signal(), Some(Signal::SYS.as_raw()), "{deed}");
        }
    }

    #[test]
    fn no_thread_of_a_child_without_files_has_them() {
        assert_eq!(ends_after(IN_A_THREAD).code(), Some(7));
    }

    #[test]
    fn a_confined_child_can_look_at_its_descriptors() {
        assert_eq!(ends_after("look at a descriptor").code(), Some(0));
    }

    #[test]
    fn a_confined_child_can_abort() {
        assert_eq!(ends_after("abort").signal(), Some(Signal::ABORT.as_raw()));
    }

    #[test]
    fn a_confined_child_that_computes_too_long_is_told_apart_by_its_signal() {
        assert_eq!(ends_after("compute for ever").signal(), Some(Signal::XCPU.as_raw()));
    }

    #[test]
    fn a_child_says_whether_the_kernel_lacks_anything() {
        // Which walls there are depends on the kernel that the tests run on; that it is said does not.
        assert!(matches!(ends_after("say what is lacking").code(), Some(0 | 7)));
    }
}
