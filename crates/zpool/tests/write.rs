//! Pools that are made here, read again here.

#![allow(clippy::panic, reason = "a test")]

use std::sync::Arc;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{Disk, SimulatedDisk, WritableDisk, WritableFile};
use zferry_zpool::{CreateOptions, Environment, OpenOptions, Pool, PoolLayout, PoolWriter, TopLayout};

fn layout(disks: &[Arc<dyn WritableDisk>]) -> PoolLayout {
    let tops = disks.iter().map(|disk| TopLayout {
        disks: vec![Arc::clone(disk)],
    });
    PoolLayout { tops: tops.collect() }
}

/// Where to leave pools for other judges, if anywhere.
fn disk(name: &str) -> Arc<dyn WritableDisk> {
    match std::env::var("ZFERRY_LEAVE_POOLS") {
        Ok(folder) => {
            let path = std::path::Path::new(&folder).join(name);
            let _ = std::fs::remove_file(&path);
            match WritableFile::create(&path, 512 << 20) {
                Ok(file) => Arc::new(file),
                Err(error) => panic!("{error}"),
            }
        }
        Err(_) => Arc::new(SimulatedDisk::new(name, 512 << 20)),
    }
}

#[test]
fn a_new_pool_has_its_root() {
    let disk = disk("new.img");
    let environment = Environment::fixed(1_700_000_000, 1);
    let writer = PoolWriter::create(
        &layout(&[Arc::clone(&disk)]),
        &CreateOptions::new("new"),
        environment,
    );
    let mut writer = writer.unwrap();
    writer.create_file_system("new/fs", &[]).unwrap();
    writer.commit().unwrap();
    for index in 0..20 {
        writer
            .create_file_system(&format!("new/fs/child{index}"), &[])
            .unwrap();
        if index % 4 == 0 {
            writer.commit().unwrap();
        }
        writer.snapshot("new/fs", &format!("s{index}")).unwrap();
        writer.commit().unwrap();
    }
    let encryption = zferry_zpool::NewEncryption::Inherited;
    writer
        .create_volume("new/vol", 1 << 30, 16384, &[], encryption)
        .unwrap();
    writer.commit().unwrap();
    let disk: Arc<dyn Disk> = disk;
    let pool = Pool::open(disk, &OpenOptions::default()).unwrap();
    let dsl = DslPool::new(&pool);
    let fs = dsl.dataset("new/fs").unwrap().unwrap();
    assert_eq!(dsl.snapshots(&fs).unwrap().len(), 20);
}
