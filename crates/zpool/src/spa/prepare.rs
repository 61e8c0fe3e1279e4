//! What becomes of a block before it gets its place: compressed, put into its pointer, or found to be a hole; and summed.
//!
//! Nothing here knows where the block will lie, so worker threads can do it for many blocks at once.

use super::shared::{Room, SharedBytes};
use super::{BlockPointer, CryptParameters, Dva, EmbeddedType};
use crate::dmu::ObjectType;
use crate::{Corrupt, Error, Txg};
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use zferry_blocks::checksum::{Checksum, ChecksumAlgorithm, Summer};
use zferry_blocks::compress::{Compression, CompressionLevel, compress, decompress};
use zferry_blocks::is_zero;
use zferry_wire::{Endian, u64_from_usize, usize_from_u64};

thread_local! {
    /// Where blocks are compressed: it need not be zeroed for each anew.
    static ROOM: RefCell<Room> = RefCell::default();
}

/// How blocks of a kind are stored.
#[derive(Clone, Debug)]
pub struct BlockPolicy {
    /// How content is compressed.
    pub compression: Compression,
    /// How hard zstd tries.
    pub level: CompressionLevel,
    /// How the stored bytes are summed.
    pub checksum: ChecksumAlgorithm,
    /// Whether what gets small enough may lie in its pointer.
    pub embeds: bool,
    /// The smallest unit in which space is given, in bytes.
    pub allocation_unit: u64,
    /// How many copies are stored: 1–3.
    pub copies: usize,
    pub(crate) summer: Summer,
}

/// A block that only lacks its place.
#[derive(Clone, Debug)]
pub struct PreparedBlock {
    pub(crate) object_type: ObjectType,
    pub(crate) level: u8,
    pub(crate) logical_size: u64,
    pub(crate) form: Form,
    pub(crate) copies: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// All zeros.
    Hole,
    /// Small enough for its pointer, as compressed.
    Embedded {
        compression: u8,
        kind: EmbeddedType,
        endian: Endian,
        payload: Vec<u8>,
    },
    /// Stored, with all that the pointer will say of it.
    Stored {
        compression: u8,
        checksum: ChecksumAlgorithm,
        sum: Checksum,
        bytes: SharedBytes,
        endian: Endian,
        crypt: Option<CryptParameters>,
    },
}

/// A block that only lacks its place, and memory of its own.
#[derive(Debug)]
pub struct Draft {
    pub(super) block: PreparedBlock,
    pub(super) place: Place,
}

/// Where the stored bytes of a draft are.
#[derive(Debug)]
pub(super) enum Place {
    /// There are none.
    None,
    /// A part of the memory that its content is in.
    Content(Range<usize>),
    /// A part of the room that it was compressed into.
    Room(Range<usize>),
}

impl Draft {
    /// The block; `content` and `room` are the memory that it was made from and into.
    #[must_use]
    pub fn finish(mut self, content: &Arc<Vec<u8>>, room: &Arc<Vec<u8>>) -> PreparedBlock {
        if let Form::Stored { bytes, .. } = &mut self.block.form {
            *bytes = match self.place {
                Place::None => SharedBytes::default(),
                Place::Content(place) => SharedBytes::part(content, place),
                Place::Room(place) => SharedBytes::part(room, place),
            };
        }
        self.block
    }

    /// The block of a content that is all there is in its memory.
    fn alone(mut self, content: Vec<u8>, room: &Room) -> PreparedBlock {
        if let Form::Stored { bytes, .. } = &mut self.block.form {
            *bytes = match self.place {
                Place::None => SharedBytes::default(),
                Place::Content(_) => content.into(),
                Place::Room(place) => room.get(place).to_vec().into(),
            };
        }
        self.block
    }
}

impl PreparedBlock {
    /// The size of the block's content, in bytes.
    #[must_use]
    pub const fn logical_size(&self) -> u64 {
        self.logical_size
    }

    /// How many bytes a copy of it takes on disk; 0 for what needs no place.
    #[must_use]
    pub fn physical_size(&self) -> u64 {
        match &self.form {
            Form::Stored { bytes, .. } => u64_from_usize(bytes.len()),
            _ => 0,
        }
    }

    /// The bytes as they are stored; none for what needs no place.
    pub(crate) fn stored_bytes(&self) -> &[u8] {
        match &self.form {
            Form::Stored { bytes, .. } => bytes,
            _ => &[],
        }
    }

