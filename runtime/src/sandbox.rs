//! What the process gives up once it has its sockets and its bundle: new files, new sockets, new programs. What the
//! kernel can't refuse is left as it is; a server without a sandbox is better than none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    path_beneath_rules,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

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

/// Refuses the calls that a server of files has no use for, and an intruder would have.
fn restrict_calls() -> Option<()> {
    let refused = [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_bpf,
        libc::SYS_userfaultfd,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_setuid,
        libc::SYS_setgid,
        libc::SYS_memfd_create,
    ];
    let rules = refused.into_iter().map(|call| (call, Vec::new())).collect::<BTreeMap<_, _>>();
    let refusal = SeccompAction::Errno(u32::try_from(libc::EPERM).ok()?);
    let target = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, target).ok()?;
    let program = BpfProgram::try_from(filter).ok()?;
    seccompiler::apply_filter(&program).ok()
}
