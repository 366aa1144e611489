//! Collects what the merge must know of all files beforehand. It takes footers one after the other, so only a few are
//! in memory at a time.

use std::sync::Arc;

use parquet::schema::types::TypePtr;

use super::{
    Input, MergeError, SchemaRefusal, Unified,
    prepare::{Votes, check},
    schema::{self, Leaf},
    spark::Calendar,
    unify,
};
use crate::Compression;

/// The files that were added so far.
#[derive(Debug, Default)]
pub struct Survey {
    files: usize,
    groups: Vec<Group>,
}

/// The files with the same schema and calendar.
#[derive(Debug)]
struct Group {
    /// The first of them.
    first: Input,
    number: usize,
    schema: TypePtr,
    calendar: Calendar,
    /// The file's own columns, each mapped to itself.
    leaves: Arc<[Leaf]>,
    votes: Votes,
}

/// The result of a survey.
#[derive(Debug, Clone)]
pub struct Surveyed {
    /// The schema of the merged file.
    pub unified: Unified,
    /// For each of its leaf columns, the compression of most of its bytes.
    pub compressions: Vec<Compression>,
    /// The first file of each schema and calendar with its index, in order. For [`Merge::unread`], they represent all
    /// files.
    ///
    /// [`Merge::unread`]: super::Merge::unread
    pub firsts: Vec<(usize, Input)>,
}

impl Survey {
    /// Adds the next file.
    ///
    /// # Errors
    /// A file that is refused by what its footer says.
    pub fn add(&mut self, input: &Input) -> Result<(), MergeError> {
        let number = self.files;
        self.files += 1;
        let descr = input.metadata.file_metadata().schema_descr();
        let schema = descr.root_schema_ptr();
        let calendar = Calendar::of(input);
        let is_known = |group: &Group| group.schema == schema && group.calendar == calendar;
        let known = self.groups.iter().position(is_known);
        let known = if let Some(known) = known {
            known
        } else {
            let leaves = schema::leaves(&schema, &schema);
            let leaves = leaves.map_err(|what| MergeError::Schema {
                input: input.name.clone(),
                what,
            })?;
            self.groups.push(Group {
                first: input.clone(),
                number,
                schema,
                calendar,
                leaves: leaves.into(),
                votes: Votes::new(descr.num_columns()),
            });
            self.groups.len() - 1
        };
        match self.groups.get_mut(known) {
            Some(group) => check(input, &group.leaves, &mut group.votes),
            None => Ok(()),
        }
    }

    /// Returns the result.
    ///
    /// # Errors
    /// Two files that do not fit together, by name.
    pub fn finish(self) -> Result<Surveyed, SchemaRefusal> {
        let schemas = self.groups.iter().map(|group| {
            let file = group.first.metadata.file_metadata();
            (group.first.name.as_str(), file.schema_descr())
        });
        let unified = unify(schemas)?;
        let mut votes = Votes::new(unified.schema().num_columns());
        for group in &self.groups {
            let leaves = schema::leaves(unified.schema().root_schema(), &group.schema);
            let sources = leaves
                .unwrap_or_default()
                .into_iter()
                .map(|leaf| leaf.source);
            for (leaf, source) in sources.enumerate() {
                if let Some(source) = source {
                    votes.add_all(leaf, &group.votes, source.column);
                }
            }
        }
        let columns = 0..unified.schema().num_columns();
        Ok(Surveyed {
            compressions: columns.map(|leaf| votes.winner(leaf)).collect(),
            firsts: self
                .groups
                .into_iter()
                .map(|group| (group.number, group.first))
                .collect(),
            unified,
        })
    }
}
