//! What guests wrote, made readable: nothing hidden, nothing that does something to whoever reads it.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

/// Whether a sign can't be seen, changes how others are shown, or is none.
pub(crate) fn is_hidden(sign: char) -> bool {
    let control = sign.is_control() && !matches!(sign, '\n' | '\t');
    // Marks and overrides of direction, joiners and spaces without width, tags; and numbers that are no sign.
    let turns = matches!(sign, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    let other = matches!(sign, '\u{ad}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    control || turns || other || u32::from(sign) & 0xfffe == 0xfffe || matches!(sign, '\u{fdd0}'..='\u{fdef}')
}

/// A text with what is hidden as `\u{7}`.
pub(crate) fn readable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    push(&mut shown, text);
    shown
}

/// Bytes as text, with what is hidden as `\u{7}`, and what is not UTF-8 as `\xff`.
pub(crate) fn readable_bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        push(&mut shown, chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

fn push(shown: &mut String, text: &str) {
    for sign in text.chars() {
        match sign {
            '\r' => shown.push_str("\\r"),
            '\0' => shown.push_str("\\0"),
            sign if is_hidden(sign) => shown.extend(sign.escape_unicode()),
            sign => shown.push(sign),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_hidden() {
        let text = readable_bytes(b"a\0\x1b[2J\xff\xe2\x80\xae\xef\xbf\xbe\r\n\tb\xc3\xa9");
        assert_eq!(text, "a\\0\\u{1b}[2J\\xff\\u{202e}\\u{fffe}\\r\n\tb\u{e9}");
        assert_eq!(readable("plain \u{1f600} \u{f1}"), "plain \u{1f600} \u{f1}");
    }
}
