//! Pools on several disks: what is sent from them is what OpenZFS's kernel sent, with any disks away that redundancy
//! allows, and with another one full of noise.

#![expect(clippy::unwrap_used, reason = "a test")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

use sha2::{Digest, Sha256};
use std::io;
use std::sync::Arc;
use zferry_fixtures::{Corpus, Line};
use zferry_replicate::send::{Progress, Resolved, SendOptions, send};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{Disk, FileDisk, VdevState};
use zferry_zpool::{Error, OpenOptions, Pool, PoolCandidate};

/// A disk of whose data every byte is wrong, while its labels are sound.
#[derive(Debug)]
struct Noisy(Arc<dyn Disk>);

impl Disk for Noisy {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)?;
        let data = (4 << 20)..self.size() - (512 << 10);
        if data.contains(&offset) {
            let mut noise = offset | 1;
            for byte in buffer {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte ^= noise.to_be_bytes()[0] | 1;
            }
        }
        Ok(())
    }
}

/// A disk that is a part of a file.
#[derive(Debug)]
struct Slice {
    file: Arc<FileDisk>,
    name: String,
    start: u64,
    size: u64,
}

impl Disk for Slice {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset + buffer.len() as u64 > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_at(buffer, self.start + offset)
    }
}

/// One of the pools that the project carries, by its name; its disks have names of one letter each.
fn carried(name: &str, letters: &str) -> Layout {
    let fixtures = zferry_fixtures::layouts().unwrap();
    let fixture = fixtures
        .into_iter()
        .find(|fixture| fixture.line.name == name)
        .unwrap();
    let file = Arc::new(FileDisk::open(&fixture.image).unwrap());
    let size = file.size() / letters.len() as u64;
    let disk = |(number, letter): (u64, char)| -> Arc<dyn Disk> {
        Arc::new(Slice {
            file: Arc::clone(&file),
            name: letter.to_string(),
            start: number * size,
            size,
        })
    };
    Layout {
        line: fixture.line,
        disks: (0..).zip(letters.chars()).map(disk).collect(),
    }
}

/// A stream, and the disks of the pool that it comes from.
struct Layout {
    line: Line,
    disks: Vec<Arc<dyn Disk>>,
}

fn layout(corpus: &Corpus, name: &str, count: usize) -> Layout {
    let lines = corpus.manifest().unwrap();
    let line = lines.into_iter().find(|line| line.name == format!("lay-{name}"));
    let disk = |number| -> Arc<dyn Disk> {
        Arc::new(FileDisk::open(&corpus.file(&format!("{name}-{number}.img"))).unwrap())
    };
    Layout {
        line: line.unwrap(),
        disks: (1..=count).map(disk).collect(),
    }
}

fn open(disks: Vec<Arc<dyn Disk>>) -> Result<Pool, Error> {
    Pool::open_disks(disks, &OpenOptions::default())
}

impl Layout {
    /// Makes the stream with disks away, and others full of noise; says how that went wrong.
    fn check(&self, away: &[usize], noisy: &[usize]) -> Result<(), String> {
        let disks = self.disks.iter().enumerate();
        let disks = disks.filter(|(number, _)| !away.contains(number));
        let disks = disks.map(|(number, disk)| -> Arc<dyn Disk> {
            if noisy.contains(&number) {
                Arc::new(Noisy(Arc::clone(disk)))
            } else {
                Arc::clone(disk)
            }
        });
        let pool = open(disks.collect()).map_err(|error| error.to_string())?;
        let name = self.line.arguments.last().unwrap();
        let resolved = Resolved::find(&DslPool::new(&pool), name, None).map_err(|error| error.to_string())?;
        let mut stream = Vec::new();
        let options = SendOptions::default();
        send(
            &pool,
            &resolved.source,
            options,
            &mut stream,
            &Progress::default(),
        )
        .map_err(|error| error.to_string())?;
        let sum: String = Sha256::digest(&stream)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if sum == self.line.sha256 {
            Ok(())
        } else {
            Err(format!("{} bytes differ", stream.len()))
        }
    }

    /// Makes the stream with disks away, and others full of noise, and expects it to be right.
    fn check_well(&self, away: &[usize], noisy: &[usize]) {
        if let Err(failure) = self.check(away, noisy) {
            panic!(
                "{} without {away:?}, noise on {noisy:?}: {failure}",
                self.line.name
            );
        }
    }

    /// Every way to choose `count` disks.
    fn choices(&self, count: usize) -> Vec<Vec<usize>> {
        let all =
            (0..1_u32 << self.disks.len()).filter(|bits| usize::try_from(bits.count_ones()) == Ok(count));
        all.map(|bits| {
            (0..self.disks.len())
                .filter(|disk| bits >> disk & 1 == 1)
                .collect()
        })
        .collect()
    }

    /// Takes away every number of disks up to `redundancy`, in every way, and makes every one of the others noisy where
    /// that leaves redundancy; then takes away one too many.
    fn check_all(&self, redundancy: usize) {
        for count in 0..=redundancy {
            for away in self.choices(count) {
                let left = (0..self.disks.len()).filter(|disk| !away.contains(disk));
                let noisy = left.filter(|_| count < redundancy).map(|disk| vec![disk]);
                for noisy in [vec![]].into_iter().chain(noisy) {
                    if let Err(failure) = self.check(&away, &noisy) {
                        panic!(
                            "{} without {away:?}, noise on {noisy:?}: {failure}",
                            self.line.name
                        );
                    }
                }
            }
        }
        for away in self.choices(redundancy + 1) {
            self.check_missing(&away);
        }
    }

