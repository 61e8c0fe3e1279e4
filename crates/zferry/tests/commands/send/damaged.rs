//! `send --skip-damaged` of the example pool with blocks of it overwritten, against what OpenZFS's kernel sent of the
//! same with `zfs_send_corrupt_data`; and what is told of the damage. `tests/damaged` says what is overwritten.

use crate::support::{run, sha256};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Output;
use tempfile::TempDir;

const PATTERN: [u8; 8] = 0x0000_02f5_badd_b10c_u64.to_le_bytes();

fn judged(name: &str) -> PathBuf {
    zferry_fixtures::workspace().join("tests/damaged").join(name)
}

/// The example pool with all the damage.
struct Damaged {
    folder: TempDir,
}

impl Damaged {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let image = folder.path().join("harbour.img");
        fs::copy(zferry_fixtures::example().unwrap().image(), &image).unwrap();
        let file = File::options().write(true).open(image).unwrap();
        let blocks = fs::read_to_string(judged("BLOCKS")).unwrap();
        let offsets = blocks.lines().filter(|line| !line.starts_with('#'));
        for offset in offsets.flat_map(str::split_whitespace) {
            let offset = u64::from_str_radix(offset, 16).unwrap();
            let bytes = "overwritten, and so not what it was any more. ".repeat(4);
            file.write_all_at(bytes.as_bytes(), offset).unwrap();
        }
        Self { folder }
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("harbour.img")
    }

    fn send(&self, arguments: &str) -> Output {
        run(&self.image(), &format!("send --skip-damaged {arguments}")).output
    }
}

fn lines(bytes: &[u8]) -> Vec<&str> {
    std::str::from_utf8(bytes).unwrap().lines().collect()
}

/// How many times the pattern is in the stream.
fn patterns(stream: &[u8]) -> usize {
    let words = stream.as_chunks::<8>().0;
    words.iter().filter(|word| **word == PATTERN).count()
}

#[test]
fn what_is_damaged_is_sent_as_openzfs_does() {
    let damaged = Damaged::new();
    for line in zferry_fixtures::read_manifest(&judged("MANIFEST")).unwrap() {
        let arguments = line.arguments.join(" ");
        let output = damaged.send(&arguments);
        assert!(output.status.success(), "{}: {output:?}", line.name);
        assert!(
            sha256(&output.stdout) == line.sha256,
            "{}: {} bytes",
            line.name,
            output.stdout.len()
        );
        assert!(
            !output.stderr.is_empty() || line.name == "chart-monday-tuesday",
            "{}",
            line.name
        );
        if line.name != "chart-monday-tuesday" {
            // Who does not ask for it gets no stream that looks whole.
            let strict = run(&damaged.image(), &format!("send {arguments}")).output;
            assert_eq!(strict.status.code(), Some(1), "{}", line.name);
            assert!(strict.stdout.len() < output.stdout.len());
        }
    }
}

#[test]
fn what_is_damaged_is_told() {
    let damaged = Damaged::new();
    let photos = damaged.send("-L harbour/photos@tuesday");
    let told = lines(&photos.stderr);
    assert_eq!(told.len(), 3, "{told:?}");
    let begins = "warning: cannot read 'harbour/photos@tuesday', object 5 (/2024/july/regatta.ppm), offset 0, \
                  length 315392: no copy of the block can be read (0:1cf8000: ";
    assert!(told[0].starts_with(begins), "{}", told[0]);
    assert_eq!(
        told[2],
        "warning: 'harbour/photos@tuesday' was sent damaged: 2 blocks sent as 0x2f5baddb10c repeated"
    );

    // The directory itself is damaged, so nobody knows the names in it; a range has no data, and objects are lost.
    let log = damaged.send("-P harbour/log@friday");
    let told = lines(&log.stderr);
    let listed: Vec<_> = told.iter().filter(|line| line.starts_with("damaged\t")).collect();
    assert_eq!(
        listed,
        [
            &"damaged\tharbour/log@friday\t5\t0\t1654784\t-",
            &"damaged\tharbour/log@friday\t34\t0\t4608\t/",
            &"damaged\tharbour/log@friday\t0\t81920\t16384\t-",
        ]
    );
    let archive = damaged.send("-P harbour/archive@monday");
    assert!(
        lines(&archive.stderr).contains(&"damaged\tharbour/archive@monday\t2\tspill\t2560\t/tides-1987.txt")
    );

    // Nothing is told of what is sound.
    let sound = damaged.send("harbour/photos@monday");
    assert!(sound.status.success() && sound.stderr.is_empty(), "{sound:?}");
}

/// Of a compressed block, the pattern is sent uncompressed, and of a large one in as many pieces as the block.
#[test]
fn the_pattern_can_be_read_however_it_is_sent() {
    let damaged = Damaged::new();
    let words = (315_392 + 1_048_576) / 8;
    for options in ["-L ", "-L -c ", "-c ", "", "-L -e -c -D "] {
        let output = damaged.send(&format!("{options}harbour/photos@tuesday"));
        assert!(output.status.success(), "{options:?}: {output:?}");
        assert_eq!(patterns(&output.stdout), words, "{options:?}");
        let path = damaged.folder.path().join("stream");
        fs::write(&path, &output.stdout).unwrap();
        run(&path, &["stream", "verify", path.to_str().unwrap()]).succeeds();
    }
}
