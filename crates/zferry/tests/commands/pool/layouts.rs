//! What `pool import`, `pool status` and `pool list -v` say of pools on several disks, some of them away, held against
//! what OpenZFS's kernel and its zpool(8) said of the same files. `tests/layouts/judged` has their words: `SCENES` says
//! which files were there, `zpool import -d DIR` wrote NAME.import, and after an import, `zpool status` and `zpool list
//! -v` the others.

use crate::support::run;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A folder of disks, and what is said of them.
struct Scene {
    name: String,
    folder: TempDir,
}

/// How many disks each pool has.
const DISKS: [(&str, u64); 8] = [
    ("removed", 2),
    ("kinds", 10),
    ("expanded", 5),
    ("expanding", 5),
    ("taken", 9),
    ("triple", 8),
    ("replacing", 4),
    ("stale", 3),
];

fn judged() -> PathBuf {
    zferry_fixtures::workspace().join("tests/layouts/judged")
}

/// Writes one disk of a pool into a file of its own, holes left out.
fn write_disk(image: &Path, disks: u64, number: u64, path: &Path) {
    const PIECE: usize = 1 << 20;
    let mut source = File::open(image).unwrap();
    let size = source.metadata().unwrap().len() / disks;
    source.seek(SeekFrom::Start(size * (number - 1))).unwrap();
    let mut target = File::create(path).unwrap();
    target.set_len(size).unwrap();
    let mut piece = vec![0; PIECE];
    for _ in 0..size / PIECE as u64 {
        source.read_exact(&mut piece).unwrap();
        if piece.iter().all(|byte| *byte == 0) {
            target.seek(SeekFrom::Current(PIECE as i64)).unwrap();
        } else {
            target.write_all(&piece).unwrap();
        }
    }
}

/// Puts files of the form `POOL-NUMBER.img` into a folder.
fn folder_of(files: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let fixtures = zferry_fixtures::layouts().unwrap();
    for file in files.split(' ') {
        let (pool, number) = file.strip_suffix(".img").unwrap().rsplit_once('-').unwrap();
        let fixture = fixtures.iter().find(|fixture| fixture.line.name == pool).unwrap();
        let disks = DISKS.iter().find(|(name, _)| *name == pool).unwrap().1;
        write_disk(
            &fixture.image,
            disks,
            number.parse().unwrap(),
            &folder.path().join(file),
        );
    }
    folder
}

fn scenes() -> Vec<Scene> {
    let scenes = fs::read_to_string(judged().join("SCENES")).unwrap();
    let scenes = scenes.lines().map(|line| line.split_once('|').unwrap());
    scenes
        .map(|(name, files)| Scene {
            name: name.to_owned(),
            folder: folder_of(files),
        })
        .collect()
}

impl Scene {
    /// The lines that OpenZFS wrote, in words, with the paths that the files have here; `None` where there are none.
    fn expected(&self, kind: &str) -> Option<Vec<String>> {
        let path = judged().join(format!("{}.{kind}", self.name));
        let text = fs::read_to_string(path).ok()?;
        let folder = self.folder.path().display().to_string();
        let text = text.replace("/tmp/s/", &format!("{folder}/"));
        Some(lines(text.strip_suffix("exit 0\n").unwrap_or(&text)))
    }

    fn printed(&self, arguments: &str) -> Vec<String> {
        lines(&run(self.folder.path(), arguments).succeeds())
    }
}

/// The words of each line, for columns are as wide as paths are long.
fn lines(text: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = text.lines().map(words).collect();
    // What went on in the pool before is another matter.
    let history = |line: &String| {
        ["scan:", "remove:", "expand:"]
            .iter()
            .any(|key| line.starts_with(key))
    };
    if let (Some(from), Some(to)) = (
        lines.iter().position(history),
        lines.iter().position(|line| line == "config:"),
    ) {
        lines.drain(from..to);
    }
    lines
}

#[test]
fn what_lies_there_is_said_in_zpools_words() {
    for scene in scenes() {
        if let Some(expected) = scene.expected("import") {
            assert_eq!(scene.printed("pool import"), expected, "{}", scene.name);
        }
    }
}

#[test]
fn states_are_those_that_zpool_sees() {
    for scene in scenes() {
        if let Some(expected) = scene.expected("status") {
            assert_eq!(scene.printed("pool status"), expected, "{}", scene.name);
        }
        // The kernel counts no space of pools that were imported to be read only: names, sizes and states remain.
        let brief = |lines: Vec<String>| {
            let brief = |line: &String| {
                let words: Vec<&str> = line.split(' ').collect();
                let is_state =
                    |word: &&&str| word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_uppercase());
                let states = words.iter().skip(2).filter(is_state);
                [&words[..2], &states.copied().collect::<Vec<_>>()]
                    .concat()
                    .join(" ")
            };
            lines.iter().map(brief).collect::<Vec<_>>()
        };
        if let Some(expected) = scene.expected("listv") {
            let printed = scene.printed("pool list -v");
            assert_eq!(brief(printed), brief(expected), "{}", scene.name);
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let folder = folder_of("expanded-1.img expanded-3.img expanded-4.img");
    let complaint = run(folder.path(), "list").fails();
    let begins = "cannot open 'expanded': devices are missing: raidz1-0 needs 1 of these 2: /";
    assert!(complaint.starts_with(begins), "{complaint}");
    assert!(complaint.contains("/b (guid ") && complaint.contains("/e (guid "));
    let listed = run(folder.path(), "pool import").output;
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.contains(" state: UNAVAIL\n") && listed.contains("msg/ZFS-8000-3C"),
        "{listed}"
    );
    assert!(listed.contains("insufficient replicas"), "{listed}");
}

#[test]
fn files_are_named_one_by_one_or_by_their_folder() {
    let folder = folder_of("stale-2.img replacing-1.img replacing-3.img");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let listed = |command: &mut Command| {
        let output = command.args(["list", "-H", "-o", "name"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let program = || Command::new(env!("CARGO_BIN_EXE_zferry"));
    let mut several = program();
    several.env_remove("ZFERRY_PATH");
    for name in ["replacing-3.img", "stale-2.img", "replacing-1.img"] {
        several.args(["-d", &path(name)]);
    }
    assert_eq!(listed(&mut several), "replacing\nstale\n");
    let places = std::env::join_paths([
        path("stale-2.img"),
        path("replacing-1.img"),
        path("replacing-3.img"),
    ]);
    assert_eq!(
        listed(program().env("ZFERRY_PATH", places.unwrap())),
        "replacing\nstale\n"
    );
    assert_eq!(
        listed(program().env("ZFERRY_PATH", folder.path())),
        "replacing\nstale\n"
    );
    // What is named counts, not the environment.
    let mut named = program();
    named
        .env("ZFERRY_PATH", folder.path())
        .args(["-d", &path("stale-2.img")]);
    assert_eq!(listed(&mut named), "stale\n");
}

#[test]
fn layouts_that_are_only_read_are_not_written() {
    for files in [
        "expanded-1.img expanded-2.img expanded-3.img expanded-4.img expanded-5.img",
        "stale-1.img stale-2.img",
    ] {
        let folder = folder_of(files);
        let contents = || -> Vec<Vec<u8>> {
            let files = files.split(' ');
            files
                .map(|file| fs::read(folder.path().join(file)).unwrap())
                .collect()
        };
        let before = contents();
        let pool = files.split_once('-').unwrap().0;
        run(folder.path(), &format!("snapshot {pool}@new")).fails();
        assert!(contents() == before);
    }
}
