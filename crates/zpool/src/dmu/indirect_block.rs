//! An indirect block in change.
//!
//! Most trees are small: a file of a megabyte has eight pointers, in a block with room for a thousand. So only the
//! pointers up to the last that was ever set are kept, and what stands for all behind them.

use crate::spa::BlockPointer;

/// The pointers of an indirect block.
#[derive(Clone, Debug)]
pub(crate) struct IndirectBlock {
    /// The first ones.
    pointers: Vec<BlockPointer>,
    /// What each behind them is: a hole.
    rest: BlockPointer,
    /// How many there are in all.
    count: usize,
}

impl IndirectBlock {
    /// One of `count` pointers, each of which is `hole`.
    pub(crate) const fn of_holes(hole: BlockPointer, count: usize) -> Self {
        Self {
            pointers: Vec::new(),
            rest: hole,
            count,
        }
    }

    /// One whose first pointers are given, and all others holes that always were.
    pub(crate) fn starting_with(pointers: impl IntoIterator<Item = BlockPointer>, count: usize) -> Self {
        let mut block = Self::of_holes(BlockPointer::default(), count);
        block.pointers.extend(pointers.into_iter().take(count));
        while block.pointers.pop_if(|last| *last == block.rest).is_some() {}
        block
    }

    /// The pointer with a number; `None` past the end.
    pub(crate) fn get(&self, index: usize) -> Option<BlockPointer> {
        let kept = self.pointers.get(index).copied();
        kept.or_else(|| (index < self.count).then_some(self.rest))
    }

    /// The pointer with a number, to be changed.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut BlockPointer> {
        if self.pointers.len() <= index && index < self.count {
            self.pointers.resize(index.saturating_add(1), self.rest);
        }
        self.pointers.get_mut(index)
    }

    /// Whether anything was ever below any pointer.
    pub(crate) fn was_ever_set(&self) -> bool {
        let zeros = BlockPointer::default();
        self.rest != zeros || self.pointers.iter().any(|pointer| *pointer != zeros)
    }

    /// Whether no pointer leads anywhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.pointers.iter().all(BlockPointer::is_hole)
    }

    /// How many blocks are below it that are no holes, as pointers to it say.
    pub(crate) fn fill(&self) -> u64 {
        let fills = self.pointers.iter().map(BlockPointer::fill);
        fills.fold(0, u64::saturating_add)
    }

    /// Changes each pointer by itself.
    pub(crate) fn change(&mut self, change: impl Fn(&mut BlockPointer)) {
        self.pointers.iter_mut().for_each(&change);
        change(&mut self.rest);
    }

    /// What lies on disk.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.count.saturating_mul(BlockPointer::BYTES)];
        let (places, _) = bytes.as_chunks_mut::<{ BlockPointer::BYTES }>();
        let zeros = BlockPointer::default();
        let behind = if self.rest == zeros { 0 } else { self.count };
        let all = self.pointers.iter().chain(std::iter::repeat(&self.rest));
        for (place, pointer) in places.iter_mut().zip(all.take(self.pointers.len().max(behind))) {
            *place = pointer.to_bytes();
        }
        bytes
    }

    /// How much memory it takes, in bytes.
    pub(crate) const fn weight(&self) -> usize {
        self.pointers
            .capacity()
            .saturating_add(1)
            .saturating_mul(BlockPointer::BYTES)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zferry_wire::Endian;

    use super::*;
    use crate::Txg;
    use crate::dmu::ObjectType;

    fn hole(birth: u64) -> BlockPointer {
        match birth {
            0 => BlockPointer::default(),
            birth => BlockPointer::punched(ObjectType::PLAIN_FILE_CONTENTS, 0, 4096, Txg(birth)),
        }
    }

    proptest! {
        #[test]
        fn it_is_as_an_array(
            first in proptest::collection::vec(0_u64..3, 0..40),
            rest in 0_u64..3,
            sets in proptest::collection::vec((0_usize..40, 0_u64..5), 0..20),
        ) {
            let of_holes = (IndirectBlock::of_holes(hole(rest), 32), vec![hole(rest); 32]);
            let mut array: Vec<_> = first.iter().map(|birth| hole(*birth)).collect();
            array.resize(32, BlockPointer::default());
            let starting = IndirectBlock::starting_with(first.iter().map(|birth| hole(*birth)), 32);
            for (mut block, mut array) in [of_holes, (starting, array)] {
                for (index, birth) in &sets {
                    let [ours, theirs] = [block.get_mut(*index), array.get_mut(*index)];
                    prop_assert_eq!(ours.is_some(), theirs.is_some());
                    for slot in ours.into_iter().chain(theirs) {
                        *slot = hole(*birth);
                    }
                }
                for index in 0..40 {
                    prop_assert_eq!(block.get(index), array.get(index).copied());
                }
                let bytes = block.encode();
                prop_assert_eq!(BlockPointer::iter_block(&bytes, Endian::Little).collect::<Vec<_>>(), array);
                prop_assert!(block.is_empty());
            }
        }
    }
}
