//! Plans the tasks of a run: splits the source's objects into pieces, and groups pieces or files into tasks.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Spark's split size: its readers take an object in pieces of this size (`spark.sql.files.maxPartitionBytes`).
/// <https://spark.apache.org/docs/latest/sql-performance-tuning.html>
const SPLIT: u64 = 128 << 20;

/// The approximate number of units of a task. With several units, a task for files reads few rows of other files.
const UNITS_OF_A_TASK: u64 = 8;

/// Whether the object `key` below `prefix` is data: no name in its path is hidden, and it is not a directory marker.
pub fn is_data(prefix: &str, key: &str) -> bool {
    let Some(name) = key.strip_prefix(prefix) else {
        return false;
    };
    let hidden = |part: &str| part.starts_with(['_', '.']);
    !name.is_empty()
        && !name.ends_with('/')
        && !name.ends_with("_$folder$")
        && !name.split('/').any(hidden)
}

/// The properties of a source object that determine its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its size, in bytes.
    pub size: u64,
    /// Whether the whole object is compressed.
    pub compressed: bool,
    /// Where it can be split.
    pub parts: Places,
}

/// Where an object can be split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// Nowhere.
    None,
    /// After any newline.
    Newlines,
    /// Between its row groups, which have these sizes in bytes.
    RowGroups(Vec<u64>),
}

/// The number of splits in which Spark would read the objects: the current number of partitions.
pub fn splits<'a>(objects: impl IntoIterator<Item = &'a Stored>) -> u64 {
    let of = |object: &Stored| {
        if object.compressed {
            1
        } else {
            object.size.div_ceil(SPLIT).max(1)
        }
    };
    objects.into_iter().map(of).sum()
}

/// A piece of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The index of its object in the plan's sources.
    pub source: u32,
    /// The part of the object.
    pub part: Part,
}

/// A part of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All of it.
    Whole,
    /// The lines that begin in this range of bytes.
    Bytes(u64, u64),
    /// Row groups: the first, and the end of the range.
    RowGroups(u32, u32),
}

/// A half-open range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first.
    pub start: u32,
    /// The one after the last.
    pub end: u32,
}

impl Span {
    /// As indices of a list.
    pub fn indices(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// As numbers.
    pub fn numbers(self) -> Range<u64> {
        self.start.into()..self.end.into()
    }
}

/// The output of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The rows of these units, routed to their partitions.
    Units(Span),
    /// These files of the ordered sequence of all rows.
    Files(Span),
    /// The partitions with this hash number, from rows that were grouped before.
    Partitions(u32),
}

/// The tasks of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// The pieces of the objects, in the order of the objects.
    pub units: Vec<Unit>,
    /// Groups of units to process before the tasks.
    pub prepare: Vec<Span>,
    /// The tasks that write files.
    pub tasks: Vec<Task>,
}

impl Layout {
    /// The layout for these objects. `files`: how many files are written from all rows; `None` if rows are routed to
    /// partitions. `together`: whether the rows of a partition are grouped before they are written.
    pub fn new(objects: &[Stored], task_size: u64, files: Option<u64>, together: bool) -> Self {
        let task_size = task_size.max(1);
        let (units, sizes): (Vec<_>, Vec<_>) = units(objects, task_size).into_iter().unzip();
        let groups = groups(&sizes, task_size);
        if units.is_empty() {
            // A table without rows is still written, as one file with its columns.
            let tasks = files.map(|_| Task::Files(Span { start: 0, end: 1 }));
            return Self {
                tasks: tasks.into_iter().collect(),
                ..Self::default()
            };
        }
        let one = groups.len() <= 1;
        let (prepare, tasks) = match files {
            None if together && !one => {
                let tasks = 0..u32::try_from(groups.len()).unwrap_or(u32::MAX);
                (groups, tasks.map(Task::Partitions).collect())
            }
            None => (Vec::new(), groups.into_iter().map(Task::Units).collect()),
            Some(files) => {
                let tasks = groups.len() as u64;
                let each = files.div_ceil(tasks.max(1)).max(1);
                let number = |file: u64| u32::try_from(file.min(files)).unwrap_or(u32::MAX);
                let starts = (0..files.div_ceil(each)).map(|task| task * each);
                let tasks = starts.map(|start| {
                    Task::Files(Span {
                        start: number(start),
                        end: number(start + each),
                    })
                });
                // A single task finds the cuts without preparation, and a single file has none.
                let known = one || files == 1;
                (if known { Vec::new() } else { groups }, tasks.collect())
            }
        };
        Self {
            units,
            prepare,
            tasks,
        }
    }
}

