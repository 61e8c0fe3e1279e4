//! Making the bytes of a block again as they lay on disk, from what a stream holds of it.
//!
//! ```text
//! the stream has           the pointer says        what is tried, until the checksum is right
//! a raw block              anything                the bytes as they are
//! compressed bytes         the same compression    the bytes, padded with zeros
//! content                  no compression          the content
//! content                  a compression           the content, compressed, and padded with zeros
//! ```
//!
//! Then, where the pointer says that it was encrypted, it is encrypted with the salt and vector that stand there. Content of
//! a stream of the other byte order is tried turned round, as it is received, and as it came, as OpenZFS stores what came
//! compressed.
//!
//! LZ4 is tried as it is written here and as OpenZFS writes it. Of gzip and zstd, OpenZFS has other versions of the
//! libraries, which make other bytes of the same content; there only compressed or raw streams help.

use super::{BLOCK_BYTES_MAX, HealError, HealPlace};
use crate::spa::{BlockPointer, BlockReader};
use std::borrow::Cow;
use std::sync::Arc;
use zferry_blocks::compress::{
    Compression, CompressionLevel, compress, compress_lz4_as_openzfs, decompress, zstd_stored_level,
};
use zferry_blocks::crypt::Key;
use zferry_wire::{Endian, usize_from_u64};

/// What a stream holds of a block.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'s> {
    /// What follows the record.
    pub bytes: &'s [u8],
    /// The size of the block, in bytes.
    pub logical_size: u64,
    /// How the bytes are compressed.
    pub compression: Compression,
    /// The byte order of the stream.
    pub endian: Endian,
    /// Whether the bytes are as they were stored: compressed and encrypted.
    pub is_raw: bool,
}

impl<'s> Sent<'s> {
    /// The content, as it was sent; nothing where it does not uncompress.
    pub(super) fn content(&self) -> Option<Cow<'s, [u8]>> {
        if self.compression == Compression::Off {
            return Some(Cow::Borrowed(self.bytes));
        }
        let mut content = vec![0; usize_from_u64(self.logical_size.min(BLOCK_BYTES_MAX))];
        decompress(self.compression, self.bytes, &mut content).ok()?;
        Some(Cow::Owned(content))
    }
}

/// Makes blocks again.
#[derive(Debug)]
pub(super) struct Remaker {
    /// The key of the dataset, where it is encrypted and that is loaded.
    pub(super) key: Option<Arc<Key>>,
    pub(super) summed_by: Arc<BlockReader>,
    /// How hard zstd tries for the dataset now.
    pub(super) level: CompressionLevel,
}

impl Remaker {
    /// The bytes that `pointer` leads to. `damaged` is what lies there.
    pub(super) fn remake(
        &self,
        pointer: &BlockPointer,
        place: HealPlace,
        sent: &Sent<'_>,
        damaged: &[u8],
    ) -> Result<Vec<u8>, HealError> {
        let (found, expected) = (sent.logical_size, pointer.logical_size());
        let begins_block = place
            .offset
            .is_some_and(|offset| offset.checked_rem(expected) == Some(0));
        if found == expected {
            return self
                .remake_whole(pointer, sent, damaged)?
                .ok_or(HealError::Differs);
        }
        // A file may end in a block that was never written further than here.
        let made = if found < expected && begins_block && !sent.is_raw {
            self.remake_from_content(pointer, sent, damaged)?
        } else {
            None
        };
        made.ok_or(HealError::Size { found, expected })
    }

    /// The same where the sizes are the same. Nothing where it is not the block that was there.
    fn remake_whole(
        &self,
        pointer: &BlockPointer,
        sent: &Sent<'_>,
        damaged: &[u8],
    ) -> Result<Option<Vec<u8>>, HealError> {
        if sent.is_raw {
            let is_it = sent.bytes.len() == damaged.len();
            return Ok(self.checked(pointer, sent.bytes.to_vec()).filter(|_| is_it));
        }
        let is_same = sent.compression.id() == pointer.compression();
        if let Some(made) = padded(sent.bytes, damaged.len()).filter(|_| is_same)
            && let Some(made) = self.sealed(pointer, made)?
        {
            return Ok(Some(made));
        }
        self.remake_from_content(pointer, sent, damaged)
    }

