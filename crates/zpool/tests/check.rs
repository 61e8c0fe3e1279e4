//! A check agrees with every pool that OpenZFS made, and notices every counter and reference that was changed.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test"
)]

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use zferry_fixtures::{Image, META, Part, SoftPool, corpus, example, layouts, packages};
use zferry_zpool::check::{CheckOptions, check};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{Disk, FileDisk};
use zferry_zpool::{ObjectNumber, OpenOptions, Pool, discover, members};

fn findings(pool: &Pool) -> BTreeSet<String> {
    let mut lines = Vec::new();
    let options = CheckOptions {
        data: true,
        told_max: u64::MAX,
        ..CheckOptions::default()
    };
    let report = check(pool, &options, &mut lines).unwrap();
    assert_eq!(report.findings == 0, lines.is_empty());
    lines.into_iter().collect()
}

fn open(path: &Path) -> Pool {
    Pool::open(Arc::new(FileDisk::open(path).unwrap()), &OpenOptions::default()).unwrap()
}

#[test]
fn the_example_is_sound() {
    let found = findings(&open(example().unwrap().image()));
    assert_eq!(found, BTreeSet::new());
}

#[test]
fn the_corpus_is_sound() {
    let Some(corpus) = corpus() else { return };
    let folder = corpus.file("MANIFEST").parent().unwrap().to_owned();
    let images = members(&folder).unwrap().into_iter();
    let images = images.filter(|path| path.extension().is_some_and(|extension| extension == "img"));
    let discovery = discover(&images.collect::<Vec<_>>()).unwrap();
    assert!(discovery.pools.len() > 10, "{}", discovery.pools.len());
    for candidate in discovery.pools {
        let pool = candidate.open(&OpenOptions::default()).unwrap();
        assert_eq!(findings(&pool), BTreeSet::new(), "{}", candidate.name());
    }
}

#[test]
fn packages_are_sound() {
    let packages = packages().unwrap();
    for name in ["fleet", "ancient"] {
        assert_eq!(findings(&open(&packages.image(name))), BTreeSet::new(), "{name}");
    }
}

/// A part of a file as a disk.
#[derive(Debug)]
struct Slice {
    file: FileDisk,
    start: u64,
    len: u64,
}

impl Disk for Slice {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, self.start + offset)
    }
}

/// Pools with dRAID, with raidz that has grown, with vdevs that were removed, with tables of equal blocks in the newer
/// form, with logs and special devices.
#[test]
fn layouts_are_sound() {
    for layout in layouts().unwrap() {
        let name = &layout.line.name;
        let len = if name == "removed" { 256 << 20 } else { 64 << 20 };
        let file = || FileDisk::open(&layout.image).unwrap();
        let starts = (0..file().size() / len).map(|number| number * len);
        let disks = starts.map(|start| -> Arc<dyn Disk> {
            let file = file();
            Arc::new(Slice { file, start, len })
        });
        let pool = Pool::open_disks(disks.collect(), &OpenOptions::default()).unwrap();
        assert_eq!(findings(&pool), BTreeSet::new(), "{name}");
    }
}

#[test]
fn labels_are_checked() {
    const LABEL: u64 = 256 << 10;
    let image = Image::open(example().unwrap().image()).unwrap();
    let labels = [0, LABEL, image.size() - 2 * LABEL, image.size() - LABEL];
    let found_without = |numbers: &[usize], byte: u8| {
        let mut image = image.clone();
        for number in numbers {
            image.write(labels[*number] + (16 << 10), &vec![byte; 112 << 10]);
        }
        findings(&opened(&image)).len()
    };
    // What a crash may leave: a pair of labels half written.
    assert_eq!(found_without(&[0, 2], 1), 0);
    assert_eq!(found_without(&[1, 3], 1), 0);
    assert_eq!(found_without(&[0, 1], 1), 2);
    // What it does not: labels that were never written.
    for number in 0..4 {
        assert_eq!(found_without(&[number], 0), 1, "label {number}");
    }
}

/// An image as a disk.
#[derive(Debug)]
struct ImageDisk(Image);

impl Disk for ImageDisk {
    fn name(&self) -> &str {
        "image"
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read(offset, buffer);
        Ok(())
    }
}

