//! Patterns for names of files, as `site.toml` has them.

/// A pattern: `*` stands for anything but `/`, `**` for anything, `**/` between others for any folders or none, `?` for one
/// character but `/`. One without a `/` is compared with a file's name alone, in whatever folder it is.
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
    /// The next two may stand for nothing: they are `**/`, any folders.
    Perhaps,
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
                ('/', Some(Token::All)) if matches!(pattern.iter().rev().nth(1), None | Some(Token::Exactly('/'))) => {
                    pattern.pop();
                    pattern.extend([Token::Perhaps, Token::All, Token::Exactly('/')]);
                }
                (character, _) => pattern.push(Token::Exactly(character)),
            }
        }
        Self { pattern, is_name: !text.contains('/') }
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
                    Token::Perhaps => {}
                }
            }
            reached = next;
            self.skip_stars(&mut reached);
        }
        reached[self.pattern.len()]
    }

    /// A star may stand for nothing.
    fn skip_stars(&self, reached: &mut [bool]) {
        for (index, token) in self.pattern.iter().enumerate() {
            let may_be_nothing = matches!(token, Token::Many | Token::All | Token::Perhaps);
            if reached[index] && may_be_nothing {
                reached[index + 1] = true;
                if *token == Token::Perhaps {
                    reached[index + 3] = true;
                }
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
    fn many_stars_cost_no_more_than_the_product_of_the_lengths() {
        assert!(!Glob::parse(&"*a".repeat(200)).matches(&"a".repeat(10_000).replace("aaaa", "aaab")[1..]));
    }
}
