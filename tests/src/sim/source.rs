use std::{collections::BTreeMap, io::Write};

use bytes::Bytes;
use fastrand::Rng;
use flate2::{Compression, write::GzEncoder};
use jiff::{SignedDuration, Timestamp, civil, tz::Offset};
use lakewright_core::location::Location;
use serde_json::{Map, Value, json};

/// One record's fields.
pub(super) type Record = Map<String, Value>;

/// The first hour of the records; the job refuses earlier ones.
const FIRST_HOUR: civil::DateTime = civil::date(2026, 4, 29).at(22, 0, 0, 0);

/// How the fields of written records begin that the table has no column for, and the one of records in the quarantine.
const NEW: &str = "new_";
pub(super) const OF_BROKEN: &str = "of_broken";

/// Whether a field is one that the table has no column for at first.
pub(super) fn is_new(name: &str) -> bool {
    name.starts_with(NEW)
}

/// The padding that makes records longer than one of the deployments takes.
const LONG: usize = 600;

/// The parameters of an object.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
pub struct Shape {
    /// Records with a valid time.
    pub rows: usize,
    /// The number of hours that they are spread over, and so of partitions.
    pub hours: usize,
    /// Records that belong in the quarantine.
    pub broken: usize,
    /// Whether records are concatenated without line ends, as Firehose delivers them.
    pub concatenated: bool,
    /// Whether the object is compressed.
    pub gzip: bool,
    /// Bytes of incompressible text in each record.
    pub padding: usize,
    /// Whether records have fields that the table has no column for.
    pub new_fields: bool,
    /// What is wrong with it, if anything is.
    pub flaw: Option<Flaw>,
    /// Whether the records have kinds, each with a table of its own or, one of them, with none.
    pub routed: bool,
}

/// What is wrong with an object as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Its compressed data are cut short: no deployment can read it.
    CutShort,
    /// A record is longer than one of the deployments takes.
    Long,
    /// Whoever reads it dies.
    Poisonous,
    /// It has no bytes.
    Empty,
}

/// A landed object, and its expected result.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) location: Location,
    pub(super) bytes: Bytes,
    /// Each valid record by its id, and the path of its partition.
    pub(super) rows: BTreeMap<String, (String, Record)>,
    /// The ids of the valid records with their times, in the order of the object.
    pub(super) order: Vec<(String, Timestamp)>,
    /// The texts of the others, sorted.
    pub(super) quarantined: Vec<String>,
    pub(super) flaw: Option<Flaw>,
}

impl Shape {
    /// Large and incompressible enough for multipart uploads.
    pub(super) const LARGE: Self = Self {
        rows: 2_600,
        hours: 1,
        broken: 0,
        concatenated: false,
        gzip: false,
        padding: 4_000,
        new_fields: false,
        flaw: Some(Flaw::Long),
        routed: false,
    };

    pub(super) fn draw(rng: &mut Rng) -> Self {
        let broken = if rng.bool() { 0 } else { rng.usize(1..4) };
        let flaw = match rng.u8(0..40) {
            0 | 1 => Some(Flaw::CutShort),
            2 | 3 => Some(Flaw::Long),
            4 => Some(Flaw::Poisonous),
            5 => Some(Flaw::Empty),
            _ => None,
        };
        Self {
            rows: if broken > 0 && rng.u8(0..8) == 0 {
                0
            } else {
                rng.usize(1..20)
            },
            hours: rng.usize(1..5),
            broken,
            concatenated: rng.bool(),
            gzip: rng.bool(),
            new_fields: false,
            padding: if flaw == Some(Flaw::Long) { LONG } else { 0 },
            flaw,
            routed: false,
        }
    }
}

