//! A random life of a pool on which zferry and OpenZFS's own code act in turn: what it holds and every number in it stay
//! what OpenZFS says, whoever did what; and in the end, when everything is destroyed, all space is free. With `--kernel`,
//! OpenZFS's kernel has its turns, too.
//!
//! What was done is written down in `target/life/log`, as commands that can be given again; `target/life/before.img` is the
//! pool before the last step.

mod acts;
mod inventory;
mod judge;
mod kernel;
mod taken;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::numbers::Numbers;
use crate::tools;
use acts::Fate;
use inventory::Inventory;
use judge::{Contents, judge};
use taken::Taken;
use world::{Act, LIFE, Outcome, Theirs, World};
use zferry_fixtures::target;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many things happen
    #[arg(long, default_value_t = 300)]
    steps: u64,
    /// What happens; the same seed gives the same life
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// After how many steps the pool is judged
    #[arg(long, default_value_t = 10)]
    every: u64,
    /// The size of the pools
    #[arg(long, default_value = "512M")]
    size: String,
    /// The folder in which it takes place, `target/life` if not given; it is emptied first
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Have OpenZFS make the pool, with these features: all, none, or their names with + between
    #[arg(long)]
    made_with: Option<String>,
    /// After how many steps OpenZFS's kernel has a turn, in a virtual machine; never if not given
    #[arg(long)]
    kernel: Option<u64>,
}

/// Objects below this are the file systems' own, as long as nobody makes files.
const FIRST_OBJECT: u64 = 128;
/// Objects below this are those that a kernel makes, in one life.
const FIRST_OBJECT_BESIDE_KERNEL: u64 = 1 << 16;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(judges) = tools::judges() else {
        return Ok(());
    };
    let machine = match arguments.kernel.map(|_| kernel::machine()) {
        Some(None) => return Ok(()),
        machine => machine.flatten(),
    };
    let zferry = tools::zferry()?;
    let folder = arguments.folder.clone().unwrap_or_else(|| target().join("life"));
    let features = arguments.made_with.as_deref();
    let mut world = World::new(judges, zferry, &folder, &arguments.size, features)?;
    let mut life = Life {
        numbers: Numbers::new(arguments.seed),
        contents: Contents::default(),
        tally: BTreeMap::new(),
        first_object: machine
            .as_ref()
            .map_or(FIRST_OBJECT, |_| FIRST_OBJECT_BESIDE_KERNEL),
    };
    let before = Taken::of(&world)?;
    for step in 1..=arguments.steps {
        world.note(&format!("# step {step}"))?;
        world.keep(LIFE)?;
        let log = world.log_path();
        let place = || format!("step {step} (all that was done is in {})", log.display());
        life.step(&mut world, step).with_context(place)?;
        if let (Some(machine), Some(kernel)) = (&machine, arguments.kernel)
            && step.checked_rem(kernel) == Some(0)
        {
            kernel::turn(&mut life, &mut world, machine, step).with_context(place)?;
            judge(&mut world, LIFE, &mut life.contents).with_context(place)?;
        }
        if step.checked_rem(arguments.every) == Some(0) {
            judge(&mut world, LIFE, &mut life.contents).with_context(place)?;
        }
    }
    judge(&mut world, LIFE, &mut life.contents).context("before the end")?;
    life.end(&mut world).context("the end")?;
    let after = Taken::of(&world)?;
    let left = after.left_of(&before).context("the end")?;
    for (what, (done, refused)) in &life.tally {
        println!("{what:<28} {done:>5} done {refused:>5} refused");
    }
    println!(
        "life: {} steps with seed {}, {} snapshots remembered; {} bytes and {} objects of the pool taken at the beginning, {} and {} in the \
         end (grown: {left}); log in {}",
        arguments.steps,
        arguments.seed,
        life.contents.len(),
        before.bytes,
        before.objects(),
        after.bytes,
        after.objects(),
        world.log_path().display()
    );
    Ok(())
}

/// What is known of a life.
struct Life {
    numbers: Numbers,
    contents: Contents,
    /// How often what was done, and refused, by whom.
    tally: BTreeMap<String, (u64, u64)>,
    /// The first object that is written to.
    first_object: u64,
}

