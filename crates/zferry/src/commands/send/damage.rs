//! `zferry send --skip-damaged`: what could not be read is told block by block, with the file that it belongs to.

use std::io::{self, Write};

use zferry_replicate::send::{
    Damage, DamagedPart, PATTERN, Progress, SendError, SendOptions, Sent, Source, send, send_skipping_damage,
};
use zferry_zpl::FileSystem;
use zferry_zpool::{ObjectNumber, Pool};

use super::Args;

/// How many bytes of a block of dnodes an object's number stands for.
const SLOT_BYTES: u64 = 512;

/// Sends a snapshot, over what cannot be read if that was asked for.
pub(super) fn send_as_asked(
    pool: &Pool,
    args: &Args,
    source: &Source,
    options: SendOptions,
    output: &mut dyn Write,
    progress: &Progress,
) -> Result<Sent, SendError> {
    if !args.skip_damaged {
        return send(pool, source, options, output, progress);
    }
    let keyed = source.keyed_reader(pool);
    let reader = keyed.as_ref().unwrap_or(pool.reader());
    let mut told = Told {
        snapshot: &source.name,
        parsable: args.parsable,
        ..Told::default()
    };
    let mut files = None;
    let mut last: Option<(ObjectNumber, Option<String>)> = None;
    let sent = send_skipping_damage(pool, source, options, output, progress, &mut |damage| {
        let path = match &last {
            Some((object, path)) if *object == damage.object => path.clone(),
            _ => {
                // Whatever stands in the way of the path, the block is told of without.
                let files =
                    files.get_or_insert_with(|| FileSystem::open(reader, &source.root).ok().flatten());
                let path = files
                    .as_ref()
                    .and_then(|files| files.path_of(damage.object).ok()?)
                    .map(|path| printable(&path));
                last = Some((damage.object, path.clone()));
                path
            }
        };
        told.tell(&damage, path.as_deref());
    })?;
    told.sum_up();
    Ok(sent)
}

/// What was told of one snapshot.
#[derive(Default)]
struct Told<'a> {
    snapshot: &'a str,
    parsable: bool,
    blocks: u64,
    ranges: u64,
    dnode_blocks: u64,
}

impl Told<'_> {
    fn tell(&mut self, damage: &Damage, path: Option<&str>) {
        let count = match damage.part {
            DamagedPart::Block { .. } | DamagedPart::Spill { .. } => &mut self.blocks,
            DamagedPart::Range { .. } => &mut self.ranges,
            DamagedPart::Objects { .. } => &mut self.dnode_blocks,
        };
        *count = count.saturating_add(1);
        let line = if self.parsable {
            columns(self.snapshot, damage, path)
        } else {
            sentence(self.snapshot, damage, path)
        };
        // Standard error may be gone; the stream is worth more.
        let _ = writeln!(io::stderr(), "{line}");
    }

    fn sum_up(&self) {
        if self.parsable || self.blocks.max(self.ranges).max(self.dnode_blocks) == 0 {
            return;
        }
        let mut parts = Vec::new();
        if self.blocks > 0 {
            let pattern = format_args!("{PATTERN:#x}");
            parts.push(format!(
                "{} sent as {pattern} repeated",
                some(self.blocks, "block")
            ));
        }
        if self.ranges > 0 {
            parts.push(format!("{} of files left out", some(self.ranges, "range")));
        }
        if self.dnode_blocks > 0 {
            parts.push(format!(
                "{} of objects left out",
                some(self.dnode_blocks, "block")
            ));
        }
        let _ = writeln!(
            io::stderr(),
            "warning: '{}' was sent damaged: {}",
            self.snapshot,
            parts.join(", ")
        );
    }
}

fn some(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn sentence(snapshot: &str, damage: &Damage, path: Option<&str>) -> String {
    let Damage { object, part, error } = damage;
    let what = match (part, path) {
        (DamagedPart::Objects { .. }, _) => part.to_string(),
        (part, Some(path)) => format!("object {object} ({path}), {part}"),
        (part, None) => format!("object {object}, {part}"),
    };
    format!("warning: cannot read '{snapshot}', {what}: {error}")
}

/// For programs: `damaged`, the snapshot, the object, offset, length and the path, divided by tabs. A spill block has no
/// offset, and what has no known path a `-`.
fn columns(snapshot: &str, damage: &Damage, path: Option<&str>) -> String {
    let (offset, length) = match damage.part {
        DamagedPart::Block { offset, length } | DamagedPart::Range { offset, length } => {
            (offset.to_string(), length)
        }
        DamagedPart::Spill { length } => ("spill".to_owned(), length),
        DamagedPart::Objects { first, count } => (
            first.0.saturating_mul(SLOT_BYTES).to_string(),
            count.saturating_mul(SLOT_BYTES),
        ),
    };
    let (object, path) = (damage.object, path.unwrap_or("-"));
    format!("damaged\t{snapshot}\t{object}\t{offset}\t{length}\t{path}")
}

/// A path that stays on its line: what is no text, control characters and the backslash as `zfs diff` writes them.
pub(crate) fn printable(path: &[u8]) -> String {
    let mut text = String::new();
    let octal = |text: &mut String, byte: u8| text.push_str(&format!("\\{byte:04o}"));
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' {
                let mut bytes = [0; 4];
                let bytes = character.encode_utf8(&mut bytes).bytes();
                bytes.for_each(|byte| octal(&mut text, byte));
            } else {
                text.push(character);
            }
        }
        chunk.invalid().iter().for_each(|byte| octal(&mut text, *byte));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_on_its_line() {
        assert_eq!(printable("/Bücher/a b".as_bytes()), "/Bücher/a b");
        assert_eq!(printable(b"/a\nb\\\xff"), "/a\\0012b\\0134\\0377");
    }
}
