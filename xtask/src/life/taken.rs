//! What of a pool is taken, object by object. When all that lived in it is destroyed, no dataset has more than in the
//! beginning, nothing waits to be freed, and what the pool's own objects have grown by is known for what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::world::{LIFE, World};
use crate::tools::output;

/// The types of the pool's own objects that a life leaves larger, and how much space it may be, in bytes.
const GROWING: &[(&str, u64)] = &[
    // Logs of what was given and taken, made anew only when that makes them much smaller; of each part of the pool that
    // was written to, one. OpenZFS makes them with large blocks.
    ("SPA space map", 16 << 20),
    // What was done.
    ("SPA history", 1 << 20),
    // The table of all objects never becomes shorter than the highest number that an object had needs.
    ("DMU dnode", 1 << 20),
    // Tables keep the size that they had when they were fullest.
    ("object directory", 128 << 10),
    ("zap", 128 << 10),
    // What the last groups gave back stands in a list until the next one takes it from there.
    ("bpobj", 48 << 10),
    // The root keeps the properties that it was given, and tables of none what they had when they were fullest.
    ("DSL props", 64 << 10),
];
/// How many more objects of these types there may be: space maps of parts that had none, and their logs, of which the
/// open one and a table go on; the pool's log of errors.
const MORE: &[(&str, u64)] = &[("SPA space map", 40), ("zap", 2)];
/// What the block of the set of all objects may take more, its copies together, in bytes.
const SET_MAX: u64 = 24 << 10;
/// How much the last group may have given back: blocks of the pool's own, which are taken until the next.
const DEFERRED_MAX: u64 = 128 << 10;

/// Objects of one type.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    objects: u64,
    bytes: u64,
}

/// What of the pool is taken.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// Space.
    pub(super) bytes: u64,
    /// What waits to be freed, in bytes.
    freeing: u64,
    /// What the root and all below it take, in bytes.
    used: u64,
    /// What the root itself takes, in bytes.
    own: u64,
    /// How many datasets and snapshots there are.
    datasets: usize,
    /// The pool's own objects: those of datasets, lists and tables are among them.
    kinds: BTreeMap<String, Kind>,
}

impl Taken {
    pub(super) fn of(world: &World) -> Result<Self> {
        let number = |words: &[&str]| -> Result<u64> {
            let mut command: Command = world.zferry(LIFE);
            Ok(output(command.args(words).arg(LIFE))?.trim().parse()?)
        };
        let mut command: Command = world.zferry(LIFE);
        let listed = output(command.args(["list", "-H", "-r", "-t", "all", "-o", "name", LIFE]))?;
        let mut command = Command::new("zdb");
        command.args(["-e", "-p"]).arg(world.folder(LIFE));
        let said = output(command.args(["-P", "-dd", LIFE]))?;
        Ok(Self {
            bytes: number(&["pool", "get", "-Hp", "-o", "value", "allocated"])?,
            freeing: number(&["pool", "get", "-Hp", "-o", "value", "freeing"])?,
            used: number(&["get", "-Hp", "-o", "value", "used"])?,
            own: number(&["get", "-Hp", "-o", "value", "usedbydataset"])?,
            datasets: listed.lines().count(),
            kinds: kinds(&said).context("zdb tells of no objects")?,
        })
    }

    fn kind(&self, name: &str) -> Kind {
        self.kinds.get(name).copied().unwrap_or_default()
    }

    /// How many objects of the pool's own there are.
    pub(super) fn objects(&self) -> u64 {
        let objects = self.kinds.values().map(|kind| kind.objects);
        objects.fold(0, u64::saturating_add)
    }

