//! Maps field names to columns.

use std::collections::HashMap;

use crate::{json::Columns, records::FrameError};

/// The field names of every record.
#[derive(Debug)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// A field with an empty name has no column.
    pub(crate) fn new(names: Vec<String>) -> Result<Self, FrameError> {
        let mut seen: HashMap<String, &String> = HashMap::new();
        for name in names.iter().filter(|name| !name.is_empty()) {
            if let Some(first) = seen.insert(name.to_lowercase(), name) {
                return Err(FrameError::NameCollision {
                    first: first.clone(),
                    second: name.clone(),
                });
            }
        }
        Ok(Self(names))
    }

    pub(crate) fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// Maps fields to columns.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// The field of each column.
    pub(crate) fields: Vec<Option<usize>>,
    /// The field with the record's time.
    pub(crate) timestamp: Option<usize>,
    /// The names of fields that have no column.
    pub(crate) unknown: Vec<String>,
}

impl Mapping {
    pub(crate) fn new(names: Option<&Names>, columns: &Columns) -> Self {
        let names = names.map_or(&[][..], Names::as_slice);
        let schema = columns.schema();
        let raw = usize::from(columns.options().raw_column.is_some());
        let columns_of_records = schema.fields().len() - raw;
        let timestamp = columns.options().timestamp.join(".").to_lowercase();
        let mut mapping = Self {
            fields: vec![None; columns_of_records],
            timestamp: None,
            unknown: Vec::new(),
        };
        let column_of = |name: &str| {
            let fields = schema.fields().iter().take(columns_of_records);
            fields
                .map(|field| field.name().to_lowercase())
                .position(|column| column == name)
        };
        for (index, name) in names.iter().enumerate() {
            let lower = name.to_lowercase();
            if lower == timestamp {
                mapping.timestamp = Some(index);
            }
            match column_of(&lower).and_then(|column| mapping.fields.get_mut(column)) {
                Some(field) => *field = Some(index),
                None => mapping.unknown.push(name.clone()),
            }
        }
        mapping
    }
}
