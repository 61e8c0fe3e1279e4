//! Pools that OpenZFS made, opened for writing: what they held stays, and what is logged of their space is taken over.
//!
//! It needs the corpus, whose place `ZFERRY_CORPUS` names.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::PathBuf;
use std::sync::Arc;
use zferry_zpool::check::{CheckOptions, check};
use zferry_zpool::dmu::{ObjectType, Traversal, Visit};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{FileDisk, WritableDisk, WritableFile};
use zferry_zpool::{Environment, Error, ObjectNumber, OpenOptions, Pool, PoolWriter, Txg, Unsupported, zap};

/// A copy of a pool of the corpus, in the folder that `ZFERRY_LEAVE_POOLS` names, or a temporary one.
fn copy_of(name: &str, folder: &std::path::Path) -> Option<PathBuf> {
    let corpus = PathBuf::from(std::env::var_os("ZFERRY_CORPUS")?);
    let image = corpus.join("out").join(format!("{name}.img"));
    let folder = std::env::var_os("ZFERRY_LEAVE_POOLS").map_or(folder.to_owned(), PathBuf::from);
    let copy = folder.join(format!("foreign-{name}.img"));
    std::fs::copy(image, &copy).ok()?;
    Some(copy)
}

fn open(path: &std::path::Path) -> Result<PoolWriter, Error> {
    let disk: Arc<dyn WritableDisk> = Arc::new(WritableFile::open(path).unwrap());
    let environment = Environment::fixed(1_700_000_000, 3);
    PoolWriter::open_forced(vec![disk], &OpenOptions::default(), environment)
}

fn findings(pool: &Pool) -> Vec<String> {
    let mut lines = Vec::new();
    check(pool, &CheckOptions::default(), &mut lines).unwrap();
    lines
}

fn bookmarks_of(writer: &PoolWriter, dataset: &str) -> Vec<String> {
    let dsl = DslPool::new(writer.pool());
    let head = dsl.dataset(dataset).unwrap().unwrap();
    let bookmarks = dsl.bookmarks(&head).unwrap().into_iter();
    bookmarks.map(|bookmark| bookmark.name).collect()
}

fn snapshots_of(writer: &PoolWriter, dataset: &str) -> Vec<String> {
    let dsl = DslPool::new(writer.pool());
    let head = dsl.dataset(dataset).unwrap().unwrap();
    let snapshots = dsl.snapshots(&head).unwrap().into_iter();
    snapshots.map(|(name, _)| format!("{dataset}@{name}")).collect()
}

#[test]
fn logged_space_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = copy_of("crypt", folder.path()) else {
        eprintln!("skipped: ZFERRY_CORPUS names no corpus");
        return;
    };
    let mut writer = open(&path).unwrap();
    let logs = writer.pool().directory_entry("com.delphix:log_spacemap_zap");
    assert_eq!(logs.unwrap(), None);
    writer.create_file_system("crypt/ours", &[]).unwrap();
    // It would have to be encrypted.
    let error = writer.create_file_system("crypt/gcm/ours", &[]).unwrap_err();
    assert!(matches!(error, Error::Unsupported(Unsupported::Encrypted)));
    for round in 0..5 {
        writer.snapshot("crypt/ours", &format!("s{round}")).unwrap();
        writer.commit().unwrap();
    }
    let snapshot = writer.find_snapshot("crypt/ours@s2").unwrap();
    writer.destroy_snapshot(snapshot, false).unwrap();
    writer.commit().unwrap();
    drop(writer);
    let writer = open(&path).unwrap();
    let dsl = DslPool::new(writer.pool());
    assert!(dsl.dataset("crypt/ours@s3").unwrap().is_some());
    assert!(dsl.dataset("crypt/ours@s2").unwrap().is_none());
}

