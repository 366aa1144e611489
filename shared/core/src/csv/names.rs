//! Maps field names to columns.

use std::{borrow::Cow, collections::HashMap};

use crate::{
    config::Policy,
    json::{Columns, RecordError},
    records::FrameError,
};

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
    fields: Vec<Option<usize>>,
    /// The field with the record's time.
    pub(crate) timestamp: Option<usize>,
    /// The fields that have no column, and their names.
    unknown: Vec<(usize, String)>,
    /// If there are routes: the field with the value, and the mapping for each destination.
    routed: Option<(Option<usize>, Vec<Self>)>,
}

impl Mapping {
    pub(crate) fn new(names: Option<&Names>, columns: &Columns) -> Self {
        Self::of(names.map_or(&[][..], Names::as_slice), columns)
    }

    fn of(names: &[String], columns: &Columns) -> Self {
        let schema = columns.schema();
        let raw = usize::from(columns.options().raw_column.is_some());
        let columns_of_records = schema.fields().len() - raw;
        let timestamp = columns.options().timestamp.join(".").to_lowercase();
        let mut mapping = Self {
            fields: vec![None; columns_of_records],
            timestamp: None,
            unknown: Vec::new(),
            routed: None,
        };
        if let Some((routes, of)) = columns.routes() {
            let column = routes.column().to_lowercase();
            let field = names.iter().position(|name| name.to_lowercase() == column);
            let of: Vec<_> = of.iter().map(|of| Self::of(names, of)).collect();
            mapping.timestamp = of.first().and_then(|of| of.timestamp);
            mapping.routed = Some((field, of));
            return mapping;
        }
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
                None => mapping.unknown.push((index, name.clone())),
            }
        }
        mapping
    }

    /// Appends a record with these bytes. `field` returns the text of a field, or `None` if it is null. Returns the number of
    /// fields without a column, and of fields that do not fit theirs.
    pub(crate) fn append<'t>(
        &self,
        field: impl Fn(usize) -> Option<Cow<'t, str>>,
        bytes: &[u8],
        columns: &mut Columns,
    ) -> Result<(u32, u32), RecordError> {
        let Some((route, of)) = &self.routed else {
            return self.append_to(field, bytes, columns);
        };
        let value = route.and_then(&field);
        let (number, columns) = columns.choose(value.as_deref())?;
        match of.get(number) {
            Some(mapping) => mapping.append_to(field, bytes, columns),
            None => Ok((0, 0)),
        }
    }

    fn append_to<'t>(
        &self,
        field: impl Fn(usize) -> Option<Cow<'t, str>>,
        bytes: &[u8],
        columns: &mut Columns,
    ) -> Result<(u32, u32), RecordError> {
        if columns.options().on_unknown != Policy::Drop {
            columns.begin_new();
            for (index, name) in &self.unknown {
                columns.unknown_text(name, || field(*index).is_some())?;
            }
        }
        let text = |column: usize| field(self.fields.get(column).copied().flatten()?);
        let mismatched = columns.append_texts(text, bytes)?;
        let unknown = u32::try_from(self.unknown.len()).unwrap_or(u32::MAX);
        Ok((unknown, mismatched))
    }
}
