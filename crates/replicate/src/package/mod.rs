//! Packages: several streams in one output, behind a header that tells of the datasets they come from (`zfs send` with
//! `-R`, `-I`, `-p`, `-b` or `-h`).
//!
//! ```text
//!   BEGIN (package) │ name-value list │ END │ stream │ stream │ … │ END (all zero)
//! ```
//!
//! `gather` walks the datasets and makes the list, `header` packs it, and `order` finds out which streams follow.
//! Nothing is sent here: each stream is one that [`crate::send`] makes.
//!
//! ```no_run
//! # use zferry_replicate::package::{Package, PackageError, PackageOptions, Span};
//! # use zferry_replicate::send::{self, Progress, SendOptions};
//! # use zferry_zpool::dsl::DslPool;
//! # fn send_tree(dsl: &DslPool<'_>, output: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//! let options = PackageOptions { replicate: true, ..PackageOptions::default() };
//! let span = Span::whole("monday");
//! let package = Package::gather(dsl, "tank/home", &span, &options, &mut |notice| eprintln!("{notice}"))?;
//! package.begin(output)?;
//! for stream in package.streams() {
//!     let source = stream.resolve(dsl)?.source;
//!     send::send(dsl.pool(), &source, SendOptions::default(), output, &Progress::default())?;
//! }
//! package.end(output)?;
//! # Ok(())
//! # }
//! ```
//!
//! What the list holds, and in which order the streams go: `docs/stream-format.md`.

mod error;
mod gather;
mod header;
mod order;
mod properties;

pub use error::{Notice, PackageError};
pub use order::{StreamStart, SubStream};

use crate::send::{Resolved, ResumeError};
use std::io::{self, Write};
use zferry_wire::Endian;
use zferry_zpool::dsl::{Dataset, DslPool};
use zferry_zstream::flags::FeatureFlags;
use zferry_zstream::token::ResumeToken;
use zferry_zstream::writer::end_of_package;

/// The longest list that OpenZFS sends and receives unless told otherwise, in bytes: four blocks of the largest size.
pub const LIST_BYTES_MAX: usize = 64 << 20;

/// What `zfs send` is asked for beside a stream.
#[derive(Clone, Debug)]
pub struct PackageOptions {
    /// `-R`: everything below the dataset, and all that is needed to make the same of it elsewhere.
    pub replicate: bool,
    /// `-p`: the properties that were set.
    pub properties: bool,
    /// `-b`: of the properties, those that were received, as they were received.
    pub backup: bool,
    /// `-h`: the holds on the snapshots.
    pub holds: bool,
    /// `-s`: datasets that lack the snapshot are left out, with what is below them.
    pub skip_missing: bool,
    /// `-w`: the streams are raw. Without it, encrypted datasets have no place in a list.
    pub raw: bool,
    /// `-X`: datasets of which, and of what is below them, no streams are sent.
    pub exclude: Vec<String>,
    /// How long the list may become, in bytes.
    pub list_bytes_max: usize,
}

impl Default for PackageOptions {
    fn default() -> Self {
        Self {
            replicate: false,
            properties: false,
            backup: false,
            holds: false,
            skip_missing: false,
            raw: false,
            exclude: Vec::new(),
            list_bytes_max: LIST_BYTES_MAX,
        }
    }
}

/// From which snapshot to which a package leads, by their names behind the `@`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The last snapshot.
    pub to: String,
    /// What the receiver has of each dataset already.
    pub from: Start,
    /// Whether the snapshots between are sent too. Those that others are clones of always are.
    pub intermediates: bool,
}

/// What the receiver of a package has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing.
    Nothing,
    /// What the dataset was cloned from.
    Origin,
    /// A snapshot of this name.
    Snapshot(String),
}

impl Span {
    /// Every snapshot up to `to`.
    #[must_use]
    pub fn whole(to: &str) -> Self {
        Self {
            to: to.to_owned(),
            from: Start::Nothing,
            intermediates: true,
        }
    }

    fn start_name(&self) -> Option<&str> {
        match &self.from {
            Start::Snapshot(name) => Some(name),
            Start::Nothing | Start::Origin => None,
        }
    }
}

/// A package that is ready to be sent.
#[derive(Debug)]
pub struct Package {
    header: Vec<u8>,
    streams: Vec<SubStream>,
    is_complete: bool,
    reaches_end: bool,
}