/// The units of the objects, each with its size.
fn units(objects: &[Stored], task_size: u64) -> Vec<(Unit, u64)> {
    let most = (task_size / UNITS_OF_A_TASK).max(1);
    let mut units = Vec::new();
    for (source, object) in (0_u32..).zip(objects) {
        if object.size == 0 {
            continue;
        }
        match &object.parts {
            Places::Newlines if object.size > most => {
                let pieces = object.size.div_ceil(most);
                let at = |piece: u64| {
                    let product = u128::from(piece) * u128::from(object.size);
                    u64::try_from(product / u128::from(pieces)).unwrap_or(u64::MAX)
                };
                for piece in 0..pieces {
                    let (start, end) = (at(piece), at(piece + 1));
                    let part = Part::Bytes(start, end);
                    units.push((Unit { source, part }, end - start));
                }
            }
            Places::RowGroups(sizes) if sizes.len() > 1 => {
                for group in groups(sizes, most) {
                    let size = sizes.get(group.indices()).unwrap_or_default().iter().sum();
                    let part = Part::RowGroups(group.start, group.end);
                    units.push((Unit { source, part }, size));
                }
            }
            _ => units.push((
                Unit {
                    source,
                    part: Part::Whole,
                },
                object.size,
            )),
        }
    }
    units
}

