//! Patterns for names of files, as `site.toml` has them.

/// A pattern: `*` stands for anything but `/`, `**` for anything, `**/` for any folders or none, `?` for one character
/// but `/`. One without a `/` is
/// compared with a file's name alone, in whatever folder it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Glob {
    pattern: Vec<Token>,
    is_name: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    /// This character.
    Exactly(char),
    /// Any character but `/`.
    One,
    /// Any characters but `/`.
    Many,
    /// Any characters.
    All,
    /// Nothing, or what the next token stands for.
    Maybe,
    /// Any characters up to a `/`.
    Folders,
}

impl Glob {
    /// Reads a pattern. Every text is one.
    pub fn parse(text: &str) -> Self {
        let mut pattern = Vec::new();
        for character in text.chars() {
            match (character, pattern.last()) {
                ('*', Some(Token::Many | Token::All)) => {
                    pattern.pop();
                    pattern.push(Token::All);
                }
                ('*', _) => pattern.push(Token::Many),
                ('?', _) => pattern.push(Token::One),
                ('/', Some(Token::All))
                    if matches!(pattern.iter().rev().nth(1), None | Some(Token::Exactly('/') | Token::Folders)) =>
                {
                    pattern.pop();
                    pattern.extend([Token::Maybe, Token::Folders]);
                }
                (character, _) => pattern.push(Token::Exactly(character)),
            }
        }
        Self { pattern, is_name: !text.contains('/') }
    }

    /// The folder in which everything is that the pattern stands for, as far as it is said before the first wildcard:
    /// empty for a pattern that says none. `None` for one that leaves the folder from which paths are counted.
    pub fn folder(&self) -> Option<String> {
        let literal: String = self
            .pattern
            .iter()
            .map_while(|token| match token {
                Token::Exactly(character) => Some(*character),
                _ => None,
            })
            .collect();
        let folder = literal.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_within = folder.is_empty() || folder.split('/').all(|part| !matches!(part, "" | "." | ".."));
        is_within.then(|| folder.to_owned())
    }

    /// Whether the pattern stands for this path.
    pub fn matches(&self, path: &str) -> bool {
        let text = if self.is_name { path.rsplit('/').next().unwrap_or(path) } else { path };
        // `reached[n]`: the first n tokens can stand for what has been read. Two stars never cost more than one.
        let mut reached = vec![false; self.pattern.len() + 1];
        reached[0] = true;
        self.skip_stars(&mut reached);
        for character in text.chars() {
            let mut next = vec![false; reached.len()];
            for (index, token) in self.pattern.iter().enumerate().filter(|(index, _)| reached[*index]) {
                match token {
                    Token::Exactly(wanted) => next[index + 1] |= *wanted == character,
                    Token::One => next[index + 1] |= character != '/',
                    Token::Many => next[index] |= character != '/',
                    Token::All => next[index] = true,
                    Token::Maybe => {}
                    Token::Folders => {
                        next[index] = true;
                        next[index + 1] |= character == '/';
                    }
                }
            }
            reached = next;
            self.skip_stars(&mut reached);
        }
        reached[self.pattern.len()]
    }

    /// A star may stand for nothing, and so may folders.
    fn skip_stars(&self, reached: &mut [bool]) {
        for (index, token) in self.pattern.iter().enumerate() {
            if reached[index] && matches!(token, Token::Many | Token::All | Token::Maybe) {
                reached[index + 1] = true;
            }
            if reached[index] && *token == Token::Maybe {
                reached[index + 2] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn a_pattern_stands_for_what_its_stars_allow() {
        let cases = [
            ("favicon*", "favicon.ico", true),
            ("favicon*", "img/favicon-32.png", true),
            ("favicon*", "favicons/a.png", false),
            ("favicon*", "my-favicon.ico", false),
            ("img/*.png", "img/a.png", true),
            ("img/*.png", "img/b/a.png", false),
            ("img/**.png", "img/b/a.png", true),
            ("**/a.png", "a.png", true),
            ("**/a.png", "b/c/a.png", true),
            ("**/a.png", "ba.png", false),
            ("b/**/*.ts", "b/a.ts", true),
            ("b/**/*.ts", "b/c/d/a.ts", true),
            ("b/**/a.ts", "b/ca.ts", false),
            ("b/**/a.ts", "b/c/ca.ts", false),
            ("b/**/**/a.ts", "b/a.ts", true),
            ("b**/a.ts", "b/a.ts", true),
            ("b**/a.ts", "bc/d/a.ts", true),
            ("photo/**/*.png", "photo/a.png", true),
            ("photo/**/*.png", "photo/b/c/a.png", true),
            ("photo/**/*.png", "photos/a.png", false),
            ("photo/**/a.png", "photo/ba.png", false),
            ("a/**/b/**/c", "a/b/c", true),
            ("a/**/**/c", "a/c", true),
            ("icons/**", "icons/b/c.png", true),
            ("icons/**", "icons.png", false),
            ("a?.png", "ab.png", true),
            ("a?.png", "a.png", false),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(Glob::parse(pattern).matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_names_the_folder_that_all_its_files_are_in() {
        let folder = |pattern: &str| Glob::parse(pattern).folder();
        assert_eq!(folder("js/src/**/*.ts").as_deref(), Some("js/src"));
        assert_eq!(folder("js/a.ts").as_deref(), Some("js"));
        for pattern in ["a.ts", "*.ts", "**/a.ts", "j*/a.ts", ""] {
            assert_eq!(folder(pattern).as_deref(), Some(""), "{pattern}");
        }
        for pattern in ["../a/b.ts", "/etc/*", "a/../../b/*", "./a/*"] {
            assert_eq!(folder(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_the_product_of_the_lengths() {
        assert!(!Glob::parse(&"*a".repeat(200)).matches(&"a".repeat(10_000).replace("aaaa", "aaab")[1..]));
    }
}
