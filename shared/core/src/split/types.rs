//! Athena's types, as far as they determine how a text is written in JSON.

use serde::de::IgnoredAny;

/// How the texts of a column are written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonForm {
    /// As strings.
    Text,
    /// As numbers: integers and decimals.
    Number,
    /// As numbers, or `null` for NaN and infinity.
    Float,
    /// As `true` and `false`.
    Boolean,
    /// As the JSON in the text: columns of the type `json`.
    Json,
    /// As the JSON array or object in the text, if it is one: arrays, maps and rows.
    Nested,
}

impl JsonForm {
    /// That of a type, as named in an Athena query's metadata.
    /// <https://docs.aws.amazon.com/athena/latest/ug/data-types.html>
    pub fn of(athena_type: &str) -> Self {
        let name = athena_type
            .split(['(', '<', ' '])
            .next()
            .unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "tinyint" | "smallint" | "integer" | "int" | "bigint" | "decimal" => Self::Number,
            "real" | "float" | "double" => Self::Float,
            "boolean" => Self::Boolean,
            "json" => Self::Json,
            "array" | "map" | "row" | "struct" => Self::Nested,
            _ => Self::Text,
        }
    }

    /// The JSON of a text of this kind. `None` if it is written as a string.
    pub(super) fn json(self, text: &str) -> Option<&str> {
        match self {
            Self::Text => None,
            Self::Number => is_number(text).then_some(text),
            Self::Float => match text {
                "NaN" | "Infinity" | "-Infinity" => Some("null"),
                _ => is_number(text).then_some(text),
            },
            Self::Boolean => matches!(text, "true" | "false").then_some(text),
            Self::Json => is_json(text).then_some(text),
            Self::Nested => (text.starts_with(['[', '{']) && is_json(text)).then_some(text),
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether the text is a JSON number.
fn is_number(text: &str) -> bool {
    let digits = |bytes: &[u8]| {
        bytes
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let skip = |bytes: &mut &[u8], count: usize| *bytes = bytes.get(count..).unwrap_or_default();
    let mut rest = text.as_bytes();
    rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.first() == Some(&b'0')) {
        return false;
    }
    skip(&mut rest, whole);
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = fraction;
        skip(&mut rest, count);
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let signless = match exponent {
            [b'+' | b'-', signless @ ..] => signless,
            _ => exponent,
        };
        let count = digits(signless);
        if count == 0 {
            return false;
        }
        rest = signless;
        skip(&mut rest, count);
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_those_of_json(text in "-?[0-9.eE+-]{0,8}") {
            let parsed = serde_json::from_str::<&serde_json::value::RawValue>(&text);
            prop_assert_eq!(is_number(&text), parsed.is_ok(), "{}", text);
        }
    }
}
