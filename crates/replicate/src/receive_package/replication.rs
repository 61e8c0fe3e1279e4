//! Makes a tree like the one that was sent, as `recv_incremental_replication` in `lib/libzfs/libzfs_sendrecv.c` does it.
//!
//! All datasets are looked at, one after another, by what they were when the pass began, and each change is committed by
//! itself. What is in the way of another name is put aside under `recv-…`, so that names can be exchanged; there are passes
//! until nothing is left to do, or nothing can be done. A dataset whose new parent is only in the package is put aside
//! until that has been received.

use super::local::{LocalDataset, LocalTree};
use super::{Event, PackageHeader, SentDataset};
use crate::receive::{Errno, ReceiveError, set_received_properties};
use std::collections::HashSet;
use zferry_zpool::dsl::{DslPool, check_entity_name};
use zferry_zpool::{Error, PoolWriter};

/// What names begin with that are put aside.
const ASIDE: &str = "recv-";
/// How often the tree is gone through at most. A header can ask for what each pass undoes.
const PASSES_MAX: u32 = 256;

/// What came of a replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tree has nothing left to be changed.
    Done,
    /// Something could not be changed.
    Left,
}

/// Makes what is below one dataset like what was sent.
pub struct Replication<'a> {
    header: &'a PackageHeader<'a>,
    from: &'a str,
    top: &'a str,
    is_forced: bool,
    names_top: bool,
    spares_unfinished: bool,
    process: u32,
    sequence: u32,
    notify: &'a mut dyn FnMut(&Event),
}

/// How a pass went.
#[derive(Clone, Copy, Debug, Default)]
struct Pass {
    /// Whether something is left to be done.
    needs_more: bool,
    /// Whether something was done.
    progress: bool,
}

impl Pass {
    fn add(&mut self, is_done: bool) {
        if is_done {
            self.progress = true;
        } else {
            self.needs_more = true;
        }
    }
}

/// What comes next in a pass.
enum Next {
    /// The next dataset.
    Dataset,
    /// All of them once more: what is known of the tree is wrong.
    Pass,
    /// Nothing any more.
    Stop,
}

impl<'a> Replication<'a> {
    /// Prepares for the tree at `top`, where `header` is that of an incremental package; `None` where it is none.
    ///
    /// `is_forced`: what the sender does not have goes. `names_top`: the top gets its sender's name, too. What is put aside
    /// has the number `process` in its name.
    pub fn new(
        header: &'a PackageHeader<'a>,
        top: &'a str,
        is_forced: bool,
        names_top: bool,
        process: u32,
        notify: &'a mut dyn FnMut(&Event),
    ) -> Option<Self> {
        let from = header.from.filter(|_| header.is_recursive)?;
        Some(Self {
            header,
            from,
            top,
            is_forced,
            names_top,
            spares_unfinished: false,
            process,
            sequence: 0,
            notify,
        })
    }

    /// Whether datasets are passed over of which a receive was interrupted that another stream is to go on with. They have
    /// no snapshots yet by which they could be known, so they would go with what the sender does not have.
    pub const fn spare_unfinished(&mut self, spares: bool) {
        self.spares_unfinished = spares;
    }

    /// Does what can be done.
    ///
    /// # Errors
    /// Where the pool cannot be read or written.
    pub fn run(&mut self, writer: &mut PoolWriter) -> Result<Outcome, ReceiveError> {
        for _ in 0..PASSES_MAX {
            let gathered = LocalTree::gather(
                &DslPool::new(writer.pool()),
                self.top,
                self.from,
                self.spares_unfinished,
            )?;
            let Some(tree) = gathered else {
                (self.notify)(&Event::Missing(self.top.to_owned()));
                return Ok(Outcome::Left);
            };
            let mut pass = Pass::default();
            let mut gone = HashSet::new();
            for dataset in &tree.datasets {
                match self.dataset(writer, &tree, dataset, &mut gone, &mut pass)? {
                    Next::Dataset => {}
                    Next::Pass => break,
                    Next::Stop => return Ok(Outcome::Left),
                }
            }
            if !(pass.needs_more && pass.progress) {
                return Ok(if pass.needs_more {
                    Outcome::Left
                } else {
                    Outcome::Done
                });
            }
            (self.notify)(&Event::AnotherPass);
        }
        Ok(Outcome::Left)
    }

