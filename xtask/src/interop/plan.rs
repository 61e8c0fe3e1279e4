//! What has to be received before a stream can be, and where each goes.

use anyhow::{Context, Result};
use zferry_fixtures::Line;

use super::pool::POOL;

/// How one stream is received.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The source of an incremental stream, to be received first.
    pub(super) base: Option<Base>,
    /// The snapshot that receiving makes.
    pub(super) into: String,
    /// For a clone's stream: the snapshot that it is a clone of, in the fresh pool.
    pub(super) origin: Option<String>,
}

/// The source of an incremental stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// What `zferry send` is told: the options of the incremental stream, and the snapshot's name.
    pub(super) arguments: Vec<String>,
    /// The snapshot that receiving makes of it.
    pub(super) into: String,
}

impl Plan {
    /// Each stream gets a file system of its own in the fresh pool, named after it.
    pub(super) fn new(line: &Line) -> Result<Self> {
        let sent = line.arguments.last().context("nothing is sent")?;
        let (dataset, snapshot) = sent.split_once('@').context("no snapshot is sent")?;
        let into = format!("{POOL}/{}@{snapshot}", line.name);
        let Some(option) = line.arguments.iter().position(|argument| argument == "-i") else {
            return Ok(Self {
                base: None,
                into,
                origin: None,
            });
        };
        let (options, rest) = line.arguments.split_at(option);
        let source = rest.get(1).context("-i without a source")?;
        let at = source.find(['@', '#']).context("no snapshot as source")?;
        let (named, mark) = source.split_at(at);
        let from = if named.is_empty() { dataset } else { named };
        // In these pools a bookmark has the name of its snapshot.
        let short = mark.trim_start_matches(['@', '#']);
        let is_clone = from != dataset;
        let suffix = if is_clone { "-origin" } else { "" };
        let mut arguments = options.to_vec();
        arguments.push(format!("{from}@{short}"));
        let base = Base {
            arguments,
            into: format!("{POOL}/{}{suffix}@{short}", line.name),
        };
        let origin = is_clone.then(|| base.into.clone());
        Ok(Self {
            base: Some(base),
            into,
            origin,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &str) -> Plan {
        Plan::new(&Line {
            name: "s".to_owned(),
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            bytes: 0,
            sha256: String::new(),
        })
        .unwrap()
    }

    #[test]
    fn an_incremental_needs_its_source() {
        for source in ["@a", "#a", "p/fs@a"] {
            let plan = plan(&format!("-L -i {source} p/fs@b"));
            assert_eq!(plan.base.unwrap().arguments, ["-L", "p/fs@a"]);
            assert_eq!((plan.into.as_str(), plan.origin), ("judge/s@b", None));
        }
    }

    #[test]
    fn a_clone_needs_its_origin() {
        let plan = plan("-i p/fs@a p/clone@b");
        assert_eq!(plan.origin.as_deref(), Some("judge/s-origin@a"));
        assert_eq!(plan.into, "judge/s@b");
    }

    #[test]
    fn a_full_stream_needs_nothing() {
        assert_eq!(plan("-e p/fs@b").base, None);
    }
}