/// The example pool without checksums. Rewriting its metadata has changed where that lies without telling the space
/// maps, so what a check finds of it is what it starts from.
struct Soft {
    pool: SoftPool,
    before: BTreeSet<String>,
}

impl Soft {
    fn new() -> Self {
        let pool = SoftPool::open(example().unwrap().image()).unwrap();
        let before = findings(&opened(&pool.image));
        Self { pool, before }
    }

    /// What is found beyond that after bytes of the image were changed.
    fn found_after(&self, change: impl FnOnce(&mut SoftPool)) -> Vec<String> {
        let mut pool = self.pool.clone();
        change(&mut pool);
        let found = findings(&opened(&pool.image));
        found.difference(&self.before).cloned().collect()
    }

    /// Adds `by` to a word of the bonus buffer of an object of the pool's own metadata, and expects a finding of
    /// `field`.
    fn expect_of_bonus(&self, object: u64, word: u64, by: u64, field: &str) {
        let found = self.found_after(|pool| {
            let dnode = pool.dnode(META, object).unwrap();
            let pointers = u64::from(pool.image.bytes(dnode + 3, 1)[0]);
            add(&mut pool.image, dnode + 64 + 128 * pointers + 8 * word, by);
        });
        let what = format!("object {object}, word {word}, {field}: {found:#?}");
        assert!(found.iter().any(|line| line.contains(field)), "{what}");
    }
}

fn opened(image: &Image) -> Pool {
    Pool::open(Arc::new(ImageDisk(image.clone())), &OpenOptions::default()).unwrap()
}

/// Adds to a number of an image.
fn add(image: &mut Image, offset: u64, by: u64) {
    let number = u64::from_le_bytes(image.bytes(offset, 8).try_into().unwrap());
    image.write(offset, &number.wrapping_add(by).to_le_bytes());
}

/// The directories and datasets of the example.
fn dirs_and_datasets() -> (Vec<ObjectNumber>, Vec<ObjectNumber>, Vec<ObjectNumber>) {
    let pool = open(example().unwrap().image());
    let dsl = DslPool::new(&pool);
    let mut waiting = vec![dsl.root().unwrap()];
    let (mut dirs, mut heads, mut snapshots) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(dir) = waiting.pop() {
        dirs.push(dir.number);
        for (name, number) in dsl.children(&dir).unwrap() {
            waiting.push(dsl.dir_of(&dir, &name, number).unwrap());
        }
        let Some(head) = dsl.head(&dir).unwrap() else {
            continue;
        };
        heads.push(head.number);
        let names = dsl.snapshots(&head).unwrap();
        snapshots.extend(names.into_iter().map(|(_, number)| number));
    }
    (dirs, heads, snapshots)
}

#[test]
fn every_counter_of_a_directory_is_checked() {
    let soft = Soft::new();
    let (dirs, ..) = dirs_and_datasets();
    for dir in dirs {
        for (word, field) in [
            (5, "dd_used_bytes"),
            (6, "dd_compressed_bytes"),
            (7, "dd_uncompressed_bytes"),
            (13, "dd_used_breakdown[HEAD]"),
            (14, "dd_used_breakdown[SNAP]"),
            (15, "dd_used_breakdown[CHILD]"),
            (16, "dd_used_breakdown[CHILD_RSRV]"),
            (17, "dd_used_breakdown[REFRSRV]"),
        ] {
            soft.expect_of_bonus(dir.0, word, 4096, field);
        }
    }
}

#[test]
fn every_counter_of_a_dataset_is_checked() {
    let soft = Soft::new();
    let (_, heads, snapshots) = dirs_and_datasets();
    for dataset in heads.iter().chain(&snapshots) {
        for (word, field) in [
            (2, "ds_prev_snap_txg"),
            (9, "ds_referenced_bytes"),
            (10, "ds_compressed_bytes"),
            (11, "ds_uncompressed_bytes"),
            (12, "ds_unique_bytes"),
        ] {
            soft.expect_of_bonus(dataset.0, word, 512, field);
        }
    }
    for snapshot in snapshots.iter().filter(|snapshot| snapshot.0 != 0) {
        soft.expect_of_bonus(snapshot.0, 5, 1, "ds_num_children");
    }
}