#[test]
fn bookmarks_livelists_and_intent_logs_are_kept_right() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = copy_of("basic", folder.path()) else {
        eprintln!("skipped: ZFERRY_CORPUS names no corpus");
        return;
    };
    let mut writer = open(&path).unwrap();
    let mut step = 0;
    let mut commit = |writer: &mut PoolWriter| {
        step += 1;
        writer.commit().unwrap();
        assert_eq!(findings(writer.pool()), Vec::<String>::new(), "after step {step}");
    };
    let fs = writer.find("basic/fs").unwrap();
    assert!(!bookmarks_of(&writer, "basic/fs").is_empty());
    for snapshot in snapshots_of(&writer, "basic/fs") {
        let number = writer.find_snapshot(&snapshot).unwrap();
        let short = snapshot.split_once('@').unwrap().1;
        writer.bookmark(fs, number, &format!("mark-{short}")).unwrap();
        commit(&mut writer);
    }
    for snapshot in snapshots_of(&writer, "basic/fs") {
        let number = writer.find_snapshot(&snapshot).unwrap();
        if matches!(writer.destroy_snapshot(number, false), Err(Error::Exists(_))) {
            continue;
        }
        commit(&mut writer);
    }
    // The head has an intent log, which goes with what it was.
    let written = writer.find("basic/fs").unwrap();
    writer.rollback(written).unwrap();
    commit(&mut writer);
    writer.snapshot("basic/fs", "later").unwrap();
    commit(&mut writer);
    let clone = writer.find("basic/clone").unwrap();
    writer.promote(clone).unwrap();
    commit(&mut writer);
    for dataset in ["basic/fs", "basic/clone"] {
        let head = writer.find(dataset).unwrap();
        for bookmark in bookmarks_of(&writer, dataset) {
            let short = bookmark.split_once('#').unwrap().1;
            writer.destroy_bookmark(head, short).unwrap();
            commit(&mut writer);
        }
    }
}

/// How many blocks of a dataset lie in pieces.
fn ganged(pool: &Pool, dataset: &str) -> usize {
    let dataset = DslPool::new(pool).dataset(dataset).unwrap().unwrap();
    let walk = Traversal {
        reader: pool.reader(),
        since: Txg(0),
        resume: None,
        ahead: &(),
        skips_damage: false,
    };
    let mut count = 0_usize;
    walk.run(&dataset.phys.root, &mut |visit| {
        if let Visit::Block { pointer, .. } = visit
            && pointer.dvas().any(|dva| dva.gang)
        {
            count = count.saturating_add(1);
        }
        Ok::<_, ()>(())
    })
    .unwrap();
    count
}

#[test]
fn the_space_of_blocks_in_pieces_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = copy_of("gang", folder.path()) else {
        eprintln!("skipped: ZFERRY_CORPUS names no corpus");
        return;
    };
    let mut writer = open(&path).unwrap();
    assert!(ganged(writer.pool(), "gang/fs@s") > 0);
    let commit = |writer: &mut PoolWriter, what: &str| {
        writer.commit().unwrap();
        let mut found = findings(writer.pool());
        // Whose a file is, is told when a receive ends, not here.
        found.retain(|line| {
            !["userused", "groupused", "projectused"]
                .iter()
                .any(|key| line.contains(key))
        });
        assert_eq!(found, Vec::<String>::new(), "{what}");
    };
    let used = |writer: &PoolWriter| {
        let dsl = DslPool::new(writer.pool());
        dsl.dataset("gang/fs").unwrap().unwrap().phys.referenced
    };
    let fs = writer.find("gang/fs").unwrap();
    commit(&mut writer, "opened");
    let full = used(&writer);
    // The head gives its blocks up while the snapshot has them: they go to the list of dead ones.
    let mut objects = writer.objects(fs).unwrap();
    let mut files = Vec::new();
    let mut from = ObjectNumber(0);
    while let Some(number) = objects.next_object(from).unwrap() {
        if objects.info(number).unwrap().object_type == ObjectType::PLAIN_FILE_CONTENTS {
            files.push(number);
        }
        from = ObjectNumber(number.0.saturating_add(1));
    }
    let (first, rest) = files.split_first().unwrap();
    objects.free_range(*first, 0, None).unwrap();
    commit(&mut writer, "a file without content");
    assert!(used(&writer) < full);
    // With the list they go, and from then on at once.
    let snapshot = writer.find_snapshot("gang/fs@s").unwrap();
    writer.destroy_snapshot(snapshot, false).unwrap();
    commit(&mut writer, "without the snapshot");
    let mut objects = writer.objects(fs).unwrap();
    for number in rest {
        let info = objects.info(*number).unwrap();
        let half = (info.max_block.0 / 2).saturating_mul(info.block_bytes);
        objects.free_range(*number, 0, Some(half)).unwrap();
    }
    let left = ganged(writer.pool(), "gang/fs");
    commit(&mut writer, "half of the others");
    assert!((1..left).contains(&ganged(writer.pool(), "gang/fs")));
    writer.destroy_head(fs).unwrap();
    commit(&mut writer, "destroyed");
    while writer.freeing().unwrap() > 0 {
        commit(&mut writer, "freeing");
    }
    drop(writer);
    open(&path).unwrap();
}

