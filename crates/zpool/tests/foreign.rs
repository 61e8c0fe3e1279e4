//! Pools that OpenZFS made, opened for writing: what they held stays, and what is logged of their space is taken over.
//!
//! It needs the corpus, whose place `ZFERRY_CORPUS` names.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::PathBuf;
use std::sync::Arc;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{WritableDisk, WritableFile};
use zferry_zpool::{Environment, Error, OpenOptions, PoolWriter};

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
fn what_is_not_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = copy_of("basic", folder.path()) else {
        eprintln!("skipped: ZFERRY_CORPUS names no corpus");
        return;
    };
    let error = open(&path).unwrap_err().to_string();
    assert!(
        error.contains("com.delphix:bookmark_written, com.delphix:livelist"),
        "{error}"
    );
}
