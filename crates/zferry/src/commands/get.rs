//! `zferry get`: properties, a row each.

use super::list::cannot_read;
use crate::datasets::{
    Handle, PropertyName, Selected, Selection, Types, WantedList, parse_depth, select, usage,
};
use crate::error::CommandError;
use crate::output::{GetColumn, GetRow, GetTable, Json, SourceSet};
use crate::pools::Paths;
use std::io::{self, BufWriter, Write};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::dsl::property::{DatasetTypes, Source};

/// Show properties of datasets, and where their values come from
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
    /// The columns to show, with commas between: name, property, value, received, source, or all
    #[arg(
        short = 'o',
        value_name = "COLUMN[,…]",
        default_value = "name,property,value,source"
    )]
    columns: String,
    /// The sources from which values are shown, with commas between: local, default, inherited, received, temporary,
    /// none
    #[arg(short = 's', value_name = "SOURCE[,…]")]
    sources: Option<String>,
    /// The kinds to show, with commas between: filesystem (fs), volume (vol), snapshot (snap), bookmark, all
    #[arg(short = 't', value_name = "TYPE[,…]")]
    types: Option<String>,
    /// As JSON
    #[arg(short = 'j', long = "json")]
    json: bool,
    /// As JSON, with numbers as numbers
    #[arg(long = "json-int")]
    json_int: bool,
    /// The properties, with commas between, or `all`
    #[arg(value_name = "PROPERTY[,…]")]
    properties: Option<String>,
    /// The datasets; without any, those of all pools
    #[arg(value_name = "DATASET")]
    datasets: Vec<String>,
}

/// Shows properties.
pub(crate) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let columns = parse_columns(&args.columns, true).map_err(usage)?;
    let sources = parse_sources(args.sources.as_deref()).map_err(usage)?;
    let types = match &args.types {
        Some(names) => Types::parse(names).map_err(usage)?,
        None => Types {
            wanted: DatasetTypes::all(),
            snapshots_by_pool: false,
        },
    };
    let depth = args.depth.as_deref().map(parse_depth).transpose()?;
    let Some(properties) = &args.properties else {
        return Err(usage("missing property argument".to_owned()));
    };
    if args.json_int && !args.json {
        return Err(usage("'--json-int' only works with '-j' option".to_owned()));
    }
    let is_recursive = args.recursive || depth.is_some();
    let means_parts = types.is_one_kind_of_part() && !args.datasets.is_empty() && !is_recursive;
    let received = columns.contains(&GetColumn::Received);
    let mut wanted = WantedList::parse(properties).map_err(usage)?.with_name_first();
    let selection = Selection {
        operands: &args.datasets,
        types,
        is_recursive: is_recursive || means_parts,
        depth: if means_parts { Some(1) } else { depth },
        keys: &[],
        literal: false,
        received,
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
    let literal = args.literal || args.json_int;
    if args.json {
        if failures.is_empty() {
            let json = as_json(&handles, &wanted, sources, (literal, args.json_int, received))?;
            writeln!(out, "{json}")?;
        }
    } else {
        let mut table = GetTable::new(columns, sources, args.scripted);
        fit(&mut table, &wanted);
        for handle in &handles {
            for row in rows(handle, &wanted, literal, received)? {
                table.row(&mut out, &row)?;
            }
        }
    }
    out.flush()?;
    if failures.is_empty() {
        Ok(())
    } else {
        Err(CommandError::reported())
    }
}

/// The columns of a list such as `name,value`. `received` is one of them where properties can be received.
pub(super) fn parse_columns(names: &str, can_be_received: bool) -> Result<Vec<GetColumn>, String> {
    let mut all = vec![GetColumn::Name, GetColumn::Property, GetColumn::Value];
    if can_be_received {
        all.push(GetColumn::Received);
    }
    all.push(GetColumn::Source);
    let mut columns = Vec::new();
    for name in names.split(',') {
        if columns.len() == all.len() {
            return Err("too many fields given to -o option".to_owned());
        }
        columns.push(match name {
            "name" => GetColumn::Name,
            "property" => GetColumn::Property,
            "value" => GetColumn::Value,
            "received" if can_be_received => GetColumn::Received,
            "source" => GetColumn::Source,
            "all" if columns.is_empty() => {
                columns.clone_from(&all);
                continue;
            }
            "all" => return Err("\"all\" conflicts with specific fields given to -o option".to_owned()),
            other => return Err(format!("invalid column name '{other}'")),
        });
    }
    Ok(columns)
}

fn parse_sources(names: Option<&str>) -> Result<SourceSet, String> {
    let Some(names) = names else {
        return Ok(SourceSet::all());
    };
    let mut sources = SourceSet::empty();
    for name in names.split(',') {
        sources |= SourceSet::by_name(name).ok_or_else(|| format!("invalid source '{name}'"))?;
    }
    Ok(sources)
}

/// Makes the columns as wide as what they will hold. The first property is the name, which is not shown as a value.
fn fit(table: &mut GetTable, wanted: &WantedList) {
    let mut properties = wanted.properties.iter();
    if let Some(name) = properties.next() {
        table.name_width = table.name_width.max(name.width);
        table.property_width = table.property_width.max(name.property.name().len());
    }
    for wanted in properties {
        table.property_width = table.property_width.max(wanted.property.name().len());
        table.value_width = table.value_width.max(wanted.width);
        table.received_width = table.received_width.max(wanted.received_width);
    }
}

/// The rows of one dataset. Where everything is asked for, what has no value is left out.
fn rows<'h>(
    handle: &'h Handle<'_>,
    wanted: &'h WantedList,
    literal: bool,
    received: bool,
) -> Result<Vec<GetRow<'h>>, CommandError> {
    let row = |property: &'h PropertyName| {
        let shown = handle.shown(property, literal)?;
        if shown.is_none() && wanted.is_all {
            return Ok(None);
        }
        let has_received = received && matches!(property, PropertyName::Native(_) | PropertyName::User(_));
        let received = if has_received {
            handle.received(property, literal)?
        } else {
            None
        };
        let (value, source) = shown.map_or_else(
            || ("-".to_owned(), Source::None),
            |shown| (shown.text, shown.source),
        );
        Ok(Some(GetRow {
            name: handle.name(),
            property: property.name(),
            value,
            received,
            source,
        }))
    };
    let rows = wanted
        .properties
        .iter()
        .skip(1)
        .map(|wanted| row(&wanted.property));
    let rows = rows
        .filter_map(Result::transpose)
        .collect::<Result<Vec<_>, zferry_zpool::Error>>();
    rows.map_err(|error| cannot_read(handle, &error))
}

fn as_json(
    handles: &[Handle<'_>],
    wanted: &WantedList,
    sources: SourceSet,
    (literal, as_int, received): (bool, bool, bool),
) -> Result<Json, CommandError> {
    let mut datasets = Vec::new();
    for handle in handles {
        let rows = rows(handle, wanted, literal, received)?;
        let rows = rows.iter().filter(|row| sources.wants(&row.source));
        let properties: Vec<_> = rows
            .map(|row| (row.property.to_owned(), row.json(as_int)))
            .collect();
        if !properties.is_empty() {
            datasets.push((
                handle.name().to_owned(),
                handle.json(Json::Object(properties), as_int),
            ));
        }
    }
    Ok(Json::Object(vec![
        Json::version("zfs get"),
        ("datasets".to_owned(), Json::Object(datasets)),
    ]))
}
