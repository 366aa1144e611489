//! What is found in place of records: broken stretches, and arrays that are not closed.

use super::{
    super::{
        Broken,
        lex::{self, Stop},
        resume::{End, Stretch, View},
    },
    Context, Found, Framer,
};

impl Framer {
    /// Moves over the broken stretch that begins at `at`.
    pub(super) fn find_broken<T>(&mut self, stop: Stop, max_depth: usize) -> Option<Found<T>> {
        let start = self.window.at;
        let broken = stop.into_broken(start, max_depth);
        let is_after = self.window.offset(start) > 0;
        let stretch = Stretch::new(broken, &self.window.bytes, start, is_after);
        self.broken = Some(match self.walk.as_ref().filter(|walk| walk.is_open()) {
            Some(walk) => stretch.in_envelope(walk.is_at_element() || walk.is_held()),
            None => stretch,
        });
        self.find_end_of_broken()
    }

    /// Nothing in place of what is not closed at `at`.
    pub(super) fn unclosed<T>(&self, broken: Broken) -> Found<T> {
        Found {
            offset: self.window.offset(self.window.at),
            start: self.window.at,
            end: self.window.at,
            is_unfolded: false,
            outcome: Err(broken),
        }
    }

    /// At the end of the input: reports an array that is not closed.
    pub(super) fn find_unclosed_array<T>(&mut self) -> Option<Found<T>> {
        let unclosed = matches!(
            self.context,
            Context::ArrayStart | Context::ArrayElement | Context::ArrayComma
        );
        if !(self.window.ended && unclosed) {
            return None;
        }
        self.context = Context::Top;
        Some(self.unclosed(Broken::UnclosedArray))
    }

    pub(super) fn find_end_of_broken<T>(&mut self) -> Option<Found<T>> {
        let mut stretch = self.broken.take()?;
        let start = self.window.at;
        let found = stretch.find(View {
            bytes: &self.window.bytes,
            start,
            ended: self.window.ended,
            max_record: self.max_record,
            max_depth: self.max_depth,
        });
        let (end, next) = match found {
            End::At { end, .. } | End::NotBefore(end) if end - start > self.max_record => {
                let end = self.piece(start);
                stretch.look(&self.window.bytes, end);
                self.broken = Some(stretch);
                (end, end)
            }
            End::NotBefore(_) => {
                self.broken = Some(stretch);
                return None;
            }
            End::At {
                end,
                next,
                is_closed,
            } => {
                let walk = self.walk.as_mut().filter(|walk| walk.is_open());
                let was_inside = walk.is_some();
                if let Some(walk) = walk {
                    walk.passed_broken(is_closed);
                }
                self.context = match self.context {
                    context if was_inside && is_closed => context,
                    Context::Top => Context::Top,
                    Context::ArrayStart | Context::ArrayComma if is_closed => Context::ArrayElement,
                    _ => Context::Resumed,
                };
                (end, next)
            }
        };
        self.wanted = 0;
        self.window.at = next;
        let bytes = self.window.between(start, end);
        Some(Found {
            offset: self.window.offset(start),
            start,
            end: start + lex::trim_space_end(bytes).len(),
            is_unfolded: false,
            outcome: Err(stretch.broken),
        })
    }

    /// The end of the longest piece of a broken stretch within the limit on records, not inside a character.
    fn piece(&self, start: usize) -> usize {
        let end = start + self.max_record;
        let is_whole = |end: &usize| {
            let byte = self.window.bytes.get(*end);
            *end > start && byte.is_none_or(|byte| byte & 0xc0 != 0x80)
        };
        let places = (0..4).filter_map(|back| end.checked_sub(back));
        places.into_iter().find(is_whole).unwrap_or(end)
    }
}

#[cfg(test)]
#[path = "broken_tests.rs"]
mod tests;
