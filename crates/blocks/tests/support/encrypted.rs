//! Reads an encrypted file system as far as it takes to try every kind of its blocks: a plain walk over trusted
//! fixtures, with each code checked and each block encrypted again to the same bytes.

use std::collections::BTreeMap;

use zferry_blocks::Endian;
use zferry_blocks::checksum::{ChecksumAlgorithm, Summer};
use zferry_blocks::compress::{Compression, decompress};
use zferry_blocks::crypt::{Iv, Key, KeySalt, Mac, is_encrypted_type, verify_indirect_mac};

/// Where blocks come from.
pub(crate) trait Disk {
    fn read(&mut self, offset: u64, size: usize) -> Vec<u8>;
}

/// Parts of an image: an index of offsets and lengths in hexadecimal, and the parts, compressed as one zstd block.
pub(crate) struct Slices(BTreeMap<u64, Vec<u8>>);

impl Slices {
    pub(crate) fn open(name: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        let index = std::fs::read_to_string(format!("{folder}/{name}.txt")).unwrap();
        let packed = std::fs::read(format!("{folder}/{name}.zstd")).unwrap();
        let number = |text: &str| usize::from_str_radix(text, 16).unwrap();
        let index: Vec<(usize, usize)> = index
            .lines()
            .map(|line| {
                let (offset, length) = line.split_once(' ').unwrap();
                (number(offset), number(length))
            })
            .collect();
        let mut parts = vec![0; index.iter().map(|(_, length)| length).sum()];
        decompress(Compression::Zstd, &packed, &mut parts).unwrap();
        let mut parts = parts.into_iter();
        Self(
            index
                .into_iter()
                .map(|(offset, length)| (offset as u64, parts.by_ref().take(length).collect()))
                .collect(),
        )
    }
}

impl Disk for Slices {
    fn read(&mut self, offset: u64, size: usize) -> Vec<u8> {
        self.0[&offset][..size].to_vec()
    }
}

/// What was found in a file system.
#[derive(Default)]
pub(crate) struct FileSystem {
    /// The checksum of the objset, as zdb prints it.
    pub(crate) checksum: String,
    /// The objects that there are; accounting objects are negative, as in zdb.
    pub(crate) objects: Vec<i64>,
    /// The files of one block that is not larger than the limit.
    pub(crate) files: BTreeMap<i64, Vec<u8>>,
}

const PLAIN_FILE: u8 = 19;

impl FileSystem {
    /// Reads the file system whose objset lies at `offset`, but of files only those blocks that are not larger on disk
    /// than `limit`.
    pub(crate) fn read(disk: &mut impl Disk, key: &Key, offset: u64, limit: usize) -> Self {
        let mut system = Self::default();
        let objset = disk.read(offset, 4096);
        system.checksum = sum(ChecksumAlgorithm::Fletcher4, &objset).to_string();
        key.verify_objset(&objset, Endian::Little).unwrap();

        for (number, at) in [(-3, 2048), (-2, 1536), (-1, 1024)] {
            system.object(disk, key, number, &objset[at..at + 512], limit);
        }
        let mut dnodes = Blocks::new();
        for (index, pointer) in pointers(&objset[..512]).iter().enumerate() {
            walk(disk, key, pointer, index, limit, &mut dnodes);
        }
        for (block, bytes) in dnodes {
            for (slot, dnode) in bytes.chunks_exact(512).enumerate() {
                if dnode[0] != 0 {
                    system.object(disk, key, (block * 32 + slot) as i64, dnode, limit);
                }
            }
        }
        system
    }

    fn object(&mut self, disk: &mut impl Disk, key: &Key, number: i64, dnode: &[u8], limit: usize) {
        self.objects.push(number);
        let mut blocks = Blocks::new();
        for (index, pointer) in pointers(dnode).iter().enumerate() {
            walk(disk, key, pointer, index, limit, &mut blocks);
        }
        if dnode[0] == PLAIN_FILE
            && let Some((_, block)) = blocks.pop_first()
        {
            self.files.insert(number, block);
        }
    }
}

/// Level-0 blocks by their number in the object.
type Blocks = BTreeMap<usize, Vec<u8>>;

