//! `zferry pool list`: pools, a row each.

use super::vdevs::{Class, Tree, Vdev, VdevNames};
use super::wanted::WantedList;
use super::{Handle, cannot_read, chosen};
use crate::datasets::usage;
use crate::error::CommandError;
use crate::output::nice::nice_number;
use crate::output::{GetRow, Json, ListColumn, ListTable};
use crate::pools::Paths;
use std::io::{self, BufWriter, Write};
use zferry_zpool::dsl::property::{PoolProperty, Source};
use zferry_zpool::spa::VdevUsage;

/// List pools and their properties
#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
pub(crate) struct Args {
    /// For scripts: no headers, and a tab between columns
    #[arg(short = 'H')]
    scripted: bool,
    /// Numbers with all their digits
    #[arg(short = 'p')]
    literal: bool,
    /// The properties to show, with commas between, or `all`
    #[arg(
        short = 'o',
        value_name = "PROPERTY[,…]",
        default_value = "name,size,allocated,free,checkpoint,expandsize,fragmentation,capacity,dedupratio,health,altroot"
    )]
    properties: String,
    /// The vdevs of each pool, too
    #[arg(short = 'v')]
    verbose: bool,
    #[command(flatten)]
    names: VdevNames,
    /// As JSON
    #[arg(short = 'j', long = "json")]
    json: bool,
    /// As JSON, with numbers as numbers
    #[arg(long = "json-int")]
    json_int: bool,
    /// As JSON, with pools under their guids
    #[arg(long = "json-pool-key-guid")]
    json_pool_key_guid: bool,
    /// Pools; without any, all
    #[arg(value_name = "POOL")]
    pools: Vec<String>,
}

/// Lists pools.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    super::get::check_json(args.json, args.json_int, args.json_pool_key_guid).map_err(usage)?;
    let mut wanted = WantedList::parse(&args.properties).map_err(usage)?;
    let literal = args.literal || args.json_int;
    let pools = paths.open(&args.pools)?;
    let (handles, has_failed) = chosen(paths, &pools, &args.pools)?;
    let mut out = BufWriter::new(io::stdout().lock());
    wanted
        .make_room(&handles, literal)
        .map_err(|error| cannot_read("pool", &error))?;
    if args.json {
        if !handles.is_empty() {
            writeln!(out, "{}", as_json(&handles, &wanted, args, literal)?)?;
        }
    } else if !handles.is_empty() {
        print(&mut out, &handles, &wanted, args, literal)?;
    } else if args.pools.is_empty() && !args.scripted {
        writeln!(out, "no pools available")?;
    }
    out.flush()?;
    // As zpool(8) has it: what could be listed makes good for what could not.
    if has_failed && handles.is_empty() {
        Err(CommandError::reported())
    } else {
        Ok(())
    }
}

