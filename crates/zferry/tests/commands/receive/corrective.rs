//! Corrective receive: every block of a snapshot is damaged, in all its copies, and made again from streams of the
//! snapshot. The pool's files must be then what they were before, byte for byte.

#![expect(clippy::indexing_slicing, reason = "a test")]

use crate::support::{command, fixture, vault as vault_image};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use tempfile::TempDir;
use zferry_fixtures::{Image, corpus, example};
use zferry_wire::{Endian, usize_from_u64};
use zferry_zpool::dmu::{Traversal, Visit};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::spa::BlockPointer;
use zferry_zpool::vdev::{Disk, FileDisk};
use zferry_zpool::{OpenOptions, Pool, Txg};
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::Record;
use zferry_zstream::writer::Fletcher4;

/// Where block pointers count from, in bytes.
const DATA: u64 = 4 << 20;
/// A page of an image, in bytes.
const PAGE: usize = 4096;

const UNABLE: &str = "corrective receive was not able to reconstruct the data needed for healing.";
const FULL: &str = "cannot receive new filesystem stream";

fn zferry(place: &Path, arguments: &[&str], input: Option<&Path>) -> Output {
    let mut command = command(place, arguments);
    if let Some(path) = input {
        command.stdin(File::open(path).unwrap());
    }
    command.output().unwrap()
}

fn out(output: &Output) -> Vec<u8> {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    output.stdout.clone()
}

fn vault(name: &str) -> PathBuf {
    fixture("vault").join(name)
}

/// A pool on one or two files, and streams beside them.
struct Bench {
    folder: TempDir,
    streams: TempDir,
    files: Vec<PathBuf>,
}

impl Bench {
    fn new(layout: &[&str], files: usize) -> Self {
        let bench = Self::empty(files);
        let mut arguments = vec!["pool", "create", "--size", "64M", "tank"];
        arguments.extend(layout);
        arguments.extend(bench.files.iter().map(|file| file.to_str().unwrap()));
        out(&bench.run(&arguments, None));
        bench
    }

    fn empty(files: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = (0..files).map(|file| folder.path().join(format!("{file}.img")));
        Self {
            files: files.collect(),
            folder,
            streams: tempfile::tempdir().unwrap(),
        }
    }

    /// A pool that OpenZFS made, as it is when zferry has written to it once.
    fn of(image: &Path, pool: &str) -> Self {
        let bench = Self::empty(1);
        Image::open(image).unwrap().save(&bench.files[0]).unwrap();
        out(&bench.run(&["set", "org.example:taken=over", pool], None));
        bench
    }

    fn run(&self, arguments: &[&str], input: Option<&Path>) -> Output {
        zferry(self.folder.path(), arguments, input)
    }

    /// Keeps a stream that is sent from a pool.
    fn send(&self, pool: &Path, arguments: &[&str]) -> PathBuf {
        let sent = out(&zferry(pool, &[&["send"], arguments].concat(), None));
        self.keep(&arguments.join("").replace(['/', '@'], "_"), &sent)
    }

    fn send_own(&self, arguments: &[&str]) -> PathBuf {
        self.send(self.folder.path(), arguments)
    }

    fn keep(&self, name: &str, stream: &[u8]) -> PathBuf {
        let path = self.streams.path().join(name);
        fs::write(&path, stream).unwrap();
        path
    }

    fn receive(&self, arguments: &[&str], stream: &Path) {
        out(&self.run(&[&["receive"], arguments].concat(), Some(stream)));
    }

    fn images(&self) -> Vec<Image> {
        self.files.iter().map(|file| Image::open(file).unwrap()).collect()
    }

    /// The blocks of the objects of a snapshot, and its spill blocks, that lie on disk and were written after `since`.
    fn blocks(&self, snapshot: &str, since: Txg) -> Vec<BlockPointer> {
        let disks = self
            .files
            .iter()
            .map(|path| -> Arc<dyn Disk> { Arc::new(FileDisk::open(path).unwrap()) });
        let pool = Pool::open_disks(disks.collect(), &OpenOptions::default()).unwrap();
        let dataset = DslPool::new(&pool).dataset(snapshot).unwrap().unwrap();
        let walk = Traversal {
            reader: pool.reader(),
            since,
            resume: None,
            ahead: &(),
            skips_damage: false,
        };
        let mut blocks = Vec::new();
        walk.run(&dataset.phys.root, &mut |visit| {
            if let Visit::Block { pointer, .. } | Visit::Spill { pointer, .. } = visit
                && !pointer.is_hole()
                && !pointer.is_embedded()
            {
                blocks.push(*pointer);
            }
            Ok::<_, ()>(())
        })
        .unwrap();
        blocks
    }