/// Groups of similar size, at most `most` each, except for single larger items.
fn groups(sizes: &[u64], most: u64) -> Vec<Span> {
    let total: u64 = sizes.iter().sum();
    let each = total.div_ceil(total.div_ceil(most).max(1));
    let mut groups: Vec<Span> = Vec::new();
    let mut held = 0;
    for (index, &size) in (0_u32..).zip(sizes) {
        match groups.last_mut() {
            Some(group) if held + size / 2 <= each => {
                group.end = index + 1;
                held += size;
            }
            _ => {
                groups.push(Span {
                    start: index,
                    end: index + 1,
                });
                held = size;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::stated;

    fn stored(size: u64, parts: Places) -> Stored {
        Stored {
            size,
            compressed: false,
            parts,
        }
    }

    #[test]
    fn hidden_names_are_no_data() {
        stated(
            "Markers of directories, and what has a name on its path that begins with `_` or `.`, are never data: neither read nor removed; objects without bytes are not read.",
        );
        for (key, expected) in [
            ("p/a.csv", true),
            ("p/x=1/a.csv", true),
            ("p/_SUCCESS", false),
            ("p/.a.crc", false),
            ("p/_lakewright/x/plan", false),
            ("p/x=_1/a", true),
            ("p/", false),
            ("p/x/", false),
            ("p/x_$folder$", false),
            ("q/a", false),
        ] {
            assert_eq!(is_data("p/", key), expected, "{key}");
        }
    }

    #[test]
    fn splits_are_those_of_spark() {
        stated(
            "`splits_before` counts the source's splits as Spark does: an object has one for each 128 MiB begun, and one that is compressed as a whole is one.",
        );
        let objects = [
            stored(1, Places::Newlines),
            stored(SPLIT, Places::Newlines),
            stored(SPLIT + 1, Places::Newlines),
            Stored {
                compressed: true,
                ..stored(9 * SPLIT, Places::None)
            },
            stored(2 * SPLIT, Places::RowGroups(vec![2 * SPLIT])),
        ];
        assert_eq!(splits(&objects), 1 + 1 + 2 + 1 + 2);
    }

    #[test]
    fn what_fits_one_task_is_one() {
        let small = [stored(10, Places::Newlines), stored(20, Places::None)];
        for (files, together, expected) in [
            (None, false, Task::Units(Span { start: 0, end: 3 })),
            (None, true, Task::Units(Span { start: 0, end: 3 })),
            (Some(3), false, Task::Files(Span { start: 0, end: 3 })),
        ] {
            let layout = Layout::new(&small, 40, files, together);
            assert_eq!(layout.tasks, [expected]);
            assert!(layout.prepare.is_empty());
        }
    }

    #[test]
    fn more_is_several() {
        let large = [stored(100, Places::Newlines), stored(0, Places::None)];
        let layout = Layout::new(&large, 50, None, false);
        assert_eq!((layout.prepare.len(), layout.tasks.len()), (0, 2));
        let layout = Layout::new(&large, 50, None, true);
        assert_eq!(layout.tasks, [Task::Partitions(0), Task::Partitions(1)]);
        assert_eq!(layout.prepare.len(), 2);
        let layout = Layout::new(&large, 50, Some(3), false);
        let files = |start, end| Task::Files(Span { start, end });
        assert_eq!(layout.tasks, [files(0, 2), files(2, 3)]);
        assert_eq!(layout.prepare.len(), 2);
        let layout = Layout::new(&large, 50, Some(1), false);
        assert_eq!(layout.tasks, [files(0, 1)]);
        assert!(layout.prepare.is_empty());
        assert_eq!(Layout::new(&[], 50, Some(4), false).tasks, [files(0, 1)]);
        assert_eq!(Layout::new(&[], 50, None, false).tasks, []);
    }

    proptest! {
        #[test]
        fn every_byte_is_in_one_unit_and_every_unit_and_file_in_one_task(
            sizes in prop::collection::vec((0_u64..500, 0_u8..3), 0..20),
            task_size in 1_u64..300, files in prop::option::of(1_u64..20), together: bool,
        ) {
            let parts = |size, kind| match kind {
                0 => Places::None,
                1 => Places::Newlines,
                _ => Places::RowGroups(vec![size / 3; 3]),
            };
            let objects = sizes.iter().map(|&(size, kind)| stored(size, parts(size, kind)));
            let objects = objects.collect::<Vec<_>>();
            let layout = Layout::new(&objects, task_size, files, together);
            for (index, object) in objects.iter().enumerate() {
                let parts = layout.units.iter().filter(|unit| unit.source as usize == index);
                let mut at = 0;
                for unit in parts {
                    at = match unit.part {
                        Part::Whole => u64::MAX,
                        Part::Bytes(start, end) => { prop_assert_eq!(start, at); end }
                        Part::RowGroups(start, end) => { prop_assert_eq!(u64::from(start), at); end.into() }
                    };
                }
                let whole = match &object.parts {
                    _ if object.size == 0 => 0,
                    _ if at == u64::MAX => u64::MAX,
                    Places::Newlines => object.size,
                    Places::RowGroups(sizes) => sizes.len() as u64,
                    Places::None => u64::MAX,
                };
                prop_assert_eq!(at, whole);
            }
            let (mut unit, mut file) = (0, 0);
            for task in &layout.tasks {
                match task {
                    Task::Units(span) => { prop_assert_eq!(span.start, unit); unit = span.end; }
                    Task::Files(span) => { prop_assert_eq!(span.start, file); file = span.end; }
                    Task::Partitions(_) => {}
                }
            }
            for span in &layout.prepare {
                prop_assert_eq!(span.start, unit);
                unit = span.end;
            }
            if let Some(files) = files {
                prop_assert_eq!(u64::from(file), if layout.units.is_empty() { 1 } else { files });
            }
            if files.is_none() || !layout.prepare.is_empty() {
                prop_assert_eq!(unit as usize, layout.units.len());
            }
        }
    }
}