impl Source {
    /// An object for `location` whose records' ids begin with `name`.
    pub(super) fn generate(location: Location, name: &str, shape: Shape, rng: &mut Rng) -> Self {
        if shape.flaw == Some(Flaw::Empty) {
            return Self::empty(location);
        }
        let mut rows = BTreeMap::new();
        let mut quarantined = Vec::new();
        let mut texts = Vec::new();
        for index in 0..shape.rows {
            let id = format!("{name}-{index}");
            let time = time(index % shape.hours, rng);
            let mut record = Record::new();
            record.insert("id".to_owned(), json!(id));
            record.insert("t".to_owned(), json!(time.to_string()));
            record.insert("v".to_owned(), json!(rng.u32(..)));
            if shape.padding > 0 {
                let padding: String = (0..shape.padding).map(|_| rng.alphanumeric()).collect();
                record.insert("padding".to_owned(), json!(padding));
            }
            if shape.new_fields && rng.u8(0..3) == 0 {
                let value = match rng.u8(0..4) {
                    0 => json!(format!("x{index}")),
                    _ => json!(rng.u32(..)),
                };
                record.insert(format!("{NEW}{}", rng.u8(0..4)), value);
            }
            let kind = if shape.routed {
                rng.choice(["a", "b", "c"])
            } else {
                None
            };
            if let Some(kind) = kind {
                record.insert("kind".to_owned(), json!(kind));
            }
            let text = Value::Object(record.clone()).to_string();
            if kind == Some("c") {
                quarantined.push(text.clone());
                texts.push((text, None));
                continue;
            }
            texts.push((text, Some((id.clone(), time))));
            let place = kind.map_or_else(String::new, |kind| format!("{kind}/"));
            rows.insert(id, (place + &path(time), record));
        }
        for index in 0..shape.broken {
            let mut text = broken(&format!("{name}-broken-{index}"), rng);
            if shape.new_fields {
                text = text.replace('{', &format!("{{\"{OF_BROKEN}\":1,"));
            }
            quarantined.push(text.clone());
            texts.push((text, None));
        }
        quarantined.sort_unstable();
        rng.shuffle(&mut texts);
        let (texts, order): (Vec<String>, Vec<_>) = texts.into_iter().unzip();
        let separator = if shape.concatenated { "" } else { "\n" };
        let plain = texts.join(separator).into_bytes();
        let cut_short = shape.flaw == Some(Flaw::CutShort);
        let mut bytes = if shape.gzip || cut_short {
            gzip(&plain)
        } else {
            plain.into()
        };
        if cut_short {
            bytes.truncate(bytes.len() - 1);
        }
        Self {
            location,
            bytes,
            rows,
            order: order.into_iter().flatten().collect(),
            quarantined,
            flaw: shape.flaw,
        }
    }

    fn empty(location: Location) -> Self {
        Self {
            location,
            bytes: Bytes::new(),
            rows: BTreeMap::new(),
            order: Vec::new(),
            quarantined: Vec::new(),
            flaw: Some(Flaw::Empty),
        }
    }

    /// Its rows in each partition, in the order in which files have them.
    pub(super) fn by_partition(&self, sorted: bool) -> BTreeMap<&str, Vec<(&str, Timestamp)>> {
        let mut partitions = BTreeMap::<&str, Vec<(&str, Timestamp)>>::new();
        for (id, time) in &self.order {
            if let Some((path, _)) = self.rows.get(id) {
                partitions.entry(path).or_default().push((id, *time));
            }
        }
        if sorted {
            for rows in partitions.values_mut() {
                rows.sort_by_key(|(_, time)| *time);
            }
        }
        partitions
    }

    pub(super) fn records(&self) -> u64 {
        (self.rows.len() + self.quarantined.len()) as u64
    }
}

fn time(hour: usize, rng: &mut Rng) -> Timestamp {
    let hours = SignedDuration::from_hours(i64::try_from(hour).unwrap_or(0));
    let first = Offset::UTC
        .to_timestamp(FIRST_HOUR)
        .unwrap_or(Timestamp::UNIX_EPOCH);
    first + hours + SignedDuration::from_secs(rng.i64(0..3600))
}

/// The Hive path of the partition by year, month, day and hour.
fn path(time: Timestamp) -> String {
    Offset::UTC
        .to_datetime(time)
        .strftime("year=%Y/month=%m/day=%d/hour=%H/")
        .to_string()
}

/// A record without a usable time.
fn broken(id: &str, rng: &mut Rng) -> String {
    match rng.u8(0..4) {
        0 => format!(r#"{{"id":"{id}","v":1}}"#),
        1 => format!(r#"{{"id":"{id}","t":"yesterday"}}"#),
        2 => format!(r#"{{"id":"{id}","t":"1999-12-31T23:59:59Z"}}"#),
        _ => format!(r#"{{"id":"{id}","t":null}}"#),
    }
}

fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    #[expect(clippy::expect_used, reason = "writing to memory cannot fail")]
    let bytes = encoder
        .write_all(plain)
        .and_then(|()| encoder.finish())
        .expect("compressed in memory");
    bytes.into()
}
