//! What the process gives up once it has its sockets and its bundle: new files, new sockets, new programs, and every
//! system call that serving doesn't need. What the kernel can't refuse is left as it is; a server without a sandbox is
//! better than none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// How much the kernel took away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sandbox {
    /// Files and ports (Landlock).
    pub has_landlock: bool,
    /// System calls (seccomp).
    pub has_seccomp: bool,
}

/// The folders that are needed later on.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// Those in which bundles are looked for.
    pub read: Vec<PathBuf>,
    /// Those in which the files of sockets are removed at the end.
    pub remove_from: Vec<PathBuf>,
}

/// Gives up everything else, for this thread and all that it starts: to be called before they are.
pub fn enter(folders: &Folders) -> Sandbox {
    // Landlock sets no-new-privs, without which seccomp would need privileges.
    let has_landlock = restrict_files(folders).is_ok_and(|status| status != RulesetStatus::NotEnforced);
    Sandbox { has_landlock, has_seccomp: restrict_calls().is_some() }
}

fn restrict_files(folders: &Folders) -> Result<RulesetStatus, RulesetError> {
    let abi = ABI::V5;
    let removing = AccessFs::RemoveFile | AccessFs::ReadDir;
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(abi))?.handle_access(AccessNet::from_all(abi))?;
    let created = ruleset
        .create()?
        .add_rules(path_beneath_rules(&folders.read, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(path_beneath_rules(&folders.remove_from, removing))?;
    Ok(created.restrict_self()?.ruleset)
}

/// Leaves the calls that serving needs. Any other is answered as if the kernel were older than it (so that a C library
/// takes another way, if it knows one); those with which intruders begin end the process, and the kernel logs that.
fn restrict_calls() -> Option<()> {
    let target = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    let apply = |rules: Rules, otherwise: SeccompAction, action: SeccompAction| {
        let filter = SeccompFilter::new(rules, otherwise, action, target).ok()?;
        seccompiler::apply_filter(&BpfProgram::try_from(filter).ok()?).ok()
    };
    let unknown = SeccompAction::Errno(u32::try_from(libc::ENOSYS).ok()?);
    apply(always(INTRUDERS_CALLS), SeccompAction::Allow, SeccompAction::KillProcess)?;
    apply(needed_calls()?, unknown, SeccompAction::Allow)
}

/// A system call with what its arguments must be: one of the rules, or anything where there are none.
type Rules = BTreeMap<libc::c_long, Vec<SeccompRule>>;

fn always(calls: &[libc::c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// What serving needs: found by tracing everything that the tests do, with glibc; and what musl, another processor or an
/// older kernel has in the place of one of these.
fn needed_calls() -> Option<Rules> {
    let mut rules = always(NEEDED_CALLS);
    let word = |value: libc::c_int| u64::try_from(value).ok();
    // Of a mask's bits, exactly these are set.
    let condition = |argument: u8, mask: u64, bits: u64| {
        let operation = SeccompCmpOp::MaskedEq(mask);
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, bits).ok()
    };
    let only = |argument: u8, mask: u64, bits: u64| SeccompRule::new(vec![condition(argument, mask, bits)?]).ok();
    let all_bits = u64::from(u32::MAX);
    let equal = |argument: u8, value: u64| only(argument, all_bits, value);
    // No memory that is written to is ever run.
    let executable = word(libc::PROT_EXEC)?;
    let writing = word(libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC)?;
    let thread = word(libc::CLONE_THREAD)?;
    let idle = vec![condition(0, all_bits, 0)?, condition(1, all_bits, word(libc::SCHED_IDLE)?)?];
    let restricted = [
        (libc::SYS_mmap, only(2, executable, 0)?),
        (libc::SYS_mprotect, only(2, executable, 0)?),
        (libc::SYS_openat, only(2, writing, word(libc::O_RDONLY)?)?),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, only(1, writing, word(libc::O_RDONLY)?)?),
        // Threads, and no processes. `clone3` hides what it does; without it, C libraries take this.
        (libc::SYS_clone, only(0, thread, thread)?),
        (libc::SYS_socketpair, equal(0, word(libc::AF_UNIX)?)?),
        (libc::SYS_ioctl, equal(1, u64::from(u32::try_from(libc::FIONBIO).ok()?))?),
        (libc::SYS_prctl, equal(0, word(libc::PR_SET_NAME)?)?),
        // To be less urgent than others, never more, and nobody but oneself.
        (libc::SYS_sched_setscheduler, SeccompRule::new(idle).ok()?),
        // For `abort`.
        (libc::SYS_tgkill, equal(0, u64::from(std::process::id()))?),
    ];
    rules.extend(restricted.map(|(call, rule)| (call, vec![rule])));
    Some(rules)
}

const NEEDED_CALLS: &[libc::c_long] = &[
    // Connections.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_ppoll,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendfile,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    // Files that are open, and what others look like.
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_pread64,
    libc::SYS_preadv2,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_statx,
    // The file of a socket, at the end.
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads, signals and time.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_membarrier,
    libc::SYS_nanosleep,
    libc::SYS_prlimit64,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    // What only older processors' tables have.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
];

const INTRUDERS_CALLS: &[libc::c_long] = &[
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_memfd_create,
    libc::SYS_mount,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_reboot,
    libc::SYS_setgid,
    libc::SYS_setns,
    libc::SYS_setuid,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];