#[test]
fn lists_space_maps_and_features_are_checked() {
    let soft = Soft::new();
    let pool = opened(&soft.pool.image);
    let numbers = |kind: u8| {
        let numbers = (1..1024).filter(|number| {
            let object = pool.meta_object(ObjectNumber(*number));
            object.is_ok_and(|object| object.dnode.object_type.0 == kind && object.dnode.bonus_len > 0)
        });
        numbers.collect::<Vec<u64>>()
    };
    let (lists, maps, deadlists) = (numbers(5), numbers(8), numbers(50));
    assert!(lists.len() > 2 && maps.len() > 2 && deadlists.len() > 2);
    for list in lists {
        for (word, field) in [(1, "bpo_bytes"), (2, "bpo_comp"), (3, "bpo_uncomp")] {
            soft.expect_of_bonus(list, word, 512, field);
        }
    }
    for deadlist in deadlists {
        for (word, field) in [(0, "dl_used"), (1, "dl_comp"), (2, "dl_uncomp")] {
            soft.expect_of_bonus(deadlist, word, 512, field);
        }
    }
    for map in maps {
        soft.expect_of_bonus(map, 2, 4096, "smp_alloc");
    }
}

#[test]
fn what_stands_in_dnodes_and_pointers_is_checked() {
    let soft = Soft::new();
    let (_, heads, _) = dirs_and_datasets();
    for head in heads {
        // dn_used and the first pointer's fill and birth, of the master node of each file system.
        let Some(dnode) = soft.pool.dnode(head.0, 1) else {
            continue;
        };
        for (offset, by, field) in [
            (24, 512, "dn_used"),
            (64 + 88, 1, "blk_fill"),
            (64 + 80, 1_000_000, "blk_birth"),
            (64, 1, "dn_used"),
        ] {
            let found = soft.found_after(|pool| add(&mut pool.image, dnode + offset, by));
            assert!(
                found.iter().any(|line| line.contains(field)),
                "{head}, {field}: {found:#?}"
            );
        }
    }
    let root = soft.pool.find(META, Part::Root).unwrap();
    let found = soft.found_after(|pool| add(&mut pool.image, root.offset + 24, 512));
    assert!(found.iter().any(|line| line.contains("dn_used")), "{found:#?}");
}

#[test]
fn space_maps_are_compared_with_what_is_referenced() {
    let soft = Soft::new();
    let maps = soft.pool.blocks.iter().filter(|block| {
        matches!(block.part, Part::Block { object, level: 0, id: 0 } if block.set == META
            && soft.pool.dnode(META, object).is_some_and(|dnode| soft.pool.image.bytes(dnode, 1) == [8]))
    });
    let mut changed = 0;
    for map in maps {
        // The first entry that takes a range now takes eight units more, which is a sector or several, or gives it back.
        let entries = soft.pool.image.bytes(map.offset, map.len);
        let entries = entries
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()));
        let Some((index, is_long)) = first_taking(entries) else {
            continue;
        };
        let offset = map.offset + 8 * index;
        let changes = if is_long {
            [(offset, 8 << 24), (offset + 8, 1 << 63)]
        } else {
            [(offset, 8), (offset, 1 << 15)]
        };
        for (offset, by) in changes {
            let found = soft.found_after(|pool| add(&mut pool.image, offset, by));
            let what = format!("{map:?}, word {index}: {found:#?}");
            assert!(found.iter().any(|line| line.contains("space map")), "{what}");
        }
        changed += 1;
    }
    assert!(changed > 2, "{changed}");
}

/// The first entry of a space map that takes a range: which word it begins with, and whether it has two.
fn first_taking(words: impl Iterator<Item = u64>) -> Option<(u64, bool)> {
    let mut words = (0..).zip(words);
    while let Some((index, word)) = words.next() {
        match word >> 62 {
            0b10 => {}
            0b11 => {
                let (_, place) = words.next()?;
                if place >> 63 == 0 {
                    return Some((index, true));
                }
            }
            _ if word != 0 && word >> 15 & 1 == 0 => return Some((index, false)),
            _ => {}
        }
    }
    None
}
