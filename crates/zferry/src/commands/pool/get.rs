//! `zferry pool get`: properties of pools, a row each.

use super::vdevs::{Class, Vdev};
use super::wanted::WantedList;
use super::{Handle, cannot_read, chosen};
use crate::commands::get::parse_columns;
use crate::datasets::usage;
use crate::error::CommandError;
use crate::output::{GetRow, GetTable, Json, SourceSet};
use crate::pools::Paths;
use std::io::{self, BufWriter, Write};

/// Show properties of pools, and where their values come from
#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
pub(crate) struct Args {
    /// For scripts: no headers, and a tab between columns
    #[arg(short = 'H')]
    scripted: bool,
    /// Numbers with all their digits
    #[arg(short = 'p')]
    literal: bool,
    /// The columns to show, with commas between: name, property, value, source, or all
    #[arg(
        short = 'o',
        value_name = "COLUMN[,…]",
        default_value = "name,property,value,source"
    )]
    columns: String,
    /// As JSON
    #[arg(short = 'j', long = "json")]
    json: bool,
    /// As JSON, with numbers as numbers
    #[arg(long = "json-int")]
    json_int: bool,
    /// As JSON, with pools under their guids
    #[arg(long = "json-pool-key-guid")]
    json_pool_key_guid: bool,
    /// The properties, with commas between, or `all`
    #[arg(value_name = "PROPERTY[,…]")]
    properties: Option<String>,
    /// The pools; without any, all
    #[arg(value_name = "POOL")]
    pools: Vec<String>,
}

/// Shows properties of pools.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let columns = parse_columns(&args.columns, false).map_err(usage)?;
    check_json(args.json, args.json_int, args.json_pool_key_guid).map_err(usage)?;
    let Some(properties) = &args.properties else {
        return Err(usage("missing property argument"));
    };
    let mut wanted = WantedList::parse(properties).map_err(usage)?.with_name_first();
    let names = &*args.pools;
    let literal = args.literal || args.json_int;
    let pools = paths.open(names)?;
    if let Some(missing) = names
        .iter()
        .find(|name| pools.iter().all(|pool| pool.name() != *name))
    {
        let error = CommandError::failed(format_args!(
            "Cannot get properties of {missing}: no such pool available."
        ));
        return Err(match paths.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        });
    }
    let (handles, has_failed) = chosen(paths, &pools, names)?;
    wanted
        .make_room(&handles, literal)
        .map_err(|error| cannot_read("pool", &error))?;
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        let mut members = Vec::new();
        for handle in &handles {
            let rows = rows(handle, &wanted, literal)?;
            let rows = rows
                .into_iter()
                .map(|row| (row.property.to_owned(), row.json(args.json_int)));
            let mut pool = pool_json(handle, args.json_int, true);
            pool.push(("properties".to_owned(), Json::Object(rows.collect())));
            members.push((pool_key(handle, args.json_pool_key_guid), Json::Object(pool)));
        }
        let json = Json::Object(vec![
            Json::version("zpool get"),
            ("pools".to_owned(), Json::Object(members)),
        ]);
        writeln!(out, "{json}")?;
    } else {
        let mut table = GetTable::new(columns, SourceSet::all(), args.scripted);
        fit(&mut table, &wanted);
        for handle in &handles {
            for row in rows(handle, &wanted, literal)? {
                table.row(&mut out, &row)?;
            }
        }
    }
    out.flush()?;
    if has_failed {
        Err(CommandError::reported())
    } else {
        Ok(())
    }
}

/// Whether the options about JSON go together.
pub(super) fn check_json(json: bool, as_int: bool, by_guid: bool) -> Result<(), String> {
    match (json, as_int, by_guid) {
        (false, true, _) => Err("'--json-int' only works with '-j' option".to_owned()),
        (false, _, true) => Err("'json-pool-key-guid' only works with '-j' option".to_owned()),
        _ => Ok(()),
    }
}

/// The name or guid under which JSON has a pool.
pub(super) fn pool_key(handle: &Handle<'_>, by_guid: bool) -> String {
    if by_guid {
        handle.open.pool.guid().to_string()
    } else {
        handle.name().to_owned()
    }
}

/// What JSON says of a pool before its properties.
pub(super) fn pool_json(handle: &Handle<'_>, as_int: bool, with_type: bool) -> Vec<(String, Json)> {
    let mut members = vec![("name", Json::text(handle.name()))];
    if with_type {
        members.push(("type", Json::text("POOL")));
    }
    members.push(("state", Json::text(handle.state().to_string())));
    members.push(("pool_guid", Json::number(handle.open.pool.guid(), as_int)));
    // That of the last change to the pool's devices.
    if let Some(txg) = handle.open.pool.config().u64("txg") {
        members.push(("txg", Json::number(txg, as_int)));
    }
    // What OpenZFS knows, not what the pool has.
    members.push(("spa_version", Json::number(5000, as_int)));
    members.push(("zpl_version", Json::number(5, as_int)));
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// What JSON says of a vdev before its properties.
pub(super) fn vdev_json(vdev: &Vdev, as_int: bool) -> Vec<(String, Json)> {
    let mut members = vec![("name", Json::text(vdev.name.clone()))];
    members.push(("vdev_type", Json::text(vdev.kind.clone())));
    members.push(("guid", Json::number(vdev.guid, as_int)));
    if let Some(path) = &vdev.path {
        members.push(("path", Json::text(path.clone())));
    }
    members.push((
        "class",
        Json::text(vdev.class.map_or("normal", Class::json_class)),
    ));
    members.push(("state", Json::text(vdev.state.clone())));
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Makes the columns as wide as what they will hold. The first property is the name, which is not shown as a value.
fn fit(table: &mut GetTable, wanted: &WantedList) {
    let mut properties = wanted.properties.iter();
    if let Some(name) = properties.next() {
        table.name_width = table.name_width.max(name.width);
    }
    for wanted in properties {
        table.property_width = table.property_width.max(wanted.property.name().len());
        table.value_width = table.value_width.max(wanted.width);
    }
}

fn rows<'h>(
    handle: &'h Handle<'_>,
    wanted: &'h WantedList,
    literal: bool,
) -> Result<Vec<GetRow<'h>>, CommandError> {
    let mut rows = Vec::new();
    for wanted in wanted.properties.iter().skip(1) {
        let shown = handle
            .shown(&wanted.property, literal)
            .map_err(|error| cannot_read(handle.name(), &error))?;
        if let Some(shown) = shown {
            rows.push(GetRow {
                name: handle.name(),
                property: wanted.property.name(),
                value: shown.text,
                received: None,
                source: shown.source,
            });
        }
    }
    Ok(rows)
}
