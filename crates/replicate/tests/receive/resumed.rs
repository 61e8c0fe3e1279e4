//! Receives that are cut and gone on with: however often and wherever, the same comes out as of one that never was cut.

use std::sync::Arc;

use zferry_fixtures::example;
use zferry_replicate::receive::{Errno, ReceiveError, Request, resume_token};
use zferry_replicate::send::{self, Resolved, SendOptions, send};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{FileDisk, SimulatedDisk, WritableDisk};
use zferry_zpool::{Environment, OpenOptions, Pool, PoolWriter};
use zferry_zstream::source::Buffered;
use zferry_zstream::token::{Partial, ResumeToken};

use crate::crashed::sound;
use crate::support::Bench;

/// What is sent, from the example pool.
struct Sender {
    pool: Pool,
    to: &'static str,
    from: Option<&'static str>,
    options: SendOptions,
}

const LARGE: SendOptions = SendOptions {
    large_blocks: true,
    embedded: true,
    compressed: true,
    raw: false,
};
const PLAIN: SendOptions = SendOptions {
    large_blocks: false,
    embedded: false,
    compressed: false,
    raw: false,
};

impl Sender {
    fn all() -> Vec<Self> {
        let sender = |to, from, options| Self {
            pool: Pool::open(
                Arc::new(FileDisk::open(example().unwrap().image()).unwrap()),
                &OpenOptions::default(),
            )
            .unwrap(),
            to,
            from,
            options,
        };
        vec![
            sender("harbour/photos@monday", None, PLAIN),
            sender("harbour/log@friday", None, LARGE),
            sender("harbour/photos@tuesday", Some("harbour/photos@monday"), LARGE),
            sender("harbour/log@friday", Some("harbour/log@monday"), PLAIN),
            sender("harbour/chart@monday", None, PLAIN),
            sender("harbour/chart@tuesday", Some("harbour/chart@monday"), LARGE),
        ]
    }

    fn send_of(&self, resolved: &Resolved, options: SendOptions) -> Vec<u8> {
        let mut stream = Vec::new();
        let progress = send::Progress::default();
        send(&self.pool, &resolved.source, options, &mut stream, &progress).unwrap();
        stream
    }

    fn stream(&self) -> Vec<u8> {
        let resolved = Resolved::find(&DslPool::new(&self.pool), self.to, self.from).unwrap();
        self.send_of(&resolved, self.options)
    }

    /// The stream that goes on where `token` says.
    fn rest(&self, token: &ResumeToken) -> Vec<u8> {
        let resolved = Resolved::resume(&DslPool::new(&self.pool), token).unwrap();
        self.send_of(&resolved, PLAIN.with_token(token))
    }

    /// A pool with what the stream continues.
    fn bench(&self) -> Bench {
        let mut bench = Bench::new();
        if let Some(from) = self.from {
            let resolved = Resolved::find(&DslPool::new(&self.pool), from, None).unwrap();
            bench.receive(&self.send_of(&resolved, self.options)).unwrap();
        }
        bench
    }

    fn snapshot(&self) -> String {
        format!("new/x@{}", self.to.split_once('@').unwrap().1)
    }
}

fn resumable(request: &mut Request) {
    request.is_resumable = true;
}

impl Bench {
    fn token(&self) -> Option<ResumeToken> {
        let pool = self.pool();
        let dsl = DslPool::new(&pool);
        let head = dsl.dataset("new/x").unwrap()?;
        dsl.resume_state(&head).unwrap().map(resume_token)
    }

    /// The pool, opened for writing again.
    fn reopened(self) -> Self {
        let Self { disk, writer } = self;
        drop(writer);
        let writable: Arc<dyn WritableDisk> = disk.clone();
        let writer =
            PoolWriter::open(vec![writable], &OpenOptions::default(), Environment::fixed(2, 2)).unwrap();
        Self { disk, writer }
    }
}

fn truncated(error: &ReceiveError) -> bool {
    error.errno() == Errno::ZFS_ERR_STREAM_TRUNCATED
}

