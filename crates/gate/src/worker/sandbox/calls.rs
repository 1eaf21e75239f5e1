//! The system calls of a worker.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::fmt;
use std::io;

use libc::c_long;
use rustix::io::Errno;
use rustix::process::getpid;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter_all_threads,
};

use super::SandboxError;

/// Allowed with any argument. For these the kernel does not run the filter at all (Linux 5.11 and newer): it finds out
/// when the filter is installed, and keeps a bit for each call. So each call that carries traffic is among them.
///
/// Threads are started before; so there is no way to make a process or a thread.
const ALLOWED: &[c_long] = &[
    // Traffic, the supervisor's socket, the log on standard error.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_splice,
    libc::SYS_pipe2,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_close,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    // The runtime.
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_restart_syscall,
    // The kernel's version, which decides whether datagrams are joined.
    libc::SYS_uname,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // The beginning and the end of a thread, a panic, an abort.
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_sched_getaffinity,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Older forms of calls above, which newer processors' Linux does not have.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
];

/// What of a socket's type is not its kind.
const SOCKET_FLAGS: i32 = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;

/// What a worker does with its descriptors.
const FCNTL: [i32; 6] =
    [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_DUPFD_CLOEXEC, libc::F_SETPIPE_SZ];

/// Whether the kernel applies the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// It does, for each thread.
    Installed,
    /// The kernel has no seccomp filters, or this processor none that is known here.
    Missing,
}

/// Has the kernel kill this process as soon as one of its threads makes a system call that a relay at work has no use
/// for. A relay starts its threads before.
pub fn filter_calls() -> Result<Filter, SandboxError> {
    let Ok(architecture) = TargetArch::try_from(ARCH) else { return Ok(Filter::Missing) };
    let program = program(architecture).map_err(seccompiler::Error::from)?;
    match apply_filter_all_threads(&program) {
        Ok(()) => Ok(Filter::Installed),
        Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error)) if is_missing(&error) => {
            Ok(Filter::Missing)
        }
        Err(error) => Err(error.into()),
    }
}

/// What a kernel says that was built without seccomp, or without its filters.
fn is_missing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOSYS | Errno::INVAL))
}

fn program(architecture: TargetArch) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|&call| (call, Vec::new())).collect();
    rules.extend([
        (libc::SYS_socket, sockets()?),
        (libc::SYS_mmap, vec![rule([without_execution()?])?]),
        (libc::SYS_mprotect, vec![rule([without_execution()?])?]),
        (libc::SYS_fcntl, one_of(1, &FCNTL)?),
        (libc::SYS_ioctl, vec![rule([SeccompCondition::new(1, Dword, Eq, libc::FIONBIO)?])?]),
        (libc::SYS_prctl, one_of(0, &[libc::PR_SET_NAME])?),
        // An abort sends itself a signal.
        (libc::SYS_tgkill, one_of(0, &[getpid().as_raw_pid()])?),
    ]);
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?.try_into()
}

/// TCP and UDP sockets, and no others: what is not of IP is not of the network, and raw sockets forge.
fn sockets() -> Result<Vec<SeccompRule>, BackendError> {
    let mut rules = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            rules.push(rule([
                SeccompCondition::new(0, Dword, Eq, bits(family))?,
                SeccompCondition::new(1, Dword, MaskedEq(bits(!SOCKET_FLAGS)), bits(kind))?,
                SeccompCondition::new(2, Dword, Eq, 0)?,
            ])?);
        }
    }
    Ok(rules)
}

/// The memory is not to be executed.
fn without_execution() -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(2, Dword, MaskedEq(bits(libc::PROT_EXEC)), 0)
}

/// A rule for each value that this argument may have.
fn one_of(argument: u8, values: &[i32]) -> Result<Vec<SeccompRule>, BackendError> {
    values.iter().map(|&value| rule([SeccompCondition::new(argument, Dword, Eq, bits(value))?])).collect()
}

/// All of these conditions.
fn rule<const N: usize>(conditions: [SeccompCondition; N]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into())
}

/// A C `int`, as the lower half of an argument.
fn bits(value: i32) -> u64 {
    value.cast_unsigned().into()
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Installed => "enforced",
            Self::Missing => "not available",
        })
    }
}
