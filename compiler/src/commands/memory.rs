//! How much memory this process may have: the least of what is free on the machine, what its control groups allow, and
//! what `ulimit -v` left.

use std::path::{Path, PathBuf};

use crate::source::read_file_if_there;

/// Bytes of memory; a very large number if nothing is known.
pub(super) fn read_memory_bytes_max() -> u64 {
    let machine = text_of("/proc/meminfo").and_then(|text| machine_bytes(&text));
    let address_space = text_of("/proc/self/limits").and_then(|text| address_space_bytes(&text));
    let groups = text_of("/proc/self/cgroup").unwrap_or_default();
    let of_groups = limit_files(&groups).into_iter().filter_map(|file| text_of(file)?.trim().parse().ok());
    of_groups.chain(machine).chain(address_space).min().unwrap_or(u64::MAX)
}

/// The text of a file that the kernel writes, if there is one and it may be read.
fn text_of(path: impl AsRef<Path>) -> Option<String> {
    String::from_utf8(read_file_if_there(path.as_ref()).ok()??).ok()
}

/// `MemAvailable:       16384 kB` and `SwapFree:`: more than both together ends some process, perhaps another one.
fn machine_bytes(meminfo: &str) -> Option<u64> {
    let bytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    bytes("MemAvailable:")?.checked_add(bytes("SwapFree:").unwrap_or(0))
}

/// `Max address space         unlimited            unlimited            bytes`: the first number holds.
fn address_space_bytes(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The files that may hold a limit, in the groups of this process and all above them: of version 2 (`0::/a/b`), and of
/// version 1 (`4:memory:/a/b`). In version 2 a group without a limit says `max`.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (root, name) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let below = Path::new(group.trim_start_matches('/'));
        files.extend(below.ancestors().map(|group| Path::new(root).join(group).join(name)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let machine = "MemTotal:  99999 kB\nMemAvailable:       16384 kB\n";
        assert_eq!(machine_bytes(machine), Some(16_777_216));
        assert_eq!(machine_bytes(&format!("{machine}SwapFree: 1 kB\n")), Some(16_778_240));
        let limits = |value| {
            format!("Max cpu time  unlimited  unlimited  seconds\nMax address space  {value}  unlimited  bytes\n")
        };
        assert_eq!(address_space_bytes(&limits("536870912")), Some(536_870_912));
        assert_eq!(address_space_bytes(&limits("unlimited")), None);
        assert_eq!((machine_bytes(""), address_space_bytes("")), (None, None));
    }

    #[test]
    fn every_group_above_counts() {
        let files = |groups| -> Vec<String> {
            limit_files(groups).iter().map(|file| file.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            files("0::/a/b\n"),
            ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.max"]
        );
        assert_eq!(files("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        assert_eq!(
            files("5:cpu,memory:/x\n3:pids:/x\n"),
            ["/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        );
        assert_eq!(files("nonsense"), Vec::<String>::new());
    }

    #[test]
    fn this_machine_has_some() {
        assert!(read_memory_bytes_max() > 1_000_000);
    }
}
