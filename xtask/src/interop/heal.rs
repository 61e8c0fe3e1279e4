//! The same damage of the same pools, healed by `zfs receive -c` of OpenZFS's kernel and by zferry: afterwards both have in
//! each place what was there before. What the kernel is asked is in `heal.sh`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use zferry_fixtures::{Corpus, target};
use zferry_zpool::dmu::{ObjectType, Traversal, Visit};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{Disk, FileDisk};
use zferry_zpool::{OpenOptions, Pool, Txg};

use crate::tools::{fresh, output, succeed};

/// The snapshots, and the streams that heal them.
const CASES: [(&str, &str); 6] = [
    ("basic/fs@c", "basic-fs-c-compressed"),
    ("basic/fs@c", "basic-fs-c"),
    ("basic/vol@b", "basic-vol-b-c"),
    ("crypt/gcm@a", "crypt-gcm-raw-a"),
    ("crypt/ccm@a", "crypt-ccm-raw-a"),
    ("gang/fs@s", SENT),
];
/// The one that is not in the corpus but sent from its pool by zferry, with `-c`.
const SENT: &str = "gang-c";
/// Where block pointers count from, in bytes.
const DATA: u64 = 4 << 20;
/// In the second word of where a block is: that there is only a gang header.
const GANG: u64 = 1 << 63;
/// How many bytes of a block are damaged.
const DAMAGED: usize = 16;
/// Files, directories and volumes: what the kernel heals, and does not need before it can.
const HEALED: [ObjectType; 3] = [ObjectType(19), ObjectType(20), ObjectType(23)];

/// Where something was damaged, and what was there.
struct Wound {
    offset: u64,
    was: [u8; DAMAGED],
}

/// Runs all of it, with a pool of each kind for the kernel and for zferry.
pub(super) fn run(machine: &Path, corpus: &Corpus, zferry: &Path) -> Result<()> {
    let folder = fresh(&target().join("heal"))?;
    for side in ["kernel", "ours"] {
        fs::create_dir_all(folder.join(side))?;
    }
    fs::write(folder.join("heal.sh"), include_str!("heal.sh"))?;
    let mut cases = String::new();
    for (number, (snapshot, stream)) in (0..).zip(CASES) {
        let pool = snapshot.split('/').next().unwrap_or_default();
        let original = corpus.file(&format!("{pool}.img"));
        let source = folder.join(format!("{stream}.zsend"));
        if stream == SENT {
            let mut send = Command::new(zferry);
            send.arg("-d").arg(&original).args(["send", "-c", snapshot]);
            succeed(send.stdout(File::create(&source)?))?;
        } else {
            fs::copy(corpus.stream(stream), &source)?;
        }
        let wounds = wounds(&original, snapshot)?;
        ensure!(wounds.len() > 3, "{snapshot} has too few blocks");
        for side in ["kernel", "ours"] {
            let image = folder.join(side).join(number.to_string());
            fs::create_dir(&image)?;
            let image = image.join(format!("{pool}.img"));
            succeed(
                Command::new("cp")
                    .arg("--sparse=always")
                    .arg(&original)
                    .arg(&image),
            )?;
            wound(&image, &wounds)?;
        }
        cases.push_str(&format!("{number} {pool} {snapshot} {stream}\n"));
        let ours = folder.join("ours").join(number.to_string());
        let mut heal = Command::new(zferry);
        heal.arg("-d").arg(&ours).args(["receive", "-c", snapshot]);
        heal.stdin(File::open(&source)?).stdout(Stdio::null());
        succeed(&mut heal)?;
        healed(&ours.join(format!("{pool}.img")), &wounds)
            .with_context(|| format!("{snapshot}, {stream}"))?;
    }
    fs::write(folder.join("cases"), cases)?;
    let mut boot = Command::new(machine);
    boot.arg("run").arg(folder.join("heal.sh")).arg(&folder);
    let said = output(&mut boot)?;
    print!("{said}");
    ensure!(!said.contains("BAD "), "the kernel disagrees");
    ensure!(said.contains("heal done"), "the kernel did not come to its end");
    for (number, (snapshot, stream)) in (0..).zip(CASES) {
        let pool = snapshot.split('/').next().unwrap_or_default();
        let image = folder.join("kernel").join(format!("{number}/{pool}.img"));
        let wounds = wounds(&corpus.file(&format!("{pool}.img")), snapshot)?;
        healed(&image, &wounds).with_context(|| format!("the kernel: {snapshot}, {stream}"))?;
    }
    fs::remove_dir_all(folder)?;
    println!(
        "heal: {} snapshots healed by the kernel and by zferry",
        CASES.len()
    );
    Ok(())
}

/// Where a snapshot's blocks are to be damaged.
fn wounds(image: &Path, snapshot: &str) -> Result<Vec<Wound>> {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(image)?);
    let pool = Pool::open(disk, &OpenOptions::default())?;
    let dataset = DslPool::new(&pool).dataset(snapshot)?;
    let dataset = dataset.with_context(|| format!("no {snapshot}"))?;
    let walk = Traversal {
        reader: pool.reader(),
        since: Txg(0),
        resume: None,
        ahead: &(),
        skips_damage: false,
    };
    let file = File::open(image)?;
    let mut wounds = Vec::new();
    let done = walk.run(&dataset.phys.root, &mut |visit| {
        let Visit::Block { object, pointer, .. } = visit else {
            return Ok(());
        };
        if pointer.is_hole() || pointer.is_embedded() || !HEALED.contains(&object.dnode.object_type) {
            return Ok(());
        }
        for dva in pointer.dvas() {
            let offset = DATA.saturating_add(dva.offset);
            let offset = if dva.gang {
                first_piece(&file, offset)?
            } else {
                offset
            };
            let mut was = [0; DAMAGED];
            file.read_exact_at(&mut was, offset)
                .map_err(anyhow::Error::from)?;
            wounds.push(Wound { offset, was });
        }
        Ok::<_, anyhow::Error>(())
    });
    done.map_err(|stop| anyhow!("{snapshot} cannot be walked: {stop:?}"))?;
    Ok(wounds)
}

/// Where the first piece of the block is whose gang header is at `header`: what the first pointer there states, unless
/// that is in pieces, too.
fn first_piece(file: &File, mut header: u64) -> Result<u64> {
    loop {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, header.saturating_add(8))?;
        let word = u64::from_le_bytes(word);
        let offset = DATA.saturating_add((word & !GANG).saturating_mul(512));
        if word & GANG == 0 {
            return Ok(offset);
        }
        ensure!(offset != header, "the gang header at {header} leads to itself");
        header = offset;
    }
}

fn wound(image: &Path, wounds: &[Wound]) -> Result<()> {
    let file = File::options().write(true).open(image)?;
    for wound in wounds {
        file.write_all_at(&wound.was.map(|byte| byte ^ 0x5a), wound.offset)?;
    }
    Ok(())
}

/// Whether in each place is what was there.
fn healed(image: &Path, wounds: &[Wound]) -> Result<()> {
    let file = File::open(image)?;
    for wound in wounds {
        let mut is = [0; DAMAGED];
        file.read_exact_at(&mut is, wound.offset)?;
        ensure!(
            is == wound.was,
            "what is at {} of {} was not healed",
            wound.offset,
            image.display()
        );
    }
    Ok(())
}
