//! The life of datasets by the commands: clone, promote, rename, roll back, hold, bookmark, destroy; what they say, and
//! what they leave.

use crate::support::{Bench, run};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;

/// A pool with `tank/a` and `tank/a/b`.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.does("create -p tank/a/b");
    bench
}

#[test]
fn a_file_that_is_there_keeps_its_size() {
    let bench = bench();
    for (size, becomes) in [(100 << 20, 100 << 20), (0, 200 << 20)] {
        let path = bench.path(&format!("dock-{size}.img"));
        File::create(&path).unwrap().set_len(size).unwrap();
        let name = format!("dock-{size}");
        let file = path.display().to_string();
        bench.does(&["pool", "create", "--size", "200M", &name, &file]);
        assert_eq!(path.metadata().unwrap().len(), becomes);
    }
}

#[test]
fn a_pool_in_a_file_whose_name_is_no_text_is_written() {
    let bench = bench();
    let path = bench.folder().join(OsStr::from_bytes(b"tank\xff.img"));
    fs::rename(bench.image(), &path).unwrap();
    run(&path, "snapshot tank/a@one").succeeds();
    let history = run(&path, "pool history tank").succeeds();
    let last = history.lines().rfind(|line| !line.is_empty()).unwrap();
    assert!(last.ends_with(" snapshot tank/a@one"), "{last}");
}

#[test]
fn clones_are_made_promoted_and_renamed() {
    let bench = bench();
    bench.does("snapshot tank/a@one tank/a/b@one");
    bench.does("snapshot tank/a@two");
    bench.does("clone -p -o compression=zstd tank/a@one tank/x/y");
    let origin = |name: &str| bench.does(&["get", "-H", "-o", "value", "origin,compression", name]);
    assert_eq!(origin("tank/x/y"), "tank/a@one\nzstd\n");
    assert_eq!(
        bench.fails("clone tank/a@three tank/z"),
        "cannot open 'tank/a@three': dataset does not exist\n"
    );
    assert_eq!(
        bench.fails("clone tank/a@one tank/x/y"),
        "cannot create 'tank/x/y': dataset already exists\n"
    );
    assert_eq!(
        bench.fails("promote tank/a"),
        "cannot promote 'tank/a': not a cloned filesystem\n"
    );
    bench.does("snapshot tank/x/y@one");
    assert_eq!(
        bench.fails("promote tank/x/y"),
        "cannot promote 'tank/x/y': conflicting snapshot 'one' from parent 'tank/a@one'\n"
    );
    bench.does("rename tank/x/y@one @own");
    bench.does("promote tank/x/y");
    assert!(origin("tank/a").starts_with("tank/x/y@one\n"));
    bench.does("rename -p tank/x/y tank/n/e/w");
    bench.does("rename -r tank/a@two tank/a@second");
    assert_eq!(
        bench.fails("rename tank/n tank/n/e/f"),
        "cannot rename to 'tank/n/e/f': New dataset name cannot be a descendant of current dataset name\n"
    );
    assert_eq!(
        bench.fails("rename tank/a@second tank/a/b@second"),
        "cannot rename to 'tank/a/b@second': snapshots must be part of same dataset\n"
    );
    assert_eq!(
        bench.names(),
        [
            "tank",
            "tank/a",
            "tank/a@second",
            "tank/a/b",
            "tank/a/b@one",
            "tank/n",
            "tank/n/e",
            "tank/n/e/w",
            "tank/n/e/w@one",
            "tank/n/e/w@own",
            "tank/x"
        ]
    );
    bench.is_sound();
}

