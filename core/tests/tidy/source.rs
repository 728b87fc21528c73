//! A Rust file as far as the tidy test reads it: comments and texts told apart from code. It parses nothing more.
#![forbid(unsafe_code)]

/// A file.
pub(crate) struct Source {
    /// From the workspace's root.
    pub(crate) path: String,
    /// As it stands.
    pub(crate) text: String,
    /// Without comments, and with every text literal empty; line for line as in the file.
    pub(crate) code: String,
    /// The text literals, each with its place in `code`.
    literals: Vec<(usize, String)>,
}

/// A piece of code between two of `;`, `{` and `}`, not counting those within brackets.
pub(crate) struct Statement<'a> {
    /// Where it ends.
    pub(crate) line: usize,
    /// Its code.
    pub(crate) code: &'a str,
    /// Its text literals.
    pub(crate) strings: Vec<String>,
}

/// Identifiers and keywords.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

impl Source {
    /// Reads a file's text.
    pub(crate) fn of(path: &str, text: &str) -> Self {
        let mut source =
            Self { path: path.to_owned(), text: text.to_owned(), code: String::new(), literals: Vec::new() };
        let chars: Vec<char> = text.chars().collect();
        let at = |place: usize| chars.get(place).copied().unwrap_or('\0');
        let mut place = 0;
        while place < chars.len() {
            let here = chars[place];
            let hashes = (1..).take_while(|offset| at(place + offset) == '#').count();
            let after_word = place > 0 && (chars[place - 1].is_alphanumeric() || chars[place - 1] == '_');
            if here == '/' && at(place + 1) == '/' {
                while place < chars.len() && chars[place] != '\n' {
                    place += 1;
                }
            } else if here == '/' && at(place + 1) == '*' {
                while place < chars.len() && !(chars[place] == '*' && at(place + 1) == '/') {
                    source.keep_line(chars[place]);
                    place += 1;
                }
                place += 2;
            } else if here == 'r' && !after_word && at(place + hashes + 1) == '"' {
                let end = format!("\"{}", "#".repeat(hashes));
                let rest: String = chars[place + hashes + 2..].iter().collect();
                let literal = rest.split(&end).next().unwrap_or_default().to_owned();
                place += hashes + 2 + literal.chars().count() + end.len();
                source.literal(literal);
            } else if here == '"' {
                let mut literal = String::new();
                place += 1;
                while place < chars.len() && chars[place] != '"' {
                    if chars[place] == '\\' {
                        literal.push(chars[place]);
                        place += 1;
                    }
                    literal.push(at(place));
                    place += 1;
                }
                place += 1;
                source.literal(literal);
            } else if here == '\'' && (at(place + 1) == '\\' || at(place + 2) == '\'') {
                source.code.push_str("' '");
                // The escaped character may itself be a quote.
                place += if at(place + 1) == '\\' { 3 } else { 2 };
                while place < chars.len() && chars[place] != '\'' {
                    place += 1;
                }
                place += 1;
            } else {
                source.code.push(here);
                place += 1;
            }
        }
        source
    }

    fn keep_line(&mut self, c: char) {
        if c == '\n' {
            self.code.push('\n');
        }
    }

    fn literal(&mut self, literal: String) {
        self.code.push('"');
        literal.chars().for_each(|c| self.keep_line(c));
        self.code.push('"');
        self.literals.push((self.code.len(), literal));
    }

    /// Whether it is all test.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The code before the file's own tests.
    pub(crate) fn tested_code(&self) -> &str {
        self.code.split("#[cfg(test)]").next().unwrap_or_default()
    }

    /// Its identifiers and keywords.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        words(&self.code)
    }

    /// The first line after the module docs.
    pub(crate) fn after_docs(&self) -> Option<&str> {
        self.text.lines().find(|line| !line.starts_with("//!"))
    }

    /// Its statements, without the file's own tests.
    pub(crate) fn statements(&self) -> Vec<Statement<'_>> {
        let code = self.tested_code();
        let mut found = Vec::new();
        let (mut start, mut depth, mut line) = (0, 0_usize, 1);
        for (place, c) in code.char_indices() {
            match c {
                '\n' => line += 1,
                '(' | '[' => depth += 1,
                ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            // The arms of a `match` are a list too.
            let ends = c == ';' || c == '{' && !is_match(&code[start..place]) || c == '}';
            if ends && depth == 0 || place + c.len_utf8() == code.len() {
                let strings = self.literals.iter().filter(|(at, _)| (start..=place).contains(at));
                let strings = strings.map(|(_, literal)| literal.clone()).collect();
                found.push(Statement { line, code: &code[start..place], strings });
                start = place + c.len_utf8();
            }
        }
        found
    }

    /// How often a path of this file leads into the module of a capability.
    pub(crate) fn paths_to(&self, module: &str, is_near: bool) -> usize {
        let mut count = self.code.matches(&format!("capability::{module}::")).count();
        if is_near {
            count += self.code.matches(&format!("super::{module}::")).count();
            let bare = format!("{module}::");
            let starts = |place: &usize| {
                let before = self.code[..*place].chars().next_back().unwrap_or(' ');
                !(before.is_alphanumeric() || before == '_' || before == ':')
            };
            count += self.code.match_indices(&bare).filter(|(place, _)| starts(place)).count();
        }
        count
    }
}

impl Statement<'_> {
    /// Its identifiers and keywords.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        words(self.code)
    }
}

fn is_match(before: &str) -> bool {
    words(before).any(|word| word == "match")
}