    /// Takes the block apart again: its content, uncompressed.
    ///
    /// # Errors
    /// [`Corrupt`] where what a stream sent compressed does not uncompress; [`Error::Invalid`] where it is encrypted.
    pub fn into_content(self) -> Result<Vec<u8>, Error> {
        let size = usize_from_u64(self.logical_size);
        let (compression, stored) = match self.form {
            Form::Hole => return Ok(vec![0; size]),
            Form::Stored { crypt: Some(_), .. } => {
                return Err(Error::Invalid("the content of an encrypted block".to_owned()));
            }
            Form::Embedded {
                compression, payload, ..
            } => (compression, SharedBytes::from(payload)),
            Form::Stored {
                compression, bytes, ..
            } => (compression, bytes),
        };
        let unknown = || {
            Corrupt::new(format!(
                "a block is compressed with unknown function {compression}"
            ))
        };
        let compression = Compression::from_id(compression).ok_or_else(unknown)?;
        if compression == Compression::Off {
            return Ok(stored.to_vec());
        }
        let mut content = vec![0; size];
        decompress(compression, &stored, &mut content)
            .map_err(|error| Corrupt::new(format!("a block does not uncompress: {error}")))?;
        Ok(content)
    }

    /// Whether it is all zeros.
    #[must_use]
    pub const fn is_hole(&self) -> bool {
        matches!(self.form, Form::Hole)
    }

    /// How many copies of it are stored, at most three.
    #[must_use]
    pub const fn with_copies(mut self, copies: usize) -> Self {
        self.copies = copies;
        self
    }

    /// The pointer to the block that lies at `dvas`.
    pub(crate) fn pointer(&self, dvas: &[Dva], birth: Txg, fill: u64) -> BlockPointer {
        match &self.form {
            Form::Hole => BlockPointer::default(),
            Form::Embedded {
                compression,
                kind,
                endian,
                payload,
            } => {
                let mut words = embed(payload);
                words[6] = self.logical_size.saturating_sub(1) & 0x1ff_ffff
                    | (u64_from_usize(payload.len()).saturating_sub(1) & 0x7f) << 25
                    | u64::from(*compression) << 32
                    | 1 << 39
                    | u64::from(kind.0) << 40
                    | u64::from(self.object_type.0) << 48
                    | u64::from(*endian == Endian::Little) << 63;
                words[10] = birth.0;
                BlockPointer::from_words(words)
            }
            Form::Stored {
                compression,
                checksum,
                sum,
                bytes,
                endian,
                crypt,
            } => {
                let mut words = [0; 16];
                for (pair, dva) in words.as_chunks_mut::<2>().0.iter_mut().zip(dvas.iter().take(3)) {
                    *pair = dva.to_words();
                }
                let sectors = |bytes: u64| (bytes >> 9).saturating_sub(1) & 0xffff;
                words[6] = sectors(self.logical_size)
                    | sectors(u64_from_usize(bytes.len())) << 16
                    | u64::from(*compression) << 32
                    | u64::from(checksum.id()) << 40
                    | u64::from(self.object_type.0) << 48
                    | u64::from(self.level & 0x1f) << 56
                    | u64::from(*endian == Endian::Little) << 63;
                words[10] = birth.0;
                words[11] = fill;
                words[12..].copy_from_slice(&sum.0);
                if let Some(crypt) = crypt {
                    crypt.put_into(&mut words, self, *sum, *checksum, *endian);
                }
                BlockPointer::from_words(words)
            }
        }
    }
}

/// The words of an embedded pointer: the payload, least significant byte first, passing over words 6 and 10.
fn embed(payload: &[u8]) -> [u64; 16] {
    let mut words = [0; 16];
    let places = [0_usize, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 15];
    for (place, chunk) in places.iter().zip(payload.chunks(8)) {
        let mut bytes = [0; 8];
        for (byte, source) in bytes.iter_mut().zip(chunk) {
            *byte = *source;
        }
        if let Some(word) = words.get_mut(*place) {
            *word = u64::from_le_bytes(bytes);
        }
    }
    words
}

impl BlockPolicy {
    /// Makes a block of data ready from its content, whose length is the block's logical size.
    ///
    /// # Errors
    /// Where it cannot be summed.
    pub fn prepare(&self, object_type: ObjectType, content: Vec<u8>) -> Result<PreparedBlock, Error> {
        self.prepare_at(object_type, 0, content)
    }

    /// Makes a block of any level ready.
    pub(crate) fn prepare_at(
        &self,
        object_type: ObjectType,
        level: u8,
        content: Vec<u8>,
    ) -> Result<PreparedBlock, Error> {
        ROOM.with_borrow_mut(|room| {
            let draft = self.draft_at(object_type, level, &content, 0..content.len(), room)?;
            let block = draft.alone(content, room);
            room.clear();
            Ok(block)
        })
    }

    /// Makes a block of data ready whose content is a part of `memory`. What it is compressed to goes to `room`.
    ///
    /// # Errors
    /// Where it cannot be summed.
    pub fn draft(
        &self,
        object_type: ObjectType,
        memory: &[u8],
        content: Range<usize>,
        room: &mut Room,
    ) -> Result<Draft, Error> {
        self.draft_at(object_type, 0, memory, content, room)
    }

