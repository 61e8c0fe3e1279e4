//! Reading one block: every copy tried, verified, decrypted, decompressed; and a cache of the blocks that lead to
//! others.

use super::decrypt::Decryptor;
use super::{BlockPointer, Dva};
use crate::dmu::ObjectType;
use crate::vdev::{Address, VdevTree};
use crate::{Attempt, Corrupt, Error, Unreadable, Unsupported};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use zferry_blocks::checksum::{Checksum, ChecksumAlgorithm, Summer};
use zferry_blocks::compress::{Compression, decompress};
use zferry_blocks::crypt::{Key, verify_indirect_mac};
use zferry_wire::{Endian, u64_from_usize, usize_from_u64};

/// The largest block there can be, in bytes.
const BLOCK_BYTES_MAX: u64 = 16 << 20;

/// The content of a block, and the order of the numbers in it.
#[derive(Clone, Debug)]
pub struct Block {
    /// The bytes, decompressed.
    pub bytes: Vec<u8>,
    /// The byte order in which they were written.
    pub endian: Endian,
}

/// Names a block in the cache: an address is written once a transaction group. The properties are there for pointers
/// that lie: what comes out of the cache is what its pointer says.
type CacheKey = (Dva, u64, u64);

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<CacheKey, Arc<Block>> for ByBytes {
    fn weight(&self, _: &CacheKey, block: &Arc<Block>) -> u64 {
        u64_from_usize(block.bytes.len()).saturating_add(256)
    }
}

type BlockCache = Cache<CacheKey, Arc<Block>, ByBytes>;

/// Reads blocks from the vdevs of a pool. Without a key, it reads what of an encrypted dataset is not secret.
#[derive(Debug)]
pub struct BlockReader {
    vdevs: Arc<VdevTree>,
    summer: Summer,
    cache_bytes: u64,
    cache: BlockCache,
    decryptor: Option<Decryptor>,
}

impl BlockReader {
    /// A reader over `vdevs` that keeps up to `cache_bytes` of metadata.
    #[must_use]
    pub(crate) fn new(vdevs: VdevTree, summer: Summer, cache_bytes: u64) -> Self {
        Self {
            vdevs: Arc::new(vdevs),
            summer,
            cache_bytes,
            cache: new_cache(cache_bytes),
            decryptor: None,
        }
    }

    /// A reader of the blocks of an encrypted dataset, whose key this is. It takes no block that is not authenticated,
    /// and has a cache of its own.
    #[must_use]
    pub fn with_key(&self, key: Arc<Key>) -> Self {
        Self {
            vdevs: Arc::clone(&self.vdevs),
            summer: self.summer.clone(),
            cache_bytes: self.cache_bytes,
            cache: new_cache(self.cache_bytes),
            decryptor: Some(Decryptor::new(key)),
        }
    }

    /// The same vdevs with the pool's checksum salt, which becomes known only once the meta object set can be read.
    pub(crate) fn set_summer(&mut self, summer: Summer) {
        self.summer = summer;
    }

    /// What sums blocks, with the pool's salt.
    pub(crate) const fn summer(&self) -> &Summer {
        &self.summer
    }

    /// The vdevs.
    #[must_use]
    pub fn vdevs(&self) -> &VdevTree {
        &self.vdevs
    }

    /// Other vdevs: those of the pool's own configuration, which can be read only by those that the labels know.
    pub(crate) fn set_vdevs(&mut self, vdevs: VdevTree) {
        self.vdevs = Arc::new(vdevs);
    }

