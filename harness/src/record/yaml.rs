//! Text as YAML writes it: plain where that is safe, in quotes where not, in a block where it has lines.
#![forbid(unsafe_code)]

use std::fmt::Write;

/// A text within a line, also in a list or a map with brackets.
pub(crate) fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// `[a, b]`.
pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    format!("[{}]", items.iter().map(|item| scalar(item.as_ref())).collect::<Vec<_>>().join(", "))
}

/// A value after a key: a block if it has lines that one can show, `indent` spaces deep.
pub(super) fn text(text: &str, indent: usize) -> String {
    let body = text.strip_suffix('\n').unwrap_or(text);
    if !body.contains('\n') && !text.ends_with('\n') || !is_block(text) {
        return scalar(text);
    }
    let mut out = if text.ends_with('\n') { "|".to_owned() } else { "|-".to_owned() };
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
    out
}

fn is_plain(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_./$@%+=:-".contains(c);
    let first = |c: char| c.is_ascii_alphanumeric() || "_./$".contains(c);
    let word = text.to_ascii_lowercase();
    let means_more = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "absent", "present"];
    // Whatever begins like a number might be one, to some reader of YAML.
    let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text.chars().all(|c| c.is_ascii_hexdigit() || "xo._+:-".contains(c));
    text.starts_with(first)
        && text.chars().all(inner)
        && !text.ends_with(':')
        && !means_more.contains(&word.as_str())
        && !number
        && !word.starts_with(".inf")
        && !word.starts_with(".nan")
}

fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let good = |c: char| matches!(c, '\n' | '\t') || is_shown(c);
    text.chars().all(good)
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && body.split('\n').all(|line| line.is_empty() || !line.trim().is_empty())
        && !body.is_empty()
}

/// Whether a reader of YAML takes it as it is.
fn is_shown(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}

/// A text in double quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        // Writing to a string can't fail.
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            '\n' => write!(out, "\\n"),
            '\t' => write!(out, "\\t"),
            '\r' => write!(out, "\\r"),
            c if is_shown(c) => write!(out, "{c}"),
            c => write!(out, "\\u{:04x}", u32::from(c)),
        };
    }
    out.push('"');
    out
}

/// Bytes as base64 (RFC 4648).
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |nth: usize| u32::from(chunk.get(nth).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for nth in 0..4 {
            let letter = LETTERS.get((bits >> (18 - 6 * nth) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if nth > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::files::FileSpec;

    /// What our own reader makes of it, as a file's text.
    fn read(text: &str) -> Vec<u8> {
        let yaml = format!("run: [x]\nfiles:\n  f: {}\n", super::text(text, 4));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("s.yaml");
        std::fs::write(&file, &yaml).unwrap();
        let scenarios =
            crate::scenario::load(folder.path(), &file).unwrap_or_else(|error| panic!("{yaml}: {error:?}"));
        match scenarios[0].files.values().next() {
            Some(FileSpec::File { content, .. }) => content.clone(),
            other => panic!("{yaml}: {other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "",
            "a",
            "a\n",
            "a\nb\n",
            "a\nb",
            "a\n\n\nb\n",
            "a\n\n",
            "\n",
            "\na\n",
            " a\nb\n",
            "\ta\nb\n",
            "a\n \nb\n",
            "a\n\tb: c # d\n- e\n---\n...\n",
            "true",
            "no",
            "1",
            "0x1f",
            "1e3",
            "12:30:45",
            "~",
            "null",
            "- a",
            "a: b",
            "a #b",
            "$WORK $x $$ ${y}",
            "\"q\" 'r' \\ \u{1b}[1m \u{7f} \u{85} \u{2028} grün 😀\r\n",
            "%a",
            "@a",
            "a:",
            "*a",
            "&a",
            "!a",
            "absent",
        ] {
            assert_eq!(String::from_utf8(read(text)).unwrap(), text, "{}", super::text(text, 4));
        }
    }

    #[test]
    fn bytes_become_letters() {
        for (bytes, letters) in [
            (&b"hello"[..], "aGVsbG8="),
            (b"", ""),
            (b"\xff\xef\x00", "/+8A"),
            (b"a", "YQ=="),
            (b"ab", "YWI="),
        ] {
            assert_eq!(base64(bytes), letters);
        }
    }
}
