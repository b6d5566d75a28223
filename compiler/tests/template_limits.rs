//! The language at the sizes that it promises to bear, and on text that nobody would write. Results are asserted, and no
//! times: what grows faster than its input doesn't come to an end here.

use compiler::assets::{AssetManifest, AssetNames};
use compiler::config::Config;
use compiler::diagnostic::{Code, Diagnostic};
use compiler::render::{Materials, RenderedPage, render_page};
use compiler::site::{Selection, Site};
use compiler::source::SourceFile;
use compiler::template::TemplateSet;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// A site of one page.
fn render(name: &str, page: &str, partials: &[(&str, &str)]) -> RenderedPage {
    render_first(&[(name, page)], partials)
}

/// The first of a site's pages.
fn render_first(pages: &[(&str, &str)], partials: &[(&str, &str)]) -> RenderedPage {
    let file = |folder: &str, name: &str, text: &str| SourceFile {
        path: format!("{folder}/{name}").into(),
        name: name.into(),
        bytes: text.as_bytes().into(),
    };
    let templates: Vec<_> = partials.iter().map(|(name, text)| file("templates", name, text)).collect();
    let content: Vec<_> = pages.iter().map(|(name, text)| file("content", name, text)).collect();
    let selection = Selection { drafts: true, future: true, today: jiff::civil::date(2026, 1, 1) };
    let (templates, mut diagnostics) = TemplateSet::parse(&templates);
    let (site, mistakes) = Site::read(&content, &Config::default(), selection);
    diagnostics.extend(mistakes);
    let (manifest, _) = AssetManifest::of_originals(&[], &content, AssetNames::Plain);
    let materials = Materials { site: &site, templates: &templates, manifest: &manifest, live_reload: "" };
    let mut rendered = match site.pages.first() {
        Some(page) => render_page(page, &materials),
        None => RenderedPage::default(),
    };
    rendered.diagnostics.append(&mut diagnostics);
    rendered
}

fn codes(diagnostics: &[Diagnostic]) -> Vec<Code> {
    let mut codes: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    codes.sort();
    codes.dedup();
    codes
}

#[test]
fn a_page_of_50_megabytes_is_rendered() {
    // A generated page of data must not be the end of the build.
    let line = "<p>Fifty bytes of text and nothing to be read ..</p>\n";
    let page = line.repeat(50_000_000 / line.len());
    let rendered = render("index.html", &page, &[]);
    assert_eq!(rendered.diagnostics, []);
    assert_eq!(rendered.text, page);
}

#[test]
fn a_page_of_one_line_of_10_megabytes_shows_its_mistakes() {
    // Each mistake's column must not be counted from the line's beginning.
    let page = "äöü <% nope.html %/> <b>".repeat(10_000_000 / 40);
    let file_text: std::sync::Arc<str> = page.as_str().into();
    let mut rendered = render("index.html", &page, &[]);
    assert_eq!(rendered.diagnostics.len(), 250_000);
    compiler::diagnostic::sort(&mut rendered.diagnostics);
    rendered.diagnostics.truncate(100_000);
    let find_text = |_: &str| Some(std::sync::Arc::clone(&file_text));
    let json = compiler::diagnostic::draw_json(&rendered.diagnostics, &find_text);
    assert_eq!(json.lines().count(), 100_000);
    assert!(
        json.lines().last().unwrap().contains("\"line\":1,\"column\":2399984,"),
        "{}",
        json.lines().last().unwrap()
    );
    let drawn =
        compiler::diagnostic::draw_human(&rendered.diagnostics, &find_text, 50, compiler::diagnostic::Paint::Plain);
    assert!(drawn.ends_with("100000 errors; 50 are shown, `--error-limit 0` shows all\n"));
}

#[test]
fn a_hundred_thousand_tags_in_one_page() {
    // Looking tags up, one by one, must not look at all of them.
    let page = "<% card.html title=\"T\" %><slot:body>b</slot:body><%/ card.html %>".repeat(100_000);
    let rendered = render("index.html", &page, &[("card.html", "<i>{{@title}}{{body}}</i>")]);
    assert_eq!(rendered.diagnostics, []);
    assert_eq!(rendered.text, "<i>Tb</i>".repeat(100_000));
}

