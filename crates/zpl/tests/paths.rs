//! Every file's path, found from its object: as the kernel listed them, through the directories.

#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use zferry_zpl::FileSystem;
use zferry_zpool::dmu::{Stop, Traversal, Visit};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::FileDisk;
use zferry_zpool::{Error, OpenOptions, Pool};

/// The paths of all objects of a snapshot that have one.
fn paths(pool: &Pool, snapshot: &str) -> BTreeSet<String> {
    let root = DslPool::new(pool).dataset(snapshot).unwrap().unwrap().phys.root;
    let files = FileSystem::open(pool.reader(), &root).unwrap().unwrap();
    let walk = Traversal::new(pool.reader());
    let mut found = BTreeSet::new();
    let walked: Result<(), Stop<Error>> = walk.run(&root, &mut |visit| {
        if let Visit::Object { object, .. } = visit
            && let Some(path) = files.path_of(object.number)?
        {
            found.insert(String::from_utf8_lossy(&path).into_owned());
        }
        Ok(())
    });
    walked.unwrap();
    found
}

/// The paths that the kernel listed, of several names of one file the one that is found.
fn listed(tree: &Path) -> BTreeSet<String> {
    let text = std::fs::read(tree).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let paths = text.lines().map(|line| line.rsplit_once('|').unwrap().1);
    paths
        .map(|path| path.trim_start_matches('.'))
        .map(|path| match path {
            "" => "/".to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("/{path}"),
        })
        .collect()
}

fn check(image: &Path, snapshot: &str, tree: &Path) {
    let disk = Arc::new(FileDisk::open(image).unwrap());
    let pool = Pool::open(disk, &OpenOptions::default()).unwrap();
    let (mut found, mut listed) = (paths(&pool, snapshot), listed(tree));
    // The kernel's list has no attributes.
    let all = found.len();
    found.retain(|path| !path.contains("/<xattrdir>"));
    assert_eq!(all - found.len(), if snapshot.contains("/xdir@") { 4 } else { 0 });
    let names: BTreeSet<_> = listed.difference(&found).cloned().collect();
    listed.retain(|path| !names.contains(path));
    assert!(names.len() <= 1, "{snapshot}: {names:?}");
    assert_eq!(
        found.difference(&listed).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}

#[test]
fn objects_of_the_example_pool_have_the_paths_that_the_kernel_lists() {
    let example = zferry_fixtures::example().unwrap();
    for snapshot in ["log@monday", "log@friday", "photos@tuesday", "archive@monday"] {
        let tree = zferry_fixtures::Example::file(&format!("{snapshot}.tree"));
        check(example.image(), &format!("harbour/{snapshot}"), &tree);
    }
}

#[test]
fn objects_of_the_corpus_have_the_paths_that_the_kernel_lists() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    // Attributes in spill blocks, large dnodes, extended attributes as directories; and znodes of before version 5.
    for (pool, snapshot) in [
        ("basic", "fs@c"),
        ("feat", "d-16k@s"),
        ("feat", "ci@s"),
        ("feat", "tiny@s"),
        ("feat", "xdir@s"),
        ("v28", "z3@t"),
        ("v28", "z5@t"),
    ] {
        let tree = corpus.file(&format!("{pool}-{snapshot}.tree"));
        check(
            &corpus.file(&format!("{pool}.img")),
            &format!("{pool}/{snapshot}"),
            &tree,
        );
    }
}
