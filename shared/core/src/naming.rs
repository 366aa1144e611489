//! Names of outputs. They are derived only from the sources and the plan, so repeating a task makes the same objects.

use sha2::{Digest, Sha256};

use crate::location::Location;

/// The longest key in S3, in bytes of UTF-8. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
const LONGEST_KEY: usize = 1_024;
/// The length of a source's or a batch's id.
const SOURCE_ID: usize = 32;
/// The length of a plan's hash.
const PLAN_HASH: usize = 8;
/// The length of a run's id.
const RUN_ID: usize = 16;
/// `-`, `-`, five digits, `.`.
const PUNCTUATION_AND_PART: usize = 8;

/// The identity of a source object's content: 32 hexadecimal digits of SHA-256 over the bucket, the key and the `ETag`,
/// each after its length. The quotes that S3 puts around an `ETag` are not included.
pub fn source_id(bucket: &str, key: &str, etag: &str) -> String {
    let mut hash = Sha256::new();
    for field in [bucket, key, etag.trim_matches('"')] {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hexadecimal(&hash.finalize()).take(SOURCE_ID).collect()
}

/// The identity of a batch, whose document is given as text: 32 hexadecimal digits of SHA-256.
pub fn batch_id(document: &str) -> String {
    hexadecimal(&Sha256::digest(document))
        .take(SOURCE_ID)
        .collect()
}

/// The location of a batch's commit in a ledger.
pub fn commit(ledger: &Location, batch_id: &str) -> Location {
    ledger.join(&format!("commit/{batch_id}"))
}

/// The identity of a plan's settings, given as text: 8 hexadecimal digits of SHA-256.
pub fn plan_hash(settings: &str) -> String {
    hexadecimal(&Sha256::digest(settings))
        .take(PLAN_HASH)
        .collect()
}

/// The identity of a run, whose plan is given as text: 16 hexadecimal digits of SHA-256.
pub fn run_id(plan: &str) -> String {
    hexadecimal(&Sha256::digest(plan)).take(RUN_ID).collect()
}

/// The bytes in lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> impl Iterator<Item = char> {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.filter_map(|half| char::from_digit(u32::from(half), 16))
}

/// `<partition path><batch id>-<plan hash>-<part>.<extension>`, the part in five digits.
pub fn output_name(
    partition_path: &str,
    batch_id: &str,
    plan_hash: &str,
    part: u32,
    extension: &str,
) -> String {
    format!("{partition_path}{batch_id}-{plan_hash}-{part:05}.{extension}")
}

/// The most bytes that a partition's path may have below `prefix`, so that the keys of up to 100,000 parts fit S3's
/// limit.
pub fn path_room(prefix: &str, plan_hash: &str, extension: &str) -> usize {
    let name = SOURCE_ID + plan_hash.len() + extension.len() + PUNCTUATION_AND_PART;
    LONGEST_KEY.saturating_sub(prefix.len() + name)
}

/// Whether S3 can name a key of this text in its answers and in a batch of deletions, which are XML 1.0: `Char` of
/// <https://www.w3.org/TR/xml/#charsets>.
pub fn fits_xml(text: &str) -> bool {
    text.chars().all(|letter| match letter {
        '\t' | '\n' | '\r' => true,
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::semantics::stated;

    #[test]
    fn source_ids() {
        stated(
            "A source object's identity is the first 32 hexadecimal digits of SHA-256 over its bucket, its key and its ETag without quotes, each after its length as eight bytes.",
        );
        // printf '\0\0\0\0\0\0\0\1b\0\0\0\0\0\0\0\1k\0\0\0\0\0\0\0\1e' | sha256sum
        assert_eq!(
            source_id("b", "k", "\"e\""),
            "fe771e8a1c559117b2bfe76d89de771f"
        );
        assert_eq!(source_id("b", "k", "e"), source_id("b", "k", "\"e\""));
        let all: BTreeSet<_> = [
            ("b", "k", "e"),
            ("bk", "", "e"),
            ("", "bk", "e"),
            ("b", "ke", ""),
            ("b", "k", "f"),
        ]
        .map(|(bucket, key, etag)| source_id(bucket, key, etag))
        .into();
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn output_names() {
        stated(
            "An output is named `<partition>/<batch id>-<plan hash>-<part>.<extension>`, the part as five digits, so writing it again makes the same object.",
        );
        assert_eq!(
            output_name("year=2026/", "0123", "abcd", 7, "parquet"),
            "year=2026/0123-abcd-00007.parquet"
        );
    }

    #[test]
    fn the_room_is_what_a_key_leaves() {
        let path = "x=".to_owned() + &"a".repeat(path_room("anpr/", "abcd", "parquet") - 3) + "/";
        let key = format!(
            "anpr/{}",
            output_name(&path, &source_id("b", "k", "e"), "abcd", 99_999, "parquet")
        );
        assert_eq!(key.len(), LONGEST_KEY);
        assert_eq!(path_room(&"p".repeat(2_000), "abcd", "parquet"), 0);
    }
}
