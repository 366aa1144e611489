//! Lines that follow a pattern.

use lakewright_core::{
    config::{Pattern, Policy},
    pattern::PatternFramer,
};

use super::fill;

/// Derives a pattern from a number.
fn pattern(number: u8) -> Pattern {
    let patterns = [
        r"(?<b>\S+) (?<a>\d+)",
        r#"(?<D>[^ ]*)(?: "(?<c>[^"]*)")?(?: (?<t>.*))?"#,
        r"(?<g>true|false|-),?(?<none>.*?)(?<h>[-0-9]{10})?",
        r"(?<b>.*)",
    ];
    let text = patterns.get(usize::from(number & 3)).copied();
    Pattern {
        pattern: text.unwrap_or_default().to_owned(),
        null: (number & 4 != 0).then(|| "-".to_owned()),
        skip_lines: u32::from(number >> 6),
    }
}

/// However the lines are cut, the result is the same; a row is what was not refused.
#[expect(clippy::expect_used, reason = "what does not hold is to panic")]
pub fn check(data: &[u8]) {
    let Some((&number, data)) = data.split_first() else {
        return;
    };
    let (chunks, input) = super::cut(data);
    let table = super::table();
    for policy in [Policy::Drop, Policy::Quarantine] {
        let framer = || PatternFramer::new(&pattern(number), true, 64).expect("a pattern");
        let whole = fill(framer(), [input], &table, policy);
        let cut = fill(framer(), chunks.iter().copied(), &table, policy);
        assert_eq!(whole, cut);
        let taken = whole.0.iter().filter(|seen| seen.contains(" Ok(")).count();
        assert_eq!(taken, whole.1.num_rows());
    }
}
