//! Dumps, held to what `zstream dump` itself prints.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use zferry_zstream::dump::{Options, dump};
use zferry_zstream::source::Buffered;

use crate::support::{self, KINDS, put_together, take_apart};

/// The options, and how `zstream` is told of them.
const OPTIONS: [(&[&str], Options); 5] = [
    (&[], SUMMARY),
    (
        &["-v"],
        Options {
            records: true,
            ..SUMMARY
        },
    ),
    (
        &["-vv"],
        Options {
            records: true,
            checksums: true,
            ..SUMMARY
        },
    ),
    (
        &["-d"],
        Options {
            records: true,
            checksums: true,
            payloads: true,
            ..SUMMARY
        },
    ),
    (
        &["-C"],
        Options {
            unchecked: true,
            ..SUMMARY
        },
    ),
];

const SUMMARY: Options = Options {
    records: false,
    checksums: false,
    payloads: false,
    unchecked: false,
};

fn ours(stream: &[u8], options: Options) -> String {
    let mut text = Vec::new();
    // A damaged stream's dump ends with an error, behind the text.
    let _ = dump(Buffered::new(stream), options, &mut text);
    String::from_utf8(text).unwrap()
}

/// What OpenZFS prints, or `None` where it is not installed.
fn theirs(path: &Path, options: &[&str]) -> Option<String> {
    let output = Command::new("zstream")
        .arg("dump")
        .args(options)
        .arg(path)
        .stderr(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            eprintln!("skipped, for zstream cannot be run: {error}");
            None
        }
    }
}

fn compare(path: &Path, stream: &[u8]) -> Option<()> {
    for (arguments, options) in OPTIONS {
        // Payloads in hexadecimal are four times their size.
        if options.payloads && stream.len() > 150_000 {
            continue;
        }
        let (ours, theirs) = (ours(stream, options), theirs(path, arguments)?);
        let differs = ours.lines().zip(theirs.lines()).find(|(our, their)| our != their);
        assert!(ours == theirs, "{} {arguments:?}: {differs:?}", path.display());
    }
    Some(())
}

#[test]
fn every_stream_looks_as_zstream_shows_it() {
    for path in support::corpus() {
        let stream = fs::read(&path).unwrap();
        if compare(&path, &stream).is_none() {
            return;
        }
    }
}

#[test]
fn damaged_streams_look_as_zstream_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let stream = put_together(&support::package(), zferry_wire::Endian::Little, true);
    let changed = |at: usize| {
        let mut stream = stream.clone();
        stream[at] ^= 1;
        stream
    };
    let end = stream.len();
    for (name, damaged) in [
        ("sound", stream.clone()),
        ("header", changed(2000)),
        ("package end", changed(end - 300)),
        ("stream end", changed(end - 600)),
        ("type", changed(end - 624)),
        ("magic", changed(8)),
        ("cut in a header", stream[..end - 100].to_vec()),
        ("cut in a checksum", stream[..end - 20].to_vec()),
        ("cut in a payload", stream[..2500].to_vec()),
        ("cut in front of a header", stream[..end - 312].to_vec()),
        ("twice", [stream.as_slice(), &stream].concat()),
        ("empty", Vec::new()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, &damaged).unwrap();
        if compare(&path, &damaged).is_none() {
            return;
        }
    }
}

/// `zstream` 2.3 misreads streams of the other order, so they are held to the same streams in this one. They differ in
/// nothing but their checksums.
#[test]
fn the_other_byte_order_looks_the_same() {
    for path in support::corpus() {
        let pieces = take_apart(&fs::read(&path).unwrap());
        let options = Options {
            records: true,
            payloads: true,
            ..Options::default()
        };
        let [little, big] = [KINDS[0].0, KINDS[2].0].map(|endian| {
            let stream = put_together(&pieces, endian, true);
            let text = ours(&stream, options);
            assert!(
                !text.contains("ncorrect") && !text.contains("differs"),
                "{}",
                path.display()
            );
            text.lines()
                .filter(|line| !line.contains("checksum ="))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
        assert!(little == big, "{}", path.display());
    }
}

#[test]
fn what_is_wrong_is_an_error_behind_the_text() {
    let stream = put_together(&support::plain(5, 6, "pool/fs@b"), zferry_wire::Endian::Big, true);
    let error = |stream: &[u8]| {
        let mut text = Vec::new();
        let result = dump(Buffered::new(stream), Options::default(), &mut text);
        (
            result.map_err(|error| error.to_string()),
            String::from_utf8(text).unwrap(),
        )
    };
    let (result, text) = error(&stream);
    assert_eq!(result, Ok(()));
    assert!(
        text.ends_with("(0x1d29)\n") || text.contains("Total stream length"),
        "{text}"
    );
    let (result, text) = error(&stream[..stream.len() - 1]);
    assert!(result.unwrap_err().contains("the stream is cut"));
    assert!(text.contains("SUMMARY"));
    let (result, text) = error(b"tar archive");
    assert!(result.unwrap_err().contains("the stream is cut"));
    assert!(text.contains("Total records = 0"));
    let (result, text) = error(&[7; 400]);
    assert!(result.unwrap_err().contains("bad magic number"));
    assert_eq!(text, "");
}
