//! A site is edited at random, as people edit: pages, partials, data, styles, settings, mistakes and their undoing. After each
//! edit a build with everything that earlier ones left says and makes what a first build says and makes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use compiler::assets::ImageFormat;
use compiler::assets::image::{Channels, EncodeSettings, ImageSize, Kind, Picture, Quality, encode};

use super::{folder, kiln, write};

/// All files of a site.
type Files = BTreeMap<String, Vec<u8>>;

/// How many edits; each is built twice.
const EDIT_COUNT: usize = 40;

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn picture(shade: u8) -> Vec<u8> {
    let size = ImageSize { width: 24, height: 16 };
    let pixels = (0..24 * 16 * 3).map(|number: usize| shade.wrapping_add(u8::try_from(number % 251).unwrap()));
    let picture = Picture::new(size, Channels::Rgb, pixels.collect()).unwrap();
    let settings = EncodeSettings { quality: Quality::Fixed(80), kind: Kind::Photograph };
    encode(&picture, ImageFormat::Jpeg, &settings).unwrap()
}

fn post(number: usize, random: &mut Random) -> String {
    let (day, tag, next) = (random.below(28) + 1, random.below(3), random.below(4));
    format!(
        "---\ntitle: Post {number}\ndate: 2026-01-{day:02}\nsummary: s\ntags: [t{tag}]\nlayout: post.html\n---\n\
         Words of post {number}.\n\n```rust\nfn f{number}() {{}}\n```\n\n## The end\n\n[Next](p{next}.md)\n"
    )
}

fn first_site(random: &mut Random) -> Files {
    let list = "<ul>\n<% each posts as=\"item.html\" limit=\"3\" %/>\n</ul>\n";
    let layout = "<!doctype html><html lang=en><head><title>{{title}}</title><% generated_head.html %/>\
        <link rel=stylesheet href=\"{{+ /static/a.css}}\"></head><body>{{body}}<% footer.html %/>\
        <ul><% each page.tags as=\"item.html\" %/><% each data/links as=\"link.html\" %/>\
        <% each section/guide as=\"item.html\" %/></ul></body></html>";
    let texts = [
        ("content/index.md", format!("---\ntitle: Home\n---\n{list}")),
        ("content/about.md", "---\ntitle: About\n---\n# About\n\nSee [one](blog/p1.md#the-end).\n".to_owned()),
        (
            "content/guide/index.md",
            "---\ntitle: Guide\n---\n<% each children of=\"/guide\" as=\"item.html\" %/>\n".to_owned(),
        ),
        ("content/guide/deep/start.md", "---\ntitle: Start\n---\n![a sea](/static/sea.jpg)\n".to_owned()),
        ("templates/base.html", layout.to_owned()),
        ("templates/footer.html", "<footer>made by hand</footer>".to_owned()),
        (
            "templates/post.html",
            "<% base.html %><slot:body><h1>{{title}}</h1>{{body}}{{previous_post_title ??}}</slot:body>\
             <%/ base.html %>"
                .to_owned(),
        ),
        ("templates/item.html", "<li><a href=\"{{url}}\">{{title}}</a>".to_owned()),
        ("templates/link.html", "<li>{{value}}</li>".to_owned()),
        ("templates/tags/term.html", "<h1>{{title}}</h1><% each term as=\"item.html\" %/>".to_owned()),
        ("data/links.json", "[\"one\", \"two\"]".to_owned()),
        ("static/a.css", "body{top:0}".to_owned()),
        ("styles/b.scss", "$top: 1px;\nbody { top: $top }\n".to_owned()),
    ];
    let mut files: Files = texts.into_iter().map(|(path, text)| (path.to_owned(), text.into_bytes())).collect();
    files.insert("site.toml".to_owned(), settings(0, 0).into_bytes());
    files.insert("static/sea.jpg".to_owned(), picture(1));
    for number in 0..4 {
        files.insert(format!("content/blog/p{number}.md"), post(number, random).into_bytes());
    }
    files
}

fn settings(build: usize, other: usize) -> String {
    let build =
        ["", "[build]\ntrailing_slash = true\n", "[build]\nminify = false\n", "[build]\nintegrity = false\n"][build];
    let other = [
        "",
        "[security]\nframe_options = \"SAMEORIGIN\"\n",
        "[[headers]]\nfor = \"/blog/*\"\nset = { X-A = \"1\" }\n",
        "[feed]\nlimit = 1\n",
        "[redirects]\n\"/old\" = \"/about\"\n",
        "[markdown]\nhighlight = false\n",
    ][other];
    format!(
        "base_url = \"https://example.com\"\n[images]\nformats = [\"webp\"]\nwidths = [12]\n[search]\npath = \"/search.json\"\n[taxonomies]\n\
         tags = {{ path = \"/tags\" }}\n{build}{other}"
    )
}

/// One of the site's pages.
fn pick_page(files: &Files, random: &mut Random) -> String {
    let pages: Vec<_> = files.keys().filter(|path| path.contains(".md")).collect();
    (*random.pick(&pages)).clone()
}

fn change(files: &mut Files, path: &str, change: impl FnOnce(&mut String)) {
    if let Some(bytes) = files.get_mut(path) {
        let mut text = String::from_utf8(bytes.clone()).unwrap();
        change(&mut text);
        *bytes = text.into_bytes();
    }
}

