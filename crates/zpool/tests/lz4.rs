//! LZ4 as OpenZFS writes it: the blocks that its kernel compressed are compressed to the same bytes here.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]

use std::path::Path;
use std::sync::Arc;
use zferry_blocks::compress::{Compression, compress_lz4_as_openzfs};
use zferry_fixtures::{corpus, example};
use zferry_zpool::dmu::{Traversal, Visit};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::FileDisk;
use zferry_zpool::{OpenOptions, Pool, Txg};

/// Compresses each block of a snapshot that is stored with LZ4 anew. Says how many there are, and how many of them are
/// larger than what the smaller table serves.
fn compressed_again(image: &Path, snapshot: &str) -> (usize, usize) {
    let disk = Arc::new(FileDisk::open(image).unwrap());
    let pool = Pool::open(disk, &OpenOptions::default()).unwrap();
    let dataset = DslPool::new(&pool).dataset(snapshot).unwrap().unwrap();
    let walk = Traversal {
        reader: pool.reader(),
        since: Txg(0),
        resume: None,
        ahead: &(),
        skips_damage: false,
    };
    let (mut blocks, mut large) = (0, 0);
    walk.run(&dataset.phys.root, &mut |visit| {
        let Visit::Block { pointer, .. } = visit else {
            return Ok(());
        };
        if pointer.compression() != Compression::Lz4.id() || pointer.is_embedded() {
            return Ok::<_, ()>(());
        }
        let mut stored = vec![0; usize::try_from(pointer.physical_size()).unwrap()];
        pool.reader().read_compressed(pointer, &mut stored).unwrap();
        let content = pool.reader().read(pointer).unwrap().bytes;
        let mut again = vec![0; stored.len()];
        let taken = compress_lz4_as_openzfs(&content, &mut again).unwrap();
        again[taken..].fill(0);
        assert!(again == stored, "{snapshot}: {pointer}");
        blocks += 1;
        large += usize::from(content.len() > 65_546);
        Ok(())
    })
    .unwrap();
    (blocks, large)
}

#[test]
fn the_blocks_of_the_example_become_the_same_bytes() {
    let example = example().unwrap();
    let snapshots = ["harbour/photos@friday", "harbour/log@friday"];
    let blocks = snapshots.map(|snapshot| compressed_again(example.image(), snapshot).0);
    assert!(blocks.iter().all(|blocks| *blocks > 0), "{blocks:?}");
}

#[test]
fn the_blocks_of_the_corpus_become_the_same_bytes() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: ZFERRY_CORPUS names no corpus");
        return;
    };
    for (pool, snapshots, at_least) in [
        ("basic", &["basic/fs@a", "basic/fs@c", "basic/vol@b"][..], (20, 3)),
        (
            "feat",
            &["feat/r-512@s", "feat/r-4k@s", "feat/r-1M@s", "feat/r-16M@s"][..],
            (50, 3),
        ),
        ("gang", &["gang/fs@s"][..], (2, 0)),
    ] {
        let (mut blocks, mut large) = (0, 0);
        for snapshot in snapshots {
            let found = compressed_again(&corpus.file(&format!("{pool}.img")), snapshot);
            blocks += found.0;
            large += found.1;
        }
        println!("{pool}: {blocks} blocks, {large} large ones");
        assert!(
            blocks >= at_least.0 && large >= at_least.1,
            "{pool}: {blocks}, {large}"
        );
    }
}
