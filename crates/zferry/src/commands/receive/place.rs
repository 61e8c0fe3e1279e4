//! Into which pool is received, and whether it has room for the name.

use super::guids;
use super::sentences::Action;
use crate::datasets::resume_token;
use crate::error::CommandError;
use crate::pools::{Paths, cannot_open, missing};
use crate::writing;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zferry_nvlist::NvList;
use zferry_replicate::receive::{Destination, Errno, Naming, ReceiveError, Request, check};
use zferry_zpool::dsl::property::DatasetTypes;
use zferry_zpool::dsl::{Dataset, DatasetFlags, DatasetPhys, DslPool, EntityName, check_pool_name};
use zferry_zpool::vdev::{FileDisk, WritableDisk, WritableFile, read_labels};
use zferry_zpool::{CreateOptions, Environment, Error, OpenOptions, Pool, PoolLayout, PoolWriter, TopLayout};
use zferry_zstream::flags::BeginFlags;
use zferry_zstream::record::{Begin, ObjsetType};

/// What decides where a stream goes.
#[derive(Clone, Copy)]
pub(super) struct Route<'a> {
    pub(super) begin: &'a Begin,
    /// What the command line names.
    pub(super) target: &'a str,
    pub(super) naming: Naming,
    pub(super) action: Action,
    pub(super) is_forced: bool,
    /// Whether the stream is of a dataset below the one that a package is of.
    pub(super) is_below_top: bool,
    /// In a package: the snapshot of the dataset above by which that is known, wherever it is.
    pub(super) parent_guid: Option<u64>,
}

impl Route<'_> {
    fn makes_new(&self) -> bool {
        self.action == Action::NEW
    }
}

/// What is to be done with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is received.
    Good,
    /// Its snapshot is there: it is read to its end, and that is all.
    Known,
}

/// The pool that is received into.
#[derive(Debug)]
pub(super) enum Place<'a> {
    /// It is there.
    There {
        /// As it is before the receive.
        pool: Box<Pool>,
        /// Where it was looked for.
        found: Found<'a>,
    },
    /// It is open for writing.
    Open(Box<Opened>),
    /// It is made here.
    New {
        /// Its name.
        name: String,
        /// The file or device.
        path: PathBuf,
    },
}

/// Where a pool was found.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// Where all commands look.
    Paths { paths: &'a Paths, name: String },
    /// In the file that `--create` names.
    File { path: PathBuf, name: String },
}

/// A pool, open for writing.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) writer: PoolWriter,
    /// The file that was made for it, which goes if nothing is received.
    made: Option<PathBuf>,
}

