//! Damage that chance does: to any byte of a pool, and to metadata that no checksum guards.

use crate::command::{MEMORY_KIB, Run};
use crate::rng::Rng;
use std::env;
use std::sync::OnceLock;
use zferry_fixtures::{Image, SoftPool};

/// What is looked at in every case, of the example pool.
pub(crate) const LOOKS: [&[&str]; 6] = [
    &[
        "list",
        "-H",
        "-p",
        "-r",
        "-t",
        "all",
        "-o",
        "name,used,avail,refer,written,origin,clones,userrefs",
    ],
    &["list", "-r", "-t", "snapshot,bookmark"],
    &["get", "-r", "-H", "-p", "all", "harbour"],
    &[
        "get",
        "-t",
        "all",
        "-r",
        "written@monday,userused@0,receive_resume_token",
        "harbour",
    ],
    &["pool", "status"],
    &["pool", "get", "all"],
];

/// What is sent of it.
pub(crate) const SENDS: [&[&str]; 11] = [
    &["send", "harbour/photos@monday"],
    &["send", "-i", "@monday", "harbour/photos@tuesday"],
    &["send", "-L", "-e", "-c", "harbour/archive@monday"],
    &["send", "-c", "harbour/log@friday"],
    &["send", "-i", "#monday", "harbour/photos@friday"],
    &["send", "-i", "harbour/log@monday", "harbour/draft@proof"],
    &["send", "harbour/chart@tuesday"],
    &["send", "-nv", "-i", "@monday", "harbour/log@friday"],
    &["send", "-v", "harbour/draft@proof"],
    &["send", "--skip-damaged", "-L", "harbour/photos@tuesday"],
    &["send", "--skip-damaged", "-c", "-P", "harbour/log@friday"],
];

/// The label's size in bytes; there are two at either end.
const LABEL_BYTES: u64 = 256 << 10;

/// How many cases a test has.
pub(crate) fn cases(default: u64) -> u64 {
    let asked = env::var("ZFERRY_DAMAGE_CASES")
        .ok()
        .and_then(|asked| asked.parse().ok());
    asked.unwrap_or(default)
}

