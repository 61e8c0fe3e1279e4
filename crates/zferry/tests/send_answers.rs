//! What `zferry send` says: estimates, warnings, refusals, and what it exits with, beside what the kernel's `zfs send`
//! said of the same pool.
//!
//! `fixtures/send-answers.txt` holds the kernel's answers (OpenZFS 2.3.2, the example pool imported read-only): a line
//! `$ ` with the command, then what it wrote to each output, then its exit code. zferry may add hints of its own
//! behind what zfs says.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::process::Command;

struct Answer {
    command: String,
    out: Vec<String>,
    err: Vec<String>,
    exit: i32,
}

fn answers() -> Vec<Answer> {
    let text = include_str!("fixtures/send-answers.txt");
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

#[test]
fn it_answers_as_zfs_does() {
    let example = zferry_fixtures::example().unwrap();
    let answers = answers();
    assert!(answers.len() >= 24, "{} answers", answers.len());
    for answer in answers {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
        command
            .arg("-d")
            .arg(example.image())
            .args(answer.command.split(' '))
            .env_remove("ZFERRY_PATH");
        let output = command.output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        let said: Vec<_> = err.lines().collect();
        assert_eq!(out.lines().collect::<Vec<_>>(), answer.out, "{}", answer.command);
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