#[test]
fn a_hundred_thousand_tags_in_one_markdown_page() {
    // The same for those whose slots are Markdown.
    let page = "<% card.html title=\"T\" %><slot:body>*b*</slot:body><%/ card.html %> `c`\n\n".repeat(100_000);
    let rendered = render("index.md", &page, &[("card.html", "<i>{{@title}}{{body}}</i>")]);
    assert_eq!(rendered.diagnostics, []);
    assert_eq!(rendered.text, "<p><i>T<em>b</em></i> <code>c</code></p>\n".repeat(100_000));
}

#[test]
fn tags_nested_ten_thousand_deep() {
    // A stack that grows with the input overflows, and takes the whole build with it.
    for (name, inner) in [("index.html", "x"), ("index.md", "*x*")] {
        let page = "<% b.html %>".repeat(10_000) + inner + &"<%/ b.html %>".repeat(10_000);
        let rendered = render(name, &page, &[("b.html", "<b>{{default}}</b>")]);
        assert_eq!(rendered.diagnostics, []);
        let inner = if name == "index.md" { "<em>x</em>" } else { "x" };
        assert!(rendered.text.trim_end() == "<b>".repeat(10_000) + inner + &"</b>".repeat(10_000));
    }
}

#[test]
fn slots_and_branches_nested_ten_thousand_deep() {
    // The same for slots, whose text is looked at by an `if` at each level.
    let page = "<% b.html %><slot:body>".repeat(10_000) + "x" + &"</slot:body><%/ b.html %>".repeat(10_000);
    let rendered = render("index.html", &page, &[("b.html", "<% if body %>-{{body}}<%/ if %>")]);
    assert_eq!(rendered.diagnostics, []);
    assert_eq!(rendered.text, "-".repeat(10_000) + "x");
    let page = "<% if title %>a<% else %>".repeat(10_000) + "x" + &"<%/ if %>".repeat(10_000);
    assert_eq!(render("index.html", &page, &[]).text, "x");
}

#[test]
fn mistakes_at_depth_and_in_number() {
    // Error paths are where a scan of everything hides.
    let unclosed = render("index.html", &"<% b.html %>".repeat(10_000), &[("b.html", "{{default}}")]);
    assert_eq!(unclosed.diagnostics.iter().filter(|one| one.code == Code::UnclosedTag).count(), 10_000);
    let closing = render("index.html", &"<%/ b.html %>".repeat(100_000), &[]);
    assert_eq!(codes(&closing.diagnostics), [Code::UnexpectedClosingTag]);
    let crossed = "<% a.html %>".repeat(10_000) + &"<%/ b.html %>".repeat(10_000);
    assert_eq!(render("index.html", &crossed, &[("a.html", "{{default ??}}")]).diagnostics.len(), 20_000);
    for text in
        ["<% a x=\"", "<% a x='", "<%", "<% raw %>", "<%# ", "{{+ ", "{{a ?? ", "<slot:a", "`", "<% a x=\"{{a ??\" %/>"]
    {
        for name in ["index.html", "index.md"] {
            render(name, &text.repeat(100_000), &[]);
        }
        render("index.html", "<% p.html %/>", &[("p.html", &text.repeat(100_000))]);
    }
}

#[test]
fn a_partial_that_asks_for_a_hundred_thousand_names() {
    // Names are looked up, never searched for.
    let asks = (0..100_000).map(|number| format!("{{{{s{number}}}}}{{{{@a{number}}}}}")).collect::<Vec<_>>().concat();
    let missing = render("index.html", "<% p.html %/>", &[("p.html", &asks)]);
    let reports = missing.reports();
    assert_eq!(codes(&reports), [Code::MissingSlots, Code::MissingAttributes]);
    assert!(reports.iter().all(|diagnostic| diagnostic.message.len() < 300));
    let attributes = (0..100_000).map(|number| format!(" a{number}=\"{}\"", number % 10)).collect::<Vec<_>>().concat();
    let slots = (0..100_000).map(|number| format!("<slot:s{number}>-</slot:s{number}>")).collect::<Vec<_>>().concat();
    let page = format!("<% p.html{attributes} %>{slots}<%/ p.html %>");
    let rendered = render("index.html", &page, &[("p.html", &asks)]);
    assert_eq!(rendered.diagnostics, []);
    assert_eq!(rendered.text, "-0-1-2-3-4-5-6-7-8-9".repeat(10_000));
}