#[test]
fn a_clone_with_a_livelist_is_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = copy_of("basic", folder.path()) else {
        eprintln!("skipped: ZFERRY_CORPUS names no corpus");
        return;
    };
    let mut writer = open(&path).unwrap();
    let livelists = |writer: &PoolWriter| {
        let table = writer.pool().directory_object("features_for_write").unwrap();
        let count = zap::lookup_u64(writer.pool().reader(), &table, "com.delphix:livelist");
        count.unwrap()
    };
    assert_eq!(livelists(&writer), Some(1));
    for snapshot in snapshots_of(&writer, "basic/clone") {
        let number = writer.find_snapshot(&snapshot).unwrap();
        writer.destroy_snapshot(number, false).unwrap();
        writer.commit().unwrap();
        assert_eq!(findings(writer.pool()), Vec::<String>::new(), "{snapshot}");
    }
    let clone = writer.find("basic/clone").unwrap();
    writer.destroy_head(clone).unwrap();
    writer.commit().unwrap();
    while writer.freeing().unwrap() > 0 {
        writer.commit().unwrap();
    }
    assert_eq!(findings(writer.pool()), Vec::<String>::new());
    assert_eq!(livelists(&writer), Some(0));
}

#[test]
fn what_is_not_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = copy_of("v28", folder.path()) else {
        eprintln!("skipped: ZFERRY_CORPUS names no corpus");
        return;
    };
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("version 28"), "{error}");
}

/// The image was copied while OpenZFS's kernel had the pool imported and a program had written with `O_SYNC` since the last
/// transaction group: after a crash, it looks like that.
#[test]
fn what_only_an_intent_log_holds_is_not_written_over() {
    let packed = zferry_fixtures::workspace().join("crates/zpool/tests/data/crashed.img.zst");
    let image = zferry_fixtures::target().join("crashed").join("p.img");
    zferry_fixtures::unpack_image(&packed, &image).unwrap();
    let error = open(&image).unwrap_err().to_string();
    assert!(error.contains("the intent log of 'p/f'"), "{error}");
}

/// The image was exported while a scrub was paused.
#[test]
fn what_a_scan_has_still_to_visit_is_not_changed() {
    let packed = zferry_fixtures::workspace().join("crates/zpool/tests/data/scrubbing.img.zst");
    let image = zferry_fixtures::target().join("scrubbing").join("s.img");
    zferry_fixtures::unpack_image(&packed, &image).unwrap();
    let error = open(&image).unwrap_err().to_string();
    assert!(error.contains("a scrub is under way"), "{error}");
}

/// In the pool, one file was copied to another by reference: `cp --reflink`.
#[test]
fn a_pool_with_cloned_blocks_is_read_and_not_changed() {
    let packed = zferry_fixtures::workspace().join("crates/zpool/tests/data/cloned.img.zst");
    let image = zferry_fixtures::target().join("cloned").join("b.img");
    zferry_fixtures::unpack_image(&packed, &image).unwrap();
    let before = std::fs::read(&image).unwrap();
    let disk = Arc::new(FileDisk::open(&image).unwrap());
    let pool = Pool::open_disks(vec![disk], &OpenOptions::default()).unwrap();
    assert_eq!(findings(&pool), Vec::<String>::new());
    drop(pool);
    let error = open(&image).unwrap_err().to_string();
    assert!(error.contains("com.fudosecurity:block_cloning"), "{error}");
    assert!(std::fs::read(&image).unwrap() == before);
}