/// What people add to a page. The last of them are mistakes.
const ADDITIONS: [&str; 10] = [
    "More words.\n",
    "```rust\nlet a = 1;\n```\n",
    "[About](/about)\n",
    "![a sea](/static/sea.jpg)\n",
    "## Another part\n",
    "A note.[^1]\n\n[^1]: Here.\n",
    "<% link.html value=\"x\" %/>\n",
    "[gone](/nowhere)\n",
    "![](/static/sea.jpg)\n",
    "<% nothing.html %/>\n",
];

/// Lines of front matter. The last of them is a mistake.
const FIELDS: [&str; 6] = [
    "draft: true",
    "noindex: true",
    "aliases: [/was/here]",
    "description: other words",
    "updated: 2026-03-03",
    "date: no",
];

fn edit(files: &mut Files, random: &mut Random) -> String {
    let page = pick_page(files, random);
    let number = random.below(1000);
    let kind = random.below(13);
    match kind {
        0..=2 => {
            let addition = random.pick(&ADDITIONS);
            change(files, &page, |text| *text += &["\n", addition].concat());
            format!("{page}: {addition:?}")
        }
        3 => {
            let field = random.pick(&FIELDS);
            change(files, &page, |text| *text = text.replacen("title:", &format!("{field}\ntitle:"), 1));
            format!("{page}: {field}")
        }
        4 => {
            change(files, &page, |text| *text = text.replacen("title: ", &format!("title: {number} "), 1));
            format!("{page}: a title")
        }
        5 => {
            files.insert(format!("content/blog/n{number}.md"), post(number, random).into_bytes());
            format!("n{number}.md comes")
        }
        6 => {
            let bytes = files.remove(&page).unwrap();
            if random.below(2) == 0 {
                files.insert(page.replace(".md", "-2.md"), bytes);
            }
            format!("{page} goes, or has another name")
        }
        7 => {
            let path = *random.pick(&["footer.html", "base.html", "post.html", "item.html", "tags/term.html"]);
            let text = *random.pick(&["<p>more</p>", "<b title=\"{{title}}\">x</b>", "{{url}}", "{{nothing}}"]);
            change(files, &format!("templates/{path}"), |partial| partial.push_str(text));
            format!("{path}: {text}")
        }
        8 => {
            files.insert("data/links.json".to_owned(), format!("[\"{number}\"]").into_bytes());
            "data".to_owned()
        }
        9 => {
            let path = *random.pick(&["static/a.css", "styles/b.scss"]);
            change(files, path, |text| *text += &["p{top:", &number.to_string(), "px}\n"].concat());
            format!("{path}: a rule")
        }
        10 => {
            let path = *random.pick(&["static/sea.jpg", "static/other.jpg"]);
            files.insert(path.to_owned(), picture(u8::try_from(number % 256).unwrap()));
            path.to_owned()
        }
        11 => {
            files.insert("content/_defaults.toml".to_owned(), format!("description = \"d{number}\"\n").into_bytes());
            "defaults".to_owned()
        }
        _ => {
            let settings = settings(random.below(4), random.below(6));
            files.insert("site.toml".to_owned(), settings.clone().into_bytes());
            format!("{settings:?}")
        }
    }
}

/// Makes the folder hold `files`, where it held `before`.
fn write_changes(site: &Path, before: &Files, files: &Files) {
    for (path, bytes) in files.iter().filter(|(path, bytes)| before.get(*path) != Some(*bytes)) {
        write(site.join(path), bytes);
    }
    for path in before.keys().filter(|path| !files.contains_key(*path)) {
        fs::remove_file(site.join(path)).unwrap();
    }
}

#[test]
fn after_any_edits_a_build_says_and_makes_what_a_first_build_does() {
    let mut random = Random(4);
    let flags: [&[&str]; 4] = [&[], &[], &["--drafts"], &["--no-compress"]];
    let mut files = first_site(&mut random);
    let site = folder("edits");
    write_changes(&site, &Files::new(), &files);
    let (mut sound, mut done, mut built_count) = (vec![files.clone()], Vec::new(), 0);
    for _ in 0..EDIT_COUNT {
        let before = files.clone();
        // A mistake stands for a while, and is undone; and sometimes people go back to what they had.
        if random.below(6) == 0 {
            files = random.pick(&sound).clone();
            done.push("back to an earlier state".to_owned());
        } else {
            done.push(edit(&mut files, &mut random));
        }
        write_changes(&site, &before, &files);
        let flags = *random.pick(&flags);
        let build = |site: &Path| {
            let arguments = [&["build", "--quiet", "--site", site.to_str().unwrap()], flags].concat();
            let outcome = kiln(&arguments);
            let bundle = (outcome.status == 0).then(|| fs::read(site.join("dist/site.bundle")).unwrap());
            (outcome.status, outcome.stderr, bundle)
        };
        let elsewhere = folder("edits-elsewhere");
        write_changes(&elsewhere, &Files::new(), &files);
        let (again, first) = (build(&site), build(&elsewhere));
        assert_eq!((again.0, &again.1), (first.0, &first.1), "{flags:?} after {done:#?}");
        assert!(again.2 == first.2, "{flags:?}: other bytes after {done:#?}");
        if again.0 == 0 {
            built_count += 1;
            sound.push(files.clone());
        } else if random.below(2) == 0 {
            let wrong = std::mem::replace(&mut files, sound[sound.len() - 1].clone());
            write_changes(&site, &wrong, &files);
            done.push("undone".to_owned());
        }
    }
    assert!((EDIT_COUNT / 2..EDIT_COUNT).contains(&built_count), "{built_count} of {EDIT_COUNT}: {done:#?}");
}
