//! `zferry list`: datasets, a row each.

use crate::datasets::{
    Handle, PropertyName, Selected, Selection, SortKeys, Types, WantedList, select, usage,
};
use crate::error::CommandError;
use crate::output::{GetRow, Json, ListColumn, ListTable};
use crate::pools::Paths;
use std::io::{self, BufWriter, Write};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::dsl::property::{DatasetTypes, Property, Source};

/// List datasets and their properties
#[derive(Debug, clap::Args)]
#[command(args_override_self = true, after_long_help = crate::datasets::help::properties())]
pub(crate) struct Args {
    /// For scripts: no headers, and a tab between columns
    #[arg(short = 'H')]
    scripted: bool,
    /// Numbers with all their digits, times in seconds since 1970
    #[arg(short = 'p')]
    literal: bool,
    /// What lies below the datasets, too
    #[arg(short = 'r')]
    recursive: bool,
    /// As -r, so many levels down
    #[arg(short = 'd', value_name = "DEPTH", allow_hyphen_values = true)]
    depth: Option<String>,
    /// The properties to show, with commas between; `space` stands for where space is used, `all` for everything
    #[arg(
        short = 'o',
        value_name = "PROPERTY[,…]",
        default_value = "name,used,available,referenced,mountpoint"
    )]
    properties: String,
    #[command(flatten)]
    sort: SortKeys,
    /// The kinds to list, with commas between: filesystem (fs), volume (vol), snapshot (snap), bookmark, all
    #[arg(short = 't', value_name = "TYPE[,…]")]
    types: Option<String>,
    /// As JSON
    #[arg(short = 'j', long = "json")]
    json: bool,
    /// As JSON, with numbers as numbers
    #[arg(long = "json-int")]
    json_int: bool,
    /// File systems, volumes, snapshots or bookmarks; without any, all pools
    #[arg(value_name = "DATASET")]
    datasets: Vec<String>,
}

/// Lists datasets.
pub(crate) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let mut types = match &args.types {
        Some(names) => Types::parse(names).map_err(usage)?,
        None => Types {
            wanted: DatasetTypes::DATASET,
            snapshots_by_pool: true,
        },
    };
    let depth = args
        .depth
        .as_deref()
        .map(crate::datasets::parse_depth)
        .transpose()?;
    if args.json_int && !args.json {
        return Err(usage("'--json-int' only works with '-j' option".to_owned()));
    }
    let keys = args.sort.parse().map_err(usage)?;
    if args.properties == "space" && args.types.is_none() {
        types.wanted = types.wanted.difference(DatasetTypes::SNAPSHOT);
    }
    let is_recursive = args.recursive || depth.is_some();
    let means_parts = types.is_one_kind_of_part() && !args.datasets.is_empty() && !is_recursive;
    let literal = args.literal || args.json_int;
    let mut wanted = WantedList::parse(&args.properties).map_err(usage)?;
    let selection = Selection {
        operands: &args.datasets,
        types,
        is_recursive: is_recursive || means_parts,
        depth: if means_parts { Some(1) } else { depth },
        keys: &keys,
        literal,
        received: false,
    };
    let pools = paths.open(&args.datasets)?;
    let dsls: Vec<DslPool<'_>> = pools.iter().map(|open| DslPool::new(&open.pool)).collect();
    let Selected {
        handles,
        mut failures,
    } = select(&dsls, &selection, &mut wanted);
    failures.splice(..0, pools.failures.iter().cloned());
    let mut errors = io::stderr();
    for failure in &failures {
        writeln!(errors, "{failure}")?;
    }
    if let Some(hint) = paths.hint() {
        writeln!(errors, "{hint}")?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        if failures.is_empty() {
            let json = as_json(&handles, &wanted, literal, args.json_int)?;
            writeln!(out, "{json}")?;
        }
    } else if handles.is_empty() {
        if !args.scripted && failures.is_empty() {
            writeln!(errors, "no datasets available")?;
        }
    } else {
        print(&mut out, &handles, &wanted, literal, args.scripted)?;
    }
    out.flush()?;
    if failures.is_empty() {
        Ok(())
    } else {
        Err(CommandError::reported())
    }
}

fn print(
    out: &mut dyn Write,
    handles: &[Handle<'_>],
    wanted: &WantedList,
    literal: bool,
    scripted: bool,
) -> Result<(), CommandError> {
    let column = |wanted: &crate::datasets::Wanted, right_aligned| ListColumn {
        header: wanted.property.header(),
        width: wanted.width,
        right_aligned,
    };
    let headers = wanted
        .properties
        .iter()
        .map(|wanted| column(wanted, wanted.property.has_right_aligned_header()));
    ListTable {
        columns: headers.collect(),
        scripted,
    }
    .header(out)?;
    let columns = wanted
        .properties
        .iter()
        .map(|wanted| column(wanted, wanted.property.is_right_aligned()));
    let table = ListTable {
        columns: columns.collect(),
        scripted,
    };
    for handle in handles {
        let cells = wanted.properties.iter().map(|wanted| {
            let shown = handle.shown(&wanted.property, literal)?;
            Ok(shown.map_or_else(|| "-".to_owned(), |shown| shown.text))
        });
        let cells = cells.collect::<Result<Vec<_>, zferry_zpool::Error>>();
        table.row(out, &cells.map_err(|error| cannot_read(handle, &error))?)?;
    }
    Ok(())
}

fn as_json(
    handles: &[Handle<'_>],
    wanted: &WantedList,
    literal: bool,
    as_int: bool,
) -> Result<Json, CommandError> {
    let name = PropertyName::Native(Property::Name);
    let mut datasets = Vec::new();
    for handle in handles {
        let mut properties = Vec::new();
        for wanted in wanted.properties.iter().filter(|wanted| wanted.property != name) {
            let shown = handle
                .shown(&wanted.property, literal)
                .map_err(|error| cannot_read(handle, &error))?;
            let (value, source) = shown.map_or_else(
                || ("-".to_owned(), Source::None),
                |shown| (shown.text, shown.source),
            );
            let row = GetRow {
                name: handle.name(),
                property: wanted.property.name(),
                value,
                received: None,
                source,
            };
            properties.push((wanted.property.name().to_owned(), row.json(as_int)));
        }
        datasets.push((
            handle.name().to_owned(),
            handle.json(Json::Object(properties), as_int),
        ));
    }
    Ok(Json::Object(vec![
        Json::version("zfs list"),
        ("datasets".to_owned(), Json::Object(datasets)),
    ]))
}

pub(super) fn cannot_read(handle: &Handle<'_>, error: &zferry_zpool::Error) -> CommandError {
    CommandError::failed(format_args!("cannot read '{}': {error}", handle.name()))
}
