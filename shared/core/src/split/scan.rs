//! Finds the rows of a source in one pass, and cuts them into chunks.

use thiserror::Error;

use super::{
    Chunk, ChunkLimit, Framing, MAX_ROW,
    ends::{RowEnds, is_blank, without_end},
};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why the rows of a source cannot be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ScanError {
    /// It ends in the middle of a row.
    #[error("it ends inside quotes, in the row that begins at byte {offset}: it is incomplete")]
    Truncated {
        /// The start of the row.
        offset: u64,
    },
    /// A row is too long.
    #[error("the row that begins at byte {offset} has more than {MAX_ROW} bytes")]
    RowTooLong {
        /// The start of the row.
        offset: u64,
    },
    /// It begins with a byte order mark.
    #[error(
        "it begins with a byte order mark, which Athena does not write: it was rewritten by something else, and the first column's name would have the mark. Run the query again, or remove the mark"
    )]
    ByteOrderMark,
    /// It is empty: it does not even have a header.
    #[error("it has no header: Athena writes one, even for a result without rows")]
    NoHeader,
}

/// A row without its line ending, as [`Scan`] reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// The row that names the columns.
    Header(&'a [u8]),
    /// A row of values, and its number.
    Row(u64, &'a [u8]),
}

/// Finds the rows of one source in its decompressed bytes as they arrive, and cuts them into chunks.
#[derive(Debug)]
pub struct Scan {
    framing: Framing,
    limit: ChunkLimit,
    ends: RowEnds,
    /// Whether the next row is the header.
    header: bool,
    /// Whether rows are reported, not only counted.
    shows_rows: bool,
    /// How many bytes of a byte order mark it begins with.
    mark: usize,
    /// The number of bytes so far.
    offset: u64,
    row_start: u64,
    /// Whether the current row is blank so far.
    blank: bool,
    /// The start of the current row, if it will be reported.
    carry: Vec<u8>,
    open: Chunk,
    closed: Vec<Chunk>,
}

impl Scan {
    /// Creates a scan of source `source`, whose first row has the number `first_row`. With `shows_rows` every row is
    /// reported, otherwise only the header.
    pub fn new(
        framing: Framing,
        source: u32,
        first_row: u64,
        limit: ChunkLimit,
        shows_rows: bool,
    ) -> Self {
        Self {
            framing,
            limit,
            ends: RowEnds::new(framing),
            header: framing == Framing::AthenaCsv,
            shows_rows,
            mark: 0,
            offset: 0,
            row_start: 0,
            blank: true,
            carry: Vec::new(),
            open: Chunk {
                source,
                offset: 0,
                length: 0,
                first_row,
                rows: 0,
            },
            closed: Vec::new(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// A row is too long, or `show` fails.
    pub fn push<E: From<ScanError>>(
        &mut self,
        bytes: &[u8],
        mut show: impl FnMut(Seen<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.look_for_mark(bytes)?;
        let mut ends = std::mem::replace(&mut self.ends, RowEnds::new(self.framing));
        let mut from = 0;
        let base = self.offset;
        let found = ends.push(bytes, |end| {
            let stretch = bytes.get(from..end).unwrap_or_default();
            from = end;
            self.offset = base + end as u64;
            self.row(stretch, &mut show)
        });
        self.ends = ends;
        found?;
        self.offset = base + bytes.len() as u64;
        let rest = bytes.get(from..).unwrap_or_default();
        self.begin(rest);
        self.check_length()?;
        Ok(())
    }

    /// Ends the scan. Returns the chunks and the number of rows.
    ///
    /// # Errors
    /// The source ends inside a row or before the header, or `show` fails.
    pub fn finish<E: From<ScanError>>(
        mut self,
        mut show: impl FnMut(Seen<'_>) -> Result<(), E>,
    ) -> Result<(Vec<Chunk>, u64), E> {
        if self.ends.in_quotes() {
            let offset = self.row_start;
            return Err(ScanError::Truncated { offset }.into());
        }
        if self.offset > self.row_start {
            self.row(&[], &mut show)?;
        }
        if self.header {
            return Err(ScanError::NoHeader.into());
        }
        self.close();
        let rows = self.closed.iter().map(|chunk| chunk.rows).sum();
        Ok((self.closed, rows))
    }

    fn look_for_mark(&mut self, bytes: &[u8]) -> Result<(), ScanError> {
        if self.offset == self.mark as u64 {
            let rest = BYTE_ORDER_MARK.get(self.mark..).unwrap_or_default();
            let same = bytes.iter().zip(rest).take_while(|(byte, of)| byte == of);
            self.mark += same.count();
        }
        if self.mark == BYTE_ORDER_MARK.len() {
            return Err(ScanError::ByteOrderMark);
        }
        Ok(())
    }

    fn begin(&mut self, stretch: &[u8]) {
        self.blank = self.blank && (self.framing != Framing::JsonLines || is_blank(stretch));
        if self.header || self.shows_rows {
            self.carry.extend_from_slice(stretch);
        }
    }

    fn check_length(&self) -> Result<(), ScanError> {
        if self.offset - self.row_start > MAX_ROW as u64 {
            let offset = self.row_start;
            return Err(ScanError::RowTooLong { offset });
        }
        Ok(())
    }

    /// Ends a row with `stretch`, which may continue what was carried over.
    fn row<E: From<ScanError>>(
        &mut self,
        stretch: &[u8],
        show: &mut impl FnMut(Seen<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check_length()?;
        let is_row = self.framing != Framing::JsonLines || !(self.blank && is_blank(stretch));
        if self.header || (self.shows_rows && is_row) {
            let carried = !self.carry.is_empty();
            if carried {
                self.carry.extend_from_slice(stretch);
            }
            let whole = if carried { &self.carry[..] } else { stretch };
            let row = without_end(self.framing, whole);
            if self.header {
                show(Seen::Header(row))?;
            } else {
                show(Seen::Row(self.open.first_row + self.open.rows, row))?;
            }
        }
        self.carry.clear();
        self.blank = true;
        self.row_start = self.offset;
        if self.header {
            self.header = false;
            self.open.offset = self.offset;
            return Ok(());
        }
        self.open.length = self.offset - self.open.offset;
        self.open.rows += u64::from(is_row);
        if self.open.length >= self.limit.bytes || self.open.rows >= self.limit.rows {
            self.close();
        }
        Ok(())
    }

    fn close(&mut self) {
        let closed = self.open;
        self.open = Chunk {
            offset: closed.offset + closed.length,
            length: 0,
            first_row: closed.first_row + closed.rows,
            rows: 0,
            ..closed
        };
        if closed.rows > 0 {
            self.closed.push(closed);
        }
    }
}