    /// Holds what is left in the end to what there was in the beginning, and says what has grown.
    pub(super) fn left_of(&self, before: &Self) -> Result<Left> {
        ensure!(self.datasets == 1, "{} datasets are left", self.datasets);
        ensure!(self.freeing == 0, "{} bytes are still to be freed", self.freeing);
        ensure!(
            self.own <= before.own,
            "the root takes {} bytes, {} in the beginning",
            self.own,
            before.own
        );
        let mut left = Left::default();
        let mut explained = SET_MAX;
        let names: BTreeSet<&String> = self.kinds.keys().chain(before.kinds.keys()).collect();
        for name in names {
            let (then, now) = (before.kind(name), self.kind(name));
            let objects = now.objects.saturating_sub(then.objects);
            let bytes = now.bytes.saturating_sub(then.bytes);
            let most = |of: &[(&str, u64)]| of.iter().find(|kind| kind.0 == name).map_or(0, |kind| kind.1);
            ensure!(
                objects <= most(MORE) && bytes <= most(GROWING),
                "{objects} objects of type '{name}' and {bytes} bytes in them are left: {then:?}, {now:?}"
            );
            explained = explained.saturating_add(bytes);
            if objects > 0 || bytes > 0 {
                left.0.push((name.clone(), Kind { objects, bytes }));
            }
        }
        let used = self.used.saturating_sub(before.used);
        let taken = self.bytes.saturating_sub(before.bytes);
        ensure!(
            used <= explained && taken <= explained.saturating_add(DEFERRED_MAX),
            "{used} bytes are left to datasets and {taken} to the pool, and its own objects explain {explained}"
        );
        Ok(left)
    }
}

/// What a life has left in the pool's own objects, by their type.
#[derive(Debug, Default)]
pub(super) struct Left(Vec<(String, Kind)>);

impl Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (name, Kind { objects, bytes }) in &self.0 {
            write!(f, "{between}{name} {bytes} bytes, {objects} objects")?;
            between = "; ";
        }
        Ok(())
    }
}

/// The pool's own objects of each type, out of what `zdb -P -dd` prints: a line of numbers and then the type.
fn kinds(said: &str) -> Option<BTreeMap<String, Kind>> {
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    let lines = said.lines().skip_while(|line| !line.starts_with("Dataset mos "));
    for line in lines
        .skip(1)
        .take_while(|line| !line.starts_with("Dataset ") && !line.starts_with("Verified "))
    {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let Some((numbers, words)) = fields.split_at_checked(8) else {
            continue;
        };
        let Some(bytes) = numbers.get(4).and_then(|bytes| bytes.parse::<u64>().ok()) else {
            continue;
        };
        let kind = kinds.entry(words.join(" ")).or_default();
        kind.objects = kind.objects.saturating_add(1);
        kind.bytes = kind.bytes.saturating_add(bytes);
    }
    (!kinds.is_empty()).then_some(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
Dataset mos [META], ID 0, cr_txg 4, 196608, 51 objects

    Object  lvl   iblk   dblk  dsize  dnsize  lsize   %full  type
         0    1  16384  16384  24576     512  32768   79.69  DMU dnode
        33    1  16384   4096      0     512   4096    0.00  SPA space map
        36    1  16384   4096  12288     512   4096  100.00  SPA space map
\tDnode slots:
\tTotal used:            51
Dataset life [ZPL], ID 29, cr_txg 1, 90112, 6 objects
        51    1 131072 131072  12288     512 131072  100.00  SPA history
";

    fn taken(change: fn(&mut Taken)) -> Taken {
        let mut taken = Taken {
            bytes: 1 << 20,
            freeing: 0,
            used: 1 << 20,
            own: 96 << 10,
            datasets: 1,
            kinds: kinds(SAID).unwrap(),
        };
        change(&mut taken);
        taken
    }

    #[test]
    fn objects_are_counted_by_type() {
        let kinds = kinds(SAID).unwrap();
        assert_eq!(kinds.len(), 2);
        let maps = kinds["SPA space map"];
        assert_eq!((maps.objects, maps.bytes), (2, 12288));
    }

    #[test]
    fn what_is_left_without_a_reason_is_told() {
        let before = taken(|_| {});
        let left = |change| taken(change).left_of(&before).map(|left| left.to_string());
        assert_eq!(left(|_| {}).unwrap(), "");
        let leaks: [fn(&mut Taken); 6] = [
            |taken| taken.used += 1 << 16,
            |taken| taken.bytes += 1 << 18,
            |taken| taken.own += 512,
            |taken| taken.freeing = 4096,
            |taken| taken.datasets = 2,
            |taken| {
                taken.kinds.entry("bpobj".to_owned()).or_default().objects = 1;
            },
        ];
        for leak in leaks {
            left(leak).unwrap_err();
        }
        let maps = left(|taken| {
            taken.kinds.get_mut("SPA space map").unwrap().bytes += 1 << 20;
            taken.used += 1 << 20;
            taken.bytes += 1 << 20;
        });
        assert_eq!(maps.unwrap(), "SPA space map 1048576 bytes, 0 objects");
    }
}
