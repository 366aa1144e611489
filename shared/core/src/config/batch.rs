//! What is planned together.

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    mistake::Problems,
    size::{DurationText, Size},
};

/// The longest batching window of an event source mapping.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>
const LONGEST_WINDOW: SignedDuration = SignedDuration::from_secs(300);

/// The most messages that an event source mapping hands to one invocation.
const MOST_OBJECTS: u32 = 10_000;

/// What is planned together: landed objects that become one set of files, and are committed at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// How long the queue waits for more objects before it hands over those that landed: `0s` to `300s`. A longer window
    /// makes fewer and larger files, later.
    #[schemars(with = "DurationText")]
    pub window: SignedDuration,
    /// The most objects of a batch: 1 to 10000. Without a window, the queue hands over 10 at most.
    pub objects: u32,
    /// The size at which a batch ends, as the sum of its objects' sizes as they landed. An object larger than this is a batch
    /// of its own.
    pub size: Size,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            window: SignedDuration::from_secs(60),
            objects: 1_000,
            size: Size::mib(256),
        }
    }
}

impl Batch {
    /// Whether all settings have their defaults.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Reports what is wrong with it.
    pub(super) fn check(&self, problems: &mut Problems) {
        let window = self.window;
        let is_allowed = (SignedDuration::ZERO..=LONGEST_WINDOW).contains(&window);
        if !is_allowed || window.subsec_nanos() != 0 {
            problems.say(
                "batch.window",
                format!(
                    "batch.window = \"{window:#}\": Lambda waits for whole seconds, from \"0s\" to \"300s\""
                ),
            );
        }
        if !(1..=MOST_OBJECTS).contains(&self.objects) {
            let objects = self.objects;
            problems.say(
                "batch.objects",
                format!("batch.objects = {objects}: write 1 to {MOST_OBJECTS}"),
            );
        }
        if self.size.as_u64() == 0 {
            problems.say(
                "batch.size",
                "batch.size is 0: nothing would be in a batch".to_owned(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const JOB: &str = r#"
        [[rekey]]
        name = "anpr"
        source = "s3://landing/anpr/"
        timestamp = { column = "t" }
        target = "s3://lake/anpr/"
    "#;

    fn batch(text: &str) -> Result<Batch, String> {
        let config = Config::parse(&format!("{JOB}\n{text}"));
        config
            .map(|mut config| config.rekey.remove(0).batch)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_written_has_its_default() {
        let seconds = SignedDuration::from_secs;
        let of = |window, objects, size| Batch {
            window: seconds(window),
            objects,
            size,
        };
        for (text, expected) in [
            ("", of(60, 1_000, Size::mib(256))),
            ("batch = {}", of(60, 1_000, Size::mib(256))),
            ("batch = { window = \"0s\" }", of(0, 1_000, Size::mib(256))),
            (
                "batch = { window = \"1m 30s\", objects = 1 }",
                of(90, 1, Size::mib(256)),
            ),
            (
                "batch = { window = \"5m\", objects = 10000, size = \"1GiB\" }",
                of(300, 10_000, Size::gib(1)),
            ),
            ("batch = { size = 1 }", of(60, 1_000, Size(1))),
        ] {
            assert_eq!(batch(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_no_event_source_mapping_can_do_is_refused() {
        for (text, says) in [
            ("window = \"301s\"", "from \"0s\" to \"300s\""),
            ("window = \"-1s\"", "from \"0s\" to \"300s\""),
            ("window = \"1500ms\"", "batch.window = \"1s 500ms\""),
            ("window = \"soon\"", "write a number with its unit"),
            ("window = 60", "it is a text: write \"60\""),
            ("objects = 0", "batch.objects = 0: write 1 to 10000"),
            ("objects = 10001", "write 1 to 10000"),
            ("size = \"0B\"", "batch.size is 0"),
            ("seconds = 1", "unknown key `batch.seconds`"),
        ] {
            let found = batch(&format!("batch = {{ {text} }}")).unwrap_err();
            assert!(found.contains(says), "{text}: {found}");
        }
    }
}
