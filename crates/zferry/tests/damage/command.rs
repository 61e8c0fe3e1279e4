//! Runs the command within limits, and says what of them it broke.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How much memory the command may take, in KiB: what it promises for sending.
pub(crate) const MEMORY_KIB: u64 = 256 << 10;
/// How long it may compute, in seconds of processor time, however busy the machine is. It takes milliseconds.
const WORK_SECONDS: u64 = 20;
/// How long a stream may become, in blocks of 512 bytes: those of the pools here are a hundredth of it.
const OUTPUT_BLOCKS: u64 = (256 << 20) / 512;

/// How long a command that does nothing is waited for. This is no measure of the work, which is limited above: it ends
/// those whose threads wait for each other.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the command says where it is at fault, or has no memory for another thread.
const COMPLAINTS: [&str; 3] = ["panicked", "please report this", "cannot start a thread"];

/// A run of `zferry`, to be limited.
pub(crate) struct Run<'a> {
    /// The pool.
    pub(crate) image: &'a Path,
    /// A folder for what the command writes.
    pub(crate) folder: &'a Path,
    /// How much memory the command may take, in KiB.
    pub(crate) memory_kib: u64,
    /// What the command reads from standard input, if anything.
    pub(crate) stdin: Option<&'a Path>,
}

impl Run<'_> {
    /// Runs `zferry`, and says what it exited with.
    ///
    /// An error says how the command misbehaved: it died of a signal, which too much work, memory or output comes to; it
    /// panicked; or it exited with what is no exit code of it.
    pub(crate) fn zferry(&self, arguments: &[&str]) -> Result<i32, String> {
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| self.folder.join(name));
        // The limit of memory counts all that is private and can be written, touched or not: at least what is resident.
        let limits = format!(
            "ulimit -c 0 && ulimit -d {} && ulimit -t {WORK_SECONDS} && ulimit -f {OUTPUT_BLOCKS}",
            self.memory_kib
        );
        let child = Command::new("sh")
            .args(["-c", &format!("{limits} && exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_zferry"))
            .arg("-d")
            .arg(self.image)
            .args(arguments)
            .env_remove("ZFERRY_PATH")
            .stdin(match self.stdin {
                Some(path) => Stdio::from(File::open(path).unwrap()),
                None => Stdio::null(),
            })
            .stdout(File::create(stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        let status = wait(child)?;
        let said = fs::read(&stderr).unwrap();
        let said = String::from_utf8_lossy(&said);
        match status.code() {
            Some(code @ 0..=2) if !COMPLAINTS.iter().any(|complaint| said.contains(complaint)) => Ok(code),
            _ => Err(format!("{arguments:?} ends with {status}: {said}")),
        }
    }
}

fn wait(mut child: Child) -> Result<ExitStatus, String> {
    let id = child.id().to_string();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait().unwrap()));
    receiver.recv_timeout(PATIENCE).map_err(|_| {
        let _ = Command::new("kill").args(["-9", &id]).status();
        "it waits for itself".to_owned()
    })
}
