//! Names and values in Hive's paths.
//! <https://github.com/apache/hive/blob/master/common/src/java/org/apache/hadoop/hive/common/FileUtils.java>

use std::borrow::Cow;

/// The value in a path for null and for the empty string.
pub const DEFAULT_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Escapes `text` like Hive's `FileUtils.escapePathName`: `%XX`, upper-case, for control characters and ``" # % ' * / :
/// = ? \ { [ ] ^``; [`DEFAULT_PARTITION`] for the empty string.
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return Cow::Borrowed(DEFAULT_PARTITION);
    }
    if !text.chars().any(needs_escape) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if needs_escape(character) {
            // All of them are ASCII, so two digits are enough.
            let code = u32::from(character);
            escaped.push('%');
            for digit in [code >> 4, code & 15] {
                escaped.extend(char::from_digit(digit, 16).map(|digit| digit.to_ascii_uppercase()));
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Unescapes `text` like Hive's `FileUtils.unescapePathName`: a `%` without two hexadecimal digits after it is literal.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        unescaped.push_str(before);
        let code = after
            .get(..2)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(code) = code {
            // Hive uses the code as a character, so `%E9` is é.
            unescaped.push(char::from(code));
            rest = after.get(2..).unwrap_or_default();
        } else {
            unescaped.push('%');
            rest = after;
        }
    }
    unescaped.push_str(rest);
    Cow::Owned(unescaped)
}

fn needs_escape(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'
            | '"'
            | '#'
            | '%'
            | '\''
            | '*'
            | '/'
            | ':'
            | '='
            | '?'
            | '\\'
            | '{'
            | '['
            | ']'
            | '^'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::stated;

    #[test]
    fn escapes_as_hive_does() {
        stated(
            "Names and values in a path are escaped as Hive's `FileUtils.escapePathName` does: control characters and `\" # % ' * / : = ? \\ { [ ] ^` become `%XX` in upper case, and nothing else does.",
        );
        for (text, path) in [
            ("plain", "plain"),
            (
                "a b+c&d|e<f>g}h~i!j(k)l,m;n@o$p.q_r-s",
                "a b+c&d|e<f>g}h~i!j(k)l,m;n@o$p.q_r-s",
            ),
            ("Zürich 東京 😀", "Zürich 東京 😀"),
            ("a/b", "a%2Fb"),
            ("a:b=c", "a%3Ab%3Dc"),
            ("\"#%'*?\\{[]^", "%22%23%25%27%2A%3F%5C%7B%5B%5D%5E"),
            ("\0\x01\t\n\r\x1f\x7f", "%00%01%09%0A%0D%1F%7F"),
            ("100%", "100%25"),
            ("%2F", "%252F"),
        ] {
            assert_eq!(escape(text), path);
            assert_eq!(unescape(path), text);
        }
        assert_eq!(escape(""), DEFAULT_PARTITION);
    }

    #[test]
    fn unescapes_what_hive_would_not_write() {
        for (path, text) in [
            ("%2f", "/"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%+4", "%+4"),
            ("%%41", "%A"),
            ("%E9", "é"),
            ("%é1", "%é1"),
        ] {
            assert_eq!(unescape(path), text, "{path}");
        }
    }

    proptest! {
        #[test]
        fn unescape_undoes_escape(text in "\\PC+|[\\x00-\\x7f]{1,20}") {
            let path = escape(&text);
            prop_assert!(!path.contains(['/', '=', '?', '#', '\\', ':']));
            prop_assert_eq!(unescape(&path), text.as_str());
        }

        #[test]
        fn unescape_takes_any_text(text in "\\PC*") {
            unescape(&text);
        }
    }
}
