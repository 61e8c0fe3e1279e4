//! `zferry pool list`: pools, a row each.

use super::vdevs::{CLASSES, Vdev, VdevNames, vdevs};
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
        .max()
        .unwrap_or(0)
        .max(9);
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
fn name_width(handle: &Handle<'_>, args: &Args) -> usize {
    let names = vdevs(handle, args.names).into_iter();
    let widths = names.map(|vdev| vdev.name.chars().count().saturating_add(indent(&vdev)));
    widths.max().unwrap_or(0).max(handle.name().len())
}

fn indent(vdev: &Vdev<'_>) -> usize {
    vdev.depth.saturating_mul(2)
}

/// What a list says of a vdev: the columns behind its name, which are always the same.
struct VdevRow {
    cells: [(PoolProperty, String); 9],
}

impl VdevRow {
    fn new(vdev: &Vdev<'_>, usage: Option<&VdevUsage>, size: u64, literal: bool) -> Self {
        let number = |number: u64| {
            if literal {
                number.to_string()
            } else {
                nice_number(number)
            }
        };
        let none = || "-".to_owned();
        let of_top = |value: &dyn Fn(&VdevUsage) -> String| usage.map_or_else(none, value);
        let percent = if literal { "" } else { "%" };
        let size = match size {
            0 => of_top(&|usage| number(usage.size)),
            size => number(size),
        };
        let fragmentation = |usage: &VdevUsage| {
            usage
                .fragmentation
                .map_or_else(none, |fragmentation| format!("{fragmentation}{percent}"))
        };
        let health = if vdev.config.u64("offline").is_some_and(|flag| flag != 0) {
            "OFFLINE"
        } else {
            "ONLINE"
        };
        Self {
            cells: [
                (PoolProperty::Size, size),
                (PoolProperty::Allocated, of_top(&|usage| number(usage.allocated))),
                (
                    PoolProperty::Free,
                    of_top(&|usage| number(usage.size.saturating_sub(usage.allocated))),
                ),
                (PoolProperty::Checkpoint, none()),
                (PoolProperty::ExpandSize, none()),
                (PoolProperty::Fragmentation, of_top(&fragmentation)),
                (PoolProperty::Capacity, of_top(&|usage| capacity(usage, literal))),
                (PoolProperty::DedupRatio, none()),
                (PoolProperty::Health, health.to_owned()),
            ],
        }
    }
}

/// How full a vdev is: with as many decimals as fit.
fn capacity(usage: &VdevUsage, literal: bool) -> String {
    let permyriad = usage
        .allocated
        .saturating_mul(10_000)
        .checked_div(usage.size)
        .unwrap_or(0);
    let percent = f64::from(u32::try_from(permyriad).unwrap_or(u32::MAX)) / 100.0;
    match permyriad {
        _ if literal => (permyriad / 100).to_string(),
        0..1000 => format!("{percent:.2}%"),
        1000..10_000 => format!("{percent:.1}%"),
        _ => format!("{percent:.0}%"),
    }
}

/// The vdevs of a pool with their rows. The size of a leaf is that of its device, where it is known.
fn vdev_rows<'p>(
    handle: &Handle<'p>,
    args: &Args,
    literal: bool,
) -> Result<Vec<(Vdev<'p>, VdevRow)>, CommandError> {
    let usage = handle
        .dsl
        .usage()
        .map_err(|error| cannot_read(handle.name(), &error))?;
    let rows = vdevs(handle, args.names).into_iter().map(|vdev| {
        let id = vdev.config.u64("id");
        let usage = usage
            .vdevs
            .iter()
            .find(|usage| vdev.depth == 1 && Some(usage.vdev.id) == id);
        let size = if vdev.path.is_some() {
            handle.open.device_size().unwrap_or(0)
        } else {
            0
        };
        let row = VdevRow::new(&vdev, usage, size, literal);
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
                writeln!(out, "{class:<name_width$}{dashes}")?;
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
    let members = |class: Option<&str>| {
        let rows: Vec<_> = rows.iter().filter(|(vdev, _)| vdev.class == class).collect();
        nested(&rows, 1, args)
    };
    let mut all = members(None);
    for class in CLASSES {
        let vdevs = members(Some(class));
        if !vdevs.is_empty() {
            all.push((class.to_owned(), Json::Object(vdevs)));
        }
    }
    Ok(Json::Object(all))
}

/// The vdevs at the head of `rows` that lie at `depth`, each with what follows it and lies deeper.
fn nested(rows: &[&(Vdev<'_>, VdevRow)], depth: usize, args: &Args) -> Vec<(String, Json)> {
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
