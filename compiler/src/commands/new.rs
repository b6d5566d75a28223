//! `kiln new`: a small site that builds as it stands.

use std::fs;
use std::path::Path;

use super::Failure;

/// The files of a new site: path and content.
const FILES: [(&str, &str); 15] = [
    ("site.toml", include_str!("new/site.toml")),
    ("content/index.html", include_str!("new/content/index.html")),
    ("content/404.html", include_str!("new/content/404.html")),
    ("content/hello.md", include_str!("new/content/hello.md")),
    ("templates/base.html", include_str!("new/templates/base.html")),
    ("templates/blog_index_item.html", include_str!("new/templates/blog_index_item.html")),
    ("templates/post.html", include_str!("new/templates/post.html")),
    ("static/css/site.css", include_str!("new/static/css/site.css")),
    ("content/bowl.svg", include_str!("new/content/bowl.svg")),
    ("static/favicon.svg", include_str!("new/static/favicon.svg")),
    ("README.md", include_str!("new/README.md")),
    ("Dockerfile", include_str!("new/Dockerfile")),
    (".dockerignore", include_str!("new/dockerignore")),
    (".github/workflows/site.yml", include_str!("new/github/site.yml")),
    (".gitignore", "/dist\n.kiln/\n"),
];

/// Writes a working site into a folder that is new or empty. Returns what to do next.
///
/// # Errors
/// The folder has something in it already, or a file can't be written.
pub fn new(folder: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::Io(format!("can't write to `{}`: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(Failure::Usage(format!("`{}` is not empty; name a new folder", folder.display())));
    }
    for (name, content) in FILES {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder)).and_then(|()| fs::write(&path, content)).map_err(failed)?;
    }
    let shown = folder.display();
    Ok(format!("a new site in {shown}\n\n    cd {shown}\n    kiln dev --watch\n"))
}
