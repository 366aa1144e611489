//! Lists the objects below a prefix, page by page.

use lakewright_core::location::Location;
use lakewright_ports::{ListPage, Store, StoreError};

/// The pages of a listing that are still to come.
pub(crate) struct Pages<'a> {
    store: &'a dyn Store,
    prefix: &'a Location,
    /// The next page begins after this key.
    after: Option<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    /// All objects below a prefix.
    pub(crate) fn new(store: &'a dyn Store, prefix: &'a Location) -> Self {
        Self {
            store,
            prefix,
            after: None,
            ended: false,
        }
    }

    /// Continues after this key.
    pub(crate) fn skip_to(&mut self, key: String) {
        self.after = Some(key);
    }

    /// The next page; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<ListPage>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let page = self.store.list(self.prefix, self.after.as_deref()).await?;
        match page.objects.last() {
            Some(last) if page.truncated => self.after = Some(last.key.clone()),
            _ => self.ended = true,
        }
        Ok(Some(page))
    }
}
