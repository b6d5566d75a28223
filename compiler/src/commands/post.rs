//! `kiln post`: the beginning of a post, with front matter.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::build::{Settings, build_time, today};
use super::{Failure, Report};

/// Folders of pages in which posts may be gathered; the first one that is there takes the new post.
const POST_FOLDERS: [&str; 2] = ["blog", "posts"];
/// Extensions of pages: none of them may have the post's name already.
const PAGE_EXTENSIONS: [&str; 3] = ["md", "markdown", "html"];

/// Writes a post of this title, dated today. Nothing is ever written over.
///
/// # Errors
/// There is no site, the title has nothing to make a name of, there is such a page, or the file can't be written.
pub fn post(title: &str, site: &Path) -> Result<Report, Failure> {
    let paths = Settings::read(site)?.config.paths;
    let title = title.trim();
    let slug = slug::slugify(title);
    if slug.is_empty() || title.contains(char::is_control) {
        let message = format!("`{}` has no letter or digit to name a page by, or a line end", title.escape_debug());
        return Err(Failure::Usage(message));
    }
    let content = site.join(&paths.content);
    let folder = POST_FOLDERS.map(|name| content.join(name)).into_iter().find(|folder| folder.is_dir());
    let folder = folder.unwrap_or(content);
    let names = PAGE_EXTENSIONS.map(|extension| folder.join(format!("{slug}.{extension}")));
    if let Some(taken) = names.iter().find(|path| path.exists()) {
        return Err(Failure::Usage(format!("`{}` is there already; give the post another title", taken.display())));
    }
    let path = &names[0];
    let has_layout = site.join(&paths.templates).join("post.html").is_file();
    let layout = if has_layout { "layout: post.html\n" } else { "" };
    // A JSON text is a YAML one too, whatever stands in it.
    let quoted = serde_json::Value::from(title);
    let date = today(build_time()?)?;
    let text =
        format!("---\ntitle: {quoted}\ndate: {date}\nsummary: What it is about, in a sentence.\n{layout}---\n\n");
    let written = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Failure::Usage(format!("`{}` is there already", path.display()));
        }
        // Half a post is none; what can't be removed is reported with the rest.
        drop(fs::remove_file(path));
        Failure::Io(format!("can't write `{}`: {error}", path.display()))
    })?;
    Ok(Report::result(format!("{}\n", path.display())))
}
