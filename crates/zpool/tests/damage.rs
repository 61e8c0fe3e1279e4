//! A pool whose metadata was changed at random, and whose checksums do not tell: everything is looked at, and whatever
//! comes of it, nothing panics and nothing goes on for ever.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test"
)]

use std::io;
use std::sync::Arc;
use zferry_fixtures::{Image, META, SoftBlock, SoftPool};
use zferry_zpool::dsl::property::{PoolProperty, Property};
use zferry_zpool::dsl::{DslPool, Entity, EntityKind, UserSpace};
use zferry_zpool::vdev::Disk;
use zferry_zpool::{Error, OpenOptions, Pool};

#[derive(Debug)]
struct ImageDisk(Image);

impl Disk for ImageDisk {
    fn name(&self) -> &str {
        "damaged"
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read(offset, buffer);
        Ok(())
    }
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// How many things of a damaged pool are looked at: a table may name one thing a thousand times.
const LOOKS_MAX: usize = 300;

struct Look<'p> {
    dsl: DslPool<'p>,
    left: usize,
    findings: usize,
}

impl Look<'_> {
    fn count<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|_| self.findings += 1).ok()
    }

    fn everything(&mut self) {
        for property in PoolProperty::ALL {
            let found = self.dsl.pool_property(*property);
            self.count(found);
        }
        let users = self.dsl.pool_user_properties();
        self.count(users);
        let errors = self.dsl.pool().known_errors();
        self.count(errors);
        let scan = self.dsl.pool().scan();
        self.count(scan);
        let root = self.dsl.root();
        let mut dirs: Vec<_> = self.count(root).into_iter().collect();
        while let Some(dir) = dirs.pop() {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let children = self.dsl.children(&dir);
            for (name, number) in self.count(children).unwrap_or_default() {
                // What is hidden holds no files; $ORIGIN has no object set.
                if name.starts_with('$') {
                    continue;
                }
                let child = self.dsl.dir_of(&dir, &name, number);
                dirs.extend(self.count(child));
            }
            let head = self.dsl.head(&dir);
            if let Some(head) = self.count(head).flatten() {
                self.dataset(head);
            }
        }
    }

    fn dataset(&mut self, head: zferry_zpool::dsl::Dataset) {
        let entity = self.dsl.entity_of(head.clone());
        let Some(entity) = self.count(entity) else { return };
        self.entity(&entity);
        let state = self.dsl.resume_state(&head);
        self.count(state);
        let snapshots = self.dsl.snapshots(&head);
        for (name, number) in self.count(snapshots).unwrap_or_default() {
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            let snapshot = self.dsl.snapshot_of(&head, &name, number);
            if let Some(snapshot) = self.count(snapshot) {
                let is_before = self.dsl.is_before(&head, &snapshot);
                self.count(is_before);
                let kind = EntityKind::Dataset(snapshot);
                self.entity(&Entity {
                    kind,
                    head_type: entity.head_type,
                });
            }
        }
        let bookmarks = self.dsl.bookmarks(&head);
        for bookmark in self.count(bookmarks).unwrap_or_default() {
            let kind = EntityKind::Bookmark(bookmark);
            self.entity(&Entity {
                kind,
                head_type: entity.head_type,
            });
        }
    }

    fn entity(&mut self, entity: &Entity) {
        for property in Property::ALL {
            let found = self.dsl.property(entity, *property);
            self.count(found);
        }
        let Some(dataset) = entity.dataset() else { return };
        let users = self.dsl.user_settings(dataset);
        self.count(users);
        let holds = self.dsl.holds(dataset);
        self.count(holds);
        for name in ["userused@0", "groupquota@0", "projectobjused@0"] {
            let (which, _) = UserSpace::parse(name).unwrap();
            let space = self.dsl.user_space(dataset, which, 0);
            self.count(space);
        }
    }
}

/// Looks at everything in an image; says how much could not be read.
fn look(image: Image) -> usize {
    let Ok(pool) = Pool::open(Arc::new(ImageDisk(image)), &OpenOptions::default()) else {
        return 1;
    };
    let mut look = Look {
        dsl: DslPool::new(&pool),
        left: LOOKS_MAX,
        findings: 0,
    };
    look.everything();
    look.findings
}

/// Where the words of a block are that say something, in bytes.
fn words(image: &Image, block: &SoftBlock) -> Vec<u64> {
    let bytes = image.bytes(block.offset, block.len);
    let words = (block.offset..).step_by(8).zip(bytes.chunks_exact(8));
    let told = words.filter(|(_, word)| word.iter().any(|byte| *byte != 0));
    told.map(|(offset, _)| offset).collect()
}

/// Changes a word: to noise, to another's value, to a small number or to a huge one, or one bit of it.
fn damage(image: &mut Image, words: &[u64], random: &mut Random) {
    let mut pick = || words[usize::try_from(random.below(words.len() as u64)).unwrap()];
    let (place, other) = (pick(), pick());
    let before = u64::from_le_bytes(image.bytes(place, 8).try_into().unwrap());
    let value = match random.below(5) {
        0 => random.next().to_le_bytes(),
        1 => image.bytes(other, 8).try_into().unwrap(),
        2 => random.below(600).to_le_bytes(),
        3 => (u64::MAX << random.below(64)).to_le_bytes(),
        _ => (before ^ (1 << random.below(64))).to_le_bytes(),
    };
    image.write(place, &value);
}

#[test]
fn a_pool_without_damage_is_read_without_findings() {
    let example = zferry_fixtures::example().unwrap();
    let soft = SoftPool::open(example.image()).unwrap();
    assert_eq!(look(soft.image), 0);
}

#[test]
fn whatever_the_metadata_says_is_survived() {
    let example = zferry_fixtures::example().unwrap();
    let soft = SoftPool::open(example.image()).unwrap();
    let meta = soft.blocks.iter().filter(|block| block.set == META);
    let meta: Vec<Vec<u64>> = meta
        .map(|block| words(&soft.image, block))
        .filter(|words| !words.is_empty())
        .collect();
    let mut random = Random(0x5eed_0f21_ca5c_ade5);
    let mut findings = 0;
    for _ in 0..200 {
        let mut image = soft.image.clone();
        for _ in 0..=random.below(12) {
            let block = random.below(meta.len() as u64);
            damage(&mut image, &meta[usize::try_from(block).unwrap()], &mut random);
        }
        findings += look(image);
    }
    assert!(findings > 100, "{findings}: hardly anything was hit");
}