#[test]
fn markdown_nested_ten_thousand_deep() {
    // The Markdown parser has limits of its own, and must not meet them with an overflow.
    for (text, end) in
        [("> ", "x"), ("- ", "x"), ("[", ""), ("![", "](a)"), ("*a **b ", ""), ("<b>", ""), ("|", "\n|-|")]
    {
        let page = format!("{}{end} <% t.html %/>", text.repeat(10_000));
        let rendered = render("index.md", &page, &[("t.html", "T")]);
        assert!(rendered.text.is_empty() || rendered.text.contains('T'), "{text}");
    }
    let lists: String = (0..2_000).map(|depth| " ".repeat(2 * depth) + "- a\n").collect();
    assert!(render("index.md", &lists, &[]).text.contains("<li>"));
}

#[test]
fn backticks_of_every_length() {
    // Each run of backticks looks for one of its length.
    let page: String = (1..2_000).map(|length| "`".repeat(length) + "\n").collect();
    assert_eq!(render("index.md", &page, &[]).diagnostics, []);
}

#[test]
fn partials_two_hundred_deep_and_ten_thousand() {
    // A long chain of partials is no cycle, and needs no stack.
    for count in [200, 10_000] {
        let names: Vec<_> = (0..=count).map(|number| format!("p{number}.html")).collect();
        let texts: Vec<_> = (0..count).map(|number| format!("<% p{}.html a=\"{{{{@a}}}}\" %/>", number + 1)).collect();
        let mut partials: Vec<_> = names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
        partials.push((&names[count], "{{@a}}"));
        let rendered = render("index.html", "<% p0.html a=\"deep\" %/>", &partials);
        assert_eq!((rendered.text.as_str(), codes(&rendered.diagnostics)), ("deep\n".trim_end(), vec![]));
    }
}

#[test]
fn slots_in_a_hundred_thousand_branches_and_slots() {
    // Each slot asks what it stands in, and must not walk through all that is open.
    let count = 100_000;
    let in_branches = "<% if a %>".repeat(count) + &"<slot:s>x</slot:s>".repeat(count) + &"<%/ if %>".repeat(count);
    assert_eq!(render("index.html", &in_branches, &[]).diagnostics, []);
    let nested = "<slot:s>".repeat(count) + "x" + &"</slot:s>".repeat(count);
    let rendered = render("index.html", &["<% b.html %>", &nested, "<%/ b.html %>"].concat(), &[("b.html", "{{s}}")]);
    assert_eq!(codes(&rendered.diagnostics), [Code::UnexpectedSlot, Code::DuplicateSlot]);
}

#[test]
fn blank_lines_in_a_deep_list() {
    // A blank line goes on with every item, and must not ask each.
    let page = "- ".repeat(40_000) + "a\n" + &"\n".repeat(40_000) + "<% t.html %/>\n";
    let (_, diagnostics) = {
        let source = compiler::diagnostic::SourceText { path: "content/index.md".into(), text: page.into() };
        compiler::template::Template::parse(&source, 0, compiler::template::Kind::MarkdownPage)
    };
    assert_eq!(diagnostics, []);
}

