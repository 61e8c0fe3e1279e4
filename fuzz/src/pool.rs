//! Lists and sends of a pool whose metadata lies.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;

use zferry_replicate::send::{Progress, Resolved, SendOptions, send};
use zferry_zpool::dsl::property::Property;
use zferry_zpool::dsl::{DslDir, DslPool, Entity, EntityKind};
use zferry_zpool::{Error, Pool};

use crate::example::{Input, open, soft_pool};

/// What is sent, and from what.
const SENDS: [(&str, Option<&str>); 6] = [
    ("harbour/photos@monday", None),
    ("harbour/log@friday", Some("harbour/log@monday")),
    ("harbour/archive@monday", None),
    ("harbour/draft@proof", Some("harbour/log@monday")),
    ("harbour/chart@tuesday", None),
    ("harbour/photos@friday", Some("harbour/photos#monday")),
];

/// A stream of the example is shorter than this, in bytes; what goes on is not waited for.
const STREAM_MAX: usize = 16 << 20;

/// Takes the first byte for what to do, and the rest for changes of the pool's metadata (which block, where in it, how
/// many bytes, which). Then lists everything that there is, or sends something.
pub fn pool(bytes: &[u8]) {
    let mut image = soft_pool().image.clone();
    let blocks = &soft_pool().blocks;
    let mut input = Input(bytes);
    let what = usize::from(input.u8());
    while !input.is_empty() {
        let block = blocks[usize::from(input.u16()) % blocks.len()];
        let place = usize::from(input.u16()) % block.len;
        let len = usize::from(input.u8() & 0xf);
        image.write(block.offset + place as u64, input.take(len));
    }
    let Ok(pool) = open(image) else { return };
    match SENDS.get(what % 8) {
        Some(&(to, from)) => send_it(&pool, to, from, what),
        None => {
            let _ = list(&pool);
        }
    }
}

fn send_it(pool: &Pool, to: &str, from: Option<&str>, what: usize) {
    let dsl = DslPool::new(pool);
    let Ok(resolved) = Resolved::find(&dsl, to, from) else {
        return;
    };
    let mut options = SendOptions::default();
    options.large_blocks = what & 8 != 0;
    options.embedded = what & 16 != 0;
    options.compressed = what & 32 != 0;
    if what & 64 != 0 {
        let _ = resolved.estimate(&dsl, options);
    }
    let mut sink = Sink(STREAM_MAX);
    if let Err(error) = send(pool, &resolved.source, options, &mut sink, &Progress::default()) {
        assert!(!error.to_string().is_empty());
    }
}

/// Takes so many bytes and then fails.
struct Sink(usize);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self
            .0
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        self.0 = left;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Looks at everything that there is to see.
fn list(pool: &Pool) -> Result<(), Error> {
    let dsl = DslPool::new(pool);
    let _ = (
        pool.usage(),
        pool.usable_space(),
        pool.freeing(),
        pool.has_checkpoint(),
    );
    let mut below = vec![dsl.root()?];
    let mut seen = HashSet::new();
    while let Some(dir) = below.pop() {
        if !seen.insert(dir.number) {
            continue;
        }
        let _ = look(&dsl, &dir);
        for (name, number) in dsl.children(&dir).unwrap_or_default() {
            below.extend(dsl.dir_of(&dir, &name, number));
        }
    }
    Ok(())
}

fn look(dsl: &DslPool<'_>, dir: &Arc<DslDir>) -> Result<(), Error> {
    let Some(head) = dsl.head(dir)? else { return Ok(()) };
    let _ = dsl.resume_state(&head);
    for (name, number) in dsl.snapshots(&head)? {
        let snapshot = dsl.snapshot_of(&head, &name, number)?;
        let _ = (dsl.holds(&snapshot), dsl.is_before(&head, &snapshot));
        let _ = dsl.entity_of(snapshot).map(|snapshot| properties(dsl, &snapshot));
    }
    let kind = dsl.head_type(&head)?;
    for bookmark in dsl.bookmarks(&head)? {
        properties(
            dsl,
            &Entity {
                kind: EntityKind::Bookmark(bookmark),
                head_type: kind,
            },
        );
    }
    properties(dsl, &dsl.entity_of(head)?);
    Ok(())
}

fn properties(dsl: &DslPool<'_>, entity: &Entity) {
    for property in Property::ALL {
        let _ = dsl.property(entity, *property);
    }
    if let Some(dataset) = entity.dataset() {
        let _ = dsl.user_settings(dataset);
    }
}