    /// One dataset of a pass. `gone` has the guids of snapshots that were destroyed in it.
    fn dataset(
        &mut self,
        writer: &mut PoolWriter,
        tree: &LocalTree,
        dataset: &LocalDataset,
        gone: &mut HashSet<u64>,
        pass: &mut Pass,
    ) -> Result<Next, ReceiveError> {
        let header: &'a PackageHeader<'a> = self.header;
        let mut snapshots = dataset.snapshots.iter();
        let sent = snapshots.find_map(|(_, guid)| header.find(*guid));
        if let Some((sent, _)) = sent
            && sent.origin != dataset.origin
        {
            return self.promote(writer, tree, dataset, sent, pass);
        }
        let (sent, source) = self.snapshots(writer, dataset, gone, pass)?;
        let Some(sent) = sent else {
            if self.is_forced {
                pass.add(self.destroy(writer, &dataset.name, self.top.len().saturating_add(1))?);
                gone.insert(dataset.parent_guid);
            }
            return Ok(Next::Dataset);
        };
        if !source {
            (self.notify)(&Event::NoSource {
                dataset: dataset.name.clone(),
                from: self.from.to_owned(),
            });
            return Ok(Next::Dataset);
        }
        let is_moved =
            sent.parent_guid != 0 && dataset.parent_guid != 0 && sent.parent_guid != dataset.parent_guid;
        if is_moved && gone.contains(&dataset.parent_guid) {
            // What it lies in is not what it was.
            *pass = Pass {
                needs_more: true,
                progress: true,
            };
            return Ok(Next::Pass);
        }
        let own_name = self.names_top || self.top != dataset.name;
        let differs = match (last(&dataset.name), last(sent.name)) {
            (Some(here), Some(there)) => here != there,
            _ => false,
        };
        if is_moved || (own_name && differs) {
            self.move_dataset(writer, tree, dataset, sent, pass)?;
        }
        Ok(Next::Dataset)
    }

    /// A dataset whose origin is another than its sender's takes its origin over, if that can be it.
    fn promote(
        &mut self,
        writer: &mut PoolWriter,
        tree: &LocalTree,
        dataset: &LocalDataset,
        sent: &SentDataset<'_>,
        pass: &mut Pass,
    ) -> Result<Next, ReceiveError> {
        // What is known of its snapshots is wrong, or will be.
        pass.needs_more = true;
        if dataset.origin == 0 {
            return Ok(Next::Dataset);
        }
        if sent.origin != 0 {
            let (Some(there), Some(here)) = (tree.made(sent.origin), tree.made(dataset.origin)) else {
                return Ok(Next::Stop);
            };
            if there < here {
                return Ok(Next::Stop);
            }
            if there == here {
                return Ok(Next::Dataset);
            }
        }
        (self.notify)(&Event::Promoting(dataset.name.clone()));
        let done = change(writer, |writer| {
            let id = writer.find(&dataset.name)?;
            writer.promote(id).map(|()| true)
        })?;
        pass.progress |= done.is_ok();
        Ok(Next::Dataset)
    }

    /// The snapshots of a dataset. Says what its sender has of it, and whether it has the incremental source.
    fn snapshots(
        &mut self,
        writer: &mut PoolWriter,
        dataset: &LocalDataset,
        gone: &mut HashSet<u64>,
        pass: &mut Pass,
    ) -> Result<(Option<&'a SentDataset<'a>>, bool), ReceiveError> {
        let header: &'a PackageHeader<'a> = self.header;
        let (mut last_sent, mut has_source) = (None, false);
        for (short, guid) in &dataset.snapshots {
            let name = format!("{}@{short}", dataset.name);
            let base = dataset.name.len().saturating_add(1);
            let Some((sent, sent_short)) = header.find(*guid) else {
                if self.is_forced {
                    pass.add(self.destroy(writer, &name, base)?);
                    gone.insert(*guid);
                }
                continue;
            };
            last_sent = Some(sent);
            if let Some(list) = sent.snapshot_properties(sent_short) {
                // What cannot be set does not matter here.
                let _ = change(writer, |writer| set_received_properties(writer, &name, list))?;
            }
            if *short != *sent_short {
                let wanted = format!("{}@{sent_short}", dataset.name);
                pass.add(self.rename(writer, &name, Some(&wanted), base)?);
            }
            has_source |= sent_short == self.from;
        }
        Ok((last_sent, has_source))
    }

    /// Gives a dataset the place and the name that its sender has for it.
    fn move_dataset(
        &mut self,
        writer: &mut PoolWriter,
        tree: &LocalTree,
        dataset: &LocalDataset,
        sent: &SentDataset<'_>,
        pass: &mut Pass,
    ) -> Result<(), ReceiveError> {
        let wanted = match (tree.holder(sent.parent_guid), last(sent.name)) {
            (Some(parent), Some(component)) => format!("{}/{component}", parent.name),
            _ => {
                (self.notify)(&Event::NoParent(dataset.name.clone()));
                String::new()
            }
        };
        let base = self.top.len().saturating_add(1);
        pass.add(self.rename(writer, &dataset.name, Some(&wanted), base)?);
        Ok(())
    }

