//! `zferry pool import`: which pools lie in the places that `-d` names, in what condition, and what would help, in the
//! words of `zpool import`; with a pool's name, taking it over.
//!
//! Nothing has to be imported to be read, and what zferry writes is exported between its commands. So there is only
//! something to take over where another system has left a pool in use, or destroyed it.

use super::lacks_features;
use super::status::{name_width, print_heading};
use super::vdevs::{Class, Tree, Vdev, VdevNames};
use crate::error::CommandError;
use crate::pools::{Paths, found_devices};
use crate::writing::{finish, open_pool};
use std::io::{self, BufWriter, Write};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{LabelState, VdevReason, VdevState};
use zferry_zpool::{Condition, Discovery, OpenOptions, Pool, PoolCandidate, Survey};

/// List the pools that lie in the given places, and what they lack; or take one over that another system has left in use
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Take over a pool although another system has left it in use
    #[arg(short = 'f')]
    force: bool,
    /// List pools that were destroyed, or take one over
    #[arg(short = 'D')]
    destroyed: bool,
    /// The pool; without it, pools are listed
    name: Option<String>,
}

/// Lists pools, or takes one over.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    match &args.name {
        Some(name) => finish(open_pool(paths, name, args.force || args.destroyed)?),
        None => list(paths, args.destroyed),
    }
}