#[test]
fn what_was_cut_becomes_what_never_was() {
    for sender in Sender::all() {
        let stream = sender.stream();
        let mut whole = sender.bench();
        whole.receive(&stream).unwrap();
        let expected = whole.send(&sender.snapshot(), LARGE);
        for round in 1..8 {
            let what = format!("{} from {:?}, round {round}", sender.to, sender.from);
            let mut bench = sender.bench();
            let mut rest = stream.clone();
            // More and more cuts, in ever other places.
            for cut in 1..=round {
                let at = 700 + (rest.len() - 700) * cut / (round + 1) + cut * 7;
                let cut = &rest[..at.min(rest.len() - 1)];
                let error = bench.receive_with(cut, resumable).unwrap_err();
                assert!(truncated(&error), "{what}: {error}");
                bench = bench.reopened();
                let token = bench.token().unwrap();
                if rest.len() == stream.len() {
                    let partial = Partial::read(Buffered::new(cut)).unwrap();
                    assert_eq!(token, partial.token, "{what}");
                }
                rest = sender.rest(&token);
            }
            sound(&bench, &what);
            bench.receive_with(&rest, resumable).unwrap();
            sound(&bench, &what);
            assert!(bench.send(&sender.snapshot(), LARGE) == expected, "{what}");
            assert_eq!(bench.token(), None, "{what}");
            assert_eq!(bench.names(), whole.names(), "{what}");
        }
    }
}

#[test]
fn a_damaged_stream_is_kept_up_to_the_damage_and_one_that_ends_at_once_is_not() {
    for sender in Sender::all() {
        let mut stream = sender.stream();
        let mut bench = sender.bench();
        let before = bench.names();
        assert!(truncated(
            &bench.receive_with(&stream[..500], resumable).unwrap_err()
        ));
        assert_eq!(bench.names(), before);
        let middle = stream.len() / 2;
        stream[middle] ^= 1;
        let error = bench.receive_with(&stream, resumable).unwrap_err();
        assert_eq!(error.errno(), Errno::ECKSUM, "{error}");
        let token = bench.token().unwrap();
        bench.receive(&sender.rest(&token)).unwrap();
        assert_eq!(bench.token(), None);
    }
}

/// A receive that cannot be resumed does not leave what one that could did.
#[test]
fn without_the_wish_to_keep_it_nothing_is_kept() {
    for sender in Sender::all() {
        let stream = sender.stream();
        let mut bench = sender.bench();
        let before = bench.names();
        let cut = &stream[..stream.len() / 2];
        bench.receive_with(cut, resumable).unwrap_err();
        assert_ne!(bench.names(), before);
        let busy = bench.receive(&stream).unwrap_err();
        assert_eq!(busy.errno(), Errno::EBUSY);
        let rest = sender.rest(&bench.token().unwrap());
        assert!(truncated(&bench.receive(&rest[..rest.len() - 400]).unwrap_err()));
        assert_eq!(bench.names(), before);
        sound(&bench, sender.to);
        bench.receive(&stream).unwrap();
    }
}

#[test]
fn a_stream_that_does_not_go_on_there_is_refused_and_what_was_kept_stays() {
    let senders = Sender::all();
    let [full, other, incremental, ..] = &senders[..] else {
        unreachable!()
    };
    let mut bench = full.bench();
    let stream = full.stream();
    let cut = |part| &stream[..stream.len() * part / 3];
    bench.receive_with(cut(1), resumable).unwrap_err();
    let token = bench.token().unwrap();
    let mut ahead = full.bench();
    ahead.receive_with(cut(2), resumable).unwrap_err();
    let elsewhere = full.rest(&ahead.token().unwrap());
    let stranger = other.rest(&ResumeToken {
        to_name: other.to.to_owned(),
        to_guid: Resolved::find(&DslPool::new(&other.pool), other.to, None)
            .unwrap()
            .source
            .guid,
        object: 1,
        ..ResumeToken::default()
    });
    for (what, stream) in [("another place", elsewhere), ("another snapshot", stranger)] {
        let error = bench.receive_with(&stream, resumable).unwrap_err();
        assert_eq!(error.errno(), Errno::EINVAL, "{what}: {error}");
        assert_eq!(bench.token().as_ref(), Some(&token), "{what}");
    }
    let rest = full.rest(&token);
    bench.receive(&rest).unwrap();
    let error = bench.receive(&rest).unwrap_err();
    assert_eq!(error.errno(), Errno::EINVAL, "nothing to resume: {error}");
    let mut empty = full.bench();
    assert_eq!(empty.receive(&rest).unwrap_err().errno(), Errno::ENOENT);

    // Over what is there, only with force, as it was begun.
    let mut bench = incremental.bench();
    let forced = |request: &mut Request| {
        "other".clone_into(&mut request.destination.snapshot);
        request.is_forced = true;
        request.is_resumable = true;
    };
    bench.receive_with(cut(1), forced).unwrap_err();
    let rest = full.rest(&bench.token().unwrap());
    let error = bench.receive_with(&rest, resumable).unwrap_err();
    assert_eq!(error.errno(), Errno::ZFS_ERR_RESUME_EXISTS);
    bench.receive_with(&rest, forced).unwrap();
    assert_eq!(bench.names(), ["new", "new/x", "new/x@other"]);
    sound(&bench, "forced");
}