impl Life {
    fn step(&mut self, world: &mut World, step: u64) -> Result<()> {
        let act = loop {
            let life = Inventory::read(world, LIFE)?;
            let mut fate = Fate {
                world: &mut *world,
                numbers: &mut self.numbers,
                contents: &mut self.contents,
                life,
                step,
                first_object: self.first_object,
            };
            if let Some(act) = fate.act()? {
                break act;
            }
        };
        let ours_first = act.theirs.is_none() || (act.ours.is_some() && self.numbers.one_in(2));
        let first = self.have(world, &act, ours_first)?;
        let Some(Outcome::Refused(why)) = first else {
            return Ok(());
        };
        // What one refuses, the other refuses.
        if let Some(Outcome::Done) = self.have(world, &act, !ours_first)? {
            let (who, other) = if ours_first {
                ("zferry", "OpenZFS")
            } else {
                ("OpenZFS", "zferry")
            };
            bail!("{who} refuses what {other} does: {act:?}: {why}");
        }
        Ok(())
    }

    /// Has one of the two do something.
    fn have(&mut self, world: &mut World, act: &Act, is_ours: bool) -> Result<Option<Outcome>> {
        let outcome = if is_ours {
            world.ours(LIFE, act)?
        } else {
            world.theirs(LIFE, act)?
        };
        let Some(outcome) = outcome else { return Ok(None) };
        let verb = match (is_ours, &act.ours, &act.theirs) {
            (true, Some(words), _) => words.first().map(|word| format!("{word} by zferry")),
            (false, _, Some(Theirs::Receive(_))) => Some("receive by OpenZFS".to_owned()),
            (false, _, Some(Theirs::Zo(words) | Theirs::Zlife(words))) => {
                words.first().map(|word| format!("{word} by OpenZFS"))
            }
            _ => None,
        };
        let entry = self.tally.entry(verb.unwrap_or_default()).or_default();
        match outcome {
            Outcome::Done => entry.0 = entry.0.saturating_add(1),
            Outcome::Refused(_) => entry.1 = entry.1.saturating_add(1),
        }
        Ok(Some(outcome))
    }

    /// Destroys everything.
    fn end(&mut self, world: &mut World) -> Result<()> {
        let life = Inventory::read(world, LIFE)?;
        let ours = |words: &[&str]| Act {
            ours: Some(words.iter().map(|word| (*word).to_owned()).collect()),
            ..Act::default()
        };
        for snapshot in life.snapshots().filter(|snapshot| snapshot.holds > 0) {
            self.must(world, &ours(&["release", "tag", &snapshot.name]))?;
        }
        // Those that depend on each other in a circle cannot go, here or in OpenZFS, before one of them is promoted. Each
        // promotion opens a circle; more of them than this mean that something is wrong.
        let mut promotions = life.datasets.len();
        while let Some(dataset) = Inventory::read(world, LIFE)?.below_root().first() {
            let act = ours(&["destroy", "-R", &dataset.name]);
            let Some(Outcome::Refused(why)) = self.have(world, &act, true)? else {
                continue;
            };
            promotions = promotions
                .checked_sub(1)
                .with_context(|| format!("{act:?}: {why}"))?;
            let clone = Inventory::read(world, LIFE)?.clone_at(&why);
            let clone = clone.with_context(|| format!("{act:?}: {why}"))?;
            self.must(world, &ours(&["promote", &clone]))?;
        }
        // OpenZFS frees in the background what it destroyed.
        let settle = ["sync", LIFE, "5"].map(str::to_owned).to_vec();
        let act = Act {
            theirs: Some(Theirs::Zo(settle)),
            ..Act::default()
        };
        world.theirs(LIFE, &act)?;
        judge(world, LIFE, &mut self.contents)
    }

    fn must(&mut self, world: &mut World, act: &Act) -> Result<()> {
        match self.have(world, act, true)? {
            Some(Outcome::Refused(why)) => bail!("{act:?}: {why}"),
            _ => Ok(()),
        }
    }
}