impl<'a> Place<'a> {
    /// Finds the pool of `target`, or decides where it is made.
    pub(super) fn find(paths: &'a Paths, target: &str, create: Option<&Path>) -> Result<Self, CommandError> {
        let name = EntityName::new(target).pool().to_owned();
        let Some(path) = create else {
            return Ok(Self::There {
                pool: Box::new(paths.open_pool_of(target)?),
                found: Found::Paths { paths, name },
            });
        };
        if let Ok(disk) = FileDisk::open(path)
            && let Ok(label) = read_labels(&disk)
        {
            if label.pool_name() != Some(&*name) {
                let other = label.pool_name().unwrap_or_default();
                return Err(cannot_create(
                    &name,
                    format_args!("'{}' holds the pool '{other}'", path.display()),
                ));
            }
            let pool = Pool::open(Arc::new(disk), &OpenOptions::default());
            let pool = pool.map_err(|error| cannot_open(&name, error))?;
            let path = path.to_owned();
            return Ok(Self::There {
                pool: Box::new(pool),
                found: Found::File { path, name },
            });
        }
        check_pool_name(&name).map_err(|why| cannot_create(&name, why))?;
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() && metadata.len() > 0 => Err(cannot_create(
                &name,
                format_args!("'{}' is a file that holds something else", path.display()),
            )),
            _ => Ok(Self::New {
                name,
                path: path.to_owned(),
            }),
        }
    }

    /// The pool as it is; `None` where it is not there yet.
    pub(super) fn pool(&self) -> Option<&Pool> {
        match self {
            Self::There { pool, .. } => Some(pool),
            Self::Open(opened) => Some(opened.writer.pool()),
            Self::New { .. } => None,
        }
    }

    /// Whether a file system or volume of this name is there.
    fn types_of(&self, dataset: &str) -> Result<Option<DatasetTypes>, CommandError> {
        let cannot = |error: Error| cannot_open(dataset, error);
        if let Self::New { name, .. } = self {
            return Ok((dataset == name).then_some(DatasetTypes::FILESYSTEM));
        }
        let Some(pool) = self.pool() else {
            return Ok(None);
        };
        let dsl = DslPool::new(pool);
        let head = dsl.dataset(dataset).map_err(cannot)?;
        head.map(|head| dsl.head_type(&head)).transpose().map_err(cannot)
    }

    /// With `-d` and `-e`, what is named must be there.
    pub(super) fn check_prefix(&self, target: &str, naming: Naming) -> Result<(), CommandError> {
        if naming == Naming::Exact || target.contains('@') || self.types_of(target)?.is_some() {
            return Ok(());
        }
        Err(CommandError::failed(format_args!(
            "cannot receive: specified fs ({target}) does not exist"
        )))
    }

    /// The snapshot that the stream of a clone continues.
    pub(super) fn origin_of(
        &self,
        begin: &Begin,
        destination: &Destination,
    ) -> Result<Option<String>, CommandError> {
        if !begin.flags.contains(BeginFlags::CLONE) {
            return Ok(None);
        }
        let found = self.find_guid(&destination.dataset, begin.from_guid)?;
        let name = destination.snapshot_name();
        let missing = || {
            CommandError::failed(format_args!(
                "cannot receive: local origin for clone {name} does not exist"
            ))
        };
        found.map(Some).ok_or_else(missing)
    }

    /// The guid of the snapshot that `destination` names, where it is there.
    pub(super) fn snapshot_guid(&self, destination: &Destination) -> Result<Option<u64>, CommandError> {
        let name = destination.snapshot_name();
        let Some(pool) = self.pool() else {
            return Ok(None);
        };
        let found = DslPool::new(pool).dataset(&name);
        let found = found.map_err(|error| cannot_open(&name, error))?;
        Ok(found.map(|snapshot| snapshot.phys.guid))
    }

    /// The snapshot with this guid that is nearest to a name.
    fn find_guid(&self, near: &str, guid: u64) -> Result<Option<String>, CommandError> {
        let Some(pool) = self.pool() else {
            return Ok(None);
        };
        guids::nearest(&DslPool::new(pool), near, guid).map_err(|error| cannot_open(near, error))
    }

    /// What `-o origin` names must be there. That it must be in the pool `target` is for others to say.
    pub(super) fn check_origin(&self, target: &str, origin: &str) -> Result<(), CommandError> {
        if EntityName::new(target).pool() != EntityName::new(origin).pool() {
            return Ok(());
        }
        let found = match self.pool() {
            Some(pool) => DslPool::new(pool)
                .dataset(origin)
                .map_err(|error| cannot_open(origin, error))?,
            None => None,
        };
        match found {
            Some(_) => Ok(()),
            None => Err(CommandError::failed(format_args!(
                "cannot receive: specified origin fs ({origin}) does not exist"
            ))),
        }
    }

    /// Whether the stream can go to `destination`, as zfs(8) looks before it asks the kernel. Says where it really goes,
    /// and which parents have to be made.
    pub(super) fn check(
        &self,
        route: &Route<'_>,
        mut destination: Destination,
    ) -> Result<(Destination, Vec<String>), CommandError> {
        let makes_new = route.makes_new();
        if makes_new
            && let Some(guid) = route.parent_guid
            && let Some((parent, component)) = destination.dataset.rsplit_once('/')
            && self.types_of(parent)?.is_none()
        {
            // What it is to lie in may have been renamed.
            let found = self.find_guid(parent, guid)?;
            if let Some((parent, _)) = found.as_ref().and_then(|name| name.split_once('@')) {
                destination.dataset = format!("{parent}/{component}");
            }
        }
        let may_be_elsewhere = route.naming != Naming::Exact || route.is_below_top;
        if !makes_new && may_be_elsewhere && self.types_of(&destination.dataset)?.is_none() {
            // It may have been renamed.
            let found = self.find_guid(&destination.dataset, route.begin.from_guid)?;
            if let Some((dataset, _)) = found.as_ref().and_then(|name| name.split_once('@')) {
                dataset.clone_into(&mut destination.dataset);
            }
        }
        if self.types_of(&destination.dataset)?.is_some() {
            if makes_new {
                self.check_overwritten(route, &destination.dataset)?;
            } else if route.action == Action::RESUME {
                self.check_resumed(route, &destination.dataset)?;
            } else {
                self.check_raw(route, &destination.dataset)?;
            }
            return Ok((destination, Vec::new()));
        }
        let parents = self.check_parent(route, &destination)?;
        Ok((destination, parents))
    }

    /// What is not encrypted cannot be continued by what is.
    fn check_raw(&self, route: &Route<'_>, dataset: &str) -> Result<(), CommandError> {
        let is_raw = route.begin.is_raw();
        let Some(dsl) = self.pool().map(DslPool::new) else {
            return Ok(());
        };
        let head = dsl
            .dataset(dataset)
            .map_err(|error| cannot_open(dataset, error))?;
        let Some(head) = head.filter(|_| is_raw) else {
            return Ok(());
        };
        let encryption = dsl.encryption(&head.dir);
        if encryption.map_err(|error| cannot_open(dataset, error))?.is_none() {
            return Err(route
                .action
                .error("cannot perform raw receive on top of existing unencrypted dataset"));
        }
        Ok(())
    }

    /// Whether a stream may go on that is to replace what is there.
    fn check_resumed(&self, route: &Route<'_>, dataset: &str) -> Result<(), CommandError> {
        let is_new = route.begin.from_guid == 0 || route.begin.flags.contains(BeginFlags::CLONE);
        let Some(pool) = self.pool() else {
            return Ok(());
        };
        let head = DslPool::new(pool).dataset(dataset);
        let head = head.map_err(|error| cannot_open(dataset, error))?;
        let is_whole = |head: Dataset| !head.phys.flags.contains(DatasetFlags::INCONSISTENT);
        if is_new && !route.is_forced && head.is_some_and(is_whole) {
            return Err(route.action.error(format_args!(
                "Resuming recv on existing destination '{dataset}'\nmust specify -F to overwrite it"
            )));
        }
        Ok(())
    }

    /// The token with which an interrupted receive goes on.
    pub(super) fn token(&self, dataset: &str) -> Option<String> {
        self.pool().and_then(|pool| token(pool, dataset))
    }

    /// Whether what is there may be overwritten.
    fn check_overwritten(&self, route: &Route<'_>, dataset: &str) -> Result<(), CommandError> {
        if !route.is_forced {
            return Err(route.action.error(format_args!(
                "destination '{dataset}' exists\nmust specify -F to overwrite it"
            )));
        }
        let Some(pool) = self.pool() else {
            return Ok(());
        };
        let dsl = DslPool::new(pool);
        let cannot = |error: Error| cannot_open(dataset, error);
        let Some(head) = dsl.dataset(dataset).map_err(cannot)? else {
            return Ok(());
        };
        if let Some((snapshot, _)) = dsl.snapshots(&head).map_err(cannot)?.first() {
            return Err(route.action.error(format_args!(
                "destination has snapshots (eg. {dataset}@{snapshot})\nmust destroy them to overwrite it"
            )));
        }
        let is_volume = route.begin.objset_type == ObjsetType::ZVOL;
        if is_volume && !dataset.contains('/') {
            return Err(route.action.error(format_args!(
                "destination {dataset} is the root dataset\ncannot overwrite with a ZVOL"
            )));
        }
        let children = dsl.children(&head.dir).map_err(cannot)?;
        if let Some((child, _)) = children
            .iter()
            .find(|(name, _)| is_volume && !name.starts_with(['$', '%']))
        {
            return Err(route.action.error(format_args!(
                "destination has children (eg. {dataset}/{child})\ncannot overwrite with a ZVOL"
            )));
        }
        if dsl.origin(&head.dir).map_err(cannot)?.is_some() {
            return Err(route.action.error(format_args!(
                "destination '{dataset}' is a clone\nmust destroy it to overwrite it"
            )));
        }
        let is_raw = route.begin.is_raw();
        if is_raw || dsl.encryption(&head.dir).map_err(cannot)?.is_some() {
            return Err(route.action.error(
                "zfs receive -F cannot be used to destroy an encrypted filesystem or overwrite an unencrypted one \
                 with an encrypted one",
            ));
        }
        Ok(())
    }

    /// Whether the dataset can be made. Says which parents have to be made first.
    fn check_parent(
        &self,
        route: &Route<'_>,
        destination: &Destination,
    ) -> Result<Vec<String>, CommandError> {
        let dataset = &*destination.dataset;
        let Some(parent) = destination.parent().filter(|_| route.makes_new()) else {
            return Err(route
                .action
                .error(format_args!("destination '{dataset}' does not exist")));
        };
        let parents = match route.naming {
            Naming::WithoutPool => self.missing_between(route.target, parent)?,
            Naming::Exact | Naming::LastComponent => Vec::new(),
        };
        if !parents.is_empty() {
            return Ok(parents);
        }
        match self.types_of(parent)? {
            None => {
                // zfs(8) says both.
                let mut error = missing(parent);
                error
                    .hints
                    .push(route.action.sentence("unable to restore to destination"));
                Err(error)
            }
            Some(DatasetTypes::FILESYSTEM) => Ok(Vec::new()),
            Some(_) => Err(route
                .action
                .error(format_args!("parent '{parent}' is not a filesystem"))),
        }
    }

    /// What the kernel says of BEGIN, before anything is changed. A snapshot that is there already is known; in a pool
    /// that is to be made, nothing is.
    pub(super) fn check_begin(
        &self,
        begin: &Begin,
        list: Option<&NvList>,
        request: &Request,
    ) -> Result<Verdict, ReceiveError> {
        let Some(pool) = self.pool() else {
            return Ok(Verdict::Good);
        };
        let dsl = DslPool::new(pool);
        let Err(error) = check(&dsl, begin, list, request) else {
            return Ok(Verdict::Good);
        };
        if matches!(error.errno(), Errno::ENOENT | Errno::EEXIST)
            && let Some(head) = dsl.dataset(&request.destination.dataset)?
        {
            for (_, number) in dsl.snapshots(&head)? {
                if DatasetPhys::decode(&pool.meta_object(number)?)
                    .map_err(Error::from)?
                    .guid
                    == begin.to_guid
                {
                    return Ok(Verdict::Known);
                }
            }
        }
        Err(error)
    }

    /// The names below `prefix` down to `last` that are not there.
    fn missing_between(&self, prefix: &str, last: &str) -> Result<Vec<String>, CommandError> {
        let below = last.strip_prefix(prefix).unwrap_or_default();
        let mut name = prefix.to_owned();
        let mut missing = Vec::new();
        for component in below.split('/').filter(|component| !component.is_empty()) {
            name.push('/');
            name.push_str(component);
            if self.types_of(&name)?.is_none() {
                missing.push(name.clone());
            }
        }
        Ok(missing)
    }

    /// Opens the pool for writing, or makes it with a file of `size` bytes.
    pub(super) fn open(self, size: u64) -> Result<Opened, CommandError> {
        match self {
            Self::Open(opened) => Ok(*opened),
            Self::There { found, .. } => {
                let writer = match found {
                    Found::Paths { paths, name } => writing::open_pool_of(paths, &name)?,
                    Found::File { path, name } => {
                        let disks = writing::open_disks(&[path], false)?;
                        PoolWriter::open(disks, &OpenOptions::default(), writing::environment()?)
                            .map_err(|error| cannot_open(&name, error))?
                    }
                };
                Ok(Opened { writer, made: None })
            }
            Self::New { name, path } => {
                let is_new = fs::metadata(&path).is_err();
                let path = writing::absolute(&path).unwrap_or(path);
                let made = create_pool(&name, &path, size, writing::environment()?);
                if made.is_err() && is_new {
                    // What cannot be removed is empty at least.
                    let _ = fs::remove_file(&path);
                }
                Ok(Opened {
                    writer: made.map_err(|error| cannot_create(&name, error))?,
                    made: is_new.then_some(path),
                })
            }
        }
    }
}

