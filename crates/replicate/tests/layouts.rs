//! Pools on several disks: what is sent from them is what OpenZFS's kernel sent, with any disks away that redundancy
//! allows, and with another one full of noise.

#![expect(clippy::unwrap_used, reason = "a test")]
#![allow(
    clippy::arithmetic_side_effects,
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
                let path = self.disks[away[0]].name().rsplit('/').next().unwrap();
                assert!(
                    vdev.missing.is_empty() || missing.to_string().contains(path),
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
