//! Writes a row as an object.

use bytes::BytesMut;

use super::{
    json::push_string,
    row::{Row, Value},
    template::{Piece, Template, TemplateError},
};
use crate::config::{RowFormat, Split};

/// Writes rows in a job's format.
#[derive(Debug, Clone)]
pub struct Renderer {
    format: Format,
}

#[derive(Debug, Clone)]
enum Format {
    Json,
    Csv { header: bool },
    Template(Template),
}

impl Renderer {
    /// Creates a renderer for the job's format.
    ///
    /// # Errors
    /// The job's template is invalid.
    pub fn new(job: &Split) -> Result<Self, TemplateError> {
        let format = match job.format {
            RowFormat::Json => Format::Json,
            RowFormat::Csv => Format::Csv {
                header: job.header.unwrap_or(true),
            },
            RowFormat::Template => Format::Template(Template::parse(
                job.template.as_deref().unwrap_or_default(),
            )?),
        };
        Ok(Self { format })
    }

    /// Whether an object contains all values of its row, so that different rows make different objects.
    pub fn writes_whole_rows(&self) -> bool {
        !matches!(self.format, Format::Template(_))
    }

    /// The columns in the template.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let template = match &self.format {
            Format::Template(template) => Some(template),
            _ => None,
        };
        template.into_iter().flat_map(Template::columns)
    }

    /// Appends the object of row `number`.
    pub fn render(&self, row: &Row<'_>, number: u64, job: &str, out: &mut BytesMut) {
        match &self.format {
            Format::Json => json(row, out),
            Format::Csv { header } => {
                if *header {
                    let names = row.fields.iter().map(|field| Some(field.name.as_ref()));
                    csv_line(names, out);
                }
                let values = row.fields.iter().map(|field| field.value.text());
                csv_line(values, out);
            }
            Format::Template(template) => fill(template, row, number, job, out),
        }
    }
}

fn json(row: &Row<'_>, out: &mut BytesMut) {
    if let Some(document) = row.document {
        return out.extend_from_slice(document.as_bytes());
    }
    let mut separator = b"{";
    for field in &row.fields {
        out.extend_from_slice(separator);
        separator = b",";
        push_string(&field.name, out);
        out.extend_from_slice(b":");
        match &field.value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Json(value) => out.extend_from_slice(value.as_bytes()),
            Value::Text(text, kind) => match kind.json(text) {
                Some(value) => out.extend_from_slice(value.as_bytes()),
                None => push_string(text, out),
            },
        }
    }
    out.extend_from_slice(if row.fields.is_empty() { b"{}" } else { b"}" });
}

/// One line of CSV, in which fields are quoted only if necessary.
fn csv_line<T: AsRef<str>>(fields: impl ExactSizeIterator<Item = Option<T>>, out: &mut BytesMut) {
    let is_single = fields.len() == 1;
    for (index, field) in fields.enumerate() {
        if index > 0 {
            out.extend_from_slice(b",");
        }
        match &field {
            // Readers skip an empty line.
            None if is_single => out.extend_from_slice(b"\"\""),
            None => {}
            Some(text) => csv_field(text.as_ref(), out),
        }
    }
    out.extend_from_slice(b"\n");
}

fn csv_field(text: &str, out: &mut BytesMut) {
    let plain = !text.is_empty()
        && !text.starts_with('\u{feff}')
        && !text.contains([',', '"', '\n', '\r', '\0']);
    if plain {
        return out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"\"");
    for (index, part) in text.split('"').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"\"");
}

fn fill(template: &Template, row: &Row<'_>, number: u64, job: &str, out: &mut BytesMut) {
    for piece in &template.pieces {
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Job => out.extend_from_slice(job.as_bytes()),
            Piece::Row => out.extend_from_slice(number.to_string().as_bytes()),
            Piece::Column(name) => {
                if let Some(text) = row.text(name) {
                    out.extend_from_slice(text.as_bytes());
                }
            }
        }
    }
}