fn create_pool(name: &str, path: &Path, size: u64, environment: Environment) -> Result<PoolWriter, Error> {
    let disk: Arc<dyn WritableDisk> = Arc::new(WritableFile::create(path, size)?);
    let layout = PoolLayout {
        tops: vec![TopLayout { disks: vec![disk] }],
    };
    PoolWriter::create(&layout, &CreateOptions::new(name), environment)
}

fn cannot_create(name: &str, why: impl std::fmt::Display) -> CommandError {
    CommandError::failed(format_args!("cannot create '{name}': {why}"))
}

/// The token with which an interrupted receive goes on, where it can be had.
fn token(pool: &Pool, dataset: &str) -> Option<String> {
    let dsl = DslPool::new(pool);
    let head = dsl.dataset(dataset).ok()??;
    resume_token(&dsl, &head).ok()?
}

/// What an opened pool is when it is done with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Yield {
    /// Something was received into it.
    Something,
    /// Nothing was.
    Nothing,
}

impl Place<'_> {
    /// Closes the pool. One that was made for what did not come goes.
    pub(super) fn close(self, outcome: Yield) {
        if let Self::Open(opened) = self
            && outcome == Yield::Nothing
        {
            opened.give_up();
        }
    }
}

impl Opened {
    /// Nothing was received: a pool that was made for it goes.
    fn give_up(self) {
        drop(self.writer);
        if let Some(path) = self.made {
            // What cannot be removed is a pool without anything in it.
            let _ = fs::remove_file(path);
        }
    }
}