#[test]
fn suggestions_are_made_for_a_hundred_mistakes() {
    // Each is a search through all names, and nobody reads the thousandth.
    let helps = |rendered: &RenderedPage| rendered.diagnostics.iter().filter(|one| one.help.is_some()).count();
    let names: Vec<_> = (0..600).map(|number| format!("partial{number}.html")).collect();
    let partials: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let tags: Vec<_> = (0..40_000).map(|number| format!("<% partiel{number}.html %/>")).collect();
    let rendered = render("index.html", &tags.concat(), &partials);
    assert_eq!((rendered.diagnostics.len(), helps(&rendered)), (40_000, 100));
    // The same mistake gets the same suggestion every time.
    let rendered = render("index.html", &"<% partial.html %/>".repeat(1_000), &partials);
    assert_eq!((rendered.diagnostics.len(), helps(&rendered)), (1_000, 1_000));
    let asked: Vec<_> = (0..5_000).map(|number| format!("{{{{@asked{number} ??}}}}")).collect();
    let given: Vec<_> = (0..5_000).map(|number| format!(" given{number}=x")).collect();
    let page = ["<% a.html", &given.concat(), " %/>"].concat();
    let rendered = render("index.html", &page, &[("a.html", &asked.concat())]);
    assert_eq!((rendered.diagnostics.len(), helps(&rendered)), (5_000, 100));
}

#[test]
fn a_cycle_of_ten_thousand_partials_is_shown_in_short() {
    // The message must not be longer than the screen.
    let names: Vec<_> = (0..10_000).map(|number| format!("p{number}.html")).collect();
    let texts: Vec<_> = (0..10_000).map(|number| format!("<% p{}.html %/>", (number + 1) % 10_000)).collect();
    let partials: Vec<_> = names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    let rendered = render("index.html", "<% p0.html %/>", &partials);
    assert_eq!(codes(&rendered.diagnostics), [Code::RecursivePartial]);
    assert!(rendered.diagnostics[0].help.as_ref().unwrap().len() < 300);
}

#[test]
fn partials_that_double_what_they_get_are_an_error() {
    // 2^40 of anything ends no build.
    let chain = |body: &str| -> Vec<(String, String)> {
        let text = |number: usize| body.replace("NEXT", &format!("p{}.html", number + 1));
        (0..40).map(|number| (format!("p{number}.html"), text(number))).collect()
    };
    for (body, last, message) in [
        ("<% NEXT %/><% NEXT %/>", "", "the page renders more than 10000000 texts, tags and items"),
        ("<% NEXT a=\"{{@a ?? x}}{{@a ?? x}}\" %/>", "{{@a}}", "the attributes in the page come to more than 256 MB"),
        ("<% NEXT %><slot:b>{{b ?? x}}{{b ?? x}}</slot:b><%/ NEXT %>", "{{b}}", "the page renders to more than 256 MB"),
    ] {
        let mut partials = chain(body);
        partials.push(("p40.html".to_owned(), last.to_owned()));
        let partials: Vec<_> = partials.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let rendered = render("index.html", "<% p0.html %/>", &partials);
        assert_eq!(codes(&rendered.diagnostics), [Code::PageTooLarge], "{body} {last}");
        assert_eq!((rendered.text.as_str(), rendered.diagnostics[0].message.as_str()), ("", message));
    }
}

#[test]
fn a_long_table_of_contents_a_thousand_times_is_an_error() {
    // Each is half a megabyte, which is known only when all else is rendered.
    let headings: String =
        (0..20_000).map(|number| ["<h2 id=\"h", &number.to_string(), "\">H</h2>\n"].concat()).collect();
    let rendered = render("index.html", &(headings.clone() + &"<% toc %/>".repeat(2_000)), &[]);
    assert_eq!((rendered.text.as_str(), codes(&rendered.diagnostics)), ("", vec![Code::PageTooLarge]));
    let rendered = render("index.html", &(headings + "<% toc %/>"), &[]);
    assert_eq!((rendered.text.matches("<li>").count(), rendered.diagnostics), (20_000, vec![]));
}

#[test]
fn all_attributes_of_a_page_have_one_bound() {
    // Sixty of 64 MB each are too much, though none of them is.
    let text = |number: usize| format!("<% p{0}.html a=\"{{{{@a}}}}{{{{@a}}}}\" %/>", number + 1);
    let mut partials: Vec<_> = (0..18).map(|number| (format!("p{number}.html"), text(number))).collect();
    let sixty: Vec<_> = (0..60).map(|number| format!(" a{number}=\"{{{{@a}}}}.\"")).collect();
    partials.push(("p18.html".to_owned(), ["<% last.html", &sixty.concat(), " %/>"].concat()));
    partials.push(("last.html".to_owned(), "<% if @a0 %>!<%/ if %>".to_owned()));
    let partials: Vec<_> = partials.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    for (length, expected) in [(1, &[Code::UnusedAttribute][..]), (256, &[Code::UnusedAttribute, Code::PageTooLarge])] {
        let page = format!("<% p0.html a=\"{}\" %/>", "x".repeat(length));
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(codes(&render("index.html", &page, &partials).diagnostics), expected, "{length}");
    }
}