/// What is found after a loss of power can be gone on with, and is no more than what was told.
#[test]
fn a_loss_of_power_leaves_what_can_be_gone_on_with() {
    for sender in Sender::all().into_iter().skip(1).step_by(2) {
        let stream = sender.stream();
        let mut whole = sender.bench();
        let before = whole.disk.operations();
        whole.receive_with(&stream, resumable).unwrap();
        let operations = whole.disk.operations() - before;
        let expected = whole.send(&sender.snapshot(), LARGE);
        let mut gone_on = 0;
        for point in 0..24 {
            let bench = sender.bench();
            bench.disk.fail_after(operations * point / 24);
            let mut bench = bench;
            bench.receive_with(&stream, resumable).unwrap_err();
            let disk: Arc<SimulatedDisk> = Arc::new(bench.disk.crash(point * 7919 + 1));
            let writable: Arc<dyn WritableDisk> = disk.clone();
            let options = OpenOptions::default();
            let writer = PoolWriter::open(vec![writable], &options, Environment::fixed(2, 2)).unwrap();
            let mut bench = Bench { disk, writer };
            let what = format!("{}: after {point} of 24 of {operations} operations", sender.to);
            bench.writer.commit().unwrap();
            sound(&bench, &what);
            let rest = match bench.token() {
                Some(token) => {
                    gone_on += 1;
                    sender.rest(&token)
                }
                None => stream.clone(),
            };
            if !bench.names().contains(&sender.snapshot()) {
                bench.receive_with(&rest, resumable).unwrap();
            }
            sound(&bench, &what);
            assert!(bench.send(&sender.snapshot(), LARGE) == expected, "{what}");
        }
        assert!(gone_on > 0, "{}", sender.to);
    }
}

/// `send --saved` of what was kept here, received elsewhere, goes on there.
#[test]
fn what_was_kept_can_be_sent_on() {
    for sender in Sender::all() {
        let stream = sender.stream();
        let mut first = sender.bench();
        first
            .receive_with(&stream[..stream.len() * 2 / 3], resumable)
            .unwrap_err();
        let pool = first.pool();
        let (saved, state) = Resolved::saved(&DslPool::new(&pool), "new/x").unwrap();
        let mut moved = Vec::new();
        let progress = send::Progress::default();
        let options = PLAIN.with_state(&state);
        send(&pool, &saved.source, options, &mut moved, &progress).unwrap();
        let mut second = sender.bench();
        let error = second.receive_with(&moved, resumable).unwrap_err();
        assert!(truncated(&error), "{error}");
        let token = second.token().unwrap();
        assert_eq!((token.to_guid, token.from_guid), (state.to_guid, state.from_guid));
        let rest = sender.rest(&token);
        second.receive_with(&rest, resumable).unwrap();
        sound(&second, sender.to);
        let mut whole = sender.bench();
        whole.receive(&stream).unwrap();
        let snapshot = sender.snapshot();
        assert!(
            second.send(&snapshot, LARGE) == whole.send(&snapshot, LARGE),
            "{}",
            sender.to
        );
    }
}