/// Runs `default` cases or as many as were asked for: each damages a copy of `pool` and looks what the command makes of
/// it.
fn check<P: Clone>(pool: &P, default: u64, damage: impl Fn(&mut P, &mut Rng), image: impl Fn(&P) -> &Image) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("harbour.img");
    let mut wrong = Vec::new();
    for case in 0..cases(default) {
        let mut rng = Rng::new(case);
        let mut damaged = pool.clone();
        damage(&mut damaged, &mut rng);
        image(&damaged).save(&path).unwrap();
        let run = Run {
            image: &path,
            folder: folder.path(),
            memory_kib: MEMORY_KIB,
            stdin: None,
        };
        for arguments in [rng.pick(&LOOKS), rng.pick(&SENDS)] {
            if let Err(what) = run.zferry(arguments) {
                wrong.push(format!("case {case}: {what}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn example() -> Image {
    Image::open(zferry_fixtures::example().unwrap().image()).unwrap()
}

pub(crate) fn soft_example() -> SoftPool {
    static POOL: OnceLock<SoftPool> = OnceLock::new();
    let open = || SoftPool::open(zferry_fixtures::example().unwrap().image()).unwrap();
    POOL.get_or_init(open).clone()
}

#[test]
fn sound_pools_pass_and_limits_bite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("harbour.img");
    let mut run = Run {
        image: &path,
        folder: folder.path(),
        memory_kib: MEMORY_KIB,
        stdin: None,
    };
    for image in [example(), soft_example().image] {
        image.save(&path).unwrap();
        for arguments in LOOKS.iter().chain(&SENDS) {
            assert_eq!(run.zferry(arguments), Ok(0), "{arguments:?}");
        }
    }
    run.memory_kib = 4 << 10;
    assert!(run.zferry(&["send", "harbour/photos@monday"]).is_err());
}

#[test]
fn images_cut_short() {
    let image = example();
    check(
        &image,
        12,
        |image, rng| {
            let size = image.size() as usize;
            let end = match rng.below(4) {
                0 => rng.below(size / 16),
                1 => size - rng.below(2 * LABEL_BYTES as usize),
                _ => rng.below(size),
            };
            image.truncate(end as u64);
        },
        |image| image,
    );
}

#[test]
fn any_bytes_overwritten() {
    let image = example();
    let used: Vec<u64> = image.used().collect();
    check(
        &image,
        16,
        |image, rng| {
            let spots = 1 << rng.below(8);
            for _ in 0..spots {
                let offset = rng.pick(&used) + rng.below(4096) as u64;
                let len = 1 + rng.below(16);
                image.write(offset, &rng.bytes(len));
            }
        },
        |image| image,
    );
}

#[test]
fn whole_sectors_lost_or_misplaced() {
    let image = example();
    let used: Vec<u64> = image.used().collect();
    check(
        &image,
        16,
        |image, rng| {
            let sectors = 1 << rng.below(7);
            for _ in 0..sectors {
                let to = *rng.pick(&used);
                let bytes = match rng.below(4) {
                    0 => vec![0; 4096],
                    1 => vec![0xff; 4096],
                    2 => image.bytes(*rng.pick(&used), 4096),
                    _ => rng.bytes(4096),
                };
                image.write(to, &bytes);
            }
        },
        |image| image,
    );
}

#[test]
fn labels_overwritten() {
    let image = example();
    let ends = [
        0,
        LABEL_BYTES,
        image.size() - 2 * LABEL_BYTES,
        image.size() - LABEL_BYTES,
    ];
    check(
        &image,
        20,
        |image, rng| {
            // Some labels, or all of them: in the configuration, in the uberblocks, or anywhere.
            for label in ends {
                let (start, len) =
                    *rng.pick(&[(16 << 10, 4096), (128 << 10, 128 << 10), (0, 256 << 10), (0, 0)]);
                for _ in 0..1 << rng.below(12) {
                    if len > 0 {
                        image.write(label + (start + rng.below(len)) as u64, &[rng.byte()]);
                    }
                }
            }
        },
        |image| image,
    );
}

#[test]
fn labels_that_lie() {
    check(
        &soft_example(),
        16,
        |pool, rng| {
            let (uberblock, _) = pool.uberblock();
            for _ in 0..1 << rng.below(4) {
                let offset = if rng.below(2) == 0 {
                    (16 << 10) + rng.below(3 << 10) as u64
                } else {
                    uberblock + rng.below(256) as u64
                };
                let byte = [rng.byte()];
                pool.image.write(offset, &byte);
            }
            pool.seal_labels();
        },
        |pool| &pool.image,
    );
}

#[test]
fn metadata_that_lies_in_bytes() {
    check(
        &soft_example(),
        20,
        |pool, rng| {
            for _ in 0..1 << rng.below(6) {
                let block = *rng.pick(&pool.blocks);
                let len = 1 + rng.below(4);
                pool.image
                    .write(block.offset + rng.below(block.len) as u64, &rng.bytes(len));
            }
        },
        |pool| &pool.image,
    );
}

#[test]
fn metadata_that_lies_in_numbers() {
    check(
        &soft_example(),
        20,
        |pool, rng| {
            for _ in 0..1 << rng.below(6) {
                let (from, to) = (number(pool, rng), number(pool, rng));
                let there = u64::from_le_bytes(pool.image.bytes(to, 8).try_into().unwrap());
                let other = u64::from_le_bytes(pool.image.bytes(from, 8).try_into().unwrap());
                let lie = match rng.below(8) {
                    0 => 0,
                    1 => u64::MAX,
                    2 => 1 << rng.below(64),
                    3 => there.wrapping_add(1),
                    4 => there.wrapping_sub(1),
                    5 => there ^ 1 << rng.below(64),
                    _ => other,
                };
                pool.image.write(to, &lie.to_le_bytes());
            }
        },
        |pool| &pool.image,
    );
}

#[test]
fn pointers_that_lead_elsewhere() {
    check(
        &soft_example(),
        20,
        |pool, rng| {
            for _ in 0..1 << rng.below(5) {
                let (from, to) = (pointer(pool, rng), pointer(pool, rng));
                let other = pool.image.bytes(from, 128);
                match rng.below(3) {
                    // The whole pointer, its address alone, or where it leads and what that is.
                    0 => pool.image.write(to, &other),
                    1 => pool.image.write(to, &other[..16]),
                    _ => pool.image.write(to, &other[..56]),
                }
            }
        },
        |pool| &pool.image,
    );
}

/// The place of a 64-bit number that is not zero, in some block of metadata.
fn number(pool: &SoftPool, rng: &mut Rng) -> u64 {
    loop {
        let block = rng.pick(&pool.blocks);
        let offset = block.offset + 8 * rng.below(block.len / 8) as u64;
        if pool.image.bytes(offset, 8) != [0; 8] || rng.below(16) == 0 {
            return offset;
        }
    }
}

/// The place of a block pointer: in a dnode, behind a dataset's first fields, or in an indirect block.
fn pointer(pool: &SoftPool, rng: &mut Rng) -> u64 {
    loop {
        let block = rng.pick(&pool.blocks);
        let offset = block.offset + 64 * rng.below(block.len / 64 - 1) as u64;
        let words: Vec<u8> = pool.image.bytes(offset, 128);
        let properties = u64::from_le_bytes(words[48..56].try_into().unwrap());
        let birth = u64::from_le_bytes(words[80..88].try_into().unwrap());
        // What a pointer of this pool looks like: sizes, checksum and type are there, and the birth is small.
        if properties >> 63 == 1 && (1..1 << 20).contains(&birth) {
            return offset;
        }
    }
}