/// Two trees, of which each is a clone of something in the other, go when one of them is promoted.
#[test]
fn what_depends_on_itself_is_not_destroyed() {
    let bench = bench();
    bench.does("snapshot tank/a/b@one");
    bench.does("clone tank/a/b@one tank/c");
    bench.does("create tank/c/d");
    bench.does("snapshot tank/c/d@two");
    bench.does("clone tank/c/d@two tank/e");
    bench.does("rename tank/a/b tank/e/b");
    let names = bench.names();
    for (name, at) in [
        ("tank/e", "tank/e"),
        ("tank/c", "tank/c"),
        ("tank/e/b", "tank/e/b"),
        ("tank/c/d@two", "tank/e"),
    ] {
        assert_eq!(
            bench.fails(&["destroy", "-R", "-v", name]),
            format!("cannot determine dependent datasets: recursive dependency at '{at}'\n")
        );
    }
    // Which of the two comes first hangs on the salt of the table of children.
    let said = bench.fails(&["destroy", "-R", "tank"]);
    assert!(
        ["tank/c", "tank/e"]
            .map(|at| format!("'{at}'\n"))
            .iter()
            .any(|at| said.ends_with(at)),
        "{said}"
    );
    assert_eq!(bench.names(), names);
    bench.does("promote tank/e");
    bench.does("destroy -R tank/e");
    assert_eq!(bench.names(), ["tank", "tank/a"]);
    bench.is_sound();
}

#[test]
fn what_is_destroyed_is_named_and_gone() {
    let bench = bench();
    for name in ["tank/a@1", "tank/a@2", "tank/a@3", "tank/a@4"] {
        bench.does(&["snapshot", name]);
    }
    bench.does("clone tank/a@2 tank/clone");
    assert_eq!(
        bench.does("destroy -n -p tank/a@3%4"),
        "destroy\ttank/a@3\ndestroy\ttank/a@4\nreclaim\t0\n"
    );
    assert_eq!(
        bench.fails("destroy tank/a@1%2"),
        "cannot destroy 'tank/a@2': snapshot has dependent clones\n\
         use '-R' to destroy the following datasets:\ntank/clone\n"
    );
    assert_eq!(
        bench.fails("destroy tank/a@5"),
        "could not find any snapshots to destroy; check snapshot names.\n"
    );
    assert_eq!(
        bench.fails("destroy tank/a"),
        "cannot destroy 'tank/a': filesystem has children\n\
         use '-r' to destroy the following datasets:\n\
         tank/a/b\ntank/a@1\ntank/a@2\ntank/a@3\ntank/a@4\n"
    );
    assert_eq!(
        bench.fails("destroy -r tank/a"),
        "cannot destroy 'tank/a': filesystem has dependent clones\n\
         use '-R' to destroy the following datasets:\ntank/clone\n"
    );
    assert!(
        bench
            .fails("destroy tank")
            .starts_with("cannot destroy 'tank': operation does not apply to pools\n")
    );
    assert_eq!(
        bench.does("destroy -v tank/a@1,3%"),
        "will destroy tank/a@1\nwill destroy tank/a@3\nwill destroy tank/a@4\nwill reclaim 0B\n"
    );
    bench.is_sound();
    bench.does("destroy -R tank/a");
    assert_eq!(bench.names(), ["tank"]);
    bench.is_sound();
}

#[test]
fn holds_keep_snapshots() {
    let bench = bench();
    bench.does("snapshot -r tank/a@s");
    bench.does("hold -r keep tank/a@s");
    assert_eq!(
        bench.fails("hold keep tank/a@s"),
        "cannot hold snapshot 'tank/a@s': tag already exists on this dataset\n"
    );
    assert_eq!(
        bench.fails("release other tank/a@s"),
        "cannot release hold from snapshot 'tank/a@s': no such tag on this dataset\n"
    );
    let held = bench.does("holds -r -H -p tank/a@s");
    let held: Vec<Vec<&str>> = held
        .lines()
        .map(|line| line.split('\t').take(2).collect())
        .collect();
    assert_eq!(held, [["tank/a@s", "keep"], ["tank/a/b@s", "keep"]]);
    assert_eq!(
        bench.fails("destroy tank/a@s"),
        "cannot destroy snapshot tank/a@s: dataset is busy\n"
    );
    bench.does("destroy -d tank/a@s");
    assert!(bench.names().contains(&"tank/a@s".to_owned()));
    bench.does("release keep tank/a@s");
    assert!(!bench.names().contains(&"tank/a@s".to_owned()));
    bench.does("release -r keep tank/a/b@s");
    bench.is_sound();
}