#[test]
fn items_that_render_to_nothing_are_counted() {
    // 800³ line ends between nothing and nothing fit into no memory.
    let names: Vec<_> = (0..800).map(|number| format!("p{number}.html")).collect();
    let pages: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let partials =
        [("a.html", "<% each pages as=\"b.html\" %/>"), ("b.html", "<% each pages as=\"c.html\" %/>"), ("c.html", "")];
    let site = |page| [&[("index.html", page)], &pages[..]].concat();
    let rendered = render_first(&site("<% each pages as=\"b.html\" %/>"), &partials);
    assert_eq!((rendered.text.len(), codes(&rendered.diagnostics)), (801 * 801 - 1, vec![]));
    let rendered = render_first(&site("<% each pages as=\"a.html\" %/>"), &partials);
    assert_eq!((rendered.text.as_str(), codes(&rendered.diagnostics)), ("", vec![Code::PageTooLarge]));
}

#[test]
fn slots_that_are_filled_with_nothing_are_counted() {
    // The same for 4,000 × 4,000 slots, each of which is a value.
    let slots: String = (0..4_000)
        .map(|number| ["<slot:s", &number.to_string(), "></slot:s"].concat() + &number.to_string() + ">")
        .collect();
    let asks: String = (0..4_000).map(|number| ["{{s", &number.to_string(), " ??}}"].concat()).collect();
    let page = "<% a.html %/>".repeat(4_000);
    let partials = [
        ("a.html", ["<% b.html %>", &slots, "<%/ b.html %>"].concat()),
        ("b.html", ["<% if x %>", &asks, "<%/ if %>"].concat()),
    ];
    let partials: Vec<_> = partials.iter().map(|(name, text)| (*name, text.as_str())).collect();
    assert_eq!(codes(&render("index.html", &page, &partials).diagnostics), [Code::PageTooLarge]);
}

#[test]
fn an_empty_value_can_be_handed_on_for_ever() {
    // What is empty takes no room, however often it is doubled.
    let text =
        |number: usize| format!("<% p{0}.html %><slot:b>{{{{b ??}}}}{{{{b ??}}}}</slot:b><%/ p{0}.html %>", number + 1);
    let mut partials: Vec<_> = (0..60).map(|number| (format!("p{number}.html"), text(number))).collect();
    partials.push(("p60.html".to_owned(), "[{{b}}]".to_owned()));
    let partials: Vec<_> = partials.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let rendered = render("index.html", "<% p0.html %/>", &partials);
    assert_eq!((rendered.text.as_str(), codes(&rendered.diagnostics)), ("[]", vec![]));
}

const PARTIALS: [(&str, &str); 3] = [
    ("a.html", "<i>{{body ?? none}}{{@x ?? no}}{{default ??}}</i>"),
    ("b.html", "<% a.html x=\"{{@y ??}}\" %><slot:body>{{title ?? T}}</slot:body><%/ a.html %>"),
    ("base.html", "{{body}}"),
];