/// Reads what lies under a pointer, the `index`th of its level.
fn walk(disk: &mut impl Disk, key: &Key, pointer: &Pointer, index: usize, limit: usize, blocks: &mut Blocks) {
    if pointer.is_hole() || (pointer.object_type() == PLAIN_FILE && pointer.physical_size() > limit) {
        return;
    }
    let mut block = disk.read(pointer.offset(), pointer.physical_size());
    let checksum = sum(pointer.checksum(), &block).truncated(pointer.checksum());
    assert_eq!(checksum, [pointer.0[12], pointer.0[13]]);
    if pointer.level() == 0 {
        open(key, pointer, &mut block);
    }
    let mut logical = vec![0; pointer.logical_size()];
    decompress(pointer.compression(), &block, &mut logical).unwrap();
    if pointer.level() == 0 {
        blocks.insert(index, logical);
        return;
    }
    verify_indirect_mac(&logical, Endian::Little, pointer.mac()).unwrap();
    let below = logical.as_chunks::<128>().0;
    for (slot, bytes) in below.iter().enumerate() {
        let index = index * below.len() + slot;
        walk(disk, key, &Pointer::decode(bytes), index, limit, blocks);
    }
}

/// Decrypts or authenticates a level-0 block, and does the reverse to see the same bytes again.
fn open(key: &Key, pointer: &Pointer, block: &mut [u8]) {
    const DNODES: u8 = 10;
    let mac = pointer.mac();
    if !is_encrypted_type(pointer.object_type()) {
        key.verify_mac(block, mac).unwrap();
        return;
    }
    let on_disk = block.to_vec();
    let endian = pointer.endian();
    let data_key = key.data_key(pointer.salt());
    let again = if pointer.object_type() == DNODES {
        data_key.decrypt_dnodes(pointer.iv(), mac, block, endian).unwrap();
        let mut again = block.to_vec();
        let code = data_key.encrypt_dnodes(pointer.iv(), &mut again, endian).unwrap();
        assert_eq!(code, mac);
        again
    } else {
        data_key.decrypt(pointer.iv(), mac, block).unwrap();
        let mut again = block.to_vec();
        assert_eq!(data_key.encrypt(pointer.iv(), &mut again).unwrap(), mac);
        again
    };
    assert!(again == on_disk);

    let mut damaged = on_disk;
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let outcome = if pointer.object_type() == DNODES {
        data_key.decrypt_dnodes(pointer.iv(), mac, &mut damaged, endian)
    } else {
        data_key.decrypt(pointer.iv(), mac, &mut damaged)
    };
    assert!(outcome.is_err());
}

fn sum(algorithm: ChecksumAlgorithm, block: &[u8]) -> zferry_blocks::checksum::Checksum {
    Summer::new(None).sum(algorithm, block, Endian::Little).unwrap()
}

fn pointers(dnode: &[u8]) -> Vec<Pointer> {
    let (pointers, _) = dnode[64..].as_chunks();
    pointers
        .iter()
        .take(usize::from(dnode[3]))
        .map(Pointer::decode)
        .collect()
}

struct Pointer([u64; 16]);

impl Pointer {
    fn decode(bytes: &[u8; 128]) -> Self {
        let mut words = [0; 16];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = Endian::Little.u64(*bytes);
        }
        Self(words)
    }

    fn field(&self, low: u32, bits: u32) -> u64 {
        self.0[6] >> low & ((1 << bits) - 1)
    }

    fn is_hole(&self) -> bool {
        self.0[..2] == [0, 0]
    }

    fn offset(&self) -> u64 {
        self.0[1] << 9
    }

    fn logical_size(&self) -> usize {
        (self.field(0, 16) as usize + 1) * 512
    }

    fn physical_size(&self) -> usize {
        (self.field(16, 16) as usize + 1) * 512
    }

    fn compression(&self) -> Compression {
        Compression::from_id(self.field(32, 7) as u8).unwrap()
    }

    fn checksum(&self) -> ChecksumAlgorithm {
        ChecksumAlgorithm::from_id(self.field(40, 8) as u8).unwrap()
    }

    fn object_type(&self) -> u8 {
        self.field(48, 8) as u8
    }

    fn level(&self) -> u64 {
        self.field(56, 5)
    }

    fn endian(&self) -> Endian {
        if self.field(63, 1) == 1 {
            Endian::Little
        } else {
            Endian::Big
        }
    }

    fn salt(&self) -> KeySalt {
        KeySalt::from_word(self.0[4], self.endian())
    }

    fn iv(&self) -> Iv {
        Iv::from_words(self.0[5], (self.0[11] >> 32) as u32, self.endian())
    }

    fn mac(&self) -> Mac {
        Mac::from_words([self.0[14], self.0[15]], self.endian())
    }
}