fn print(
    out: &mut dyn Write,
    handles: &[Handle<'_>],
    wanted: &WantedList,
    args: &Args,
    literal: bool,
) -> Result<(), CommandError> {
    let mut columns: Vec<ListColumn> = wanted
        .properties
        .iter()
        .map(|wanted| ListColumn {
            header: wanted.property.header(),
            width: wanted.width,
            right_aligned: wanted.property.is_right_aligned(),
        })
        .collect();
    let name_width = handles
        .iter()
        .map(|handle| name_width(handle, args))
        .try_fold(9, |widest, width| width.map(|width| widest.max(width)))
        .map_err(|error| cannot_read("pool", &error))?;
    if args.verbose
        && let Some(first) = columns.first_mut()
    {
        first.width = name_width;
    }
    let table = ListTable {
        columns,
        scripted: args.scripted,
    };
    table.header(out)?;
    for handle in handles {
        let cells = wanted.properties.iter().map(|wanted| {
            let shown = handle.shown(&wanted.property, literal)?;
            Ok(shown.map_or_else(|| "-".to_owned(), |shown| shown.text))
        });
        let cells = cells.collect::<Result<Vec<_>, zferry_zpool::Error>>();
        table.row(out, &cells.map_err(|error| cannot_read(handle.name(), &error))?)?;
        if args.verbose {
            print_vdevs(out, handle, args, name_width)?;
        }
    }
    Ok(())
}

/// The width of the first column: that of the longest name, with its indent.
fn name_width(handle: &Handle<'_>, args: &Args) -> Result<usize, zferry_zpool::Error> {
    let vdevs = Tree::of(handle)?.list(args.names).into_iter();
    let widths = vdevs.map(|vdev| vdev.name.chars().count().saturating_add(indent(&vdev)));
    Ok(widths.max().unwrap_or(0).max(handle.name().len()))
}

const fn indent(vdev: &Vdev) -> usize {
    vdev.depth.saturating_mul(2)
}

/// What a list says of a vdev: the columns behind its name, which are always the same.
struct VdevRow {
    cells: [(PoolProperty, String); 9],
}

/// How much of a vdev is used, in bytes.
struct Room {
    size: u64,
    allocated: u64,
    fragmentation: Option<u64>,
}

impl Room {
    /// That of a top-level vdev, or of a cache, of which nothing is used here; others have none of their own.
    fn of(vdev: &Vdev, usage: &[VdevUsage]) -> Option<Self> {
        /// What labels and the room behind them take of a device, in bytes.
        const LABELS: u64 = (4 << 20) + (512 << 10);
        match vdev.class {
            _ if vdev.depth != 1 => None,
            Some(Class::Spare) => None,
            Some(Class::Cache) => vdev.size.map(|size| Self {
                size: size.saturating_sub(LABELS),
                allocated: 0,
                fragmentation: Some(0),
            }),
            _ => {
                let usage = usage.iter().find(|usage| usage.vdev.id == vdev.id)?;
                Some(Self {
                    size: usage.size,
                    allocated: usage.allocated,
                    fragmentation: usage.fragmentation,
                })
            }
        }
    }
}

impl VdevRow {
    fn new(vdev: &Vdev, room: Option<&Room>, literal: bool) -> Self {
        let number = |number: u64| {
            if literal {
                number.to_string()
            } else {
                nice_number(number)
            }
        };
        let none = || "-".to_owned();
        let of_room = |value: &dyn Fn(&Room) -> String| room.map_or_else(none, value);
        let percent = if literal { "" } else { "%" };
        let size = match vdev.size {
            None => of_room(&|room| number(room.size)),
            Some(size) => number(size),
        };
        let fragmentation = |room: &Room| {
            room.fragmentation
                .map_or_else(none, |fragmentation| format!("{fragmentation}{percent}"))
        };
        Self {
            cells: [
                (PoolProperty::Size, size),
                (PoolProperty::Allocated, of_room(&|room| number(room.allocated))),
                (
                    PoolProperty::Free,
                    of_room(&|room| number(room.size.saturating_sub(room.allocated))),
                ),
                (PoolProperty::Checkpoint, none()),
                (PoolProperty::ExpandSize, none()),
                (PoolProperty::Fragmentation, of_room(&fragmentation)),
                (PoolProperty::Capacity, of_room(&|room| capacity(room, literal))),
                (PoolProperty::DedupRatio, none()),
                (PoolProperty::Health, vdev.state.clone()),
            ],
        }
    }
}

/// How full a vdev is: with as many decimals as fit.
fn capacity(room: &Room, literal: bool) -> String {
    let permyriad = room
        .allocated
        .saturating_mul(10_000)
        .checked_div(room.size)
        .unwrap_or(0);
    let percent = f64::from(u32::try_from(permyriad).unwrap_or(u32::MAX)) / 100.0;
    match permyriad {
        _ if literal => (permyriad / 100).to_string(),
        0..1000 => format!("{percent:.2}%"),
        1000..10_000 => format!("{percent:.1}%"),
        _ => format!("{percent:.0}%"),
    }
}

/// The vdevs of a pool with their rows.
fn vdev_rows(handle: &Handle<'_>, args: &Args, literal: bool) -> Result<Vec<(Vdev, VdevRow)>, CommandError> {
    let read = |error| cannot_read(handle.name(), &error);
    let usage = handle.dsl.usage().map_err(read)?;
    let vdevs = Tree::of(handle).map_err(read)?.list(args.names);
    let rows = vdevs.into_iter().map(|vdev| {
        let room = Room::of(&vdev, &usage.vdevs);
        let row = VdevRow::new(&vdev, room.as_ref(), literal);
        (vdev, row)
    });
    Ok(rows.collect())
}

fn print_vdevs(
    out: &mut dyn Write,
    handle: &Handle<'_>,
    args: &Args,
    name_width: usize,
) -> Result<(), CommandError> {
    let rows = vdev_rows(handle, args, args.literal)?;
    let mut class = None;
    for (vdev, row) in &rows {
        if vdev.class != class && vdev.depth == 1 {
            class = vdev.class;
            if let Some(class) = class {
                let dashes = "      -      -      -        -         -      -      -      -         -";
                writeln!(out, "{:<name_width$}{dashes}", class.heading())?;
            }
        }
        if args.scripted {
            write!(out, "\t{}", vdev.name)?;
        } else {
            let (indent, width) = (indent(vdev), name_width.saturating_sub(indent(vdev)));
            write!(out, "{:indent$}{:<width$}", "", vdev.name)?;
        }
        for (property, text) in &row.cells {
            let width = property.width();
            if args.scripted {
                write!(out, "\t{text}")?;
            } else {
                write!(out, "  {text:>width$}")?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn as_json(
    handles: &[Handle<'_>],
    wanted: &WantedList,
    args: &Args,
    literal: bool,
) -> Result<Json, CommandError> {
    let mut pools = Vec::new();
    for handle in handles {
        let mut properties = Vec::new();
        for wanted in wanted
            .properties
            .iter()
            .filter(|wanted| wanted.property.name() != "name")
        {
            let shown = handle
                .shown(&wanted.property, literal)
                .map_err(|error| cannot_read(handle.name(), &error))?;
            let (text, source) = shown.map_or_else(
                || ("-".to_owned(), Source::None),
                |shown| (shown.text, shown.source),
            );
            properties.push((
                wanted.property.name().to_owned(),
                property_json(text, source, args.json_int),
            ));
        }
        let mut pool = super::get::pool_json(handle, args.json_int, true);
        pool.push(("properties".to_owned(), Json::Object(properties)));
        if args.verbose {
            pool.push(("vdevs".to_owned(), vdevs_json(handle, args, literal)?));
        }
        pools.push((
            super::get::pool_key(handle, args.json_pool_key_guid),
            Json::Object(pool),
        ));
    }
    Ok(Json::Object(vec![
        Json::version("zpool list"),
        ("pools".to_owned(), Json::Object(pools)),
    ]))
}

fn property_json(value: String, source: Source, as_int: bool) -> Json {
    GetRow {
        name: "",
        property: "",
        value,
        received: None,
        source,
    }
    .json(as_int)
}

/// The vdevs as JSON has them: those below another within it, and those of a class under its name.
fn vdevs_json(handle: &Handle<'_>, args: &Args, literal: bool) -> Result<Json, CommandError> {
    let rows = vdev_rows(handle, args, literal)?;
    let members = |class: Option<Class>| {
        let rows: Vec<_> = rows.iter().filter(|(vdev, _)| vdev.class == class).collect();
        nested(&rows, 1, args)
    };
    let mut all = members(None);
    for class in Class::ALL {
        let vdevs = members(Some(class));
        if !vdevs.is_empty() {
            all.push((class.json_key().to_owned(), Json::Object(vdevs)));
        }
    }
    Ok(Json::Object(all))
}

/// The vdevs at the head of `rows` that lie at `depth`, each with what follows it and lies deeper.
fn nested(rows: &[&(Vdev, VdevRow)], depth: usize, args: &Args) -> Vec<(String, Json)> {
    let mut members = Vec::new();
    let starts: Vec<usize> = rows
        .iter()
        .enumerate()
        .filter(|(_, (vdev, _))| vdev.depth == depth)
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain(std::iter::once(rows.len()));
    for (start, end) in starts.iter().copied().zip(ends) {
        let Some([(vdev, row), below @ ..]) = rows.get(start..end) else {
            continue;
        };
        let cells = row.cells.iter().map(|(property, text)| {
            (
                property.name().to_owned(),
                property_json(text.clone(), Source::None, args.json_int),
            )
        });
        let mut member = super::get::vdev_json(vdev, args.json_int);
        member.push(("properties".to_owned(), Json::Object(cells.collect())));
        let below = nested(below, depth.saturating_add(1), args);
        if !below.is_empty() {
            member.push(("vdevs".to_owned(), Json::Object(below)));
        }
        members.push((vdev.name.clone(), Json::Object(member)));
    }
    members
}
