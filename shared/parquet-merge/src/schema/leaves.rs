//! Where each column of the merged file comes from in one of the files.

use parquet::{
    basic::Repetition,
    schema::types::{ColumnDescriptor, Type, TypePtr},
};

use super::{Fault, Kind, SchemaReason, is_null_typed, key, kind, widen};
use crate::schema::Conversion;

/// A leaf column of the merged file, in terms of a file that goes into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// None: the file has no such column, and none that would say which rows have the struct that it is in. It is null in
    /// every row.
    pub(crate) source: Option<Source>,
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its number among the file's leaf columns.
    pub(crate) column: usize,
    /// The definition level that each of the file's becomes.
    pub(crate) levels: Vec<u16>,
    /// Entries with a greater repetition level are left out.
    pub(crate) deepest: i16,
    /// None: the column is there for its levels alone, as a neighbour of one that the file lacks.
    pub(crate) values: Option<Conversion>,
}

impl Source {
    /// Of a file that has the merged file's own column.
    pub(crate) fn same(column: usize, descr: &ColumnDescriptor) -> Self {
        Self {
            column,
            levels: (0..=u16::try_from(descr.max_def_level()).unwrap_or(0)).collect(),
            deepest: i16::MAX,
            values: Some(Conversion::Same),
        }
    }

    /// Whether its pages are pages of the merged file as they stand.
    pub(crate) fn is_same(&self) -> bool {
        self.values == Some(Conversion::Same) && self.has_same_levels()
    }

    pub(crate) fn has_same_levels(&self) -> bool {
        self.levels
            .iter()
            .enumerate()
            .all(|(index, level)| index == usize::from(*level))
    }
}

/// A step of a column's path: whether the merged file, and the file, count a level of definition there.
#[derive(Debug, Clone, Copy)]
struct Step {
    merged: bool,
    file: bool,
    repeats: bool,
}

fn counts(node: &Type) -> bool {
    node.get_basic_info().repetition() != Repetition::REQUIRED
}

fn repeats(node: &Type) -> bool {
    node.get_basic_info().repetition() == Repetition::REPEATED
}

/// The leaf columns below a node.
fn width(node: &Type) -> usize {
    if node.is_primitive() {
        1
    } else {
        node.get_fields().iter().map(|field| width(field)).sum()
    }
}

/// The sources of all leaf columns of the merged schema `to`, in their order.
pub(crate) fn leaves(to: &Type, from: &Type) -> Result<Vec<Leaf>, String> {
    let mut walk = Walk {
        leaves: Vec::new(),
        steps: Vec::new(),
    };
    walk.fields((to, None), (from, None), 0).map_err(|fault| {
        let path: Vec<_> = fault.path.iter().rev().map(String::as_str).collect();
        format!("column {}: {}", path.join("."), fault.reason)
    })?;
    Ok(walk.leaves)
}

struct Walk {
    leaves: Vec<Leaf>,
    steps: Vec<Step>,
}

impl Walk {
    /// `first`: the number of the first leaf column of `from`.
    fn fields(
        &mut self,
        (to, to_parent): (&Type, Option<&Type>),
        (from, _): (&Type, Option<&Type>),
        first: usize,
    ) -> Result<(), Fault> {
        let places = kind(to, to_parent) == Kind::Places;
        for (place, field) in to.get_fields().iter().enumerate() {
            let mut start = first;
            let mut found: Option<(&TypePtr, usize)> = None;
            for (index, other) in from.get_fields().iter().enumerate() {
                let matches = if places {
                    index == place
                } else {
                    key(other.name()) == key(field.name())
                };
                // A column without a type stands for none.
                if matches && (!is_null_typed(other) || is_null_typed(field)) {
                    found = Some((other, start));
                }
                start += width(other);
            }
            match found {
                Some((other, start)) => self
                    .node((field, to), (other, from), start)
                    .map_err(|fault| fault.within(field.name()))?,
                None => self.missing(field, from, first),
            }
        }
        Ok(())
    }

    fn node(
        &mut self,
        (to, to_parent): (&Type, &Type),
        (from, from_parent): (&Type, &Type),
        first: usize,
    ) -> Result<(), Fault> {
        self.steps.push(Step {
            merged: counts(to),
            file: counts(from),
            repeats: repeats(from),
        });
        if to.is_primitive() != from.is_primitive() || repeats(to) != repeats(from) {
            return Err(Fault::new(SchemaReason::Shapes));
        }
        if to.is_primitive() {
            self.leaves.push(Leaf {
                source: Some(Source {
                    column: first,
                    levels: self.levels(),
                    deepest: i16::MAX,
                    values: Some(widen::conversion(from, to)?),
                }),
            });
        } else {
            self.fields((to, Some(to_parent)), (from, Some(from_parent)), first)?;
        }
        self.steps.pop();
        Ok(())
    }

    /// The level in the merged file of each level in the file.
    fn levels(&self) -> Vec<u16> {
        let deepest = self.steps.iter().filter(|step| step.file).count();
        let level = |defined: usize| {
            let (mut seen, mut merged) = (0, 0);
            for step in &self.steps {
                if step.file {
                    if seen == defined {
                        break;
                    }
                    seen += 1;
                }
                merged += u16::from(step.merged);
            }
            merged
        };
        (0..=deepest).map(level).collect()
    }

    /// A node that `from`, at the end of the steps, lacks.
    fn missing(&mut self, node: &Type, from: &Type, first: usize) {
        let source = (!self.steps.is_empty()).then(|| {
            let (donor, depth) = donor(from, first, 0);
            let mut levels = self.levels();
            let repeated = self.steps.iter().filter(|step| step.repeats).count();
            // Whatever lies deeper in the neighbour, the struct is there and the field is not.
            let last = levels.last().copied().unwrap_or(0);
            levels.extend(std::iter::repeat_n(last, depth));
            Source {
                column: donor,
                levels,
                deepest: i16::try_from(repeated).unwrap_or(i16::MAX),
                values: None,
            }
        });
        let leaves = std::iter::repeat_n(Leaf { source }, width(node));
        self.leaves.extend(leaves);
    }
}

/// The first leaf column below a node: its number, and the levels of definition between them.
fn donor(node: &Type, first: usize, defined: usize) -> (usize, usize) {
    let fields = if node.is_group() {
        node.get_fields()
    } else {
        &[]
    };
    match fields.first() {
        Some(field) => donor(field, first, defined + usize::from(counts(field))),
        None => (first, defined),
    }
}
