//! `zferry stream`, with streams that `zferry send` makes of the example pool.

use crate::support::example_sends;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A folder with a stream in it.
struct Folder {
    folder: TempDir,
}

impl Folder {
    fn new(snapshot: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("stream"), example_sends(snapshot)).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("stream")
    }

    fn stream(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    /// Runs `zferry stream` in the folder and shows everything that it does.
    fn run(&self, arguments: &[&str]) -> String {
        show(&self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// The same, with bytes through a pipe.
    fn pipe(&self, arguments: &[&str], bytes: &[u8]) -> String {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The command may have seen enough before the end.
        let _ = child.stdin.take().unwrap().write_all(bytes);
        show(&child.wait_with_output().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
        command
            .arg("stream")
            .args(arguments)
            .current_dir(self.folder.path());
        command
    }
}

fn show(output: &Output) -> String {
    let code = output
        .status
        .code()
        .map_or_else(|| "?".to_owned(), |code| code.to_string());
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let mut text = stdout.into_owned();
    if !stderr.is_empty() {
        text.push_str("--- stderr\n");
        text.push_str(&stderr);
    }
    if code != "0" {
        text.push_str(&format!("--- exit {code}\n"));
    }
    text
}

#[test]
fn a_sound_stream_is_described() {
    let folder = Folder::new(&["harbour/draft@proof"]);
    insta::assert_snapshot!(folder.run(&["verify", "stream"]), @"
    full stream of harbour/draft@proof, guid 6988021127977843775: 55 records, 85296 bytes
    OK: 55 records, 85296 bytes
    ");
    insta::assert_snapshot!(folder.run(&["verify", "--json", "stream"]), @r#"{"ok":true,"bytes":85296,"records":55,"byte_order":"little","package":null,"streams":[{"type":"full","name":"harbour/draft@proof","to_guid":"6988021127977843775","from_guid":null,"creation":1795375270,"features":["SA_SPILL"],"offset":0,"records":55,"bytes":85296}],"counts":{"BEGIN":{"records":1,"payload_bytes":0},"OBJECT":{"records":14,"payload_bytes":1576},"FREEOBJECTS":{"records":4,"payload_bytes":0},"WRITE":{"records":14,"payload_bytes":66560},"FREE":{"records":21,"payload_bytes":0},"END":{"records":1,"payload_bytes":0},"WRITE_BYREF":{"records":0,"payload_bytes":0},"SPILL":{"records":0,"payload_bytes":0},"WRITE_EMBEDDED":{"records":0,"payload_bytes":0},"OBJECT_RANGE":{"records":0,"payload_bytes":0},"REDACT":{"records":0,"payload_bytes":0}}}"#);
    assert_eq!(
        folder.pipe(&["verify"], &folder.stream()),
        folder.run(&["verify", "stream"])
    );
    assert_eq!(
        folder.pipe(&["verify", "-"], &folder.stream()),
        folder.run(&["verify", "stream"])
    );

    let incremental = Folder::new(&["-i", "@monday", "harbour/log@tuesday"]);
    insta::assert_snapshot!(incremental.run(&["verify", "stream"]), @"
    incremental stream of harbour/log@tuesday, guid 5338026179470935546 from guid 16686762821793740014: 44 records, 28440 bytes
    OK: 44 records, 28440 bytes
    ");
}

#[test]
fn the_first_thing_wrong_is_shown_with_its_place() {
    let folder = Folder::new(&["harbour/draft@proof"]);
    let stream = folder.stream();
    let mut damaged = stream.clone();
    damaged[2000] ^= 1;
    insta::assert_snapshot!(folder.pipe(&["verify"], &damaged), @"
    --- stderr
    standard input: at offset 1760: checksum mismatch at the FREE record: it states 161544bcc7/17b601bd02da/f77b72c46613a/7b0a2bc45df8aa9, the stream up to there has 161544bcc8/17b601bd02e4/f77b72c466171/7b0a2bc45df8b85
    Everything before offset 936 is sound.
    --- exit 1
    ");
    insta::assert_snapshot!(folder.pipe(&["verify", "--json"], &damaged), @r#"
    {"ok":false,"offset":1760,"reason":"checksum mismatch at the FREE record: it states 161544bcc7/17b601bd02da/f77b72c46613a/7b0a2bc45df8aa9, the stream up to there has 161544bcc8/17b601bd02e4/f77b72c466171/7b0a2bc45df8b85","sound_bytes":936}
    --- stderr
    standard input: at offset 1760: checksum mismatch at the FREE record: it states 161544bcc7/17b601bd02da/f77b72c46613a/7b0a2bc45df8aa9, the stream up to there has 161544bcc8/17b601bd02e4/f77b72c466171/7b0a2bc45df8b85
    Everything before offset 936 is sound.
    --- exit 1
    "#);
    insta::assert_snapshot!(folder.pipe(&["verify"], &stream[..84_984]), @"
    --- stderr
    standard input: at offset 84984: the stream is cut: the END of the stream is missing
    Everything before offset 84672 is sound.
    --- exit 1
    ");
    insta::assert_snapshot!(folder.pipe(&["verify"], &stream[..700]), @"
    --- stderr
    standard input: at offset 700: the stream is cut: 76 of the 312 bytes of a record are there
    Everything before offset 312 is sound.
    --- exit 1
    ");
    insta::assert_snapshot!(folder.pipe(&["verify"], &[&stream[..], b"\n"].concat()), @"
    --- stderr
    standard input: at offset 85296: garbage behind the end of the stream
    Everything before offset 85296 is sound.
    --- exit 1
    ");
    insta::assert_snapshot!(folder.pipe(&["verify"], b""), @"
    --- stderr
    standard input: at offset 0: the input is empty
    --- exit 1
    ");
    insta::assert_snapshot!(folder.pipe(&["verify"], &[b'x'; 1000]), @"
    --- stderr
    standard input: at offset 0: this is not a ZFS send stream (bad magic number)
    --- exit 1
    ");
    insta::assert_snapshot!(folder.run(&["verify", "missing"]), @"
    --- stderr
    cannot open 'missing': No such file or directory (os error 2)
    --- exit 1
    ");
    insta::assert_snapshot!(folder.run(&["verify", "."]), @"
    --- stderr
    cannot open '.': is a directory
    --- exit 1
    ");
}

#[test]
fn a_stream_is_shown_as_zstream_shows_it() {
    let folder = Folder::new(&["-i", "harbour/log@monday", "harbour/draft@proof"]);
    insta::assert_snapshot!(folder.run(&["dump", "-v", "stream"]), @"
    BEGIN record
    	hdrtype = 1
    	features = 4
    	magic = 2f5bacbac
    	creation_time = 6b0340a6
    	type = 2
    	flags = 0xd
    	toguid = 60fa7031180b3c3f
    	fromguid = e7934a604c35f4ee
    	toname = harbour/draft@proof
    	payloadlen = 0

    OBJECT object = 1 type = 21 bonustype = 0 blksz = 512 bonuslen = 0 dn_slots = 1 raw_bonuslen = 0 flags = 0 maxblkid = 0 indblkshift = 0 nlevels = 0 nblkptr = 0
    FREE object = 1 offset = 512 length = -1
    FREE object = 1 offset = 512 length = 1024
    OBJECT object = 2 type = 19 bonustype = 44 blksz = 10752 bonuslen = 176 dn_slots = 1 raw_bonuslen = 0 flags = 0 maxblkid = 0 indblkshift = 0 nlevels = 0 nblkptr = 0
    FREE object = 2 offset = 10752 length = -1
    OBJECT object = 3 type = 19 bonustype = 44 blksz = 512 bonuslen = 176 dn_slots = 1 raw_bonuslen = 0 flags = 0 maxblkid = 0 indblkshift = 0 nlevels = 0 nblkptr = 0
    FREE object = 3 offset = 512 length = -1
    OBJECT object = 4 type = 19 bonustype = 44 blksz = 512 bonuslen = 176 dn_slots = 1 raw_bonuslen = 0 flags = 0 maxblkid = 0 indblkshift = 0 nlevels = 0 nblkptr = 0
    FREE object = 4 offset = 512 length = -1
    WRITE object = 4 type = 19 checksum type = 2 compression type = 0 flags = 0 offset = 0 logical_size = 512 compressed_size = 0 payload_size = 512 props = 0 salt = 0000000000000000 iv = 000000000000000000000000 mac = 00000000000000000000000000000000
    OBJECT object = 5 type = 19 bonustype = 44 blksz = 16384 bonuslen = 176 dn_slots = 1 raw_bonuslen = 0 flags = 0 maxblkid = 0 indblkshift = 0 nlevels = 0 nblkptr = 0
    FREE object = 5 offset = 1654784 length = -1
    FREEOBJECTS firstobj = 6 numobjs = 26
    FREEOBJECTS firstobj = 64 numobjs = 64
    END checksum = 40512416ef/b56323c0d094/15fd0b59a2894ca/25c96128a914d1e
    SUMMARY:
    	Total DRR_BEGIN records = 1 (0 bytes)
    	Total DRR_END records = 1 (0 bytes)
    	Total DRR_OBJECT records = 5 (704 bytes)
    	Total DRR_FREEOBJECTS records = 2 (0 bytes)
    	Total DRR_WRITE records = 1 (512 bytes)
    	Total DRR_WRITE_BYREF records = 0 (0 bytes)
    	Total DRR_WRITE_EMBEDDED records = 0 (0 bytes)
    	Total DRR_FREE records = 6 (0 bytes)
    	Total DRR_SPILL records = 0 (0 bytes)
    	Total records = 16
    	Total payload size = 1216 (0x4c0)
    	Total header overhead = 4992 (0x1380)
    	Total stream length = 6208 (0x1840)
    ");
    let mut damaged = folder.stream();
    damaged[2000] ^= 1;
    insta::assert_snapshot!(folder.pipe(&["dump"], &damaged), @"
    BEGIN record
    	hdrtype = 1
    	features = 4
    	magic = 2f5bacbac
    	creation_time = 6b0340a6
    	type = 2
    	flags = 0xd
    	toguid = 60fa7031180b3c3f
    	fromguid = e7934a604c35f4ee
    	toname = harbour/draft@proof
    	payloadlen = 0
    Incorrect checksum in record header.
    Expected checksum = 150133d566/16564446804a/fbe9209311719/866cd9933a1785e
    SUMMARY:
    	Total DRR_BEGIN records = 1 (0 bytes)
    	Total DRR_END records = 0 (0 bytes)
    	Total DRR_OBJECT records = 2 (176 bytes)
    	Total DRR_FREEOBJECTS records = 0 (0 bytes)
    	Total DRR_WRITE records = 0 (0 bytes)
    	Total DRR_WRITE_BYREF records = 0 (0 bytes)
    	Total DRR_WRITE_EMBEDDED records = 0 (0 bytes)
    	Total DRR_FREE records = 2 (0 bytes)
    	Total DRR_SPILL records = 0 (0 bytes)
    	Total records = 5
    	Total payload size = 176 (0xb0)
    	Total header overhead = 1560 (0x618)
    	Total stream length = 2048 (0x800)
    --- stderr
    standard input: at offset 1736: checksum mismatch at the FREE record: it states 150133d565/165644468046/fbe920931170f/866cd9933a1784a, the stream up to there has 150133d566/16564446804a/fbe9209311719/866cd9933a1785e
    --- exit 1
    ");
}

#[test]
fn a_token_is_decoded() {
    let folder = Folder::new(&["-i", "harbour/log@monday", "harbour/draft@proof"]);
    let token = "1-9491d1488-b0-789c636064000310a500c4ec50360710e72765a52697303030439460caa7a515a796806498e0f26c48\
                 f2499525a9c540da42980babfe92fcf4d2cc140686175bae8b7cb81b7113599e132c9f97989bcac050a09f56ec90\
                 087103004d251520";
    insta::assert_snapshot!(folder.run(&["token", token]), @"
    object: 3
    offset: 131072
    bytes: 660280
    toguid: 15661511727392470248
    toname: 'p/fs@a'
    ");
    insta::assert_snapshot!(folder.run(&["token", &token.replace("-94", "-95")]), @"
    --- stderr
    Unable to parse resume token: resume token is corrupt (incorrect checksum)
    --- exit 1
    ");
    insta::assert_snapshot!(folder.run(&["token"]), @"
    --- stderr
    error: the following required arguments were not provided:
      <TOKEN>

    Usage: zferry stream token <TOKEN>

    For more information, try '--help'.
    --- exit 2
    ");
}

#[test]
fn a_partial_stream_has_a_token() {
    let folder = Folder::new(&["harbour/draft@proof"]);
    let stream = folder.stream();
    let shown = folder.pipe(&["token", "--from", "-"], &stream[..50_000]);
    let (token, reason) = shown.split_once('\n').unwrap();
    insta::assert_snapshot!(reason, @"
    --- stderr
    standard input: at offset 50000: the stream is cut: 5320 of the 16384 bytes that follow the WRITE record at offset 44368 are there
    ");
    insta::assert_snapshot!(folder.run(&["token", token]), @"
    object: 36
    offset: 0
    bytes: 43744
    toguid: 6988021127977843775
    toname: 'harbour/draft@proof'
    ");
    insta::assert_snapshot!(folder.run(&["token", "--from", "stream"]), @"
    --- stderr
    'stream': the stream is whole: there is nothing to resume
    --- exit 1
    ");
    insta::assert_snapshot!(folder.pipe(&["token", "--from", "-"], &stream[..100]), @"
    --- stderr
    standard input: no stream was begun that could be resumed: at offset 100: the stream is cut: 100 of the 312 bytes of a record are there
    --- exit 1
    ");
}

#[test]
fn help_is_in_zfs_words() {
    let folder = Folder::new(&["-i", "harbour/log@monday", "harbour/draft@proof"]);
    insta::assert_snapshot!(folder.run(&["--help"]), @"
    Look into send streams: dump, verify, decode resume tokens

    Usage: zferry stream <COMMAND>

    Commands:
      dump    Show the records of a stream
      verify  Check a stream from its first byte to its last
      token   Show what a resume token says, or the token of a partial stream

    Options:
      -h, --help     Print help
      -V, --version  Print version
    ");
    insta::assert_snapshot!(folder.run(&["dump", "--help"]), @r#"
    Show the records of a stream

    The text is that of `zstream dump`, also for streams of machines of the other byte order. The exit
    code is 1 where a checksum is wrong or the stream is cut; everything before that is shown.

    Usage: zferry stream dump [OPTIONS] [FILE]

    Arguments:
      [FILE]
              The stream; standard input if there is none, or "-"

    Options:
      -v...
              Show each record; twice: with its checksum

      -d
              Show each record, its checksum, and its payload in hexadecimal and ASCII

      -C
              Do not check checksums

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Examples:
      zferry stream dump backup.zsend
      zfs send tank/home@monday | zferry stream dump -v | less
    "#);
    insta::assert_snapshot!(folder.run(&["verify", "--help"]), @r#"
    Check a stream from its first byte to its last

    Every checksum, the end, the order of the records and what they say are checked, in a package also
    that no stream is missing. Nothing needs to be unpacked or received. The exit code is 1 if anything
    is wrong, and the first thing wrong is shown with its offset in bytes.

    Usage: zferry stream verify [OPTIONS] [FILE]

    Arguments:
      [FILE]
              The stream; standard input if there is none, or "-"

    Options:
          --json
              Print one line of JSON, for programs

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Examples:
      zferry stream verify backup.zsend
      ssh nas cat backup.zsend | zferry stream verify --json
    "#);
    insta::assert_snapshot!(folder.run(&["token", "--help"]), @r#"
    Show what a resume token says, or the token of a partial stream

    A token is what `zfs get receive_resume_token` shows of a dataset whose receive was interrupted, and
    what `zfs send -t` takes to go on.

    Usage: zferry stream token [OPTIONS] [TOKEN]

    Arguments:
      [TOKEN]
              The token

    Options:
          --from <FILE>
              Print the token that an interrupted receive of FILE would leave ("-" for standard input);
              of a package, that of the stream in which it ends

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Examples:
      zferry stream token "$(zfs get -H -o value receive_resume_token tank/home)"
      zfs send -t "$(zferry stream token --from partial.zsend)"
    "#);
}
