//! Maps each column of the merged file to a column of one of the files.

use parquet::{
    basic::Repetition,
    schema::types::{ColumnDescriptor, Type, TypePtr},
};

use super::{Fault, Matching, SchemaReason, is_null_typed, key, matching, widen};
use crate::schema::Conversion;

/// The source of a leaf column of the merged file in one of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// `None` if the file has neither the column nor a neighbour that tells which rows have the enclosing struct. The
    /// column is then null in every row.
    pub(crate) source: Option<Source>,
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its index among the file's leaf columns.
    pub(crate) column: usize,
    /// Maps each definition level of the file to one of the merged file.
    pub(crate) levels: Vec<u16>,
    /// Entries with a greater repetition level are left out.
    pub(crate) deepest: i16,
    /// `None` if the column is only read for its levels, as a neighbour of a column that the file lacks.
    pub(crate) values: Option<Conversion>,
}

impl Source {
    /// The source if the file's column is the same as the merged one.
    pub(crate) fn same(column: usize, descr: &ColumnDescriptor) -> Self {
        Self {
            column,
            levels: (0..=u16::try_from(descr.max_def_level()).unwrap_or(0)).collect(),
            deepest: i16::MAX,
            values: Some(Conversion::Same),
        }
    }

    /// Whether its pages are valid pages of the merged file without changes.
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

/// A step of a column's path: whether it adds a definition level in the merged file and in the file.
#[derive(Debug, Clone, Copy)]
struct Step {
    merged: bool,
    file: bool,
    repeats: bool,
}

/// Whether it adds a definition level.
pub(super) fn counts(node: &Type) -> bool {
    node.get_basic_info().repetition() != Repetition::REQUIRED
}

pub(crate) fn repeats(node: &Type) -> bool {
    node.get_basic_info().repetition() == Repetition::REPEATED
}

/// The number of leaf columns below a node.
fn width(node: &Type) -> usize {
    if node.is_primitive() {
        1
    } else {
        node.get_fields().iter().map(|field| width(field)).sum()
    }
}

/// The sources of all leaf columns of the merged schema `to`, in order.
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
    /// `first`: the index of the first leaf column of `from`.
    fn fields(
        &mut self,
        (to, to_parent): (&Type, Option<&Type>),
        (from, _): (&Type, Option<&Type>),
        first: usize,
    ) -> Result<(), Fault> {
        let places = matching(to, to_parent) == Matching::Places;
        for (place, field) in to.get_fields().iter().enumerate() {
            let mut start = first;
            let mut found: Option<(&TypePtr, usize)> = None;
            for (index, other) in from.get_fields().iter().enumerate() {
                let matches = if places {
                    index == place
                } else {
                    key(other.name()) == key(field.name())
                };
                // A column with the null type counts as missing.
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

    /// Maps each level of the file to one of the merged file.
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

    /// Adds a node that `from`, at the end of the steps, does not have.
    fn missing(&mut self, node: &Type, from: &Type, first: usize) {
        let source = (!self.steps.is_empty()).then(|| {
            let (donor, depth) = donor(from, first, 0);
            let mut levels = self.levels();
            let repeated = self.steps.iter().filter(|step| step.repeats).count();
            // At any deeper level of the neighbour, the struct exists and the field is null.
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

/// The first leaf column below a node: its index, and the definition levels between them.
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