impl Package {
    /// Gathers what `zfs send -R` or `-I` sends of `dataset`.
    ///
    /// `notify` hears of what does not stop the package, in the order in which it is found.
    ///
    /// # Errors
    /// Where something is missing that must be there, or cannot be read.
    pub fn gather(
        dsl: &DslPool<'_>,
        dataset: &str,
        span: &Span,
        options: &PackageOptions,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<Self, PackageError> {
        let head = head(dsl, dataset)?;
        let top = format!("{dataset}@{}", span.to);
        // With -I alone, or with nothing but -b, the header has no list.
        let has_list = options.replicate || options.properties || options.holds;
        let gathering = gather::Gathering {
            dsl,
            to: &span.to,
            from: span.start_name(),
            all: span.intermediates || options.replicate,
            options,
        };
        let gathered = if has_list {
            gathering.run(&head, notify)?
        } else {
            gathering.only(&head)?
        };
        let list = if has_list {
            header::pack(&gathered, span, options, &top)?
        } else {
            Vec::new()
        };
        let plan = order::plan(&gathered, span, options, notify)?;
        Ok(Self {
            header: header::records(&top, features(options), &list)?,
            is_complete: plan.is_complete,
            reaches_end: plan.reaches_end,
            streams: plan.streams,
        })
    }

    /// Gathers what goes before and behind the stream of one snapshot, whatever that is sent from: `zfs send -p`, `-b`
    /// or `-h`. The stream itself is not among [`Self::streams`].
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn around(
        dsl: &DslPool<'_>,
        snapshot: &str,
        options: &PackageOptions,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<Self, PackageError> {
        let (dataset, to) = snapshot.split_once('@').unwrap_or((snapshot, ""));
        let head = head(dsl, dataset)?;
        let gathering = gather::Gathering {
            dsl,
            to,
            from: None,
            all: false,
            options,
        };
        let gathered = gathering.run(&head, notify)?;
        let span = Span {
            intermediates: false,
            ..Span::whole(to)
        };
        let list = header::pack(&gathered, &span, options, snapshot)?;
        Ok(Self {
            header: header::records(snapshot, features(options), &list)?,
            streams: Vec::new(),
            is_complete: true,
            reaches_end: true,
        })
    }

    /// The streams, in the order in which they are sent.
    #[must_use]
    pub fn streams(&self) -> &[SubStream] {
        &self.streams
    }

    /// Goes on with a package that was cut within one of its streams, of which the receiver has this token. The streams
    /// before that one are left out, and so is it itself: it is what this returns, and is sent first.
    ///
    /// # Errors
    /// [`ResumeError`], where the stream is none of the package, too, or would start from another snapshot.
    pub fn go_on(&mut self, dsl: &DslPool<'_>, token: &ResumeToken) -> Result<Resolved, ResumeError> {
        let is_same = |stream: &&SubStream| stream.guid == token.to_guid;
        // A snapshot may be there twice, as a copy of itself.
        let by_name = |stream: &SubStream| is_same(&stream) && stream.name == token.to_name;
        let place = self.streams.iter().position(by_name);
        let place = place.or_else(|| self.streams.iter().position(|stream| is_same(&stream)));
        let Some(place) = place else {
            return Err(ResumeError::NotInPackage(token.to_name.clone()));
        };
        let interrupted = self.streams.drain(..=place).next_back();
        let interrupted = interrupted.ok_or_else(|| ResumeError::NotInPackage(token.to_name.clone()))?;
        let mut resolved = interrupted.resolve(dsl)?;
        resolved.go_on(dsl, token)?;
        Ok(resolved)
    }

    /// Whether everything that was asked for is among the streams. What is not, there was a [`Notice`] of.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether the last dataset is among the streams. Where it is not, OpenZFS says how large the others are, and sends
    /// nothing.
    #[must_use]
    pub const fn reaches_end(&self) -> bool {
        self.reaches_end
    }

    /// Writes what goes before the streams.
    ///
    /// # Errors
    /// Where the output fails.
    pub fn begin(&self, output: &mut dyn Write) -> io::Result<()> {
        output.write_all(&self.header)
    }

    /// Writes what goes behind the streams.
    ///
    /// # Errors
    /// Where the output fails.
    pub fn end(&self, output: &mut dyn Write) -> io::Result<()> {
        output.write_all(&end_of_package(Endian::OURS))?;
        output.flush()
    }
}

fn head(dsl: &DslPool<'_>, name: &str) -> Result<Dataset, PackageError> {
    let head = dsl.dataset(name)?.filter(|dataset| !dataset.is_snapshot());
    head.ok_or_else(|| PackageError::Missing(name.to_owned()))
}

fn features(options: &PackageOptions) -> FeatureFlags {
    let mut features = FeatureFlags::empty();
    features.set(FeatureFlags::HOLDS, options.holds);
    features
}
