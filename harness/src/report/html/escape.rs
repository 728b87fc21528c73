//! Text as HTML.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use crate::report::text::{is_hidden, readable};

/// Text between tags: what is hidden is shown as `\u{202e}`, and marked as not being the text itself.
pub(super) fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + text.len() / 8);
    for sign in text.chars() {
        match sign {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            sign if is_hidden(sign) => {
                // Writing to a string does not fail.
                let _ = write!(shown, "<i class=\"x\">{}</i>", readable(sign.encode_utf8(&mut [0; 4])));
            }
            sign => shown.push(sign),
        }
    }
    shown
}

/// Text between tags, with what stands between backticks as code.
pub(super) fn prose(prose: &str) -> String {
    let mut shown = String::new();
    let parts: Vec<&str> = prose.split('`').collect();
    for (nth, part) in parts.iter().enumerate() {
        match nth % 2 {
            0 => shown.push_str(&text(part)),
            _ if nth + 1 < parts.len() => {
                let _ = write!(shown, "<code>{}</code>", text(part));
            }
            // A single one is none of a pair.
            _ => shown.extend(["`", &text(part)]),
        }
    }
    shown
}

/// Bytes between tags: what is not UTF-8 is shown as `\xff`, and marked likewise.
pub(super) fn bytes(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&text(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(shown, "<i class=\"x\">\\x{byte:02x}</i>");
        }
    }
    shown
}

/// JSON within a `script` element, which only `</script` ends and only `<!--` confuses.
pub(super) fn json(text: &str) -> String {
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// As RFC 4648 writes bytes.
pub(super) fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number =
            three.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for nth in 0..4 {
            let sign = SIGNS[number >> (18 - 6 * nth) & 63];
            text.push(if nth <= three.len() { char::from(sign) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(
            text("<a>&\"\u{202e}\0"),
            "&lt;a&gt;&amp;\"<i class=\"x\">\\u{202e}</i><i class=\"x\">\\0</i>"
        );
        assert_eq!(bytes(b"a\xff<"), "a<i class=\"x\">\\xff</i>&lt;");
        assert_eq!(json("\"</script>&\""), "\"\\u003c/script\\u003e\\u0026\"");
        assert_eq!(prose("a `<b>` c"), "a <code>&lt;b&gt;</code> c");
        assert_eq!(prose("it`s `<`"), "it<code>s </code>&lt;`");
        for (bytes, written) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), written);
        }
    }
}
