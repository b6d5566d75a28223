//! Diagnostics as machines read them, and when people see them in colours.

use std::fs;

use serde_json::Value;

use super::{folder, kiln, kiln_with, small_site, write};

/// A site with a mistake after text of more than one byte a character, one that needs every escape, and a warning.
fn broken_site(name: &str) -> String {
    let site = small_site(name);
    write(site.join("content/index.html"), "<p>añ€</p>\n\t€ <% nowhere.html %/>\n");
    write(site.join("content/100%, a:b.html"), "<% nowhere.html %/>");
    write(site.join("static/css/old.scss"), "$ink: red;");
    site.to_str().unwrap().to_owned()
}

#[test]
fn github_gets_a_command_a_line_with_everything_escaped() {
    // Without it a comma in a file's name would end its property, and a line end in a help would end the command.
    let site = broken_site("github");
    let outcome = kiln(&["check", "--site", &site, "--format", "github"]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (1, ""));
    let lines: Vec<_> = outcome.stdout.lines().map(|line| line.replace(&site, "SITE")).collect();
    assert_eq!(
        lines,
        [
            "::error file=SITE/content/100%25%2C a%3Ab.html,line=1,col=4,endColumn=16,title=unknown-partial::\
             there is no partial `nowhere.html`",
            "::error file=SITE/content/index.html,line=2,col=7,endColumn=19,title=unknown-partial::\
             there is no partial `nowhere.html`",
            "::warning file=SITE/static/css/old.scss,title=uncompiled-style::`static/css/old.scss` is published as it is \
             written%0Ahelp: move it to `styles/`, where SCSS becomes `/static/css/NAME.css`; one that is meant to be read belongs into \
             `content/`",
        ]
    );
}

#[test]
fn sarif_is_as_its_schema_demands() {
    let site = broken_site("sarif");
    let outcome = kiln(&["check", "--site", &site, "--format", "sarif"]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (1, ""));
    let log: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&log["version"], log["runs"].as_array().unwrap().len()), (&"2.1.0".into(), 1));
    let run = &log["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(
        rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect::<Vec<_>>(),
        ["unknown-partial", "uncompiled-style"]
    );
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for result in results {
        let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[rule]["id"], result["ruleId"]);
        assert_eq!(rules[rule]["defaultConfiguration"]["level"], result["level"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].as_str().unwrap().is_ascii());
    }
    let place = &results[1]["locations"][0]["physicalLocation"];
    assert_eq!(place["region"], serde_json::json!({ "startLine": 2, "startColumn": 7, "endLine": 2, "endColumn": 19 }));
    assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with("/content/index.html"));
    let uri = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
    assert!(uri.ends_with("/content/100%25,%20a:b.html"), "{uri}");
}

#[test]
fn a_sound_site_is_nothing_to_machines_but_a_whole_log_in_sarif() {
    let site = small_site("formats-sound");
    let site = site.to_str().unwrap();
    for format in ["json", "github"] {
        let outcome = kiln(&["check", "--site", site, "--format", format]);
        assert_eq!((outcome.status, outcome.stdout.as_str(), outcome.stderr.as_str()), (0, "", ""), "{format}");
    }
    let log: Value = serde_json::from_str(&kiln(&["check", "--site", site, "--format", "sarif"]).stdout).unwrap();
    assert_eq!(log["runs"][0]["results"], serde_json::json!([]));
    assert_eq!(kiln(&["check", "--site", site, "--format", "xml"]).status, 2);
}

#[test]
fn machines_get_all_of_a_thousand_mistakes() {
    let site = small_site("formats-many");
    write(site.join("content/index.html"), "<% nowhere.html %/>\n".repeat(1000));
    let site = site.to_str().unwrap();
    assert_eq!(kiln(&["check", "--site", site, "--format", "github"]).stdout.lines().count(), 1000);
    let log: Value = serde_json::from_str(&kiln(&["check", "--site", site, "--format", "sarif"]).stdout).unwrap();
    assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), 1000);
}

#[test]
fn paths_are_those_of_the_folder_that_the_command_runs_in() {
    // GitHub shows an annotation only where the path begins at the repository's root.
    let site = folder("formats-folder");
    write(site.join("docs/content/index.html"), "<% nowhere.html %/>");
    let check = |folder: &str, flags: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.args(["check", "--format", "github"]).args(flags).current_dir(site.join(folder));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    for (folder, flags) in [("", &["--site", "docs"][..]), ("", &["--site", "./docs/"])] {
        let text = check(folder, flags);
        assert!(text.starts_with("::error file=docs/content/index.html,line=1"), "{text}");
    }
    assert!(check("docs", &[]).starts_with("::error file=content/index.html,line=1"));
    fs::remove_dir_all(site).unwrap();
}

#[test]
fn colours_are_for_terminals_or_for_who_asks_for_them() {
    // A log full of escapes is no help; the test's own pipe is no terminal.
    let site = broken_site("colours");
    let arguments = ["check", "--site", &site];
    let has_colours = |variables: &[(&str, &str)]| kiln_with(&arguments, variables).stderr.contains('\u{1b}');
    assert!(!has_colours(&[]));
    assert!(has_colours(&[("CLICOLOR_FORCE", "1")]));
    assert!(has_colours(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")]));
    assert!(!has_colours(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    let json = kiln_with(&["check", "--site", &site, "--format", "json"], &[("CLICOLOR_FORCE", "1")]);
    assert!(!json.stdout.contains('\u{1b}'));
}