    /// Damages every copy of blocks on every file.
    fn damage(&self, blocks: &[BlockPointer]) {
        for (number, pointer) in (0_u8..=255).cycle().zip(blocks) {
            for (dva, path) in pointer
                .dvas()
                .flat_map(|dva| self.files.iter().map(move |path| (dva, path)))
            {
                assert!(!dva.gang);
                let file = File::options().read(true).write(true).open(path).unwrap();
                // Somewhere in the block a few bytes, of some blocks all.
                let len = if number % 4 == 3 {
                    pointer.physical_size()
                } else {
                    16
                };
                let place = (pointer.physical_size() - len) / 2;
                let mut bytes = vec![0; usize_from_u64(len)];
                let at = DATA + dva.offset + place;
                file.read_exact_at(&mut bytes, at).unwrap();
                bytes.iter_mut().for_each(|byte| *byte ^= 0x5a);
                file.write_all_at(&bytes, at).unwrap();
            }
        }
    }

    fn check(&self, pool: &str) {
        out(&self.run(&["pool", "check", "-c", pool], None));
    }

    /// Damages the blocks, heals them from a stream, and sees that all is as it was.
    fn heals(&self, blocks: &[BlockPointer], arguments: &[&str], stream: &Path) {
        assert!(!blocks.is_empty());
        let before = self.images();
        self.damage(blocks);
        let output = self.run(&[&["receive", "-c"], arguments].concat(), Some(stream));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?} from {}: {complaint}",
            stream.display()
        );
        assert!(output.stdout.is_empty());
        assert!(
            same(&before, &self.images()),
            "{arguments:?} from {}",
            stream.display()
        );
    }

    /// The same with a stream that is refused: the exit code is 1, and this is said.
    fn refuses(&self, arguments: &[&str], stream: &Path, sentence: &str) {
        let before = self.images();
        let output = self.run(&[&["receive"], arguments].concat(), Some(stream));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with(sentence), "{arguments:?}: {said}");
        assert!(same(&before, &self.images()), "{arguments:?}");
    }
}

fn same(before: &[Image], after: &[Image]) -> bool {
    let pages = |image: &Image| -> Vec<u64> { image.used().collect() };
    before.iter().zip(after).all(|(before, after)| {
        before.size() == after.size()
            && pages(before) == pages(after)
            && before
                .used()
                .all(|page| before.bytes(page, PAGE) == after.bytes(page, PAGE))
    })
}

/// The stream with another content of its WRITE records, and right checksums.
fn falsified(stream: &[u8]) -> Vec<u8> {
    let (mut reader, mut made) = (StreamReader::new(stream), Vec::new());
    let mut sum = Fletcher4::new(Endian::Little);
    while let Some(read) = reader.next().unwrap() {
        let mut header = *read.header;
        let mut payload = read.payload.to_vec();
        let stamp = |header: &mut [u8], sum: &Fletcher4| {
            for (word, to) in sum.checksum().0.into_iter().zip(header.chunks_exact_mut(8)) {
                to.copy_from_slice(&word.to_le_bytes());
            }
        };
        if matches!(read.record, Record::Begin(_)) {
            sum = Fletcher4::of(&header, Endian::Little);
        } else {
            if matches!(read.record, Record::End(_)) {
                stamp(&mut header[8..40], &sum);
            }
            sum.update(&header[..280]);
            let own = sum;
            stamp(&mut header[280..], &own);
            sum.update(&header[280..]);
        }
        if matches!(read.record, Record::Write(_)) {
            payload.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
        }
        sum.update(&payload);
        made.extend_from_slice(&header);
        made.extend_from_slice(&payload);
    }
    made
}

