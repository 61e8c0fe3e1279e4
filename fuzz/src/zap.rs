//! Reads tables.

use zferry_fixtures::{META, Part, SoftBlock};
use zferry_wire::Endian;
use zferry_zpool::dmu::{Dnode, Object};
use zferry_zpool::spa::BlockPointer;
use zferry_zpool::{ObjectNumber, zap};

use crate::example::{Input, board, soft_pool};

/// The type of tables.
const TYPE_ZAP: u8 = 0xc4;
/// The size of a block of pointers.
const INDIRECT_BYTES: usize = 1 << 12;

/// Takes the first byte for the size and order of blocks and for what the table is made of: a table of the example pool
/// with changes (where, how many bytes, which), or the rest of `bytes` as it is. Reads it in every way there is. A name
/// that is listed must be found, unless there are several like it.
pub fn zap(bytes: &[u8]) {
    let mut input = Input(bytes);
    let how = input.u8();
    let (content, block_bytes, order) = if how & 1 == 0 {
        let order = if how & 2 == 0 { Endian::Little } else { Endian::Big };
        let block_bytes = 512 << (how >> 2 & 0xf).min(8);
        (input.0.to_vec(), block_bytes, order)
    } else {
        let tables = tables();
        let (content, block_bytes) = &tables[usize::from(how >> 1) % tables.len()];
        let mut content = content.clone();
        while !input.is_empty() {
            let place = usize::from(input.u16()) % content.len().max(1);
            let len = usize::from(input.u8());
            for (to, from) in content.iter_mut().skip(place).zip(input.take(len)) {
                *to = *from;
            }
        }
        (content, *block_bytes, Endian::Little)
    };
    read(content, block_bytes, order);
}

/// The tables of the pool's own object set: their content and the size of their blocks.
fn tables() -> &'static [(Vec<u8>, usize)] {
    static TABLES: std::sync::OnceLock<Vec<(Vec<u8>, usize)>> = std::sync::OnceLock::new();
    TABLES.get_or_init(|| {
        let pool = &board().pool;
        let is_table = |number: &u64| {
            let object = pool.meta_object(ObjectNumber(*number)).ok()?;
            zap::entries(pool.reader(), &object).ok()?;
            let dnode = &object.dnode;
            let content = object
                .content(pool.reader(), dnode.content_bytes(), 1 << 20)
                .ok()?;
            Some((content, usize::try_from(dnode.data_bytes()).ok()?))
        };
        let objects: std::collections::BTreeSet<u64> = soft_pool()
            .blocks
            .iter()
            .filter_map(|block| object_of_meta(block))
            .collect();
        objects.iter().filter_map(is_table).collect()
    })
}

/// The object of which a block is, if it is one of the pool's own.
fn object_of_meta(block: &SoftBlock) -> Option<u64> {
    match block.part {
        Part::Block { object, level: 0, .. } if block.set == META => Some(object),
        _ => None,
    }
}

fn read(mut content: Vec<u8>, block_bytes: usize, order: Endian) {
    let board = board();
    let blocks = content.len().div_ceil(block_bytes).clamp(1, INDIRECT_BYTES / 128);
    content.resize(blocks * block_bytes, 0);
    let root = content.len();
    board.wipe();
    for index in 0..blocks {
        content.extend(board.pointer(index * block_bytes, block_bytes, TYPE_ZAP, 0, order));
    }
    content.resize(root + INDIRECT_BYTES, 0);
    let pointer = board.pointer(root, INDIRECT_BYTES, TYPE_ZAP, 1, Endian::Little);
    board.put(content);
    let mut dnode = vec![0; 512];
    dnode[..8].copy_from_slice(&[TYPE_ZAP, 12, 2, 1, 0, 0, 0, 1]);
    dnode[8..10].copy_from_slice(&((block_bytes / 512) as u16).to_le_bytes());
    dnode[16..24].copy_from_slice(&(blocks as u64 - 1).to_le_bytes());
    dnode[64..192].copy_from_slice(&pointer);
    let dnode = Dnode::decode(&dnode, Endian::Little).expect("a dnode");
    let object = Object {
        number: ObjectNumber(77),
        dnode,
    };
    let reader = board.pool.reader();
    let first = object.pointer(reader, zferry_zpool::BlockId(0));
    assert_eq!(
        first
            .ok()
            .flatten()
            .map(|first: BlockPointer| first.logical_size()),
        Some(block_bytes as u64)
    );
    let _ = zap::lookup(reader, &object, "VERSION");
    let _ = zap::entries_in_cursor_order(reader, &object);
    for entry in zap::entries(reader, &object).unwrap_or_default().iter().take(100) {
        let _ = (entry.value.as_u64(), entry.value.as_u16s(), entry.value.as_str());
        let _ = zap::lookup(reader, &object, &entry.name_lossy());
    }
}