    /// The same from what was sent, uncompressed.
    fn remake_from_content(
        &self,
        pointer: &BlockPointer,
        sent: &Sent<'_>,
        damaged: &[u8],
    ) -> Result<Option<Vec<u8>>, HealError> {
        let Some(mut content) = sent.content() else {
            return Ok(None);
        };
        let size = usize_from_u64(pointer.logical_size().min(BLOCK_BYTES_MAX));
        if content.len() != size {
            content.to_mut().resize(size, 0);
        }
        for content in orders(pointer, sent, content) {
            if let Some(made) = self.stored(pointer, sent, &content, damaged)? {
                return Ok(Some(made));
            }
        }
        Ok(None)
    }

    /// The block of this content, where that is the one that was there.
    fn stored(
        &self,
        pointer: &BlockPointer,
        sent: &Sent<'_>,
        content: &[u8],
        damaged: &[u8],
    ) -> Result<Option<Vec<u8>>, HealError> {
        let Some(compression) = Compression::from_id(pointer.compression()) else {
            return Ok(None);
        };
        if compression == Compression::Off {
            return match padded(content, damaged.len()) {
                Some(made) => self.sealed(pointer, made),
                None => Ok(None),
            };
        }
        for level in self.levels(compression, sent, damaged) {
            let made = within(damaged.len(), |made| compress(compression, level, content, made));
            if let Some(made) = made
                && let Some(made) = self.sealed(pointer, made)?
            {
                return Ok(Some(made));
            }
        }
        if compression == Compression::Lz4
            && let Some(made) = within(damaged.len(), |made| compress_lz4_as_openzfs(content, made))
        {
            return self.sealed(pointer, made);
        }
        Ok(None)
    }

    /// How hard the compressor may have tried: as the block itself says, as that of the stream does, or as is set now.
    fn levels(&self, compression: Compression, sent: &Sent<'_>, damaged: &[u8]) -> Vec<CompressionLevel> {
        if compression != Compression::Zstd {
            return vec![self.level];
        }
        let of_sent = zstd_stored_level(sent.bytes).filter(|_| sent.compression == Compression::Zstd);
        let mut levels = Vec::new();
        for level in [zstd_stored_level(damaged), of_sent, Some(self.level)] {
            levels.extend(level.filter(|level| !levels.contains(level)));
        }
        levels
    }

    /// Encrypts what was encrypted. Nothing where it is not the block that was there.
    fn sealed(&self, pointer: &BlockPointer, mut made: Vec<u8>) -> Result<Option<Vec<u8>>, HealError> {
        if pointer.is_encrypted() {
            let key = self.key.as_ref().ok_or(HealError::NoKey)?;
            let code = key.data_key(pointer.salt()).encrypt(pointer.iv(), &mut made);
            if code.ok() != Some(pointer.mac()) {
                return Ok(None);
            }
        }
        Ok(self.checked(pointer, made))
    }

    fn checked(&self, pointer: &BlockPointer, made: Vec<u8>) -> Option<Vec<u8>> {
        self.summed_by.verify(pointer, &made).ok().map(|()| made)
    }
}

/// So many bytes, compressed ones and zeros behind them. Nothing where they do not fit.
fn within(len: usize, compress: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<Vec<u8>> {
    let mut made = vec![0; len];
    let taken = compress(&mut made)?;
    made.get_mut(taken..)?.fill(0);
    Some(made)
}

/// The content in the byte orders in which it may have been stored, likely ones first.
fn orders<'s>(
    pointer: &BlockPointer,
    sent: &Sent<'_>,
    content: Cow<'s, [u8]>,
) -> impl Iterator<Item = Cow<'s, [u8]>> {
    let is_turned = sent.endian == Endian::Big && pointer.endian() == Endian::Little;
    let turned = pointer.object_type().byte_order().filter(|_| is_turned);
    let turned = turned.map(|order| {
        let mut turned = content.to_vec();
        order.swap(&mut turned);
        Cow::Owned(turned)
    });
    turned.into_iter().chain([content])
}

/// The bytes with zeros behind them; nothing where they are too many.
fn padded(bytes: &[u8], size: usize) -> Option<Vec<u8>> {
    if bytes.len() > size {
        return None;
    }
    let mut padded = bytes.to_vec();
    padded.resize(size, 0);
    Some(padded)
}
