//! Files that the site's tools read and that are no sources: how they look, and which of them changed since the last look.
//! What is in them is the tools' business.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use walkdir::{DirEntry, WalkDir};

use super::text_path;
use crate::config::{Glob, Paths};

/// Files that are looked at. Guessed: more are somebody else's, such as packages, and they don't change while a site is
/// written.
const FILE_COUNT_MAX: usize = 20_000;

/// The files that tools read, as they looked at the last look.
#[derive(Clone, Debug, Default)]
pub struct Inputs(BTreeMap<String, Look>);

type Look = (Option<SystemTime>, u64);

impl Inputs {
    /// Looks at the files that these patterns stand for, and returns those that came, went or look different. The
    /// sources are left out: whoever reads them knows of their changes.
    pub fn renew(&mut self, root: &Path, paths: &Paths, patterns: &[&Glob]) -> Vec<String> {
        let mut found = BTreeMap::new();
        for folder in folders(patterns, paths) {
            let is_whole = !folder.is_empty();
            let walk = WalkDir::new(root.join(&folder)).max_depth(if is_whole { usize::MAX } else { 1 });
            let entries = walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !is_foreign(entry));
            for entry in entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_file()) {
                let Some(path) = text_path(entry.path(), root).filter(|path| !paths.hold(path)) else { continue };
                let Some(metadata) = entry.metadata().ok().filter(|_| found.len() < FILE_COUNT_MAX) else { continue };
                if patterns.iter().any(|pattern| pattern.matches(&path)) {
                    found.insert(path, (metadata.modified().ok(), metadata.len()));
                }
            }
        }
        let before = std::mem::replace(&mut self.0, found);
        let is_other = |path: &&String| before.get(*path) != self.0.get(*path);
        let gone = before.keys().filter(|path| !self.0.contains_key(*path));
        self.0.keys().filter(is_other).chain(gone).cloned().collect()
    }

    /// The folders in which files are that these patterns stand for, besides the sources and the site's own folder.
    pub fn folders(patterns: &[&Glob], paths: &Paths) -> Vec<String> {
        folders(patterns, paths).into_iter().filter(|folder| !folder.is_empty()).collect()
    }
}

/// The folders that have to be looked through for these patterns; the empty one stands for the site's own files, without
/// what is below.
fn folders(patterns: &[&Glob], paths: &Paths) -> Vec<String> {
    let mut folders: Vec<String> = patterns.iter().filter_map(|pattern| pattern.folder()).collect();
    folders.retain(|folder| !paths.hold(&format!("{folder}/")));
    folders.sort();
    folders.dedup();
    folders
}

/// Folders of packages and of version control, which are large and not the site's.
fn is_foreign(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    entry.file_type().is_dir() && (name == "node_modules" || name.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn inputs_that_came_went_or_changed_are_found_and_sources_are_not() {
        let root = std::env::temp_dir().join(format!("kiln-inputs-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        };
        for path in ["js/a.ts", "js/sub/b.ts", "js/c.txt", "js/node_modules/d.ts", "a.ts", "content/e.ts", "own.json"] {
            write(path, "1");
        }
        let patterns = ["js/**/*.ts", "*.json", "content/**"].map(Glob::parse);
        let patterns: Vec<&Glob> = patterns.iter().collect();
        let paths = crate::config::Config::default().paths;
        let mut inputs = Inputs::default();
        assert_eq!(inputs.renew(&root, &paths, &patterns), ["js/a.ts", "js/sub/b.ts", "own.json"]);
        assert!(inputs.renew(&root, &paths, &patterns).is_empty());
        write("js/a.ts", "12");
        write("js/new.ts", "1");
        fs::remove_file(root.join("own.json")).unwrap();
        assert_eq!(inputs.renew(&root, &paths, &patterns), ["js/a.ts", "js/new.ts", "own.json"]);
        assert_eq!(Inputs::folders(&patterns, &paths), ["js"]);
        fs::remove_dir_all(&root).unwrap();
    }
}
