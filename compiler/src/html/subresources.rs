//! Where finished HTML loads style sheets and scripts, for the attribute `integrity` (Subresource Integrity section 3).

use super::tokens::{self, Event, Tag};

/// A tag that loads a style sheet or a script and says nothing of its integrity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subresource {
    /// What it loads, character references resolved.
    pub url: String,
    /// Where an attribute with a blank before it can be put in: behind the tag's name.
    pub attribute_start: usize,
}

/// All tags that load style sheets and scripts without `integrity`, in order.
pub fn find_subresources(html: &str) -> Vec<Subresource> {
    let mut found = Vec::new();
    tokens::read(html, |event, place| {
        if let Event::Start(tag) = event
            && let Some(url) = loaded_url(tag)
        {
            found.push(Subresource { url, attribute_start: place.start + "<".len() + tag.name().len() });
        }
    });
    found
}

fn loaded_url(tag: &Tag) -> Option<String> {
    if tag.find(b"integrity").is_some() {
        return None;
    }
    match tag.name() {
        b"script" => tag.value(b"src").map(str::to_owned),
        b"link" => {
            let rel = tag.value(b"rel")?.to_ascii_lowercase();
            let as_what = tag.value(b"as").unwrap_or_default().to_ascii_lowercase();
            let loads = rel.split_ascii_whitespace().any(|word| match word {
                "stylesheet" | "modulepreload" => true,
                // Browsers compare what is preloaded with what uses it: both need the same attribute.
                "preload" => matches!(&*as_what, "style" | "script"),
                _ => false,
            });
            tag.value(b"href").filter(|_| loads).map(str::to_owned)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(html: &str) -> Vec<String> {
        let mut marked = html.to_owned();
        let found = find_subresources(html);
        for one in found.iter().rev() {
            marked.insert_str(one.attribute_start, " X");
        }
        for one in &found {
            assert!(marked.contains(" X"), "{}", one.url);
        }
        found.into_iter().map(|one| one.url).collect()
    }

    #[test]
    fn sheets_and_scripts_are_found_and_nothing_else() {
        assert_eq!(
            urls("<link rel=stylesheet href=a.css><LINK REL='Preload Stylesheet' HREF=\"b.css\"/><script src=c.js/>"),
            ["a.css", "b.css", "c.js/"]
        );
        assert_eq!(
            urls("<link rel=preload as=style href=a><link rel=preload as=font href=b><link rel=modulepreload href=c>"),
            ["a", "c"]
        );
        assert!(
            urls("<link rel=icon href=a><script>'<script src=x>'</script><img src=y><!--<script src=z>-->").is_empty()
        );
        assert!(urls("<script src=a integrity=x></script><script></script><link rel=stylesheet>").is_empty());
    }

    #[test]
    fn an_attribute_goes_behind_the_name() {
        let html = "é<script\nsrc=a></script>";
        let found = find_subresources(html);
        assert_eq!(&html[..found[0].attribute_start], "é<script");
    }
}