    /// With too many disks away, the error names all of them.
    fn check_missing(&self, away: &[usize]) {
        let left = self.disks.iter().enumerate();
        let left = left.filter(|(number, _)| !away.contains(number));
        let left: Vec<_> = left.map(|(_, disk)| Arc::clone(disk)).collect();
        if left.is_empty() {
            assert!(matches!(open(left), Err(Error::NoLabel { .. })));
            return;
        }
        match open(left) {
            Err(Error::MissingDevices(missing)) => {
                let [vdev] = missing.vdevs.as_slice() else {
                    panic!("{missing}")
                };
                // Of another stripe no label knows more than that there is one.
                assert!(vdev.missing.is_empty() || vdev.missing.len() == away.len());
                assert_eq!(vdev.needed, 1, "{missing}");
                let name = self.disks[away[0]].name().rsplit('/').next().unwrap();
                let name = format!("/{name} (guid ");
                assert!(
                    vdev.missing.is_empty() || missing.to_string().contains(&name),
                    "{missing}"
                );
            }
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
}

fn check(name: &str, disks: usize, redundancy: usize) {
    if let Some(corpus) = zferry_fixtures::corpus() {
        layout(&corpus, name, disks).check_all(redundancy);
    }
}

#[test]
fn mirrors_send_as_openzfs_does() {
    check("mirror", 2, 1);
}

#[test]
fn stripes_send_as_openzfs_does() {
    check("stripe", 2, 0);
}

#[test]
fn raidz1_sends_as_openzfs_does() {
    check("raidz1", 4, 1);
}

#[test]
fn raidz2_sends_as_openzfs_does() {
    check("raidz2", 4, 2);
}

#[test]
fn raidz3_sends_as_openzfs_does() {
    check("raidz3", 5, 3);
}

#[test]
fn draid1_sends_as_openzfs_does() {
    check("draid1", 4, 1);
}

#[test]
fn removed_vdevs_are_found_where_they_went() {
    let layout = carried("removed", "cd");
    for (away, noisy) in [
        (&[][..], &[][..]),
        (&[0], &[]),
        (&[1], &[]),
        (&[], &[0]),
        (&[], &[1]),
    ] {
        layout.check_well(away, noisy);
    }
    layout.check_missing(&[0, 1]);
}

#[test]
fn vdevs_of_every_kind_lie_side_by_side() {
    // A file; two of a special mirror; three of a raidz1 with other sectors; dedup; cache; spare; log.
    let layout = carried("kinds", "abcefghijk");
    layout.check_well(&[], &[]);
    layout.check_well(&[1, 4, 7, 8, 9], &[]);
    layout.check_well(&[2, 7], &[3]);
    layout.check_well(&[5, 8], &[1]);
    for away in [&[0][..], &[1, 2], &[3, 5], &[6]] {
        layout.check_missing(away);
    }
}

#[test]
fn raidz_that_grew_sends_as_openzfs_does() {
    carried("expanded", "abcde").check_all(1);
}

#[test]
fn raidz_that_grows_sends_as_openzfs_does() {
    carried("expanding", "abcde").check_all(2);
}

#[test]
fn draid2_with_a_spare_in_use_sends_as_openzfs_does() {
    // The third disk is replaced by a distributed spare: two others may go.
    let layout = carried("taken", "abcdefghi");
    for away in layout.choices(2) {
        let away = [&[2], away.as_slice()].concat();
        layout.check_well(&away, &[]);
    }
    for noisy in layout.choices(1) {
        layout.check_well(&[2], &noisy);
        layout.check_well(&[2, (noisy[0] + 3) % 9], &noisy);
    }
}

#[test]
fn draid3_sends_as_openzfs_does() {
    carried("triple", "abcdefgh").check_all(3);
}

#[test]
fn a_disk_that_is_being_replaced_counts_as_long_as_it_is_there() {
    // The fourth disk is to replace the second one, and has hardly anything yet.
    let layout = carried("replacing", "abcd");
    for away in [&[][..], &[0], &[1], &[2], &[3], &[0, 3], &[2, 3]] {
        layout.check_well(away, &[]);
    }
    layout.check_well(&[], &[3]);
    layout.check_well(&[3], &[1]);
}

#[test]
fn a_disk_that_was_away_does_not_count() {
    // The first disk was offline while the last files were written.
    let layout = carried("stale", "abc");
    layout.check_well(&[], &[]);
    layout.check_well(&[0, 2], &[]);
    layout.check_well(&[2], &[0]);
    assert!(layout.check(&[1, 2], &[]).is_err());
}

#[test]
fn a_folder_of_disks_is_told_apart() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    let folder = corpus.file("MANIFEST").parent().unwrap().to_owned();
    let found = zferry_zpool::discover(&[folder]).unwrap().pools;
    let names: Vec<&str> = found.iter().map(PoolCandidate::name).collect();
    let expected = [
        "basic",
        "crypt",
        "feat",
        "gang",
        "lay-draid1",
        "lay-mirror",
        "lay-raidz1",
        "lay-raidz2",
        "lay-raidz3",
        "lay-stripe",
        "v28",
    ];
    assert_eq!(names, expected);
    for pool in &found {
        assert_eq!(pool.state(), VdevState::Online, "{}", pool.name());
        assert!(pool.missing().is_empty());
        let opened = pool.open(&OpenOptions::default()).unwrap();
        assert_eq!(opened.guid(), pool.guid());
        assert_eq!(opened.vdevs().len(), pool.vdevs().len());
    }
}
