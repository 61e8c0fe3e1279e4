//! Walks object sets.

use zferry_wire::{Endian, Reader};
use zferry_zpool::ObjectNumber;
use zferry_zpool::dmu::{Dnode, ObjectSet, Stop, Traversal, Visit};
use zferry_zpool::spa::BlockPointer;

use crate::example::{Input, board};

const TYPE_DNODE: u8 = 10;
const TYPE_OBJSET: u8 = 11;
const SET_BYTES: usize = 1024;
const DNODES_BYTES: usize = 16 << 10;
/// More than this a walk of what is on the board cannot come by, unless it goes round in circles.
const VISITS_MAX: u64 = 1 << 24;

/// Takes `bytes` for the dnode that leads to the others (where 512 bytes begin with anything but zero) and for a block of
/// dnodes, whose pointers may lead back to it. Decodes each, and walks through the set.
pub fn dnode(bytes: &[u8]) {
    for endian in [Endian::Little, Endian::Big] {
        if let Ok(dnode) = Dnode::decode(bytes, endian) {
            assert!(dnode.bonus().len() <= dnode.bonus.len());
            assert!(dnode.pointers.len() <= 3 && dnode.levels <= 12);
        }
    }
    let board = board();
    let mut input = Input(bytes);
    let order = if input.u8() & 1 == 0 {
        Endian::Little
    } else {
        Endian::Big
    };
    board.wipe();
    let mut set = vec![0; SET_BYTES];
    set[704] = 2;
    let own_bytes = if input.u8() & 1 == 0 { 0 } else { 512 };
    let own = input.take(own_bytes);
    set[..8].copy_from_slice(&[TYPE_DNODE, 17, 1, 1, 0, 0, 0, 0]);
    set[8] = 32;
    set[64..192].copy_from_slice(&board.pointer(SET_BYTES, DNODES_BYTES, TYPE_DNODE, 0, order));
    set[..own.len()].copy_from_slice(own);
    set.extend(input.0);
    set.resize(set.len().max(SET_BYTES + DNODES_BYTES), 0);
    let root = board.pointer(0, SET_BYTES, TYPE_OBJSET, 0, Endian::Little);
    board.put(set);
    let root = BlockPointer::read(&mut Reader::new(&root, Endian::Little)).expect("a pointer");
    walk(&root);
}

fn walk(root: &BlockPointer) {
    let pool = &board().pool;
    let Ok(set) = ObjectSet::read(pool.reader(), root) else {
        return;
    };
    for number in [1, 2, 31, 32, u64::MAX] {
        let _ = set.object(pool.reader(), ObjectNumber(number));
    }
    let walk = Traversal::new(pool.reader());
    let mut visits = 0;
    let outcome: Result<(), Stop<()>> = walk.run(root, &mut |visit| {
        visits += 1;
        assert!(visits < VISITS_MAX, "a walk without end");
        if let Visit::Block { pointer, .. } | Visit::Spill { pointer, .. } = visit {
            let _ = (pointer.to_string(), pointer.physical_birth());
        }
        Ok(())
    });
    if let Err(Stop::Pool(error)) = outcome {
        assert!(!error.to_string().is_empty());
    }
}