#[test]
fn streams_of_every_form_heal_blocks_of_every_compression() {
    let bench = Bench::new(&[], 1);
    let example = example().unwrap();
    let sent = [
        bench.send(example.image(), &["harbour/photos@friday"]),
        bench.send(example.image(), &["-c", "harbour/photos@friday"]),
        bench.send(example.image(), &["-L", "-e", "-c", "harbour/photos@friday"]),
    ];
    for compression in ["off", "lz4", "gzip-6", "zstd-7", "lzjb", "zle"] {
        let (dataset, snapshot) = (
            format!("tank/{compression}"),
            format!("tank/{compression}@friday"),
        );
        bench.receive(&["-o", &format!("compression={compression}"), &dataset], &sent[0]);
        let mut streams = sent.to_vec();
        streams.extend(
            [&[][..], &["-L", "-e", "-c"]].map(|options| bench.send_own(&[options, &[&snapshot]].concat())),
        );
        let blocks = bench.blocks(&snapshot, Txg(0));
        for stream in &streams {
            bench.heals(&blocks, &[&snapshot], stream);
        }
        // The name of the snapshot is in the stream, too.
        bench.heals(&blocks, &[&dataset], &sent[0]);
        if compression == "zstd-7" {
            // How hard it tried is told by the blocks, where their beginning is left.
            out(&bench.run(&["set", "compression=zstd-3", &dataset], None));
            for blocks in blocks.chunks(3) {
                bench.heals(blocks, &[&snapshot], &sent[1]);
            }
        }
    }
    bench.check("tank");
}

#[test]
fn every_copy_on_every_side_is_healed() {
    let bench = Bench::new(&["mirror"], 2);
    let example = example().unwrap();
    let stream = bench.send(example.image(), &["harbour/log@friday"]);
    bench.receive(&["-o", "copies=2", "tank/log"], &stream);
    let blocks = bench.blocks("tank/log@friday", Txg(0));
    assert!(blocks.iter().all(|pointer| pointer.dvas().count() >= 2));
    bench.heals(&blocks, &["tank/log@friday"], &stream);
    bench.check("tank");
    // Where a copy is good, there is nothing to be healed, and nothing is written.
    let file = File::options().write(true).open(&bench.files[0]).unwrap();
    for dva in blocks[0].dvas() {
        file.write_all_at(&[0x5a; 512], DATA + dva.offset).unwrap();
    }
    let before = bench.images();
    bench.receive(&["-c", "tank/log@friday"], &stream);
    assert!(same(&before, &bench.images()));
}

#[test]
fn an_incremental_stream_heals_what_is_new_in_its_snapshot() {
    let bench = Bench::new(&[], 1);
    let example = example().unwrap();
    let full = bench.send(example.image(), &["harbour/log@monday"]);
    let more = bench.send(example.image(), &["-i", "@monday", "harbour/log@tuesday"]);
    bench.receive(&["tank/log"], &full);
    let old = bench.blocks("tank/log@monday", Txg(0));
    bench.receive(&["tank/log"], &more);
    let since = old.iter().map(BlockPointer::logical_birth).max().unwrap();
    let new = bench.blocks("tank/log@tuesday", since);
    bench.heals(&new, &["tank/log@tuesday"], &more);
    bench.heals(&new, &["tank/log"], &more);
    let mut said = out(&bench.run(&["receive", "-c", "-v", "tank/log"], Some(&more)));
    said.truncate(84);
    assert_eq!(
        String::from_utf8(said).unwrap(),
        "receiving corrective incremental stream of harbour/log@tuesday into tank/log@tuesday\n"[..84]
    );
    let said = out(&bench.run(&["receive", "-c", "-n", "-v", "tank/log@monday"], Some(&full)));
    assert_eq!(
        String::from_utf8(said).unwrap(),
        "would receive corrective full stream of harbour/log@monday into tank/log@monday\n"
    );
    bench.heals(&old, &["tank/log@monday"], &full);
    bench.check("tank");
}

#[test]
fn a_package_heals_each_of_its_snapshots() {
    let bench = Bench::new(&[], 1);
    let package = bench.send(example().unwrap().image(), &["-R", "harbour/log@friday"]);
    bench.receive(&["tank/log"], &package);
    let snapshots =
        ["monday", "tuesday", "friday"].map(|name| bench.blocks(&format!("tank/log@{name}"), Txg(0)));
    let mut blocks = snapshots.concat();
    blocks.sort_by_key(|pointer| *pointer.words());
    blocks.dedup();
    bench.heals(&blocks, &["tank/log"], &package);
}