#[test]
fn a_rollback_destroys_what_is_newer_when_told_to() {
    let bench = bench();
    for name in ["tank/a@1", "tank/a@2"] {
        bench.does(&["snapshot", name]);
    }
    bench.does("bookmark tank/a@2 #mark");
    bench.does("bookmark tank/a#mark tank/a#copy");
    assert_eq!(
        bench.fails("bookmark tank/a@1 tank/a#mark"),
        "cannot create bookmark 'tank/a#mark': bookmark exists\n"
    );
    assert_eq!(
        bench.fails("bookmark tank/a@1 tank/a/b#mark"),
        "cannot create bookmark 'tank/a/b#mark': source is not an ancestor of the new bookmark's dataset\n"
    );
    bench.does("destroy tank/a#copy");
    assert_eq!(
        bench.fails("destroy tank/a#copy"),
        "bookmark 'tank/a#copy' does not exist.\n"
    );
    bench.does("clone tank/a@2 tank/clone");
    assert_eq!(
        bench.fails("rollback tank/a@1"),
        "cannot rollback to 'tank/a@1': more recent snapshots or bookmarks exist\n\
         use '-r' to force deletion of the following snapshots and bookmarks:\n\
         tank/a@2\ntank/a#mark\n"
    );
    assert_eq!(
        bench.fails("rollback -r tank/a@1"),
        "cannot rollback to 'tank/a@1': clones of previous snapshots exist\n\
         use '-R' to force deletion of the following clones and dependents:\ntank/clone\n"
    );
    bench.does("rollback -R tank/a@1");
    assert_eq!(bench.names(), ["tank", "tank/a", "tank/a@1", "tank/a/b"]);
    bench.is_sound();
}

/// Has the counts of file systems and snapshots below a dataset.
fn counts(bench: &Bench, dataset: &str) -> String {
    let said = bench.does(&format!(
        "get -Hpo value filesystem_count,snapshot_count {dataset}"
    ));
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_lies_below_a_limit_is_counted() {
    let bench = bench();
    bench.does("snapshot tank/a@one tank/a/b@one");
    assert_eq!(counts(&bench, "tank/a"), "none none");
    // No limit is none.
    bench.does("set filesystem_limit=none tank/a");
    assert_eq!(counts(&bench, "tank/a"), "none none");
    bench.does("set snapshot_limit=3 tank/a");
    assert_eq!(counts(&bench, "tank/a"), "1 2");
    assert_eq!(counts(&bench, "tank/a/b"), "0 1");
    assert_eq!(counts(&bench, "tank"), "none none");
    // Whoever may change a limit, as root may, is not kept by it.
    for act in [
        "create -p tank/a/b/c/d",
        "create tank/other",
        "snapshot tank/a/b/c@two tank/a@two",
    ] {
        bench.does(act);
    }
    assert_eq!(counts(&bench, "tank/a"), "3 4");
    assert_eq!(counts(&bench, "tank/other"), "0 0");
    bench.does("set filesystem_limit=100 tank");
    assert_eq!(counts(&bench, "tank"), "5 4");
    bench.does("clone tank/a@one tank/a/clone");
    bench.does("snapshot tank/a/clone@three");
    assert_eq!(counts(&bench, "tank/a"), "4 5");
    bench.does("promote tank/a/clone");
    assert_eq!(counts(&bench, "tank/a/clone"), "0 2");
    bench.does("rename tank/a/clone tank/other/clone");
    assert_eq!(
        (counts(&bench, "tank/a"), counts(&bench, "tank/other")),
        ("3 3".to_owned(), "1 2".to_owned())
    );
    bench.does("destroy tank/a/b@one");
    bench.does("destroy -r tank/a/b/c");
    assert_eq!(
        (counts(&bench, "tank/a"), counts(&bench, "tank")),
        ("1 1".to_owned(), "4 3".to_owned())
    );
    bench.does("rollback tank/a@two");
    assert_eq!(counts(&bench, "tank"), "4 3");
    bench.is_sound();
}
