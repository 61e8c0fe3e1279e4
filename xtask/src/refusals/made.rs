//! Streams made record by record, and streams of OpenZFS's in which something was changed.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result};
use zferry_nvlist::{Header as ListHeader, Limits, NvList, Value};
use zferry_wire::Endian;
use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType, VersionInfo};
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{Begin, End, Header, Object, ObjectType, ObjsetType, Record, StreamName, Write};
use zferry_zstream::writer::Fletcher4;

/// A stream in the making. Like those of the first releases, its records have no checksums but that of END.
#[derive(Clone)]
pub(super) struct Made {
    bytes: Vec<u8>,
    sum: Fletcher4,
}

impl Made {
    /// A stream with this BEGIN, and a payload behind it.
    pub(super) fn with(mut begin: Begin, payload: &[u8]) -> Result<Self> {
        begin.payload_length = u32::try_from(payload.len())?;
        let made = Self {
            bytes: Vec::new(),
            sum: Fletcher4::new(Endian::Little),
        };
        Ok(made.record(Record::Begin(Box::new(begin)), payload))
    }

    /// A full stream of a file system, with these features.
    pub(super) fn new(features: FeatureFlags) -> Result<Self> {
        let begin = Begin {
            payload_length: 0,
            version_info: VersionInfo::new(HeaderType::SUBSTREAM, features),
            creation_time: 1_600_000_000,
            objset_type: ObjsetType::ZFS,
            flags: BeginFlags::FREERECORDS | BeginFlags::SPILL_BLOCK,
            to_guid: 0x7007,
            from_guid: 0,
            to_name: StreamName::new("tank/fs@a")?,
        };
        Self::with(begin, &[])
    }

    pub(super) fn record(self, record: Record, payload: &[u8]) -> Self {
        let header = record.encode(Endian::Little);
        self.bytes(&header, payload)
    }

    /// A record that need not be one.
    pub(super) fn bytes(mut self, header: &[u8], payload: &[u8]) -> Self {
        for bytes in [header, payload] {
            self.sum.update(bytes);
            self.bytes.extend_from_slice(bytes);
        }
        self
    }

    /// What there is so far, without an end.
    pub(super) fn cut(self) -> Vec<u8> {
        self.bytes
    }

    /// Ends the stream.
    pub(super) fn end(self) -> Vec<u8> {
        let checksum = self.sum.checksum();
        let end = Record::End(End {
            checksum,
            ..End::default()
        });
        self.record(end, &[]).bytes
    }

    /// Ends the stream with a wrong sum.
    pub(super) fn end_wrong(self) -> Vec<u8> {
        self.record(Record::End(End::default()), &[]).bytes
    }
}

/// An object of a type, with blocks of 4 KiB.
pub(super) fn object(number: u64, object_type: u32) -> Object {
    Object {
        object: number,
        object_type: ObjectType(object_type),
        block_size: 4096,
        dnode_slots: 1,
        ..Object::default()
    }
}

/// A WRITE of 4 KiB into a file.
pub(super) fn write(object: u64, offset: u64) -> Write {
    Write {
        object,
        object_type: ObjectType(19),
        offset,
        logical_size: 4096,
        ..Write::default()
    }
}

/// A stream that OpenZFS sent, taken apart.
#[derive(Clone)]
pub(super) struct Template {
    pub(super) begin: Begin,
    /// The list behind BEGIN, and how it was packed.
    pub(super) list: Option<(NvList, ListHeader)>,
    /// The records between BEGIN and END.
    records: Vec<(Header, Vec<u8>)>,
}

impl Template {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let mut reader = StreamReader::new(Cursor::new(bytes));
        let mut found = None;
        let mut list = None;
        let mut records = Vec::new();
        while let Some(read) = reader.next()? {
            match read.record {
                Record::Begin(begin) => {
                    if !read.payload.is_empty() {
                        list = Some(NvList::decode(read.payload, &Limits::default())?);
                    }
                    found = Some(*begin);
                }
                Record::End(_) => {}
                _ => records.push((without_checksum(*read.header), read.payload.to_vec())),
            }
        }
        Ok(Self {
            begin: found.context("no BEGIN")?,
            list,
            records,
        })
    }

    /// Only the first records.
    pub(super) fn short(mut self, count: usize) -> Self {
        self.records.truncate(count);
        self
    }

    /// The stream in which BEGIN was changed.
    pub(super) fn begun(&self, change: impl FnOnce(&mut Begin)) -> Result<Made> {
        let mut begin = self.begin.clone();
        change(&mut begin);
        let payload = self.list.as_ref().map_or_else(Vec::new, |(list, header)| {
            list.encode(header.encoding, header.endian)
        });
        self.made(begin, &payload)
    }

    /// The stream with this BEGIN, and this behind it.
    pub(super) fn made(&self, begin: Begin, payload: &[u8]) -> Result<Made> {
        let made = Made::with(begin, payload)?;
        let records = self.records.iter();
        Ok(records.fold(made, |made, (header, payload)| made.bytes(header, payload)))
    }

    /// The stream with an entry of its key's list set, or taken out.
    pub(super) fn keyed(&self, name: &str, value: Option<Value>) -> Result<Vec<u8>> {
        let mut changed = self.clone();
        let (list, _) = changed.list.as_mut().context("no list")?;
        let Some(Value::NvList(key)) = list.get_mut("crypt_keydata") else {
            anyhow::bail!("no key");
        };
        key.remove(name);
        if let Some(value) = value {
            key.insert(name, value);
        }
        Ok(changed.begun(|_| {})?.end())
    }
}

/// Where a record's own checksum stands, there is none.
fn without_checksum(mut header: Header) -> Header {
    for byte in header.iter_mut().skip(zferry_zstream::record::CHECKSUM_OFFSET) {
        *byte = 0;
    }
    header
}