#[test]
fn spill_blocks_and_large_blocks_are_healed() {
    let bench = Bench::new(&[], 1);
    let plain = bench.send(&vault_image(), &["-L", "vault/open@b"]);
    let split = bench.send(&vault_image(), &["vault/open@b"]);
    let compressed = bench.send(&vault_image(), &["-L", "-e", "-c", "vault/open@b"]);
    bench.receive(&["tank/open"], &plain);
    let blocks = bench.blocks("tank/open@b", Txg(0));
    let spills: Vec<BlockPointer> = blocks
        .iter()
        .filter(|pointer| pointer.object_type().0 == 44)
        .copied()
        .collect();
    bench.heals(&spills, &["tank/open@b"], &split);
    bench.heals(&blocks, &["tank/open@b"], &plain);
    bench.heals(&blocks, &["tank/open@b"], &compressed);
    // What comes in parts does not make a large block.
    let large = blocks.iter().filter(|pointer| pointer.logical_size() > 128 << 10);
    let large: Vec<BlockPointer> = large.copied().collect();
    bench.damage(&large);
    let sentence = format!("{FULL}: stream is not compatible with the data in the pool.");
    bench.refuses(&["-c", "tank/open@b"], &split, &sentence);
    bench.receive(&["-c", "tank/open@b"], &plain);
    bench.check("tank");
}

#[test]
fn encrypted_blocks_are_healed_from_raw_streams_or_with_the_key() {
    let bench = Bench::new(&[], 1);
    let image = vault_image();
    let keys = [
        ("aes-128-ccm", "passphrase.key"),
        ("aes-192-ccm", "hex.key"),
        ("aes-256-ccm", "raw.key"),
        ("aes-128-gcm", "raw.key"),
        ("aes-192-gcm", "passphrase.key"),
        ("aes-256-gcm", "hex.key"),
    ];
    for (suite, key) in keys {
        let (source, snapshot) = (format!("vault/{suite}@b"), format!("tank/{suite}@b"));
        let key = vault(key);
        let key = key.to_str().unwrap();
        let raw = bench.send(&image, &["-w", &source]);
        let plain = bench.send(&image, &["-L", "-K", key, &source]);
        let compressed = bench.send(&image, &["-L", "-c", "-K", key, &source]);
        bench.receive(&[&format!("tank/{suite}")], &raw);
        let blocks = bench.blocks(&snapshot, Txg(0));
        bench.heals(&blocks, &[&snapshot], &raw);
        bench.heals(&blocks, &["-K", key, &snapshot], &compressed);
        let sentence =
            format!("{FULL}: key must be loaded to do a non-raw corrective recv on an encrypted dataset.");
        bench.refuses(&["-c", &snapshot], &compressed, &sentence);
        // What is stored as it is, or compressed by what leaves no choice, is made again from its content.
        if ["aes-192-ccm", "aes-256-gcm"].contains(&suite) {
            bench.heals(&blocks, &["-K", key, &snapshot], &plain);
        }
    }
    bench.check("tank");
    // What was encrypted here.
    let key = format!("keylocation=file://{}", vault("passphrase.key").display());
    let root = [
        "create",
        "-o",
        "encryption=on",
        "-o",
        "keyformat=passphrase",
        "-o",
    ];
    out(&bench.run(&[&root[..], &[&key, "tank/safe"]].concat(), None));
    let plain = bench.send(example().unwrap().image(), &["harbour/photos@friday"]);
    bench.receive(&["tank/safe/photos"], &plain);
    let blocks = bench.blocks("tank/safe/photos@friday", Txg(0));
    bench.heals(&blocks, &["tank/safe/photos@friday"], &plain);
    let raw = bench.send_own(&["-w", "tank/safe/photos@friday"]);
    bench.heals(&blocks, &["tank/safe/photos@friday"], &raw);
    let embedded = bench.send(example().unwrap().image(), &["-e", "harbour/photos@friday"]);
    let sentence = format!("{FULL}: incompatible embedded data stream feature with encrypted receive.");
    bench.refuses(&["-c", "tank/safe/photos@friday"], &embedded, &sentence);
}