/// Lists pools, those that were destroyed or the others.
fn list(paths: &Paths, are_destroyed: bool) -> Result<(), CommandError> {
    if let Some(hint) = paths.hint() {
        writeln!(io::stderr(), "{hint}")?;
    }
    let found = paths.find()?;
    for failure in &found.failures {
        writeln!(io::stderr(), "{failure}")?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut is_first = true;
    for pool in &found.pools {
        if are_destroyed != (pool.label_state() == LabelState::DESTROYED) {
            continue;
        }
        if !is_first {
            writeln!(out)?;
        }
        is_first = false;
        print(&mut out, pool, &found)?;
    }
    out.flush()?;
    if is_first {
        writeln!(io::stderr(), "no pools available to import")?;
    }
    Ok(())
}

/// What there is to say of a pool, and what to do about it.
struct Remark {
    status: String,
    /// What to do where the pool can be read.
    advice: &'static str,
    /// What to do where it cannot.
    remedy: &'static str,
    /// The number of OpenZFS's page about it.
    page: Option<&'static str>,
}

const PLAIN_ADVICE: &str = "The pool can be imported using its name or numeric identifier.";
const UPGRADE_ADVICE: &str = "The pool can be imported using its name or numeric identifier, though\n\
                              \tsome features will not be available without an explicit 'zpool upgrade'.";
const DEGRADED_ADVICE: &str = "The pool can be imported despite missing or damaged devices.  The\n\
                               \tfault tolerance of the pool may be compromised if imported.";
const DAMAGED_REMEDY: &str = "The pool cannot be imported due to damaged devices or data.";
const MISSING_REMEDY: &str = "The pool cannot be imported. Attach the missing\n\tdevices and try again.";
const NEWER_REMEDY: &str = "The pool cannot be imported.  Access the pool on a system running newer\n\
                            \tsoftware, or recreate the pool from backup.";
const FEATURES_REMEDY: &str = "The pool cannot be imported. Access the pool on a system that supports\n\
                               \tthe required feature(s), or recreate the pool from backup.";

impl Remark {
    fn new(status: impl Into<String>) -> Self {
        Self {
            status: status.into(),
            advice: PLAIN_ADVICE,
            remedy: DAMAGED_REMEDY,
            page: None,
        }
    }

    /// What there is to say of the condition of a pool; `is_readable` where it can be read all the same.
    fn of(condition: &Condition, is_readable: bool) -> Option<Self> {
        Some(match condition {
            Condition::Resilvering => Self::new("One or more devices were being resilvered."),
            Condition::DevicesMissing(_) => Self {
                remedy: MISSING_REMEDY,
                page: Some(if is_readable { "ZFS-8000-2Q" } else { "ZFS-8000-3C" }),
                ..Self::new("One or more devices are missing from the system.")
            },
            Condition::DevicesFaulted => Self::new("One or more devices are faulted."),
            Condition::DevicesOffline => Self::new("One or more devices are offlined."),
            Condition::VersionNewer(_) => Self {
                remedy: NEWER_REMEDY,
                page: Some("ZFS-8000-A5"),
                ..Self::new("The pool is formatted using an incompatible version.")
            },
            Condition::FeaturesUnsupported(features) => {
                let head = "The pool uses the following feature(s) not supported on this system:";
                let names: String = features.iter().map(|name| format!("\n\t{name}")).collect();
                Self {
                    remedy: FEATURES_REMEDY,
                    ..Self::new(head.to_owned() + &names)
                }
            }
            Condition::Damaged(_) => Self {
                page: Some("ZFS-8000-72"),
                ..Self::new("The pool metadata is corrupted.")
            },
            _ => return None,
        })
    }

    /// What there is to say of a pool whose devices are well.
    fn of_version(pool: &Pool) -> Option<Self> {
        let status = if pool.version() < 5000 {
            "The pool is formatted using a legacy on-disk version."
        } else if lacks_features(&DslPool::new(pool)).unwrap_or(false) {
            "Some supported features are not enabled on the pool.\n\
             \t(Note that they may be intentionally disabled if the\n\
             \t'compatibility' property is set.)"
        } else {
            return None;
        };
        Some(Self {
            advice: UPGRADE_ADVICE,
            ..Self::new(status)
        })
    }
}

/// How the pool itself is: its state, and why.
fn root_state(survey: &Survey) -> (String, Option<String>) {
    let of_root = survey.vdevs.first();
    let state = of_root.map_or(VdevState::Unavail, |root| root.state);
    let reason = of_root.and_then(|root| root.reason);
    match &survey.condition {
        Condition::VersionNewer(_) => ("UNAVAIL".to_owned(), Some("newer version".to_owned())),
        Condition::FeaturesUnsupported(_) => {
            ("UNAVAIL".to_owned(), Some("unsupported feature(s)".to_owned()))
        }
        Condition::Damaged(_) => ("FAULTED".to_owned(), Some("corrupted data".to_owned())),
        _ => (state.to_string(), reason.map(|reason| reason.to_string())),
    }
}

/// What a list of pools that might be imported says of a vdev that is not well.
fn reason_words(reason: VdevReason) -> String {
    match reason {
        VdevReason::ExternalFault => "corrupted data".to_owned(),
        reason => reason.to_string(),
    }
}

fn print(out: &mut dyn Write, pool: &PoolCandidate, found: &Discovery) -> Result<(), CommandError> {
    let survey = pool.survey(&OpenOptions::default());
    let (state, reason) = root_state(&survey);
    let is_readable = matches!(state.as_str(), "ONLINE" | "DEGRADED");
    let remark = Remark::of(&survey.condition, is_readable);
    let remark = remark.or_else(|| Remark::of_version(survey.pool.as_ref()?));
    // Part of the pool is unknown: there is no telling how much.
    let is_part_unknown = survey
        .vdevs
        .first()
        .is_some_and(|root| root.reason == Some(VdevReason::MissingDevice));

    // As with zpool(8), a comment shifts everything by a blank.
    let indent = if pool.comment().is_some() { " " } else { "" };
    let destroyed = if pool.label_state() == LabelState::DESTROYED {
        " (DESTROYED)"
    } else {
        ""
    };
    writeln!(out, "{indent}  pool: {}", pool.name())?;
    writeln!(out, "{indent}    id: {}", pool.guid())?;
    writeln!(out, "{indent} state: {state}{destroyed}")?;
    if let Some(remark) = &remark {
        writeln!(out, "{indent}status: {}", remark.status)?;
    }
    let action = match (&remark, state.as_str()) {
        (_, "DEGRADED") => DEGRADED_ADVICE,
        (Some(remark), "ONLINE") => remark.advice,
        (None, "ONLINE") => PLAIN_ADVICE,
        (Some(remark), _) => remark.remedy,
        (None, _) => DAMAGED_REMEDY,
    };
    writeln!(out, "{indent}action: {action}")?;
    if let Some(comment) = pool.comment() {
        writeln!(out, "comment: {comment}")?;
    }
    let page = if is_part_unknown {
        Some("ZFS-8000-6X")
    } else {
        remark.and_then(|remark| remark.page)
    };
    if let Some(page) = page {
        writeln!(
            out,
            "{indent}   see: https://openzfs.github.io/openzfs-docs/msg/{page}"
        )?;
    }
    writeln!(out, "{indent}config:\n")?;
    let devices = &found_devices(pool, &found.strays);
    let auxiliary = |list: fn(&Pool) -> Result<_, _>| survey.pool.as_ref().and_then(|pool| list(pool).ok());
    let tree = Tree {
        vdevs: &survey.vdevs,
        spares: auxiliary(Pool::spares).unwrap_or_default(),
        caches: auxiliary(Pool::caches).unwrap_or_default(),
        devices,
    };
    print_tree(out, pool.name(), (state, reason), &tree)?;
    if is_part_unknown {
        writeln!(
            out,
            "\n\t{indent}Additional devices are known to be part of this pool, though their\n\
             \t{indent}exact configuration cannot be determined."
        )?;
    }
    Ok(())
}

/// The pool with its state, and below it its vdevs with theirs.
fn print_tree(
    out: &mut dyn Write,
    pool: &str,
    (state, reason): (String, Option<String>),
    tree: &Tree<'_>,
) -> io::Result<()> {
    let names = VdevNames {
        recorded_paths: true,
        ..VdevNames::default()
    };
    let vdevs = tree.list(names);
    let width = name_width(pool, &vdevs);
    let reason = reason.map_or_else(String::new, |reason| format!("  {reason}"));
    writeln!(out, "\t{pool:<width$}  {state}{reason}")?;
    let classes = [
        Class::Cache,
        Class::Spare,
        Class::Dedup,
        Class::Special,
        Class::Logs,
    ];
    for class in [None].into_iter().chain(classes.map(Some)) {
        let mut vdevs = vdevs.iter().filter(|vdev| vdev.class == class).peekable();
        if vdevs.peek().is_some() {
            print_heading(out, class)?;
        }
        vdevs.try_for_each(|vdev| print_vdev(out, vdev, width))?;
    }
    Ok(())
}

fn print_vdev(out: &mut dyn Write, vdev: &Vdev, width: usize) -> io::Result<()> {
    let indent = vdev.depth.saturating_mul(2);
    let width = width.saturating_sub(indent);
    let (name, state) = (&vdev.name, &vdev.state);
    if matches!(vdev.class, Some(Class::Cache | Class::Spare)) {
        return writeln!(out, "\t{:indent$}{name}", "");
    }
    let reason = vdev.reason.map(reason_words);
    let reason = reason.map_or_else(String::new, |reason| format!("  {reason}"));
    writeln!(out, "\t{:indent$}{name:<width$}  {state}{reason}", "")
}
