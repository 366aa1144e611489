//! Appends rows of texts, for formats other than JSON.

use std::borrow::Cow;

use super::{
    Columns, RecordError,
    fill::{Filling, shown},
    lex,
    node::Node,
    record::Reject,
};
use crate::{config::Policy, shown::Found};

impl Columns {
    /// Appends one row of texts: for each column, `text` returns one, or `None` for a null. A text is converted like a
    /// JSON string of it; for a struct, a list or a map it is parsed as JSON. `raw` goes into the column of raw bytes.
    /// Returns how many values became null because they do not fit. On an error the columns do not change.
    pub(crate) fn append_texts<'t>(
        &mut self,
        text: impl FnMut(usize) -> Option<Cow<'t, str>>,
        raw: &[u8],
    ) -> Result<u32, RecordError> {
        let rows = self.rows();
        let appended = self.fill_texts(text, raw);
        if appended.is_err() {
            self.truncate(rows);
        }
        appended
    }

    fn fill_texts<'t>(
        &mut self,
        mut text: impl FnMut(usize) -> Option<Cow<'t, str>>,
        raw: &[u8],
    ) -> Result<u32, RecordError> {
        let mut mismatched = 0;
        for (index, node) in self.root.columns.iter_mut().enumerate() {
            let Some(text) = text(index) else {
                node.push_null();
                continue;
            };
            if let Node::Utf8(column) | Node::Binary(column) = node {
                column
                    .push(text.as_bytes())
                    .map_err(|_| RecordError::Full)?;
                continue;
            }
            let len = node.len();
            let mut filling =
                Filling::new(text.as_bytes(), &self.options, &self.path, &self.key_names);
            match put(&mut filling, node, &text) {
                Ok(()) => mismatched += filling.mismatched,
                Err(RecordError::Mismatch { .. }) if self.options.on_mismatch == Policy::Drop => {
                    node.truncate(len);
                    node.push_null();
                    mismatched += 1;
                }
                Err(error) => {
                    let name = self.root.fields.get(index).map_or("", |field| field.name());
                    return Err(error.inside(name));
                }
            }
        }
        self.root.nulls.append_non_null();
        if let Some(column) = &mut self.raw {
            column.push(raw).map_err(|_| RecordError::Full)?;
        }
        Ok(mismatched)
    }
}

fn put(filling: &mut Filling<'_>, node: &mut Node, text: &str) -> Result<(), RecordError> {
    let bytes = text.as_bytes();
    let fits = match node {
        Node::Struct(_) | Node::List(_) | Node::Map(_) => {
            match filling.value(node, lex::skip_space(bytes, 0)) {
                Ok(end) => lex::skip_space(bytes, end) == bytes.len(),
                Err(reject) => match *reject {
                    Reject::Record(error) => return Err(error),
                    // It is not JSON.
                    Reject::Stop(_) => false,
                },
            }
        }
        _ => filling.string(node, text),
    };
    if fits {
        return Ok(());
    }
    Err(RecordError::Mismatch {
        column: String::new(),
        expected: node.type_name(),
        found: Found::Value(shown(bytes)),
    })
}