#[test]
fn what_openzfs_wrote_is_healed() {
    let bench = Bench::of(example().unwrap().image(), "harbour");
    for snapshot in [
        "harbour/archive@monday",
        "harbour/chart@tuesday",
        "harbour/log@friday",
        "harbour/photos@friday",
    ] {
        let compressed = bench.send_own(&["-L", "-e", "-c", snapshot]);
        let blocks = bench.blocks(snapshot, Txg(0));
        bench.heals(&blocks, &[snapshot], &compressed);
    }
    let raw = bench.send_own(&["-w", "harbour/safe@tuesday"]);
    bench.heals(
        &bench.blocks("harbour/safe@tuesday", Txg(0)),
        &["harbour/safe@tuesday"],
        &raw,
    );
    bench.check("harbour");
}

#[test]
fn what_is_no_stream_of_the_snapshot_is_refused() {
    let bench = Bench::new(&[], 1);
    let image = example().unwrap();
    let monday = bench.send(image.image(), &["harbour/log@monday"]);
    let friday = bench.send(image.image(), &["harbour/log@friday"]);
    let more = bench.send(image.image(), &["-i", "@monday", "harbour/log@tuesday"]);
    let clone = bench.send(
        image.image(),
        &["-i", "harbour/log@monday", "harbour/draft@proof"],
    );
    bench.receive(&["tank/log"], &monday);
    bench.receive(&["tank/log"], &more);
    let with_flag = "corrective recv can not be used when combined with this flag";
    for flag in ["-h", "-F", "-s", "-u", "-xatime", "-oatime=off"] {
        bench.refuses(
            &["-c", flag, "tank/log@monday"],
            &monday,
            &format!("{FULL}: {with_flag}"),
        );
    }
    let sentence = format!("{FULL}: {with_flag}");
    out(&bench.run(&["create", "tank/harbour"], None));
    for flag in ["-d", "-e"] {
        bench.refuses(&["-c", flag, "tank/harbour"], &monday, &sentence);
    }
    let sentence = "local snapshot doesn't match the snapshot in the provided stream";
    bench.refuses(
        &["-c", "tank/log@tuesday"],
        &monday,
        &format!("{FULL}: {sentence}"),
    );
    bench.refuses(
        &["-c", "tank/log@monday"],
        &more,
        &format!("cannot receive incremental stream: {sentence}"),
    );
    let sentence = format!("{FULL}: corrective recv must specify an existing snapshot to heal");
    for target in [
        "tank/log@friday",
        "tank/log",
        "tank/nothing",
        "tank/nothing@friday",
    ] {
        bench.refuses(&["-c", target], &friday, &sentence);
    }
    // The stream of a clone is none that heals.
    bench.refuses(&["-c", "tank/x@proof"], &clone, &sentence);
    bench.receive(&["tank/x"], &clone);
    bench.refuses(
        &["-c", "tank/x@proof"],
        &clone,
        &format!("{FULL}: invalid backup stream"),
    );
    let dedup = bench.send(image.image(), &["-D", "harbour/log@monday"]);
    bench.refuses(
        &["-c", "tank/log@monday"],
        &dedup,
        "ERROR: \"zfs receive\" no longer supports deduplicated",
    );
}

#[test]
fn what_the_stream_cannot_make_again_is_told_and_the_rest_is_healed() {
    let bench = Bench::new(&[], 1);
    let stream = bench.send(example().unwrap().image(), &["harbour/photos@friday"]);
    bench.receive(&["tank/photos"], &stream);
    let blocks = bench.blocks("tank/photos@friday", Txg(0));
    let sound = fs::read(&stream).unwrap();
    let false_one = bench.keep("false", &falsified(&sound));
    let sentence = format!("{FULL}: {UNABLE}");
    bench.damage(&blocks[..1]);
    bench.refuses(&["-c", "tank/photos@friday"], &false_one, &sentence);
    // Where nothing is damaged, nothing needs to be made.
    bench.receive(&["-c", "tank/photos@friday"], &stream);
    let before = bench.images();
    bench.receive(&["-c", "tank/photos@friday"], &false_one);
    assert!(same(&before, &bench.images()));
    // A stream that is cut heals as far as it goes.
    bench.damage(&blocks);
    let cut = bench.keep("cut", &sound[..sound.len() - 100]);
    let output = bench.run(&["receive", "-c", "tank/photos@friday"], Some(&cut));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with(&sentence));
    assert!(same(&before, &bench.images()));
    // A block that leads to others cannot be healed, and is told.
    bench.check("tank");
}

