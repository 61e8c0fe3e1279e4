//! What `zferry send` says: estimates, warnings, refusals, and what it exits with, beside what the kernel's `zfs send`
//! said of the same pool.
//!
//! `fixtures/send-answers.txt` holds the kernel's answers (OpenZFS 2.3.2, the example pool imported read-only), and
//! `fixtures/packages/answers.txt` those for packages: a line `$ ` with the command, then what it wrote to each output,
//! then its exit code. zferry may add hints of its own behind what zfs says.

use crate::support::{command, example_sends, fixture, run};
use std::fs;
use std::path::Path;
use std::process::Command;

struct Answer {
    command: String,
    out: Vec<String>,
    err: Vec<String>,
    exit: i32,
}

impl Answer {
    /// Whether standard output is text. Where it is a stream, the kernel's is not kept.
    fn has_text(&self) -> bool {
        let mut words = self.command.split(' ');
        words.any(|word| word.starts_with("-n")) || self.exit != 0
    }
}

fn answers(text: &str) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            let command = command.to_owned();
            answers.push(Answer {
                command,
                out: Vec::new(),
                err: Vec::new(),
                exit: -1,
            });
            continue;
        }
        let answer = answers.last_mut().unwrap();
        match line.split_once(": ").unwrap() {
            ("out", text) => answer.out.push(text.to_owned()),
            ("err", text) => answer.err.push(text.to_owned()),
            ("exit", code) => answer.exit = code.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }
    answers
}

/// Whether zferry answers in zfs's words to all of these.
fn check(text: &str, image: &Path, at_least: usize) {
    let answers = answers(text);
    assert!(answers.len() >= at_least, "{} answers", answers.len());
    for answer in answers {
        let words: Vec<_> = answer.command.split(' ').collect();
        if words.contains(&"-w") {
            continue;
        }
        let output = run(image, &words).output;
        let err = String::from_utf8(output.stderr).unwrap();
        let said: Vec<_> = err.lines().collect();
        if answer.has_text() {
            let out = String::from_utf8(output.stdout).unwrap();
            assert_eq!(out.lines().collect::<Vec<_>>(), answer.out, "{}", answer.command);
        }
        assert_eq!(
            output.status.code(),
            Some(answer.exit),
            "{}: {err}",
            answer.command
        );
        assert_eq!(
            said.get(..answer.err.len()).unwrap_or(&said),
            answer.err,
            "{}",
            answer.command
        );
    }
}

#[test]
fn it_answers_as_zfs_does() {
    let example = zferry_fixtures::example().unwrap();
    let text = fs::read_to_string(fixture("send-answers.txt")).unwrap();
    check(&text, example.image(), 24);
}

/// Of packages: what is in them and what is not, and everything that zfs refuses.
#[test]
fn it_answers_as_zfs_does_when_it_packs() {
    let packages = zferry_fixtures::packages().unwrap();
    check(
        &fs::read_to_string(packages.answers()).unwrap(),
        &packages.image("fleet"),
        63,
    );
}

#[test]
fn who_does_not_listen_gets_the_stream_all_the_same() {
    let example = zferry_fixtures::example().unwrap();
    let (nobody, stderr) = std::io::pipe().unwrap();
    drop(nobody);
    let mut warned = command(example.image(), "send -i monday harbour/log@tuesday");
    let output = warned.stderr(stderr).output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    assert!(output.stdout == example_sends("-i @monday harbour/log@tuesday"));
}

/// Tools call without arguments to see what there is.
#[test]
fn the_usage_says_what_tools_look_for() {
    let calls: [(&[&str], &str); 8] = [
        (&["send"], "missing snapshot argument"),
        (&["send", "-V"], "missing snapshot argument"),
        (&["send", "-n", "a@b", "c@d"], "too many arguments"),
        (&["send", "-x"], "invalid option 'x'"),
        (&["send", "--foo"], "invalid option '--foo'"),
        (&["send", "-i"], "missing argument for 'i' option"),
        (&["send", "--exclude"], "missing argument for 'X' option"),
        (&["send", "-R", "-t", "1-2-3"], "invalid flags combined with -t"),
    ];
    for (arguments, first) in calls {
        let output = Command::new(env!("CARGO_BIN_EXE_zferry"))
            .args(arguments)
            .output()
            .unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert_eq!(err.lines().next(), Some(first), "{err}");
        assert!(
            first.starts_with("missing argument") || err.contains("-t <receive_resume_token>"),
            "{err}"
        );
    }
}
