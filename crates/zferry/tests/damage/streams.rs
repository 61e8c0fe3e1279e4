//! Streams that are not what they seem, received into a pool that holds something else: that must stay as it is, and the
//! pool sound.

use crate::command::{MEMORY_KIB, Run};
use crate::mutated::{Part, mutate, parts, stream};
use crate::rng::Rng;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use zferry_fixtures::Image;

/// A stream, and how it is received.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) stream: Vec<u8>,
    arguments: &'static [&'static str],
}

/// What is sent of the example pool, and how it is received.
const SENDS: [(&[&str], &[&str]); 10] = [
    (&["harbour/photos@monday"], &["receive", "new/x"]),
    (
        &["-L", "-e", "-c", "harbour/archive@monday"],
        &["receive", "-o", "compression=zstd", "new/x"],
    ),
    (&["-c", "harbour/log@friday"], &["receive", "-d", "new"]),
    (&["harbour/chart@tuesday"], &["receive", "new/x"]),
    (&["-D", "harbour/log@monday"], &["receive", "new/x"]),
    (
        &["-i", "@monday", "harbour/photos@tuesday"],
        &["receive", "new/photos"],
    ),
    (
        &["-i", "@monday", "harbour/photos@friday"],
        &["receive", "-F", "new/photos"],
    ),
    (
        &["-i", "harbour/log@monday", "harbour/draft@proof"],
        &["receive", "new/x"],
    ),
    (&["-R", "harbour/photos@friday"], &["receive", "-F", "new/photos"]),
    (&["-p", "harbour/log@friday"], &["receive", "-e", "new"]),
];

/// Streams of the corpus, where it is there: raw and redacted ones, and such with attributes in blocks of their own.
const CORPUS: [(&str, &[&str]); 6] = [
    ("crypt-gcm-raw-a", &["receive", "new/x"]),
    ("crypt-ccm-raw-a", &["receive", "new/x"]),
    ("basic-fs-a", &["receive", "new/x"]),
    ("feat-tiny-Lec", &["receive", "new/x"]),
    ("feat-d-legacy-Lec", &["receive", "new/x"]),
    ("v28-z3", &["receive", "new/x"]),
];

/// What has to stay as it is.
const BYSTANDER: &str = "new/bystander@friday";

/// The pool into which everything is received.
struct Target {
    image: Image,
    /// What `list` says of the bystander.
    listed: Vec<u8>,
    /// The bystander, sent.
    sent: Vec<u8>,
}

const LIST: [&str; 11] = [
    "list",
    "-H",
    "-p",
    "-r",
    "-t",
    "all",
    "-o",
    "name,guid,used,refer,written,createtxg",
    "-d",
    "1",
    "new/bystander",
];

fn ran(run: &Run<'_>, arguments: &[&str]) -> Vec<u8> {
    assert_eq!(run.zferry(arguments), Ok(0), "{arguments:?}");
    fs::read(run.folder.join("stdout")).unwrap()
}

pub(crate) fn samples() -> &'static [Sample] {
    static SAMPLES: OnceLock<Vec<Sample>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let example = zferry_fixtures::example().unwrap();
        let run = run(example.image(), folder.path(), None);
        let sent = SENDS.into_iter().map(|(send, arguments)| Sample {
            name: send.join(" "),
            stream: ran(&run, &[&["send"], send].concat()),
            arguments,
        });
        let mut samples: Vec<Sample> = sent.collect();
        if let Some(corpus) = zferry_fixtures::corpus() {
            samples.extend(CORPUS.into_iter().filter_map(|(name, arguments)| {
                let stream = fs::read(corpus.stream(name)).ok()?;
                let name = name.to_owned();
                Some(Sample {
                    name,
                    stream,
                    arguments,
                })
            }));
        }
        samples
    })
}

fn target() -> &'static Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.img");
        let example = zferry_fixtures::example().unwrap();
        let source = run(example.image(), folder.path(), None);
        for (send, into) in [
            (&["harbour/log@friday"][..], BYSTANDER),
            (&["harbour/photos@monday"], "new/photos"),
            (&["harbour/log@monday"], "new/log"),
        ] {
            let sent = folder.path().join("stream");
            fs::write(&sent, ran(&source, &[&["send"], send].concat())).unwrap();
            let create = ["receive", "--size", "256M", "--create"];
            let arguments = [&create[..], &[path.to_str().unwrap(), into]].concat();
            ran(&run(&path, folder.path(), Some(&sent)), &arguments);
        }
        let target = run(&path, folder.path(), None);
        Target {
            listed: ran(&target, &LIST),
            sent: ran(&target, &["send", BYSTANDER]),
            image: Image::open(&path).unwrap(),
        }
    })
}

const fn run<'a>(image: &'a Path, folder: &'a Path, stdin: Option<&'a Path>) -> Run<'a> {
    Run {
        image,
        folder,
        memory_kib: MEMORY_KIB,
        stdin,
    }
}

/// Receives one stream, and says what is not as it must be.
fn receive(arguments: &[&str], stream: &[u8], folder: &Path) -> Result<i32, String> {
    let target = target();
    let [path, sent] = ["new.img", "stream"].map(|name| folder.join(name));
    target.image.save(&path).unwrap();
    fs::write(&sent, stream).unwrap();
    let said = |name: &str| String::from_utf8_lossy(&fs::read(folder.join(name)).unwrap()).into_owned();
    let received = run(&path, folder, Some(&sent)).zferry(arguments)?;
    let why = said("stderr");
    let after = run(&path, folder, None);
    if after.zferry(&["pool", "check", "-c", "new"])? != 0 {
        return Err(format!(
            "after {why:?}, pool check says: {}{}",
            said("stdout"),
            said("stderr")
        ));
    }
    for (arguments, expected) in [(&LIST[..], &target.listed), (&["send", BYSTANDER], &target.sent)] {
        if after.zferry(arguments)? != 0 || fs::read(folder.join("stdout")).unwrap() != *expected {
            return Err(format!("after {why:?}, {arguments:?} is not as it was"));
        }
    }
    Ok(received)
}

#[test]
fn streams_with_right_checksums_and_wrong_records_do_no_harm() {
    let samples: Vec<(&Sample, Vec<Part>)> = samples()
        .iter()
        .map(|sample| (sample, parts(&sample.stream)))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let mut received: u64 = 0;
    for case in 0..crate::random::cases(100) {
        let mut rng = Rng::new(case);
        let (sample, parts) = rng.pick(&samples);
        let (_, others) = rng.pick(&samples);
        let mut parts = parts.clone();
        mutate(&mut parts, others, &mut rng);
        match receive(sample.arguments, &stream(&parts), folder.path()) {
            Ok(0) => received += 1,
            Ok(_) => {}
            Err(what) => {
                if let Some(kept) = std::env::var_os("ZFERRY_DAMAGE_KEEP") {
                    fs::copy(
                        folder.path().join("stream"),
                        Path::new(&kept).join(case.to_string()),
                    )
                    .unwrap();
                }
                wrong.push(format!("case {case}, {}: {what}", sample.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Some changes do not matter, so that some streams go all the way.
    assert_ne!(received, 0);
}
