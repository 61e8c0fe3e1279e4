//! Giving way to whoever writes to a pool that is read at length.
//!
//! Each thread of a process gets its share of the processors, so a receive beside eight sends from the same pool would get
//! a tenth of what it gets alone. What is read can wait, a stream on its way from another machine cannot: so a process
//! that reads becomes as nice as can be, from the moment when it sees a writer. On processors that have
//! nothing else to do, that changes nothing.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, getpriority_process, setpriority_process};
use zferry_zpool::Pool;

use crate::writers::Writers;

/// How nice a reader is beside a writer.
const NICE: i32 = 19;
/// How often a reader looks for writers.
const INTERVAL: Duration = Duration::from_millis(20);

/// Does `work`, which reads `pool` at length, and gives way meanwhile to who writes to it.
pub(crate) fn beside_writers<T>(pool: &Pool, work: impl FnOnce() -> T) -> T {
    let leaves = pool.vdevs().iter().filter(|status| status.node.is_leaf());
    let paths = leaves.map(|leaf| PathBuf::from(&leaf.name));
    let writers = Writers::of(paths);
    // Threads that are yet to come are as nice as the one that starts them.
    if writers.are_there() {
        become_nice();
        return work();
    }
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        // Where there is no thread to be had, nobody looks.
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            while is_done.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if writers.are_there() {
                    return become_nice();
                }
            }
        });
        let outcome = work();
        drop(done);
        outcome
    })
}

/// Lowers the priority of every thread of this process, as far as it is not lower already. It is never raised again:
/// only the superuser may.
fn become_nice() {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ids = threads.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    for id in ids {
        // A thread that cannot be asked has ended.
        if getpriority_process(Some(id)).is_ok_and(|priority| priority < NICE) {
            let _ = setpriority_process(Some(id), NICE);
        }
    }
}
