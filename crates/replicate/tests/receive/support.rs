//! Pools in memory, received into and sent from.

use std::sync::Arc;

use zferry_replicate::receive::{
    Destination, Incoming, Naming, Progress, ReceiveError, Received, Request, receive,
};
use zferry_replicate::send::{self, Resolved, SendOptions, send};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{SimulatedDisk, WritableDisk};
use zferry_zpool::{CreateOptions, Environment, OpenOptions, Pool, PoolLayout, PoolWriter, TopLayout};
use zferry_zstream::source::Buffered;

const DISK_BYTES: u64 = 4 << 30;

/// A pool `new` on a disk in memory.
pub(crate) struct Bench {
    pub(crate) disk: Arc<SimulatedDisk>,
    pub(crate) writer: PoolWriter,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let disk = Arc::new(SimulatedDisk::new("disk", DISK_BYTES));
        let writable: Arc<dyn WritableDisk> = disk.clone();
        let layout = PoolLayout {
            tops: vec![TopLayout {
                disks: vec![writable],
            }],
        };
        let options = CreateOptions::new("new");
        let writer = PoolWriter::create(&layout, &options, Environment::fixed(1, 1)).unwrap();
        Self { disk, writer }
    }

    /// Receives a stream as `new/x`.
    pub(crate) fn receive(&mut self, stream: &[u8]) -> Result<Received, ReceiveError> {
        self.receive_below(stream, &[])
    }

    /// Receives a stream as `new/x`, unless `change` wants something else.
    pub(crate) fn receive_with(
        &mut self,
        stream: &[u8],
        change: impl FnOnce(&mut Request),
    ) -> Result<Received, ReceiveError> {
        let mut incoming = Incoming::open(Buffered::new(stream))?;
        let sent = incoming.begin().to_name.to_string();
        let mut request = Request::new(Destination::new("new/x", Naming::Exact, &sent).unwrap());
        change(&mut request);
        receive(&mut self.writer, &mut incoming, &request, &Progress::default())
    }

    /// Receives a stream as `x` below the last of `parents`, which are made.
    pub(crate) fn receive_below(
        &mut self,
        stream: &[u8],
        parents: &[String],
    ) -> Result<Received, ReceiveError> {
        let mut incoming = Incoming::open(Buffered::new(stream))?;
        let sent = incoming.begin().to_name.to_string();
        let above = parents.last().map_or("new", String::as_str);
        let destination = Destination::new(&format!("{above}/x"), Naming::Exact, &sent).unwrap();
        let request = Request {
            parents: parents.to_vec(),
            ..Request::new(destination)
        };
        receive(&mut self.writer, &mut incoming, &request, &Progress::default())
    }

    /// The datasets and snapshots of the pool, as it lies on the disk.
    pub(crate) fn names(&self) -> Vec<String> {
        let pool = self.pool();
        let dsl = DslPool::new(&pool);
        let mut names = Vec::new();
        let mut waiting = vec!["new".to_owned()];
        while let Some(name) = waiting.pop() {
            let head = dsl.dataset(&name).unwrap().unwrap();
            for (snapshot, _) in dsl.snapshots(&head).unwrap() {
                names.push(format!("{name}@{snapshot}"));
            }
            for (child, _) in dsl.children(&head.dir).unwrap() {
                if !child.starts_with('$') {
                    waiting.push(format!("{name}/{child}"));
                }
            }
            names.push(name);
        }
        names.sort();
        names
    }

    /// The pool as it lies on the disk.
    pub(crate) fn pool(&self) -> Pool {
        Pool::open(self.disk.clone(), &OpenOptions::default()).unwrap()
    }

    /// Sends a snapshot.
    pub(crate) fn send(&self, snapshot: &str, options: SendOptions) -> Vec<u8> {
        let pool = self.pool();
        let dsl = DslPool::new(&pool);
        let resolved = Resolved::find(&dsl, snapshot, None).unwrap();
        let mut stream = Vec::new();
        let progress = send::Progress::default();
        send(&pool, &resolved.source, options, &mut stream, &progress).unwrap();
        stream
    }
}
