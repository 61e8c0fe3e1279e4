//! What README.md and docs/stream-format.md show is what the command does.

use crate::support::{Words, run};
use std::fs;
use zferry_fixtures::{example, workspace};

/// Runs zferry on the example pool and gives what it printed.
fn printed(arguments: &(impl Words + ?Sized)) -> Vec<u8> {
    run(example().unwrap().image(), arguments).bytes()
}

/// The bytes of one line of a dump: its offset, two spaces, and pairs of digits with spaces between.
fn dumped(line: &str) -> Option<(usize, Vec<u8>)> {
    let (offset, rest) = line.split_once("  ")?;
    let offset = (offset.len() == 8).then(|| usize::from_str_radix(offset, 16).ok())??;
    let columns = rest.get(..rest.len().min(49)).unwrap_or(rest);
    let digits = columns.split_whitespace().take_while(|word| word.len() == 2);
    let bytes = digits
        .map_while(|word| u8::from_str_radix(word, 16).ok())
        .collect();
    Some((offset, bytes))
}

/// Chapter 16 of the document on streams explains each byte of a stream; they are the bytes that are sent.
#[test]
fn the_stream_that_is_explained_is_the_one_that_is_sent() {
    let document = fs::read_to_string(workspace().join("docs/stream-format.md")).unwrap();
    let chapter = document
        .split("\n# ")
        .find(|chapter| chapter.starts_with("16."))
        .unwrap();
    let stream = printed("send -L -e -c -i @monday harbour/chart@tuesday");
    assert!(chapter.contains("all of its 11,624 bytes") && stream.len() == 11_624);
    let lines: Vec<_> = chapter.lines().filter_map(dumped).collect();
    assert!(lines.len() > 30, "{} lines", lines.len());
    for (offset, bytes) in lines {
        assert_eq!(stream[offset..offset + bytes.len()], bytes, "at {offset:#x}");
    }
}

/// Each example in README.md that reads the pool runs, as far as it is zferry's.
#[test]
fn the_examples_run() {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let examples: Vec<_> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("$ zf "))
        .collect();
    assert!(examples.len() > 5, "{examples:?}");
    for example in examples {
        let words = example.split(['>', '|', '#']).next().unwrap_or_default();
        let arguments: Vec<_> = words.split_whitespace().collect();
        assert!(!printed(&arguments).is_empty(), "{example}");
    }
}
