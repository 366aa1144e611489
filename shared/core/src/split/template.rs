//! Templates with placeholders for a row's values.

use thiserror::Error;

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub(super) pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Literal text.
    Literal(String),
    /// The row's number.
    Row,
    /// The job's id.
    Job,
    /// The value of a column.
    Column(String),
}

/// Why a text is not a valid template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// A brace is not closed.
    #[error("a `{{` is not closed (a brace itself is written `{{{{`)")]
    Open,
    /// A closing brace has no opening one.
    #[error("a `}}` closes nothing (a brace itself is written `}}}}`)")]
    Closed,
    /// A placeholder is empty.
    #[error("`{{}}` names no column")]
    Nameless,
    /// The template is not valid for objects' names.
    #[error("{0}")]
    Key(&'static str),
}

impl Template {
    /// Reads `{column}`, `{row}`, `{job}`, `{{` and `}}`.
    ///
    /// # Errors
    /// Braces do not match.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = brace.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = brace.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(inside) = brace.strip_prefix('{') {
                let (name, after) = inside.split_once('}').ok_or(TemplateError::Open)?;
                if name.contains('{') {
                    return Err(TemplateError::Open);
                }
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(match name {
                    "" => return Err(TemplateError::Nameless),
                    "row" => Piece::Row,
                    "job" => Piece::Job,
                    column => Piece::Column(column.to_owned()),
                });
                rest = after;
            } else {
                return Err(TemplateError::Closed);
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self { pieces })
    }

    /// The columns in the template.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Column(name) => Some(name.as_str()),
            _ => None,
        })
    }
}