    fn draft_at(
        &self,
        object_type: ObjectType,
        level: u8,
        memory: &[u8],
        place: Range<usize>,
        room: &mut Room,
    ) -> Result<Draft, Error> {
        let content = memory.get(place.clone()).unwrap_or_default();
        let logical_size = u64_from_usize(content.len());
        let draft = |form, place| Draft {
            block: self.block(object_type, level, logical_size, form),
            place,
        };
        if self.compression == Compression::Off {
            let form = self.stored(Compression::Off, content)?;
            return Ok(draft(form, Place::Content(place)));
        }
        if is_zero(content) {
            return Ok(draft(Form::Hole, Place::None));
        }
        let unit = usize_from_u64(self.allocation_unit);
        let limit = self.compression.limit(content.len(), unit);
        let target = room.offer(content.len().max(limit).saturating_add(unit.max(512)));
        let into = target.get_mut(..limit).unwrap_or_default();
        if let Some(len) = compress(self.compression, self.level, content, into) {
            let may_embed = self.embeds && level == 0 && !object_type.has_fill();
            if may_embed && len <= BlockPointer::EMBEDDED_BYTES_MAX {
                let form = Form::Embedded {
                    compression: self.compression.id(),
                    kind: EmbeddedType::DATA,
                    endian: Endian::Little,
                    payload: target.get(..len).unwrap_or_default().to_vec(),
                };
                return Ok(draft(form, Place::None));
            }
            let stored = len.next_multiple_of(unit.max(512));
            if stored < content.len()
                && let Some(bytes) = target.get_mut(..stored)
            {
                bytes.get_mut(len..).unwrap_or_default().fill(0);
                let form = self.stored(self.compression, bytes)?;
                return Ok(draft(form, Place::Room(room.take(stored))));
            }
        }
        let form = self.stored(Compression::Off, content)?;
        Ok(draft(form, Place::Content(place)))
    }

    /// What a pointer says of these stored bytes, which it does not have yet.
    fn stored(&self, compression: Compression, bytes: &[u8]) -> Result<Form, Error> {
        Ok(Form::Stored {
            compression: compression.id(),
            checksum: self.checksum,
            sum: self.sum(self.checksum, bytes, Endian::Little)?,
            bytes: SharedBytes::default(),
            endian: Endian::Little,
            crypt: None,
        })
    }

    /// Makes a block ready whose bytes are compressed already, are a part of `memory`, and stay as they are.
    ///
    /// # Errors
    /// Where it cannot be summed.
    pub fn draft_compressed(
        &self,
        object_type: ObjectType,
        logical_size: u64,
        compression: Compression,
        memory: &[u8],
        place: Range<usize>,
        room: &mut Room,
    ) -> Result<Draft, Error> {
        let payload = memory.get(place.clone()).unwrap_or_default();
        let unit = usize_from_u64(self.allocation_unit.max(512));
        let rounded = payload
            .len()
            .next_multiple_of(unit)
            .min(usize_from_u64(logical_size));
        let (form, place) = if rounded > payload.len() {
            let target = room.offer(rounded);
            if let Some((bytes, padding)) = target.split_at_mut_checked(payload.len()) {
                bytes.copy_from_slice(payload);
                padding.fill(0);
            }
            (self.stored(compression, target)?, Place::Room(room.take(rounded)))
        } else {
            (self.stored(compression, payload)?, Place::Content(place))
        };
        Ok(Draft {
            block: self.block(object_type, 0, logical_size, form),
            place,
        })
    }

    /// Makes a block ready that will lie in its pointer, as a stream carries it.
    #[must_use]
    pub fn prepare_embedded(
        &self,
        object_type: ObjectType,
        logical_size: u64,
        compression: u8,
        kind: EmbeddedType,
        endian: Endian,
        payload: &[u8],
    ) -> PreparedBlock {
        self.block(
            object_type,
            0,
            logical_size,
            Form::Embedded {
                compression,
                kind,
                endian,
                payload: payload
                    .iter()
                    .copied()
                    .take(BlockPointer::EMBEDDED_BYTES_MAX)
                    .collect(),
            },
        )
    }

    pub(super) fn block(
        &self,
        object_type: ObjectType,
        level: u8,
        logical_size: u64,
        form: Form,
    ) -> PreparedBlock {
        PreparedBlock {
            object_type,
            level,
            logical_size,
            form,
            copies: self.copies,
        }
    }

    pub(super) fn sum(
        &self,
        checksum: ChecksumAlgorithm,
        bytes: &[u8],
        endian: Endian,
    ) -> Result<Checksum, Error> {
        let sum = self.summer.sum(checksum, bytes, endian);
        sum.map_err(|error| Error::Invalid(error.to_string()))
    }

    pub(crate) fn store(
        &self,
        object_type: ObjectType,
        level: u8,
        logical_size: u64,
        compression: Compression,
        bytes: Vec<u8>,
    ) -> Result<PreparedBlock, Error> {
        let sum = self.sum(self.checksum, &bytes, Endian::Little)?;
        Ok(self.block(
            object_type,
            level,
            logical_size,
            Form::Stored {
                compression: compression.id(),
                checksum: self.checksum,
                sum,
                bytes: bytes.into(),
                endian: Endian::Little,
                crypt: None,
            },
        ))
    }
}