#[test]
fn the_log_of_errors_forgets_what_was_healed() {
    let bench = Bench::new(&[], 1);
    let stream = bench.send(example().unwrap().image(), &["harbour/photos@friday"]);
    bench.receive(&["tank/photos"], &stream);
    let blocks = bench.blocks("tank/photos@friday", Txg(0));
    bench.damage(&blocks);
    let said = out(&bench.run(&["pool", "scrub", "tank"], None));
    assert!(String::from_utf8_lossy(&said).contains("Permanent errors"));
    // A program that reads the pool meanwhile.
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(&bench.files[0]).unwrap());
    let reader = Pool::open_disks(vec![disk], &OpenOptions::default()).unwrap();
    bench.receive(&["-c", "tank/photos@friday"], &stream);
    for pointer in &blocks {
        reader.reader().read(pointer).unwrap();
    }
    drop(reader);
    let status = out(&bench.run(&["pool", "status", "-v", "tank"], None));
    let status = String::from_utf8_lossy(&status);
    assert!(status.contains("errors: No known data errors"), "{status}");
    bench.check("tank");
    assert!(out(&bench.run(&["pool", "scrub", "tank"], None)).is_empty());
}

#[test]
fn blocks_in_pieces_are_healed() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: it takes the corpus");
        return;
    };
    let bench = Bench::of(&corpus.file("gang.img"), "gang");
    let stream = bench.send_own(&["-c", "gang/fs@s"]);
    let blocks = bench.blocks("gang/fs@s", Txg(0));
    let before = bench.images();
    let mut damaged = before[0].clone();
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(&bench.files[0]).unwrap());
    let pool = Pool::open_disks(vec![disk], &OpenOptions::default()).unwrap();
    let ganged = blocks.iter().filter(|pointer| pointer.dvas().any(|dva| dva.gang));
    let ganged: Vec<BlockPointer> = ganged.copied().collect();
    assert!(!ganged.is_empty());
    let pages: Vec<(u64, Vec<u8>)> = before[0]
        .used()
        .map(|page| (page, before[0].bytes(page, PAGE)))
        .collect();
    for pointer in &ganged {
        // Where the pieces are, nobody says: their bytes are looked for.
        let mut stored = vec![0; usize_from_u64(pointer.physical_size())];
        pool.reader().read_stored(pointer, &mut stored).unwrap();
        let first = &stored[..512];
        for (page, bytes) in &pages {
            for (at, sector) in (0_u64..).step_by(512).zip(bytes.chunks(512)) {
                if sector == first {
                    damaged.write(page + at, &[0x5a; 512]);
                }
            }
        }
    }
    drop(pool);
    damaged.save(&bench.files[0]).unwrap();
    assert!(!same(&before, &bench.images()));
    // What was freed and has the same bytes was hit, too, so the images differ.
    bench.receive(&["-c", "gang/fs@s"], &stream);
    bench.check("gang");
    let again = bench.send_own(&["-c", "-L", "gang/fs@s"]);
    assert!(fs::read(stream).unwrap() == fs::read(again).unwrap());
}

/// LZ4 is tried as OpenZFS's own compressor writes it, for which a plain stream is enough.
#[test]
fn what_openzfs_compressed_is_healed_from_what_is_not_compressed() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: it takes the corpus");
        return;
    };
    let bench = Bench::of(&corpus.file("basic.img"), "basic");
    for snapshot in ["basic/fs@a", "basic/fs@c"] {
        let stream = bench.send_own(&[snapshot]);
        let blocks = bench.blocks(snapshot, Txg(0));
        let compressed = blocks.iter().filter(|pointer| pointer.compression() == 15);
        assert!(compressed.count() > 1, "{snapshot}");
        bench.heals(&blocks, &[snapshot], &stream);
    }
    bench.check("basic");
}