/// What templates are made of, in any order.
fn soup() -> impl Strategy<Value = String> {
    let pieces = [
        "<% a.html %>",
        "<%/ a.html %>",
        "<% a.html x=\"1\" %/>",
        "<% b.html y='{{' %/>",
        "<slot:body>",
        "</slot:body>",
        "<% if title %>",
        "<% else %>",
        "<%/ if %>",
        "{{body}}",
        "{{@x ?? d}}",
        "{{+ /static/x}}",
        "{{",
        "}}",
        "{{{{",
        "<%# c %>",
        "<%%",
        "<% raw %>",
        "<%/ raw %>",
        "<%",
        "%>",
        "%/>",
        "\"",
        "'",
        "=",
        "`",
        "```\n",
        "\n",
        "\n\n",
        "  ",
        "    ",
        "- ",
        "> ",
        "# ",
        "é",
        "日",
        "🎉",
        "\u{fdd0}1;",
        "<!--",
        "-->",
        "<div>",
        "|",
        "---\n",
        "title: x\n",
        "+++\n",
        "![",
        "](",
        ")",
        "[^1]",
        "[^1]: ",
        "*",
        "_",
        "<script>",
        "\t",
        "&amp;",
        "&",
        "<",
        "<% toc %/>",
        "<% each posts as=\"a.html\" %/>",
        "<% img src=\"x\" alt=\"\" %/>",
        "text ",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn soup_never_panics_and_every_span_lies_in_its_file(text in soup()) {
        // A span outside of the file, or within a character, stops the drawing.
        for name in ["index.html", "index.md"] {
            let rendered = render(name, &text, &PARTIALS);
            let source: std::sync::Arc<str> = text.as_str().into();
            for diagnostic in &rendered.diagnostics {
                if diagnostic.place.path.starts_with("content/") {
                    let span = diagnostic.place.span;
                    prop_assert!(text.get(span.start..span.end).is_some(), "{diagnostic:?}");
                }
            }
            let find_text = |path: &str| path.starts_with("content/").then(|| std::sync::Arc::clone(&source));
            compiler::diagnostic::draw_human(&rendered.diagnostics, &find_text, 0, compiler::diagnostic::Paint::Color);
        }
        render("index.html", "<% soup.html %/>", &[("soup.html", &text), PARTIALS[0], PARTIALS[1]]);
    }

    #[test]
    fn any_text_never_panics(text in "\\PC*") {
        // Nor does anything that is no template at all.
        render("index.html", &text, &PARTIALS);
        render("index.md", &text, &PARTIALS);
        render("index.html", "<% any.html %/>", &[("any.html", &text)]);
    }

    #[test]
    fn text_without_tags_renders_to_itself(text in "[^<{\r\u{feff}]*(<[a-z/!][^<{%\r]*|\\{[^{<\r])*") {
        // Whatever isn't the language's is the author's.
        prop_assume!(!text.starts_with("---") && !text.starts_with("+++"));
        prop_assume!(!text.contains("slot:"));
        let rendered = render("index.html", &text, &[]);
        prop_assert_eq!(rendered.text, text);
    }

    #[test]
    fn values_are_escaped_and_come_back(text in "[^\"{&\r\u{feff}]*") {
        // What a browser reads must be what the author wrote.
        let rendered = render("index.html", &format!("<% v.html t=\"{text}\" %/>"), &[("v.html", "{{@t}}")]);
        let shown = rendered.text.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'").replace("&amp;", "&");
        prop_assert_eq!(shown, text);
        prop_assert!(!rendered.text.contains(['<', '>', '\'']));
    }
}

/// Markdown with tags in all kinds of places.
fn markdown_soup() -> impl Strategy<Value = String> {
    let pieces = [
        "<% t.html %/>",
        "<% t.html %/>",
        "`",
        "`",
        "<a b=\"",
        "\">",
        "<e:",
        "\n```\n",
        "\n~~~\n",
        "\n",
        "\n",
        "\n\n",
        "  ",
        "    ",
        "\t",
        "- ",
        "1. ",
        "> ",
        "# ",
        "text",
        "word ",
        "***\n",
        "---\n",
        "===\n",
        "*",
        "<div>",
        "</div>",
        "<b>",
        "|",
        "\\",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..25).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tag_is_read_unless_markdown_takes_it_for_code(text in markdown_soup()) {
        // The lexer and the Markdown parser must agree on what is code, or a tag is shown to visitors.
        prop_assume!(!text.starts_with("---"));
        let html = render("index.md", &text, &[("t.html", "T")]).text;
        let mut rest = html.as_str();
        while let Some(start) = rest.find("<code") {
            prop_assert!(!rest[..start].contains("&lt;% t"), "{html}");
            rest = rest[start..].split_once("</code>").map_or("", |(_, rest)| rest);
        }
        prop_assert!(!rest.contains("&lt;% t") && !rest.contains("<% t"), "{html}");
    }
}
