//! What a pool remembers of a scrub, where OpenZFS looks for it: `scan` in the object directory, and the log of errors
//! (both are drawn in `spa/scan.rs`).

use super::{Damage, ScrubReport};
use crate::dmu::ObjectType;
use crate::spa::{Feature, ScanFunction, ScanState};
use crate::zap::ZapValue;
use crate::{Error, ObjectNumber, PoolWriter};
use std::collections::BTreeMap;
use zferry_wire::u64_from_usize;

const DIRECTORY: ObjectNumber = ObjectNumber(1);
const ERROR_LOG: ObjectType = ObjectType(28);
/// The level that OpenZFS gives the block of an object set, and its number.
const ROOT_LEVEL: i64 = -1;

impl PoolWriter {
    /// Notes what a scrub did.
    pub(super) fn record_scrub(&mut self, report: &ScrubReport, started: u64) -> Result<(), Error> {
        let ended = self.environment.now().seconds;
        let scrubbed = self.pool.uberblock().txg.0;
        let errors = u64_from_usize(report.damage.len());
        let words = [
            ScanFunction::SCRUB.0,
            ScanState::FINISHED.0,
            0,
            0,
            scrubbed,
            0,
            scrubbed,
            started,
            ended,
            report.examined,
            report.examined,
            0,
            report.repaired,
            errors,
            // Where a scan of shared blocks and one of trees would go on, and flags.
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        self.table_put_value(DIRECTORY, "scan", &ZapValue::numbers(&words))?;
        self.table_put(DIRECTORY, "last_scrubbed_txg", scrubbed)?;
        for log in ["errlog_scrub", "errlog_last"] {
            self.drop_error_log(log)?;
        }
        if !report.damage.is_empty() {
            let log = self.new_error_log(&report.damage)?;
            self.table_put(DIRECTORY, "errlog_last", log.0)?;
        }
        Ok(())
    }

    fn drop_error_log(&mut self, name: &str) -> Result<(), Error> {
        let Some(number) = self.table_get(DIRECTORY, name)? else {
            return Ok(());
        };
        if number != 0 {
            let number = ObjectNumber(number);
            if self.is_logged_by_head()? {
                for entry in self.table_all(number)? {
                    if let Some(table) = entry.value.as_u64() {
                        self.free_meta_object(ObjectNumber(table))?;
                    }
                }
            }
            self.free_meta_object(number)?;
        }
        self.table_remove(DIRECTORY, name).map(drop)
    }

    /// Whether the log of errors has a table for each head.
    pub(in crate::writer) fn is_logged_by_head(&mut self) -> Result<bool, Error> {
        Ok(self.feature_count(Feature::HeadErrlog)? > 0)
    }

    fn new_error_log(&mut self, damage: &[Damage]) -> Result<ObjectNumber, Error> {
        let log = self.new_table(ERROR_LOG)?;
        let is_by_head = self.is_logged_by_head()?;
        let mut tables = BTreeMap::new();
        for bad in damage {
            let (object, block) = (bad.object.0, bad.block.0);
            let level = if bad.level == u8::MAX {
                ROOT_LEVEL.cast_unsigned()
            } else {
                u64::from(bad.level)
            };
            let (table, name) = if is_by_head {
                let table = match tables.get(&bad.head) {
                    Some(table) => *table,
                    None => {
                        let table = self.new_table(ERROR_LOG)?;
                        self.table_put(log, &format!("{:x}", bad.head.0), table.0)?;
                        tables.insert(bad.head, table);
                        table
                    }
                };
                (table, format!("{object:x}:{level:x}:{block:x}:{:x}", bad.birth.0))
            } else {
                let set = bad.dataset.0;
                (log, format!("{set:x}:{object:x}:{level:x}:{block:x}"))
            };
            self.table_put_value(table, &name, &ZapValue::text(""))?;
        }
        Ok(log)
    }
}
