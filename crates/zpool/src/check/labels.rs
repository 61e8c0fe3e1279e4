//! Labels, the uberblock and the configuration: that the labels are there, and that all speak of the same vdevs.
//!
//! A change of the configuration is written to labels 0 and 2, then comes the uberblock, then labels 1 and 3, each step
//! flushed before the next. A crash may leave one of the pairs torn, never both, and an uberblock never comes before
//! labels 0 and 2 were written for the first time, nor a second one before labels 1 and 3.

use super::finding::{Findings, Spot};
use crate::Pool;
use crate::vdev::{Disk, LabelCopy, label_copies, read_uberblocks};
use zferry_nvlist::NvList;

/// Compares the uberblock's sum of guids with the configuration's vdevs.
pub(super) fn check_guids(pool: &Pool, findings: &mut Findings<'_>) {
    let Some(tree) = pool.config().list("vdev_tree") else {
        return;
    };
    let spot = || Spot::dataset("uberblock");
    findings.compare(spot, "ub_guid_sum", pool.uberblock().guid_sum, sum_of_guids(tree));
    let newest = pool.uberblock().root.logical_birth();
    if newest > pool.uberblock().txg {
        findings.report(
            spot(),
            "ub_txg",
            pool.uberblock().txg,
            format!("at least {newest}, the birth of its root"),
        );
    }
}

/// Checks the labels of every device.
pub(super) fn check_labels(pool: &Pool, findings: &mut Findings<'_>) {
    for disk in pool.reader().vdevs().devices().values() {
        check_labels_of(&**disk, findings);
    }
}

fn check_labels_of(disk: &dyn Disk, findings: &mut Findings<'_>) {
    let copies = label_copies(disk);
    let is_sound = |number: usize| copies.get(number) == Some(&LabelCopy::Sound);
    let has_pair = [[0, 2], [1, 3]]
        .iter()
        .any(|pair| pair.iter().all(|number| is_sound(*number)));
    let is_first = read_uberblocks(disk).len() < 2;
    for (number, copy) in copies.iter().enumerate() {
        let found = match copy {
            LabelCopy::Empty if number % 2 == 0 || !is_first => "nothing",
            LabelCopy::Empty | LabelCopy::Torn if !has_pair => "no valid configuration",
            _ => continue,
        };
        let spot = Spot::dataset(&format!("{}, label {number}", disk.name()));
        findings.report(spot, "vl_vdev_phys", found, "the configuration");
    }
}

/// The sum of the guids of a vdev and of all below it, modulo 2^64.
fn sum_of_guids(tree: &NvList) -> u64 {
    let mut sum = 0_u64;
    let mut waiting = vec![tree];
    while let Some(vdev) = waiting.pop() {
        sum = sum.wrapping_add(vdev.u64("guid").unwrap_or(0));
        waiting.extend(vdev.lists("children").unwrap_or_default());
    }
    sum
}