    /// Reads a block of metadata, or takes it from the cache.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_cached(&self, pointer: &BlockPointer) -> Result<Arc<Block>, Error> {
        let Some(dva) = pointer.dvas().next() else {
            return Ok(Arc::new(self.read(pointer)?));
        };
        self.cache
            .get_or_insert_with(&(dva, pointer.logical_birth().0, pointer.properties()), || {
                Ok(Arc::new(self.read(pointer)?))
            })
    }

    /// Reads a block into fresh memory. A hole reads as zeros.
    ///
    /// # Errors
    /// As [`Self::read_into`].
    pub fn read(&self, pointer: &BlockPointer) -> Result<Block, Error> {
        let mut bytes = vec![0; checked_size(pointer.logical_size())?];
        self.read_into(pointer, &mut bytes, &mut Vec::new())?;
        Ok(Block {
            bytes,
            endian: pointer.endian(),
        })
    }

    /// Reads a block's content into `content`, which has its logical size. `scratch` is working memory that is worth
    /// keeping between calls.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where no copy is what its pointer says; [`Error::Unsupported`] where a function is not
    /// known or the block is encrypted and there is no key; [`Error::Corrupt`] where the pointer makes no sense.
    pub fn read_into(
        &self,
        pointer: &BlockPointer,
        content: &mut [u8],
        scratch: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if u64_from_usize(content.len()) != pointer.logical_size() {
            return Err(Corrupt::new(format!("{} bytes wanted of {pointer}", content.len())).into());
        }
        if pointer.is_hole() {
            content.fill(0);
            return Ok(());
        }
        // Of dnodes, only the bonus buffers are encrypted: what an object is can be told without a key.
        self.check_crypt(pointer, pointer.object_type() == ObjectType::DNODE)?;
        let compression = compression(pointer)?;
        if pointer.is_embedded() {
            let payload = pointer.embedded_payload();
            return decompress(compression, &payload, content)
                .map_err(|error| Corrupt::new(format!("{pointer}: {error}")).into());
        }
        let mut attempts = Vec::new();
        let found = if compression == Compression::Off {
            if pointer.physical_size() != pointer.logical_size() {
                return Err(Corrupt::new(format!("{pointer}: sizes differ without compression")).into());
            }
            let mut accept = |bytes: &mut [u8]| {
                self.open(pointer, bytes)?;
                verify_below(pointer, bytes)
            };
            self.try_copies(pointer, content, 0, &mut accept, &mut attempts)
        } else {
            scratch.resize(checked_size(pointer.physical_size())?, 0);
            // A copy whose checksum is right and that does not decompress is as bad as one whose checksum is wrong.
            let mut accept = |bytes: &mut [u8]| {
                self.open(pointer, bytes)?;
                decompress(compression, bytes, content).map_err(|error| error.to_string())?;
                verify_below(pointer, content)
            };
            self.try_copies(pointer, scratch, 0, &mut accept, &mut attempts)
        };
        if found {
            Ok(())
        } else {
            Err(unreadable(pointer, attempts))
        }
    }

    /// Reads a block decrypted, but compressed as it is stored, into `compressed`, which has its physical size.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where no copy is what its pointer says; [`Error::Unsupported`] where the block is encrypted
    /// and there is no key.
    pub fn read_compressed(&self, pointer: &BlockPointer, compressed: &mut [u8]) -> Result<(), Error> {
        self.check_crypt(pointer, false)?;
        self.read_accepted(pointer, compressed, &mut |bytes| self.open(pointer, bytes))
    }

    /// Reads a block as it is stored (compressed, encrypted) into `stored`, which has its physical size. That takes no
    /// key.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where no copy's checksum is right.
    pub fn read_stored(&self, pointer: &BlockPointer, stored: &mut [u8]) -> Result<(), Error> {
        self.read_accepted(pointer, stored, &mut |bytes| self.verify(pointer, bytes))
    }

    /// Fills `buffer` with the stored bytes of a block, from the first copy that `accept` takes.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where it takes none.
    pub(crate) fn read_accepted(
        &self,
        pointer: &BlockPointer,
        buffer: &mut [u8],
        accept: &mut dyn FnMut(&mut [u8]) -> Result<(), String>,
    ) -> Result<(), Error> {
        if u64_from_usize(buffer.len()) != pointer.physical_size() || pointer.is_embedded() {
            return Err(Corrupt::new(format!("{} stored bytes wanted of {pointer}", buffer.len())).into());
        }
        let mut attempts = Vec::new();
        if self.try_copies(pointer, buffer, 0, accept, &mut attempts) {
            Ok(())
        } else {
            Err(unreadable(pointer, attempts))
        }
    }

    /// Refuses an encrypted block without a key, unless what is wanted `is_readable` as it is; and with a key, a block
    /// that is not even authenticated: somebody else put it there.
    fn check_crypt(&self, pointer: &BlockPointer, is_readable: bool) -> Result<(), Error> {
        match &self.decryptor {
            None if pointer.is_encrypted() && !is_readable => Err(Unsupported::Encrypted.into()),
            Some(_) if !pointer.uses_crypt() => {
                let finding = format!("{pointer} is not encrypted, in a dataset that is");
                Err(Corrupt::new(finding).into())
            }
            _ => Ok(()),
        }
    }

    /// Checks stored bytes and, with a key, authenticates and decrypts them in place.
    fn open(&self, pointer: &BlockPointer, bytes: &mut [u8]) -> Result<(), String> {
        self.verify(pointer, bytes)?;
        match &self.decryptor {
            None => Ok(()),
            Some(decryptor) => decryptor.open(pointer, bytes).map_err(|error| error.to_string()),
        }
    }

    /// Fills `buffer` with the stored bytes of a block, from the first copy whose checksum is right.
    pub(super) fn read_physical(
        &self,
        pointer: &BlockPointer,
        buffer: &mut [u8],
        depth: u32,
        attempts: &mut Vec<Attempt>,
    ) -> bool {
        let mut accept = |bytes: &mut [u8]| self.verify(pointer, bytes);
        self.try_copies(pointer, buffer, depth, &mut accept, attempts)
    }

    fn try_copies(
        &self,
        pointer: &BlockPointer,
        buffer: &mut [u8],
        depth: u32,
        accept: &mut dyn FnMut(&mut [u8]) -> Result<(), String>,
        attempts: &mut Vec<Attempt>,
    ) -> bool {
        for dva in pointer.dvas() {
            if !dva.gang {
                let address = Address {
                    vdev: dva.vdev,
                    offset: dva.offset,
                    birth: pointer.physical_birth(),
                };
                if self.vdevs.read(address, buffer, accept, attempts) {
                    return true;
                }
            } else if self.read_gang(pointer, dva, buffer, depth, attempts) {
                match accept(buffer) {
                    Ok(()) => return true,
                    Err(reason) => attempts.push(Attempt {
                        vdev: dva.vdev,
                        offset: dva.offset,
                        reason,
                    }),
                }
            }
        }
        false
    }

    /// Whether stored bytes sum to what their pointer says.
    pub(crate) fn verify(&self, pointer: &BlockPointer, bytes: &[u8]) -> Result<(), String> {
        let id = pointer.checksum_type();
        let algorithm = ChecksumAlgorithm::from_id(id).ok_or_else(|| format!("unknown checksum {id}"))?;
        if algorithm == ChecksumAlgorithm::Off {
            return Ok(());
        }
        let sum = self
            .summer
            .sum(algorithm, bytes, pointer.endian())
            .map_err(|error| error.to_string())?;
        let matches = if pointer.sum_is_folded() {
            truncated(sum, algorithm) == first_half(pointer.checksum())
        } else {
            sum == pointer.checksum()
        };
        if matches {
            Ok(())
        } else {
            Err(format!("{} checksum mismatch", algorithm.name()))
        }
    }
}

