//! Writes page headers.

use super::{PageHeader, PageKind, cursor::STRUCT};

/// Appends a header. Statistics are left out, because the column index has them.
pub(crate) fn write(header: &PageHeader, out: &mut Vec<u8>) {
    let code = match header.kind {
        PageKind::Data { .. } => 0,
        PageKind::Other => 1,
        PageKind::Dictionary { .. } => 2,
        PageKind::DataV2 { .. } => 3,
    };
    let mut fields = Fields { out, last: 0 };
    fields.integer(1, code);
    fields.count(2, header.uncompressed);
    fields.count(3, header.compressed);
    if let Some(crc) = header.crc {
        fields.integer(4, crc.into());
    }
    match &header.kind {
        PageKind::Data {
            values,
            encoding,
            def_encoding,
            rep_encoding,
            ..
        } => fields.group(5, |fields| {
            fields.count(1, *values);
            fields.integer(2, *encoding as i64);
            fields.integer(3, *def_encoding as i64);
            fields.integer(4, *rep_encoding as i64);
        }),
        PageKind::DataV2 {
            values,
            nulls,
            rows,
            encoding,
            def_bytes,
            rep_bytes,
            is_compressed,
            ..
        } => fields.group(8, |fields| {
            fields.count(1, *values);
            fields.count(2, *nulls);
            fields.count(3, *rows);
            fields.integer(4, *encoding as i64);
            fields.count(5, *def_bytes);
            fields.count(6, *rep_bytes);
            fields.header(7, if *is_compressed { 1 } else { 2 });
        }),
        PageKind::Dictionary { values, encoding } => fields.group(7, |fields| {
            fields.count(1, *values);
            fields.integer(2, *encoding as i64);
        }),
        PageKind::Other => {}
    }
    fields.out.push(0);
}

/// Appends a varint: seven bits per byte, lowest first.
pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

struct Fields<'a> {
    out: &'a mut Vec<u8>,
    last: u8,
}

impl Fields<'_> {
    fn header(&mut self, number: u8, kind: u8) {
        self.out.push((number - self.last) << 4 | kind);
        self.last = number;
    }

    fn integer(&mut self, number: u8, value: i64) {
        self.header(number, 5);
        varint(((value << 1) ^ (value >> 63)).cast_unsigned(), self.out);
    }

    /// Counts that a header cannot represent are refused before this.
    fn count(&mut self, number: u8, value: usize) {
        self.integer(number, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn group(&mut self, number: u8, write: impl FnOnce(&mut Fields<'_>)) {
        self.header(number, STRUCT);
        let mut fields = Fields {
            out: self.out,
            last: 0,
        };
        write(&mut fields);
        fields.out.push(0);
    }
}
