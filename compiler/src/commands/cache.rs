//! `kiln cache prune`: the folder of earlier results is bounded, those that nobody used for longest first.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{Failure, Report};
use crate::cache::{CACHE_FOLDER, prune};

/// What the command line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PruneArguments {
    /// The site's folder.
    pub site: PathBuf,
    /// What is left has no more bytes than this.
    pub bytes_max: u64,
    /// What wasn't used for so many days goes in any case.
    pub unused_days_max: Option<u32>,
}

/// Removes results that are in the way.
///
/// # Errors
/// There is no such folder, or the system refuses.
pub fn prune_cache(arguments: &PruneArguments) -> Result<Report, Failure> {
    let site = &arguments.site;
    if !site.is_dir() {
        return Err(Failure::Usage(format!("there is no folder `{}`", site.display())));
    }
    let days = |days: u32| Duration::from_hours(u64::from(days) * 24);
    let used_after = arguments.unused_days_max.and_then(|count| SystemTime::now().checked_sub(days(count)));
    let folder = site.join(CACHE_FOLDER);
    let pruned = prune(&folder, arguments.bytes_max, used_after)
        .map_err(|error| Failure::Io(format!("can't prune `{}`: {error}", folder.display())))?;
    let kib = |bytes: u64| bytes.div_ceil(1024);
    Ok(Report::result(format!(
        "{} of {} results removed, {} KiB; {} KiB are left\n",
        pruned.removed_count,
        pruned.removed_count + pruned.kept_count,
        kib(pruned.removed_bytes),
        kib(pruned.kept_bytes),
    )))
}

/// Reads a number of bytes: `1000000`, `500K`, `200M`, `2G`.
///
/// # Errors
/// What a number of bytes looks like.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = digits.parse::<u64>().ok().filter(|_| is_number).and_then(|number| number.checked_mul(factor));
    bytes.ok_or_else(|| "write a number of bytes, such as `200000000`, `200M` or `2G`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn bytes_are_written_with_or_without_a_unit() {
        assert_eq!(parse_bytes("0"), Ok(0));
        assert_eq!(parse_bytes("12k"), Ok(12 * 1024));
        assert_eq!(parse_bytes("2G"), Ok(2 << 30));
        for wrong in ["", "M", "-1", "+1", "1.5M", "1T", "99999999999999G", "1é"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