    /// Destroys a snapshot or a dataset, or puts it aside. Says whether it is gone. What stands in its name behind the first
    /// `base` bytes is changed where it is put aside.
    fn destroy(&mut self, writer: &mut PoolWriter, name: &str, base: usize) -> Result<bool, ReceiveError> {
        if !is_there(writer, name)? {
            (self.notify)(&Event::Missing(name.to_owned()));
            return Ok(false);
        }
        (self.notify)(&Event::Destroying(name.to_owned()));
        let is_snapshot = name.contains('@');
        let done = change(writer, |writer| {
            if is_snapshot {
                let number = writer.find_snapshot(name)?;
                return writer.destroy_snapshot(number, true).map(|()| true);
            }
            check_alone(writer, name)?;
            let id = writer.find(name)?;
            writer.destroy_head(id).map(|()| true)
        })?;
        if done.is_ok() {
            (self.notify)(&Event::Success);
            // What has holds or clones only waits for its end.
            if !(is_snapshot && is_there(writer, name)?) {
                return Ok(true);
            }
        }
        self.rename(writer, name, None, base)
    }

    /// Gives a snapshot or a dataset another name, or puts it aside. Says whether it has the name that was wanted.
    fn rename(
        &mut self,
        writer: &mut PoolWriter,
        name: &str,
        wanted: Option<&str>,
        base: usize,
    ) -> Result<bool, ReceiveError> {
        if !is_there(writer, name)? {
            (self.notify)(&Event::Missing(name.to_owned()));
            return Ok(false);
        }
        let done = match wanted {
            Some(wanted) => {
                (self.notify)(&Event::Renaming {
                    from: name.to_owned(),
                    to: wanted.to_owned(),
                });
                give_name(writer, name, wanted)?
            }
            None => Err(Errno(0)),
        };
        let errno = match done {
            Ok(()) => {
                (self.notify)(&Event::Success);
                return Ok(true);
            }
            Err(errno) => errno,
        };
        let (before, behind) = name.split_at_checked(base).unwrap_or((name, ""));
        if behind.starts_with(ASIDE) {
            (self.notify)(&Event::Failed(errno.0));
            return Ok(false);
        }
        self.sequence = self.sequence.saturating_add(1);
        let aside = format!("{before}{ASIDE}{}-{}", self.process, self.sequence);
        (self.notify)(&Event::PuttingAside {
            from: name.to_owned(),
            to: aside.clone(),
        });
        if let Err(errno) = give_name(writer, name, &aside)? {
            (self.notify)(&Event::NotPutAside(errno.0));
        }
        Ok(false)
    }
}

/// The last component of a name; `None` for that of a pool.
fn last(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(_, component)| component)
}

fn is_there(writer: &PoolWriter, name: &str) -> Result<bool, Error> {
    Ok(DslPool::new(writer.pool()).dataset(name)?.is_some())
}

/// Whether nothing depends on a dataset.
fn check_alone(writer: &PoolWriter, name: &str) -> Result<(), Error> {
    let dsl = DslPool::new(writer.pool());
    let Some(head) = dsl.dataset(name)? else {
        return Err(Error::Missing(format!("dataset '{name}'")));
    };
    if dsl.snapshots(&head)?.is_empty() && dsl.children(&head.dir)?.is_empty() {
        return Ok(());
    }
    Err(Error::Exists(format!("something below '{name}'")))
}

fn give_name(writer: &mut PoolWriter, name: &str, wanted: &str) -> Result<Result<(), Errno>, ReceiveError> {
    // The sender's names are not to be trusted.
    if !wanted.is_empty() && (wanted.contains('%') || check_entity_name(wanted).is_err()) {
        return Ok(Err(Errno::EINVAL));
    }
    change(writer, |writer| match name.split_once('@') {
        Some((dataset, short)) => {
            let wanted = wanted.split_once('@').map_or(wanted, |(_, wanted)| wanted);
            let head = writer.find(dataset)?;
            writer.rename_snapshot(head, short, wanted).map(|()| true)
        }
        None if wanted.is_empty() => Err(Error::Missing(format!("a place for '{name}'"))),
        None => writer.rename_dataset(name, wanted).map(|()| true),
    })
}

/// Changes the pool and commits, if `act` says that there is something to be committed; or leaves it as it was and says
/// why.
fn change(
    writer: &mut PoolWriter,
    act: impl FnOnce(&mut PoolWriter) -> Result<bool, Error>,
) -> Result<Result<(), Errno>, ReceiveError> {
    match act(writer) {
        Ok(is_changed) => {
            if is_changed {
                writer.commit()?;
            }
            Ok(Ok(()))
        }
        Err(error) => {
            writer.discard()?;
            Ok(Err(ReceiveError::Pool(error).errno()))
        }
    }
}
