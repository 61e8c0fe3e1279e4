//! What the targets that need a pool start from: the example pool, with metadata that no checksum guards.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use zferry_fixtures::{Image, SoftPool};
use zferry_wire::Endian;
use zferry_zpool::vdev::Disk;
use zferry_zpool::{Error, OpenOptions, Pool};

/// The pool, made soft once.
pub(crate) fn soft_pool() -> &'static SoftPool {
    static POOL: OnceLock<SoftPool> = OnceLock::new();
    POOL.get_or_init(|| {
        let example = zferry_fixtures::example().expect("the example pool can be unpacked");
        SoftPool::open(example.image()).expect("the example pool can be read")
    })
}

/// Opens the pool in `image`.
pub(crate) fn open(image: Image) -> Result<Pool, Error> {
    let disk = MemoryDisk {
        image,
        board: Mutex::default(),
    };
    Pool::open(Arc::new(disk), &options())
}

fn options() -> OpenOptions {
    OpenOptions {
        cache_bytes: 1 << 20,
        ..OpenOptions::default()
    }
}

/// An image as a disk, with a place that can be written over and over.
#[derive(Debug)]
pub(crate) struct MemoryDisk {
    image: Image,
    board: Mutex<Vec<u8>>,
}

/// Where the board lies in the image, in bytes; nothing else is there.
const BOARD: u64 = 20 << 20;
/// The same as a block pointer names it, in sectors.
const BOARD_SECTOR: u64 = (BOARD - (4 << 20)) >> 9;

impl Disk for MemoryDisk {
    fn name(&self) -> &str {
        "memory"
    }

    fn size(&self) -> u64 {
        self.image.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.saturating_add(buffer.len() as u64) > self.image.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.image.read(offset, buffer);
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        // Reads of the board begin on it: nothing else lies near.
        if let Some(within) = offset.checked_sub(BOARD)
            && let Some(bytes) = board.get(within as usize..)
        {
            buffer.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }
}

/// A pool with a board on which blocks can be put, and pointers that lead to them.
pub(crate) struct Board {
    pub(crate) pool: Pool,
    disk: Arc<MemoryDisk>,
    birth: Mutex<u64>,
}

/// The board of this process.
pub(crate) fn board() -> &'static Board {
    static BOARD: OnceLock<Board> = OnceLock::new();
    BOARD.get_or_init(|| {
        let disk = Arc::new(MemoryDisk {
            image: soft_pool().image.clone(),
            board: Mutex::default(),
        });
        let pool =
            Pool::open(Arc::clone(&disk) as Arc<dyn Disk>, &options()).expect("the example pool opens");
        Board {
            pool,
            disk,
            birth: Mutex::new(1 << 32),
        }
    })
}

impl Board {
    /// Forgets what lies on the board: blocks are told apart by their births, so none of them is taken from a cache.
    pub(crate) fn wipe(&self) {
        *self.birth.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    /// Puts `bytes` on the board, to which pointers have been made already.
    pub(crate) fn put(&self, bytes: Vec<u8>) {
        *self.disk.board.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    /// The 128 bytes of a pointer to the `len` bytes from `offset` on, neither compressed nor summed.
    pub(crate) fn pointer(
        &self,
        offset: usize,
        len: usize,
        object_type: u8,
        level: u8,
        order: Endian,
    ) -> [u8; 128] {
        let sectors = (len as u64 / 512).max(1) - 1;
        let is_little = u64::from(order == Endian::Little);
        let mut words = [0_u64; 16];
        words[0] = sectors + 1;
        words[1] = BOARD_SECTOR + offset as u64 / 512;
        words[6] = sectors
            | sectors << 16
            | 2 << 32
            | 2 << 40
            | u64::from(object_type) << 48
            | u64::from(level) << 56
            | is_little << 63;
        words[10] = *self.birth.lock().unwrap_or_else(PoisonError::into_inner);
        words[11] = 1;
        let mut bytes = [0; 128];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&Endian::Little.bytes_u64(word));
        }
        bytes
    }
}

/// Takes numbers and bytes off the front of an input; zeros where it has ended.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
