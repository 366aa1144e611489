use std::{collections::BTreeMap, io::Write};

use bytes::Bytes;
use fastrand::Rng;
use flate2::{Compression, write::GzEncoder};

/// A row: an id, a number, a text.
#[derive(Debug, Clone)]
pub(super) struct Row {
    id: String,
    number: Option<i32>,
    text: Option<String>,
}

/// The form of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Athena's CSV of a query.
    Query,
    /// The same, given by its URI: without types.
    Uri,
    /// UNLOAD's JSON in two objects, compressed.
    Unload,
}

/// How objects are named, and the policy for rows that share a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    ByRow,
    ById,
    KeepFirst,
    KeepLast,
}

/// A query's result.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) form: Form,
    pub(super) keys: Keys,
    rows: Vec<Row>,
}

/// The expected objects.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    /// The objects, by their names below the target.
    pub(super) objects: BTreeMap<String, Bytes>,
    /// The name of each row's object; `None` if another row is written under it.
    pub(super) rows: Vec<Option<String>>,
}

impl Table {
    pub(super) fn draw(form: Form, keys: Keys, rows: usize, rng: &mut Rng) -> Self {
        let shared = matches!(keys, Keys::KeepFirst | Keys::KeepLast);
        let texts = ["", "a", "x,y", "say \"so\"", "two\nlines", "cr\r\nlf", "é{"];
        let row = |number: usize| Row {
            id: if shared {
                format!("i{}", rng.usize(0..4))
            } else {
                format!("i{number}")
            },
            number: rng.bool().then(|| rng.i32(-9..1000)),
            text: rng
                .bool()
                .then(|| texts[rng.usize(0..texts.len())].to_owned()),
        };
        Self {
            form,
            keys,
            rows: (0..rows).map(row).collect(),
        }
    }

    /// Athena's CSV of it.
    pub(super) fn csv(&self) -> Bytes {
        let mut out = "\"id\",\"number\",\"text\"\n".to_owned();
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        for row in &self.rows {
            let number = row.number.map(|number| quoted(&number.to_string()));
            let text = row.text.as_deref().map(quoted);
            let fields = [Some(quoted(&row.id)), number, text].map(Option::unwrap_or_default);
            out.push_str(&fields.join(","));
            out.push('\n');
        }
        out.into()
    }

    /// UNLOAD's objects of it.
    pub(super) fn unloaded(&self) -> [Bytes; 2] {
        let (first, second) = self.rows.split_at(self.rows.len() / 2);
        [first, second].map(|rows| {
            let lines: String = rows.iter().map(|row| self.document(row) + "\n").collect();
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            #[expect(clippy::expect_used, reason = "writing to memory cannot fail")]
            let bytes = encoder
                .write_all(lines.as_bytes())
                .and_then(|()| encoder.finish())
                .expect("compressed in memory");
            bytes.into()
        })
    }

    /// A row's object.
    fn document(&self, row: &Row) -> String {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let number = match (row.number, self.form) {
            (None, _) => "null".to_owned(),
            (Some(number), Form::Uri) => format!("\"{number}\""),
            (Some(number), _) => number.to_string(),
        };
        let text = row.text.as_deref().map_or("null".to_owned(), json);
        format!(
            "{{\"id\":{},\"number\":{number},\"text\":{text}}}",
            json(&row.id)
        )
    }

    /// The expected objects below the target of the job `job`.
    pub(super) fn expected(&self, job: &str) -> Expected {
        let name = |number: usize, row: &Row| match self.keys {
            Keys::ByRow => format!("{job}/{number}"),
            _ => format!("u/{}.json", row.id),
        };
        let mut winners = BTreeMap::new();
        for (number, row) in self.rows.iter().enumerate() {
            let winner = winners.entry(name(number, row)).or_insert(number);
            if self.keys == Keys::KeepLast {
                *winner = number;
            }
        }
        let mut expected = Expected::default();
        for (number, row) in self.rows.iter().enumerate() {
            let name = name(number, row);
            let wins = winners.get(&name) == Some(&number);
            if wins {
                let object = self.document(row).into();
                expected.objects.insert(name.clone(), object);
            }
            expected.rows.push(wins.then_some(name));
        }
        expected
    }

    /// The lines of the job's configuration that say how objects are named.
    pub(super) fn configuration(&self) -> &'static str {
        match self.keys {
            Keys::ByRow => "",
            Keys::ById => "key = \"u/{id}.json\"",
            Keys::KeepFirst => "key = \"u/{id}.json\"\non_collision = \"keep_first\"",
            Keys::KeepLast => "key = \"u/{id}.json\"\non_collision = \"keep_last\"",
        }
    }
}