/// Checks the sum that the pointer to an indirect block of an encrypted dataset has of the codes below it. It takes no
/// key.
fn verify_below(pointer: &BlockPointer, content: &[u8]) -> Result<(), String> {
    if !pointer.uses_crypt() || pointer.level() == 0 {
        return Ok(());
    }
    verify_indirect_mac(content, pointer.endian(), pointer.mac()).map_err(|error| error.to_string())
}

fn new_cache(bytes: u64) -> BlockCache {
    // A budget is split evenly over shards, and an entry above its shard's part is not kept: few shards.
    let options = quick_cache::OptionsBuilder::new()
        .estimated_items_capacity(usize_from_u64(bytes / (16 << 10)))
        .weight_capacity(bytes)
        .shards(2)
        .build();
    match options {
        Ok(options) => Cache::with_options(options, ByBytes, Default::default(), Default::default()),
        Err(_) => Cache::with_weighter(1024, bytes, ByBytes),
    }
}

/// The half of a checksum that is kept beside a MAC: folded for sums that are weak in parts, cut for strong ones.
fn truncated(Checksum([a, b, c, d]): Checksum, algorithm: ChecksumAlgorithm) -> [u64; 2] {
    if algorithm.is_dedup_capable() {
        [a, b]
    } else {
        [a ^ c, b ^ d]
    }
}

const fn first_half(Checksum([a, b, _, _]): Checksum) -> [u64; 2] {
    [a, b]
}

fn compression(pointer: &BlockPointer) -> Result<Compression, Error> {
    let id = pointer.compression();
    Compression::from_id(id).ok_or_else(|| {
        Unsupported::BlockFunction {
            what: "compression",
            id,
        }
        .into()
    })
}

fn checked_size(bytes: u64) -> Result<usize, Error> {
    if bytes > BLOCK_BYTES_MAX {
        return Err(Corrupt::new(format!("block of {bytes} bytes")).into());
    }
    Ok(usize_from_u64(bytes))
}

fn unreadable(pointer: &BlockPointer, attempts: Vec<Attempt>) -> Error {
    Error::Unreadable(Box::new(Unreadable {
        pointer: *pointer,
        attempts,
    }))
}
