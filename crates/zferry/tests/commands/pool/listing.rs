//! What `list`, `get` and `pool` print, held against what OpenZFS's own commands printed of the same pools.

use crate::support::run;
use std::fs;
use std::path::Path;

fn printed(image: &Path, arguments: &str) -> String {
    let output = run(image, arguments).output;
    assert!(output.status.success(), "{arguments}: {output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit status and standard error.
fn refused(image: &Path, arguments: &str) -> (Option<i32>, String) {
    let output = run(image, arguments).output;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn example(name: &str) -> String {
    fs::read_to_string(zferry_fixtures::Example::file(name)).unwrap()
}

#[test]
fn the_example_is_listed_as_zfs_lists_it() {
    let pool = zferry_fixtures::example().unwrap();
    let columns = "list -Hp -r -t all -o name,type,used,available,referenced,mountpoint harbour";
    assert_eq!(printed(pool.image(), columns), example("harbour.list"));
    assert_eq!(
        printed(pool.image(), "list -r -t all harbour"),
        example("harbour.list-r")
    );
    assert_eq!(
        printed(pool.image(), "get -Hp -r -t all all harbour"),
        example("harbour.props")
    );
}

#[test]
fn the_example_is_one_healthy_pool() {
    let pool = zferry_fixtures::example().unwrap();
    let path = pool.image().display().to_string();
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let ours =
        words(&printed(pool.image(), "pool status harbour")).replace(&path, "/tmp/harbour/harbour.img");
    assert_eq!(ours, words(&example("pool.status")));
    // The kernel reads no space maps of a pool that it may not write, so it says that nothing is allocated.
    let counted = ["capacity", "free", "allocated", "fragmentation", "load_guid"];
    let compared = |text: &str| {
        let lines = text
            .lines()
            .filter(|line| !counted.iter().any(|name| line.split('\t').nth(1) == Some(name)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let ours = printed(pool.image(), "pool get -Hp all harbour");
    assert_eq!(compared(&ours), compared(&example("pool.props")));
    assert_eq!(
        printed(pool.image(), "pool list -H -o name,health"),
        "harbour\tONLINE\n"
    );
    assert_eq!(printed(pool.image(), "pool status -x"), "all pools are healthy\n");
    // As `zdb -l` has it.
    assert!(printed(pool.image(), "pool list -j").contains(r#""txg":"428","spa_version""#));
}

#[test]
fn what_is_allocated_and_what_is_free_make_up_the_pool() {
    let pool = zferry_fixtures::example().unwrap();
    let line = printed(pool.image(), "pool list -Hp -o size,allocated,free");
    let numbers: Vec<u64> = line
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    assert_eq!(
        numbers.first().copied(),
        numbers.get(1..).map(|parts| parts.iter().sum())
    );
}

#[test]
fn one_dataset_needs_no_recursion() {
    let pool = zferry_fixtures::example().unwrap();
    assert_eq!(
        printed(pool.image(), "list -Ho name harbour/photos"),
        "harbour/photos\n"
    );
    assert_eq!(
        printed(pool.image(), "list -Ho name -t snapshot harbour/photos"),
        "harbour/photos@monday\nharbour/photos@tuesday\nharbour/photos@friday\n"
    );
    assert_eq!(
        printed(pool.image(), "list -Ho name -t bookmark"),
        "harbour/photos#monday\n"
    );
    assert_eq!(printed(pool.image(), "list -Ho name -d 0"), "harbour\n");
    assert_eq!(
        printed(
            pool.image(),
            "list -Ho name -S name -t vol,fs -d 1 harbour/log harbour/chart harbour/log"
        ),
        "harbour/log\nharbour/chart\n"
    );
}

#[test]
fn bookmarks_sort_before_the_snapshots_that_they_remember() {
    let pool = zferry_fixtures::example().unwrap();
    let listed = printed(
        pool.image(),
        "list -t snapshot,bookmark -s createtxg -s type -d 1 -Hp -o type,name harbour/photos",
    );
    let names: Vec<&str> = listed.lines().take(2).collect();
    assert_eq!(
        names,
        [
            "bookmark\tharbour/photos#monday",
            "snapshot\tharbour/photos@monday"
        ]
    );
}

#[test]
fn what_is_asked_for_by_name_is_shown_even_without_a_value() {
    let pool = zferry_fixtures::example().unwrap();
    let token = "get -H receive_resume_token harbour/log";
    assert_eq!(
        printed(pool.image(), token),
        "harbour/log\treceive_resume_token\t-\t-\n"
    );
    assert!(!printed(pool.image(), "get -H all harbour/log").contains("receive_resume_token"));
    assert_eq!(
        printed(
            pool.image(),
            "get -Hp -o value -s none receive_resume_token harbour/log"
        ),
        "-\n"
    );
    assert_eq!(printed(pool.image(), "get -s temporary all harbour/log"), "");
}

#[test]
fn what_is_not_there_is_refused_in_zfs_words() {
    let pool = zferry_fixtures::example().unwrap();
    for (arguments, sentence) in [
        (
            "list harbour/none",
            "cannot open 'harbour/none': dataset does not exist",
        ),
        ("get all none", "cannot open 'none': dataset does not exist"),
        (
            "list harbour@none",
            "cannot open 'harbour@none': dataset does not exist",
        ),
        (
            "list -t all harbour#none",
            "cannot open 'harbour#none': no such pool or dataset",
        ),
        (
            "list -t filesystem harbour/chart",
            "cannot open 'harbour/chart': operation not applicable to datasets of this type",
        ),
        (
            "list harbour//log",
            "cannot open 'harbour//log': empty component or misplaced '@' or '#' delimiter in name",
        ),
        (
            "list harbour#monday",
            "cannot open 'harbour#monday': bookmark delimiter '#' is not expected here",
        ),
        ("pool list none", "cannot open 'none': no such pool"),
        (
            "pool get size none",
            "Cannot get properties of none: no such pool available.",
        ),
    ] {
        assert_eq!(
            refused(pool.image(), arguments),
            (Some(1), format!("{sentence}\n")),
            "{arguments}"
        );
    }
    for (arguments, sentence) in [
        ("list -o none", "bad property list: invalid property 'none'"),
        ("get", "missing property argument"),
        ("get -t none all", "invalid type 'none'"),
        ("get -s none,nowhere all", "invalid source 'nowhere'"),
        ("get -o none all", "invalid column name 'none'"),
        ("list -s none", "invalid property 'none'"),
        ("list -d -1", "Depth can not be negative."),
        ("list -d tank.img", "tank.img is not an integer"),
        ("list -Z", "invalid option 'Z'"),
        ("get -d", "missing argument for 'd' option"),
        ("pool get none", "bad property list: invalid property 'none'"),
    ] {
        let (status, said) = refused(pool.image(), arguments);
        assert_eq!(
            (status, said.lines().next()),
            (Some(2), Some(sentence)),
            "{arguments}"
        );
    }
}

#[test]
fn an_empty_name_is_no_invalid_option() {
    let pool = zferry_fixtures::example().unwrap();
    for arguments in ["get -H -t snapshot  ", "get -H createtxg "] {
        let (status, said) = refused(pool.image(), arguments);
        assert_ne!(status, Some(0), "{arguments}");
        assert!(!said.starts_with("invalid option"), "{said}");
        assert!(!said.starts_with("bad property list: invalid property"), "{said}");
    }
}

#[test]
fn pools_of_the_corpus_are_listed_as_zfs_listed_them() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    let columns = "name,guid,createtxg,creation,used,referenced";
    let listed = printed(
        &corpus.file("basic.img"),
        &format!("list -Hp -r -t all -o {columns} basic"),
    );
    let kernel = fs::read_to_string(corpus.file("basic.list")).unwrap();
    for line in kernel.lines() {
        let columns = line.rsplit_once('\t').unwrap().0;
        // The list was made while the pool was in use: what its root uses in all has changed since.
        assert!(
            line.starts_with("basic\t") || listed.lines().any(|line| line == columns),
            "{columns}"
        );
    }
}

#[test]
fn json_has_the_same_values() {
    let pool = zferry_fixtures::example().unwrap();
    assert_eq!(
        printed(pool.image(), "list -j -o name,recordsize harbour/log"),
        concat!(
            r#"{"output_version":{"command":"zfs list","vers_major":0,"vers_minor":1},"datasets":{"harbour/log":"#,
            r#"{"name":"harbour/log","type":"FILESYSTEM","pool":"harbour","createtxg":"12","properties":"#,
            r#"{"recordsize":{"value":"16K","source":{"type":"LOCAL","data":"-"}}}}}}"#,
            "\n"
        )
    );
}
