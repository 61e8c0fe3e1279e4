//! What happens in a life.

use std::path::PathBuf;

use anyhow::Result;

use super::inventory::{Dataset, Inventory, Snapshot};
use super::judge::Contents;
use super::world::{Act, FIELD, LIFE, Theirs, World};
use crate::numbers::Numbers;

/// How many snapshots a pool has at most, that judging does not become too long.
const SNAPSHOTS_MAX: usize = 70;

/// Chooses what happens next.
pub(super) struct Fate<'a> {
    pub(super) world: &'a mut World,
    pub(super) numbers: &'a mut Numbers,
    pub(super) contents: &'a mut Contents,
    pub(super) life: Inventory,
    pub(super) step: u64,
    /// The first object that is written to.
    pub(super) first_object: u64,
}

/// Words, as arguments.
fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Fate<'_> {
    /// Something to be done; `None` where nothing of the chosen kind can be.
    pub(super) fn act(&mut self) -> Result<Option<Act>> {
        if self.life.snapshots().count() > SNAPSHOTS_MAX {
            return Ok(self.destroy());
        }
        match self.numbers.below(28) {
            0..=2 => self.receive_full(),
            3..=7 => self.receive_increment(),
            8..=9 => self.receive_clone(),
            10 => self.receive_own(),
            11..=14 => Ok(self.write()),
            15..=16 => Ok(self.snapshot()),
            17..=18 => Ok(self.clone_one()),
            19 => Ok(self.roll_back()),
            20 => Ok(self.rename()),
            21..=22 => Ok(self.promote()),
            23 => Ok(self.hold()),
            24 => Ok(self.set()),
            25 => Ok(self.create()),
            26 => Ok(self.bookmark()),
            _ => Ok(self.destroy()),
        }
    }

    fn dataset(&mut self) -> Option<Dataset> {
        self.numbers.pick(self.life.below_root()).cloned()
    }

    fn some_snapshot(&mut self) -> Option<Snapshot> {
        let all: Vec<_> = self.life.snapshots().cloned().collect();
        self.numbers.pick(&all).cloned()
    }

    /// The name of a dataset that is not there yet, mostly just below the root.
    fn new_name(&mut self, what: &str) -> String {
        let name = self.world.fresh(what);
        let homes: Vec<_> = self
            .life
            .datasets
            .iter()
            .filter(|dataset| !dataset.is_volume)
            .collect();
        match self.numbers.pick(&homes) {
            Some(home) if self.numbers.one_in(3) => format!("{}/{name}", home.name),
            _ => format!("{LIFE}/{name}"),
        }
    }

    /// Lets the field change, and gives one of its snapshots.
    fn harvest(&mut self) -> Result<Option<Snapshot>> {
        let field = Inventory::read(self.world, FIELD)?;
        let count = field.below_root().len();
        if count < 3 {
            let name = format!("{FIELD}/{}", self.world.fresh("f"));
            let mut ours = words(&["create"]);
            if count == 1 {
                ours.extend(words(&["-s", "-V", "16M", "-b", "16K"]));
            }
            ours.push(name);
            let act = Act {
                ours: Some(ours),
                ..Act::default()
            };
            self.world.ours(FIELD, &act)?;
        }
        let field = Inventory::read(self.world, FIELD)?;
        if let Some(dataset) = self.numbers.pick(field.below_root()).cloned() {
            let mut script = self.writes(&dataset);
            let snapshot = format!("{}@{}", dataset.name, self.world.fresh("h"));
            script.extend(words(&[",", "snap", &snapshot]));
            if self.numbers.one_in(5) && field.below_root().len() < 6 {
                let clone = format!("{FIELD}/{}", self.world.fresh("c"));
                script.extend(words(&[",", "clone", &clone, &snapshot]));
            }
            let act = Act {
                theirs: Some(Theirs::Zo(script)),
                ..Act::default()
            };
            self.world.theirs(FIELD, &act)?;
        }
        let field = Inventory::read(self.world, FIELD)?;
        let all: Vec<_> = field.snapshots().cloned().collect();
        let newest = all.len().saturating_sub(6);
        let recent = all.get(newest..).unwrap_or_default();
        let among = if self.numbers.one_in(2) { recent } else { &all };
        Ok(self.numbers.pick(among).cloned())
    }

    fn stream(&mut self, pool: &str, from: Option<&str>, snapshot: &Snapshot) -> Result<PathBuf> {
        let path = self.world.stream("stream.zsend");
        if pool == FIELD {
            self.world.send(pool, &[&snapshot.name], &path)?;
            self.contents.meet(snapshot.guid, None, &path)?;
        }
        let mut options = Vec::new();
        for option in ["-L", "-e", "-c"] {
            if self.numbers.one_in(3) {
                options.push(option);
            }
        }
        if let Some(from) = from {
            options.extend(["-i", from]);
        }
        options.push(&snapshot.name);
        self.world.send(pool, &options, &path)?;
        Ok(path)
    }

    fn receive(&mut self, target: &str, options: &[&str], input: PathBuf) -> Act {
        let mut ours = words(&["receive", "--no-progress", "-v"]);
        let mut theirs = words(&[target]);
        for option in options {
            match option.strip_prefix("origin=") {
                Some(origin) => {
                    ours.extend(words(&["-o", option]));
                    theirs.extend(words(&["-o", origin]));
                }
                None => {
                    ours.push((*option).to_owned());
                    theirs.push((*option).to_owned());
                }
            }
        }
        ours.push(target.to_owned());
        Act {
            ours: Some(ours),
            theirs: Some(Theirs::Receive(theirs)),
            input: Some(input),
        }
    }

    fn receive_full(&mut self) -> Result<Option<Act>> {
        let Some(snapshot) = self.harvest()? else {
            return Ok(None);
        };
        let stream = self.stream(FIELD, None, &snapshot)?;
        let existing = self.dataset().filter(|_| self.numbers.one_in(6));
        let name = match &existing {
            Some(dataset) => dataset.name.clone(),
            None => self.new_name("r"),
        };
        let options: &[&str] = if existing.is_some() { &["-F"] } else { &[] };
        let mut act = self.receive(&format!("{name}@{}", snapshot.short()), options, stream);
        // What has snapshots the kernel replaces, but zfs(8) does not ask it to.
        if existing.is_some_and(|dataset| !dataset.snapshots.is_empty()) {
            if self.numbers.one_in(2) {
                act.ours = None;
            } else {
                act.theirs = None;
            }
        }
        Ok(Some(act))
    }

    /// What the field has, and what the snapshot that the life has descends from.
    fn continued(&mut self) -> Result<Option<(Snapshot, Snapshot)>> {
        let Some(snapshot) = self.harvest()? else {
            return Ok(None);
        };
        let field = Inventory::read(self.world, FIELD)?;
        let mut pairs = Vec::new();
        for base in field.ancestors(&snapshot) {
            let known = self.life.snapshots().filter(|known| known.guid == base.guid);
            pairs.extend(known.map(|known| (base.name.clone(), known.clone())));
        }
        let Some((base, known)) = self.numbers.pick(&pairs).cloned() else {
            return Ok(None);
        };
        self.stream(FIELD, Some(&base), &snapshot)?;
        Ok(Some((snapshot, known)))
    }

    fn receive_increment(&mut self) -> Result<Option<Act>> {
        let Some((snapshot, known)) = self.continued()? else {
            return self.receive_full();
        };
        let target = format!("{}@{}", known.dataset(), snapshot.short());
        let options: &[&str] = if self.numbers.one_in(2) { &["-F"] } else { &[] };
        let stream = self.world.stream("stream.zsend");
        Ok(Some(self.receive(&target, options, stream)))
    }

    fn receive_clone(&mut self) -> Result<Option<Act>> {
        let Some((snapshot, known)) = self.continued()? else {
            return self.receive_full();
        };
        let target = format!("{}@{}", self.new_name("o"), snapshot.short());
        let origin = format!("origin={}", known.name);
        let stream = self.world.stream("stream.zsend");
        Ok(Some(self.receive(&target, &[&origin], stream)))
    }

    /// Receives what the life itself has.
    fn receive_own(&mut self) -> Result<Option<Act>> {
        let Some(snapshot) = self.some_snapshot() else {
            return Ok(None);
        };
        let stream = self.stream(LIFE, None, &snapshot)?;
        let target = format!("{}@{}", self.new_name("w"), snapshot.short());
        Ok(Some(self.receive(&target, &[], stream)))
    }

    fn write(&mut self) -> Option<Act> {
        let dataset = self.dataset()?;
        let script = self.writes(&dataset);
        Some(Act {
            theirs: Some(Theirs::Zo(script)),
            ..Act::default()
        })
    }

    fn create(&mut self) -> Option<Act> {
        let name = self.new_name("n");
        let mut ours = words(&["create"]);
        if self.numbers.one_in(3) {
            ours.extend(words(&["-s", "-V", "8M"]));
        }
        ours.push(name);
        Some(Act {
            ours: Some(ours),
            ..Act::default()
        })
    }

    fn snapshot(&mut self) -> Option<Act> {
        let name = format!("{}@{}", self.dataset()?.name, self.world.fresh("s"));
        let mut act = Act {
            ours: Some(words(&["snapshot", &name])),
            theirs: Some(Theirs::Zo(words(&["snap", &name]))),
            input: None,
        };
        if self.numbers.one_in(4) {
            act.ours = Some(words(&["snapshot", "-r", &name]));
            act.theirs = None;
        }
        Some(act)
    }

    fn clone_one(&mut self) -> Option<Act> {
        let origin = self.some_snapshot()?.name;
        let name = self.new_name("k");
        Some(Act {
            ours: Some(words(&["clone", &origin, &name])),
            theirs: Some(Theirs::Zo(words(&["clone", &name, &origin]))),
            input: None,
        })
    }

    fn roll_back(&mut self) -> Option<Act> {
        let dataset = self.dataset()?;
        let newest = dataset.snapshots.last()?;
        if self.numbers.one_in(4) {
            let to = self.numbers.pick(&dataset.snapshots)?;
            return Some(Act {
                ours: Some(words(&["rollback", "-r", &to.name])),
                ..Act::default()
            });
        }
        Some(Act {
            ours: Some(words(&["rollback", &newest.name])),
            theirs: Some(Theirs::Zo(words(&["rollback", &dataset.name]))),
            input: None,
        })
    }

    fn rename(&mut self) -> Option<Act> {
        let (old, new, short) = if self.numbers.one_in(2) {
            let snapshot = self.some_snapshot()?;
            let short = self.world.fresh("m");
            (
                snapshot.name.clone(),
                format!("{}@{short}", snapshot.dataset()),
                short,
            )
        } else {
            let dataset = self.dataset()?;
            let name = self.new_name("m");
            (dataset.name, name.clone(), name)
        };
        Some(Act {
            ours: Some(words(&["rename", &old, &new])),
            theirs: Some(Theirs::Zlife(words(&["rename", &old, &short]))),
            input: None,
        })
    }

    fn promote(&mut self) -> Option<Act> {
        let clones: Vec<_> = self
            .life
            .datasets
            .iter()
            .filter(|dataset| dataset.origin.is_some())
            .collect();
        let name = self.numbers.pick(&clones)?.name.clone();
        Some(Act {
            ours: Some(words(&["promote", &name])),
            theirs: Some(Theirs::Zo(words(&["promote", &name]))),
            input: None,
        })
    }

    fn hold(&mut self) -> Option<Act> {
        let held: Vec<_> = self
            .life
            .snapshots()
            .filter(|snapshot| snapshot.holds > 0)
            .cloned()
            .collect();
        let (verb, snapshot) = match self.numbers.pick(&held) {
            Some(snapshot) if !self.numbers.one_in(3) => ("release", snapshot.clone()),
            _ => ("hold", self.some_snapshot()?),
        };
        Some(Act {
            ours: Some(words(&[verb, "tag", &snapshot.name])),
            theirs: Some(Theirs::Zlife(words(&[verb, &snapshot.name, "tag"]))),
            input: None,
        })
    }

    fn set(&mut self) -> Option<Act> {
        let dataset = self.dataset()?;
        let values = [
            "compression=lz4",
            "compression=off",
            "compression=lzjb",
            "refreservation=2M",
            "refreservation=none",
            "reservation=4M",
            "reservation=none",
            "copies=2",
            "copies=1",
            "checksum=sha256",
            "checksum=fletcher4",
            "org.example:note=this",
        ];
        let value = *self.numbers.pick(&values)?;
        Some(Act {
            ours: Some(words(&["set", value, &dataset.name])),
            ..Act::default()
        })
    }

    fn bookmark(&mut self) -> Option<Act> {
        let bookmarks: Vec<_> = self
            .life
            .datasets
            .iter()
            .flat_map(|dataset| &dataset.bookmarks)
            .collect();
        if let Some(name) = self.numbers.pick(&bookmarks)
            && self.numbers.one_in(2)
        {
            return Some(Act {
                ours: Some(words(&["destroy", name])),
                theirs: Some(Theirs::Zlife(words(&["unmark", name]))),
                input: None,
            });
        }
        let snapshot = self.some_snapshot()?;
        let name = format!("{}#{}", snapshot.dataset(), self.world.fresh("b"));
        Some(Act {
            ours: Some(words(&["bookmark", &snapshot.name, &name])),
            theirs: Some(Theirs::Zo(words(&["bookmark", &snapshot.name, &name]))),
            input: None,
        })
    }

    fn destroy(&mut self) -> Option<Act> {
        match self.numbers.below(8) {
            0 => {
                let dataset = self.dataset()?;
                let option = if self.numbers.one_in(3) { "-R" } else { "-r" };
                Some(Act {
                    ours: Some(words(&["destroy", option, &dataset.name])),
                    ..Act::default()
                })
            }
            1..=2 => {
                let dataset = self.dataset()?;
                Some(Act {
                    ours: Some(words(&["destroy", &dataset.name])),
                    theirs: Some(Theirs::Zo(words(&["destroy", &dataset.name]))),
                    input: None,
                })
            }
            3 => {
                let name = self.some_snapshot()?.name;
                Some(Act {
                    ours: Some(words(&["destroy", "-d", &name])),
                    theirs: Some(Theirs::Zlife(words(&["defer", &name]))),
                    input: None,
                })
            }
            4 => {
                let dataset = self.dataset()?;
                let (first, last) = (dataset.snapshots.first()?, dataset.snapshots.last()?);
                let range = format!("{}%{}", first.name, last.short());
                Some(Act {
                    ours: Some(words(&["destroy", &range])),
                    ..Act::default()
                })
            }
            _ => {
                let name = self.some_snapshot()?.name;
                Some(Act {
                    ours: Some(words(&["destroy", &name])),
                    theirs: Some(Theirs::Zo(words(&["destroy", &name]))),
                    input: None,
                })
            }
        }
    }

    /// Some writes into a dataset, as `zo` is told to do them.
    fn writes(&mut self, dataset: &Dataset) -> Vec<String> {
        let (numbers, step) = (&mut *self.numbers, self.step);
        let mut script = Vec::new();
        for _ in 0..=numbers.below(4) {
            if !script.is_empty() {
                script.push(",".to_owned());
            }
            let object = if dataset.is_volume {
                1
            } else {
                self.first_object.saturating_add(numbers.below(40) << 1)
            };
            let object = object.to_string();
            let offset = if numbers.one_in(2) {
                0
            } else {
                numbers.below(512) << 13
            }
            .to_string();
            let length = match numbers.below(4) {
                0 => numbers.below(100).saturating_add(8),
                1 => numbers.below(5000).saturating_add(8),
                _ => numbers.below(300_000).saturating_add(8),
            };
            let length = length.to_string();
            let seed = if numbers.one_in(6) {
                0
            } else {
                step.saturating_add(1)
            };
            let block_bytes = (512_u64 << numbers.below(9)).to_string();
            let dnode_bytes = if numbers.one_in(4) { "1024" } else { "512" };
            let wr = [
                "wr",
                &dataset.name,
                &object,
                &offset,
                &length,
                &seed.to_string(),
                &block_bytes,
                dnode_bytes,
            ];
            script.extend(words(&wr));
            if numbers.one_in(3) {
                let offset = (numbers.below(64) << 12).to_string();
                script.extend(words(&[",", "free", &dataset.name, &object, &offset, "200000"]));
            } else if !dataset.is_volume && numbers.one_in(5) {
                script.extend(words(&[",", "freeobj", &dataset.name, &object]));
            }
        }
        script
    }
}
