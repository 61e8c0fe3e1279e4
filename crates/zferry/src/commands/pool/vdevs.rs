//! The vdevs of a pool, as they are named in lists.

use super::Handle;
use std::fs;
use std::path::Path;
use zferry_nvlist::NvList;

/// How vdevs are named.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct VdevNames {
    /// Name vdevs by their guids
    #[arg(short = 'g')]
    guids: bool,
    /// Follow symbolic links in the paths of vdevs
    #[arg(short = 'L')]
    follow_links: bool,
    /// Name vdevs by their full paths
    #[arg(short = 'P')]
    full_paths: bool,
}

/// A vdev in its place below others.
#[derive(Clone, Debug)]
pub(super) struct Vdev<'p> {
    /// What it is called.
    pub(super) name: String,
    /// Where a leaf is.
    pub(super) path: Option<String>,
    /// How deep it lies: 1 for a top-level vdev.
    pub(super) depth: usize,
    /// What the configuration says of it.
    pub(super) config: &'p NvList,
    /// For what it is used, if not for everything: `dedup`, `special` or `logs`.
    pub(super) class: Option<&'static str>,
}

/// The classes that are listed apart, in their order.
pub(super) const CLASSES: [&str; 3] = ["dedup", "special", "logs"];

/// The vdevs of a pool below its root, each before what lies below it; those with a class come last, class by class.
pub(super) fn vdevs<'p>(handle: &Handle<'p>, names: VdevNames) -> Vec<Vdev<'p>> {
    let config = handle.open.pool.config();
    let tops = config
        .list("vdev_tree")
        .and_then(|tree| tree.lists("children"))
        .unwrap_or_default();
    let mut vdevs = Vec::new();
    let wanted = std::iter::once(None).chain(CLASSES.iter().copied().map(Some));
    for class in wanted {
        let of_class = tops.iter().filter(|top| class_of(top) == class);
        for top in of_class.filter(|top| !matches!(top.str("type"), Some("hole" | "indirect" | "missing"))) {
            add(&mut vdevs, handle, top, class, names, 1);
        }
    }
    vdevs
}

fn class_of(top: &NvList) -> Option<&'static str> {
    if top.u64("is_log").is_some_and(|flag| flag != 0) {
        return Some("logs");
    }
    let bias = top.str("alloc_bias")?;
    CLASSES.iter().copied().find(|class| *class == bias)
}

/// No vdev lies deeper: a top-level vdev, a replacing or spare one, a leaf, and room to spare.
const DEPTH_MAX: usize = 8;

fn add<'p>(
    vdevs: &mut Vec<Vdev<'p>>,
    handle: &Handle<'p>,
    config: &'p NvList,
    class: Option<&'static str>,
    names: VdevNames,
    depth: usize,
) {
    let path = config.str("path").map(|recorded| path(handle, recorded, names));
    let name = name(config, path.as_deref(), names);
    vdevs.push(Vdev {
        name,
        path,
        depth,
        config,
        class,
    });
    if depth < DEPTH_MAX {
        for child in config.lists("children").unwrap_or_default() {
            add(vdevs, handle, child, class, names, depth.saturating_add(1));
        }
    }
}

/// What a vdev is called: a leaf by its path, any other by its type and number.
fn name(config: &NvList, path: Option<&str>, names: VdevNames) -> String {
    let number = |name: &str| config.u64(name).unwrap_or(0);
    if names.guids {
        return number("guid").to_string();
    }
    let kind = config.str("type").unwrap_or("unknown");
    if let Some(path) = path {
        if kind != "disk" || names.full_paths {
            return path.to_owned();
        }
        let device = path.rsplit('/').next().unwrap_or(path);
        let device = if number("whole_disk") == 0 {
            device
        } else {
            without_partition(device)
        };
        return device.to_owned();
    }
    let children = config.lists("children").map_or(0, <[_]>::len);
    let kind = match kind {
        "raidz" => format!("raidz{}", number("nparity")),
        "draid" => format!(
            "draid{}:{}d:{children}c:{}s",
            number("nparity"),
            number("draid_ndata"),
            number("draid_nspares")
        ),
        other => other.to_owned(),
    };
    format!("{kind}-{}", number("id"))
}

/// Where a leaf is: where the pool was found, if it is the only one, and else where the pool says.
fn path(handle: &Handle<'_>, recorded: &str, names: VdevNames) -> String {
    let found = handle
        .open
        .only_leaf()
        .and_then(|path| std::path::absolute(path).ok());
    let path = found.unwrap_or_else(|| Path::new(recorded).to_owned());
    let path = if names.follow_links {
        fs::canonicalize(&path).unwrap_or(path)
    } else {
        path
    };
    path.display().to_string()
}

/// A device's name without its partition: `sda` of `sda1`, `nvme0n1` of `nvme0n1p1`, `disk` of `disk-part1`.
fn without_partition(device: &str) -> &str {
    let base = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if base.len() == device.len() {
        return device;
    }
    if let Some(disk) = base.strip_suffix("-part") {
        return disk;
    }
    match base.strip_suffix('p') {
        Some(disk) if disk.ends_with(|c: char| c.is_ascii_digit()) => disk,
        _ if base.starts_with("sd")
            || base.starts_with("hd")
            || base.starts_with("vd")
            || base.starts_with("xvd") =>
        {
            base
        }
        _ => device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_disk_is_named_without_its_partition() {
        for (device, disk) in [
            ("sda1", "sda"),
            ("nvme0n1p1", "nvme0n1"),
            ("ata-WDC_1-part9", "ata-WDC_1"),
            ("loop0", "loop0"),
            ("dm-3", "dm-3"),
            ("sda", "sda"),
        ] {
            assert_eq!(without_partition(device), disk);
        }
    }
}
