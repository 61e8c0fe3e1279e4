//! Which states of a pool readers have open, so that a writer in another process leaves their space alone.
//!
//! A reader of the state that transaction group *t* committed holds a shared lock on one byte of each of the pool's
//! files, far behind their end: byte 2^62 + *t*. A writer asks for the lowest such byte that is locked. The locks belong
//! to open files (Linux's "open file description locks"), so that the system takes them back however a reader ends, and
//! nothing is ever written. They are independent of the lock by which writers keep each other away.

use crate::Txg;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, flock};
use std::fs::File;
use std::io;

/// The byte that stands for transaction group 0.
const BASE: i64 = 1 << 62;

/// What a file system says that has no such locks, or only one kind for all of them: then nobody can be asked.
const NO_LOCKS: [Errno; 6] = [
    Errno::EINVAL,
    Errno::ENOLCK,
    Errno::EOPNOTSUPP,
    Errno::ENOSYS,
    Errno::EAGAIN,
    Errno::EACCES,
];

/// Holds the space of what `txg` committed for whoever reads by `file`.
pub(super) fn hold(file: &File, txg: Txg) -> io::Result<()> {
    set(file, libc::F_RDLCK, txg)
}

/// Holds it no more.
pub(super) fn release(file: &File, txg: Txg) -> io::Result<()> {
    set(file, libc::F_UNLCK, txg)
}

fn set(file: &File, kind: i32, txg: Txg) -> io::Result<()> {
    let Some(lock) = byte_of(txg).and_then(|byte| lock(kind, byte, 1)) else {
        return Ok(());
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
        Ok(_) => Ok(()),
        Err(error) if NO_LOCKS.contains(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The oldest transaction group that somebody else than `file` holds.
pub(super) fn oldest(file: &File) -> io::Result<Option<Txg>> {
    let mut found = None;
    let mut end = i64::MAX;
    // The system tells of one lock, not the lowest; each question asks for what lies below the answer before.
    while let Some(mut lock) = lock(libc::F_WRLCK, BASE, end.saturating_sub(BASE)) {
        match fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)) {
            Ok(_) => {}
            Err(error) if NO_LOCKS.contains(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if i32::from(lock.l_type) == libc::F_UNLCK {
            break;
        }
        // A lock that begins before all of these is not a reader's.
        let Some(txg) = u64::try_from(lock.l_start.saturating_sub(BASE)).ok() else {
            break;
        };
        found = Some(Txg(txg));
        end = lock.l_start;
    }
    Ok(found)
}

/// The byte that stands for a transaction group; none for numbers that no pool reaches.
fn byte_of(txg: Txg) -> Option<i64> {
    i64::try_from(txg.0).ok()?.checked_add(BASE)
}

/// A question for, or a wish to have, `len` bytes from `start` on; none for no bytes.
fn lock(kind: i32, start: i64, len: i64) -> Option<flock> {
    (len > 0).then_some(())?;
    Some(flock {
        l_type: i16::try_from(kind).ok()?,
        l_whence: i16::try_from(libc::SEEK_SET).ok()?,
        l_start: start,
        l_len: len,
        l_pid: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_several_readers_counts() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(place.path()).unwrap();
        let writer = File::options().read(true).write(true).open(place.path()).unwrap();
        assert_eq!(oldest(&writer).unwrap(), None);
        let (one, other, third) = (open(), open(), open());
        hold(&one, Txg(17)).unwrap();
        hold(&other, Txg(4)).unwrap();
        hold(&third, Txg(4)).unwrap();
        hold(&third, Txg(5)).unwrap();
        assert_eq!(oldest(&writer).unwrap(), Some(Txg(4)));
        drop(other);
        assert_eq!(oldest(&writer).unwrap(), Some(Txg(4)));
        release(&third, Txg(4)).unwrap();
        assert_eq!(oldest(&writer).unwrap(), Some(Txg(5)));
        drop(third);
        assert_eq!(oldest(&writer).unwrap(), Some(Txg(17)));
        drop(one);
        assert_eq!(oldest(&writer).unwrap(), None);
    }

    #[test]
    fn numbers_that_no_pool_reaches_are_passed_over() {
        let file = tempfile::tempfile().unwrap();
        hold(&file, Txg(u64::MAX)).unwrap();
        hold(&file, Txg(1 << 62)).unwrap();
        release(&file, Txg(u64::MAX)).unwrap();
    }
}
