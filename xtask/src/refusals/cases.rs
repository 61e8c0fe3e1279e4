//! Streams that cannot be received, by what BEGIN says and by what is there; in the order of `dmu_recv_begin_check` and
//! `dmu_recv_resume_begin_check` in `module/zfs/dmu_recv.c`.

use anyhow::{Context, Result};
use zferry_fixtures::Corpus;
use zferry_nvlist::{Encoding, NvList, Value};
use zferry_wire::Endian;
use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType, VersionInfo};
use zferry_zstream::record::{Begin, ObjsetType, RECORD_SIZE, Record};

use super::made::{Made, Template, object};

/// A stream that cannot be received.
pub(super) struct Case {
    pub(super) what: String,
    pub(super) stream: Vec<u8>,
    /// The snapshot that it would become.
    pub(super) target: String,
    /// What `receive` is told besides.
    pub(super) options: Vec<String>,
    /// zfs(8) refuses it before the kernel gets it, or receives it otherwise, so that only what the library says counts.
    pub(super) is_of_library: bool,
    /// What zfs(8) refuses, or the kernel before it looks at the stream, so that the library has nothing to say.
    pub(super) is_of_command: bool,
    /// Why zferry's words are not held to those of zfs(8), where that is worth knowing.
    pub(super) other_words: Option<&'static str>,
    /// Why zferry refuses it although OpenZFS does not.
    pub(super) only_ours: Option<&'static str>,
}

impl Case {
    pub(super) fn new(what: &str, target: &str, stream: Vec<u8>) -> Self {
        Self {
            what: what.to_owned(),
            stream,
            target: target.to_owned(),
            options: Vec::new(),
            is_of_library: false,
            is_of_command: false,
            other_words: None,
            only_ours: None,
        }
    }

    pub(super) fn with(mut self, options: &[&str]) -> Self {
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
        self
    }

    pub(super) fn of_library(mut self) -> Self {
        self.is_of_library = true;
        self
    }

    /// The errno is OpenZFS's, the words are not, for a reason.
    pub(super) fn in_other_words(mut self, why: &'static str) -> Self {
        self.is_of_library = true;
        self.other_words = Some(why);
        self
    }

    pub(super) fn of_command(mut self) -> Self {
        self.is_of_command = true;
        self
    }

    /// Whether an option is given.
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|other| other == option)
    }

    /// The origin that is given.
    pub(super) fn origin(&self) -> Option<&str> {
        self.options
            .iter()
            .find_map(|option| option.strip_prefix("origin="))
    }
}

/// How many records of a stream are enough for those that fail at its beginning.
const RECORDS: usize = 20;

/// The streams that others are made of.
pub(super) struct Templates {
    full: Template,
    step: Template,
    volume: Template,
    pub(super) raw: Template,
    pub(super) raw_step: Template,
    other_raw: Template,
    large: Template,
}

impl Templates {
    pub(super) fn read(corpus: &Corpus) -> Result<Self> {
        let read = |name: &str| Template::read(&corpus.stream(name)).map(|template| template.short(RECORDS));
        Ok(Self {
            full: read("basic-fs-a")?,
            step: read("basic-fs-a-b")?,
            volume: read("basic-vol-a")?,
            raw: read("crypt-gcm-raw-a")?,
            raw_step: read("crypt-gcm-raw-a-b")?,
            other_raw: read("crypt-ccm-raw-a-b")?,
            large: read("feat-r-1M-Lec")?,
        })
    }

    /// All that fail at the beginning.
    pub(super) fn cases(&self) -> Result<Vec<Case>> {
        let mut cases = self.unsuitable()?;
        cases.extend(self.features()?);
        cases.extend(self.onto_nothing()?);
        cases.extend(self.onto_existing()?);
        cases.extend(self.encrypted()?);
        cases.extend(self.resumed()?);
        Ok(cases)
    }

    /// What makes no sense in itself.
    fn unsuitable(&self) -> Result<Vec<Case>> {
        let full = |change: fn(&mut Begin)| self.full.begun(change).map(Made::end);
        let compound = |begin: &mut Begin| {
            let features = begin.version_info.features();
            begin.version_info = VersionInfo::new(HeaderType::COMPOUND, features);
        };
        let mut magic = full(|_| {})?;
        if let Some(byte) = magic.get_mut(8) {
            *byte ^= 1;
        }
        let list = |list: &NvList| list.encode(Encoding::Native, Endian::Little);
        let mut some = NvList::new();
        some.insert("nothing", 1_u64);
        let begun = Made::with(self.full.begin.clone(), &list(&some))?;
        let cut = |end: usize| -> Result<Vec<u8>> {
            let whole = begun.clone().end();
            whole.get(..end).map(<[u8]>::to_vec).context("no stream")
        };
        let again = Record::Begin(Box::new(self.full.begin.clone()));
        let mut large = self.full.begin.clone();
        large.payload_length = 300 << 20;
        let mut header = Record::Object(object(1, 19)).encode(Endian::Little);
        if let Some(byte) = header.last_mut() {
            *byte = 7;
        }
        // The command reads the list before it knows of what stream it is, and says so of those that it cannot read.
        Ok(vec![
            Case::new("no magic", "judge/new@a", magic),
            Case::new("BEGIN of a package", "judge/new@a", full(compound)?).of_library(),
            Case::new(
                "type 6 of object sets",
                "judge/new@a",
                full(|begin| begin.objset_type = ObjsetType(6))?,
            ),
            Case::new(
                "list too large",
                "judge/new@a",
                Record::Begin(Box::new(large)).encode(Endian::Little).to_vec(),
            )
            .of_library(),
            Case::new("cut within BEGIN", "judge/new@a", cut(100)?).of_command(),
            Case::new("cut within BEGIN's list", "judge/new@a", cut(320)?).of_library(),
            Case::new(
                "cut behind BEGIN's list",
                "judge/new@a",
                cut(RECORD_SIZE.saturating_add(list(&some).len()))?,
            ),
            Case::new(
                "BEGIN behind BEGIN's list",
                "judge/new@a",
                begun.clone().record(again.clone(), &[]).end(),
            ),
            Case::new(
                "BEGIN behind BEGIN",
                "judge/new@a",
                Made::with(self.full.begin.clone(), &[])?.record(again, &[]).end(),
            ),
            Case::new(
                "wrong sum behind BEGIN's list",
                "judge/new@a",
                begun.clone().bytes(&header, &[]).end(),
            ),
            Case::new("a list that is cut", "judge/new@a", {
                let list = list(&some);
                let cut = list.len().saturating_sub(6);
                let part = list.get(..cut).unwrap_or_default();
                self.full.made(self.full.begin.clone(), part)?.end()
            }),
            Case::new(
                "a list that is none",
                "judge/new@a",
                self.full.made(self.full.begin.clone(), &[9; 64])?.end(),
            ),
            Case::new(
                "cut behind BEGIN",
                "judge/new@a",
                Made::with(self.full.begin.clone(), &[])?.cut(),
            ),
            Case::new(
                "wrong sum at the end",
                "judge/new@a",
                self.full.begun(|_| {})?.end_wrong(),
            ),
            Case::new(
                "cut before the end",
                "judge/new@a",
                self.full.begun(|_| {})?.cut(),
            ),
        ])
    }

    /// What some pool cannot take.
    fn features(&self) -> Result<Vec<Case>> {
        let full = |features: FeatureFlags| {
            self.full.begun(|begin| {
                let all = begin.version_info.features() | features;
                begin.version_info = VersionInfo::new(HeaderType::SUBSTREAM, all);
            })
        };
        let unknown = FeatureFlags::from_bits_retain(1 << 45);
        let unmarked = |begin: &mut Begin| begin.flags.remove(BeginFlags::SPILL_BLOCK);
        let mut cases = vec![
            Case::new("unknown feature", "judge/new@a", full(unknown)?.end()),
            Case::new(
                "raw, spill blocks not marked",
                "judge/new@a",
                self.raw.begun(unmarked)?.end(),
            ),
            Case::new(
                "raw and embedded",
                "judge/new@a",
                self.raw
                    .begun(|begin| {
                        let all = begin.version_info.features() | FeatureFlags::EMBED_DATA;
                        begin.version_info = VersionInfo::new(HeaderType::SUBSTREAM, all);
                    })?
                    .end(),
            ),
            Case::new(
                "raw, into a bare pool",
                "bare/new@a",
                self.raw.begun(|_| {})?.end(),
            ),
        ];
        for (name, feature) in [
            ("LZ4", FeatureFlags::LZ4),
            ("ZSTD", FeatureFlags::ZSTD),
            ("EMBED_DATA", FeatureFlags::EMBED_DATA),
            ("LARGE_BLOCKS", FeatureFlags::LARGE_BLOCKS),
            ("LARGE_DNODE", FeatureFlags::LARGE_DNODE),
            ("LARGE_MICROZAP", FeatureFlags::LARGE_MICROZAP),
            ("LONGNAME", FeatureFlags::LONGNAME),
            ("REDACTED", FeatureFlags::REDACTED),
        ] {
            let what = format!("{name}, into a bare pool");
            cases.push(Case::new(&what, "bare/new@a", full(feature)?.end()));
        }
        Ok(cases)
    }

    /// What would become a new dataset.
    fn onto_nothing(&self) -> Result<Vec<Case>> {
        let full = |change: fn(&mut Begin)| self.full.begun(change).map(Made::end);
        let step = |change: fn(&mut Begin)| self.step.begun(change).map(Made::end);
        let no_records = |begin: &mut Begin| begin.flags.remove(BeginFlags::FREERECORDS);
        let clone = |begin: &mut Begin| begin.flags.insert(BeginFlags::CLONE);
        let plain = |_: &mut Begin| {};
        let over = |origin: &str| format!("origin={origin}");
        let fs = over("judge/fs@a");
        Ok(vec![
            Case::new("incremental, onto nothing", "judge/new@b", step(plain)?),
            Case::new("no parent", "judge/none/new@a", full(plain)?),
            Case::new("below a volume", "judge/vol/new@a", full(plain)?),
            Case::new("a clone's, no origin", "judge/new@b", step(clone)?).of_library(),
            Case::new("a clone's, its origin nowhere", "judge/new@b", {
                self.step
                    .begun(|begin| {
                        clone(begin);
                        begin.from_guid = 99;
                    })?
                    .end()
            }),
            Case::new(
                "over an origin, FREE records missing",
                "judge/new@a",
                full(no_records)?,
            )
            .with(&["-o", &fs]),
            Case::new("origin does not exist", "judge/new@b", step(plain)?)
                .with(&["-o", &over("judge/fs@none")]),
            Case::new("origin's dataset does not exist", "judge/new@b", step(plain)?)
                .with(&["-o", &over("judge/none@a")]),
            Case::new("origin is no snapshot", "judge/new@b", step(plain)?).with(&["-o", &over("judge/fs")]),
            Case::new("origin in another pool", "judge/new@b", step(plain)?)
                .with(&["-o", &over("bare@a")])
                .in_other_words("zfs(8) calls it an internal error and aborts"),
            Case::new("origin is another", "judge/new@b", step(plain)?).with(&["-o", &over("judge/fs@b")]),
            Case::new("a name with %", "judge/%new@a", full(plain)?).of_command(),
        ])
    }

    /// What would change what is there.
    fn onto_existing(&self) -> Result<Vec<Case>> {
        let full = |change: fn(&mut Begin)| self.full.begun(change).map(Made::end);
        let step = |change: fn(&mut Begin)| self.step.begun(change).map(Made::end);
        let clone = |begin: &mut Begin| begin.flags.insert(BeginFlags::CLONE);
        let plain = |_: &mut Begin| {};
        let large_guid = self.large.begin.to_guid;
        let unlike = |begin: &mut Begin| {
            begin.from_guid = large_guid;
            begin.to_guid = 0x7007;
        };
        Ok(vec![
            Case::new("a clone's, into what exists", "judge/fs@x", step(clone)?).of_library(),
            Case::new("over an origin, into what exists", "judge/empty@b", step(plain)?)
                .with(&["-o", "origin=judge/fs@a"]),
            Case::new(
                "forced over an origin, into what exists",
                "judge/empty@b",
                step(plain)?,
            )
            .with(&["-F", "-o", "origin=judge/fs@a"])
            .of_library(),
            Case::new("into what is being received", "judge/part@x", full(plain)?),
            Case::new("forced into what is being received", "judge/part@x", full(plain)?).with(&["-F"]),
            Case::new("into what a receive waits for", "judge/cont@x", step(plain)?),
            Case::new(
                "forced into what a receive waits for",
                "judge/cont@x",
                step(plain)?,
            )
            .with(&["-F"]),
            Case::new("snapshot exists", "judge/fs@b", {
                self.step.begun(|begin| begin.to_guid = 99)?.end()
            }),
            Case::new("snapshot exists, full", "judge/fs@b", full(plain)?),
            Case::new(
                "a volume over what has children",
                "judge/kids@a",
                self.volume.begun(plain)?.end(),
            )
            .with(&["-F"]),
            Case::new("volume's increment into what has children", "judge/kids@b", {
                self.volume.begun(|begin| begin.from_guid = 99)?.end()
            }),
            Case::new(
                "source is not there",
                "judge/fs@x",
                step(|begin| begin.from_guid = 99)?,
            ),
            Case::new(
                "source is not there, forced",
                "judge/fs@x",
                step(|begin| begin.from_guid = 99)?,
            )
            .with(&["-F"]),
            Case::new("source is not there, no snapshot", "judge/empty@x", step(plain)?),
            Case::new("modified since", "judge/mod@b", step(plain)?),
            Case::new("snapshots since", "judge/held@x", step(plain)?),
            Case::new(
                "large blocks before",
                "judge/large@x",
                self.step.begun(unlike)?.end(),
            ),
            Case::new("full, into what exists", "judge/empty@a", full(plain)?),
            Case::new("full, into what has snapshots", "judge/fs@x", full(plain)?),
            Case::new(
                "a held snapshot in the way",
                "judge/held@x",
                Self::whole(&self.step)?,
            )
            .with(&["-F"]),
            Case::new(
                "a cloned snapshot in the way",
                "judge/cloned@x",
                self.step.begun(|begin| begin.to_guid = 99)?.end(),
            )
            .with(&["-F"]),
        ])
    }

    fn whole(template: &Template) -> Result<Vec<u8>> {
        template.begun(|_| {}).map(Made::end)
    }

    /// What has to do with encryption.
    fn encrypted(&self) -> Result<Vec<Case>> {
        let raw = |change: fn(&mut Begin)| self.raw.begun(change).map(Made::end);
        let plain = |_: &mut Begin| {};
        let raw_guid = self.raw.begin.to_guid;
        let mut cases = vec![
            Case::new(
                "below what is locked",
                "judge/safe/new@a",
                self.full.begun(plain)?.end(),
            ),
            Case::new("increment into what is locked", "judge/raw@x", {
                self.step.begun(|begin| begin.from_guid = raw_guid)?.end()
            }),
            Case::new(
                "full over what is locked",
                "judge/safe@a",
                self.full.begun(plain)?.end(),
            )
            .with(&["-F"]),
            Case::new("raw over what is not encrypted", "judge/empty@a", raw(plain)?).with(&["-F"]),
            Case::new("raw over what is encrypted", "judge/safe@a", raw(plain)?).with(&["-F"]),
            Case::new("raw increment into what is not encrypted", "judge/fs@x", {
                let from = self.full.begin.to_guid;
                self.raw_step.begun(|begin| begin.from_guid = from)?.end()
            }),
            Case::new("embedded, below what is locked", "judge/safe/new@a", {
                self.full
                    .begun(|begin| {
                        let all = begin.version_info.features() | FeatureFlags::EMBED_DATA;
                        begin.version_info = VersionInfo::new(HeaderType::SUBSTREAM, all);
                    })?
                    .end()
            }),
            Case::new("another key", "judge/raw@x", {
                self.other_raw.begun(|begin| begin.from_guid = raw_guid)?.end()
            }),
            Case::new("raw, its list missing", "judge/new@a", {
                self.raw.made(self.raw.begin.clone(), &[])?.end()
            }),
            Case::new("raw, its key missing", "judge/new@a", {
                let mut list = NvList::new();
                list.insert("nothing", 1_u64);
                let list = list.encode(Encoding::Native, Endian::Little);
                self.raw.made(self.raw.begin.clone(), &list)?.end()
            }),
            Case::new(
                "incremental, onto nothing, raw",
                "judge/new@b",
                Self::whole(&self.raw_step)?,
            ),
        ];
        for (entry, value) in [
            ("DSL_CRYPTO_SUITE", 0),
            ("DSL_CRYPTO_SUITE", 2),
            ("DSL_CRYPTO_SUITE", 99),
            ("DSL_CRYPTO_VERSION", 0),
            ("DSL_CRYPTO_VERSION", 2),
            ("keyformat", 0),
            ("keyformat", 9),
            ("pbkdf2iters", 0),
            ("pbkdf2salt", 0),
            ("mdn_checksum", 99),
            ("mdn_compress", 99),
            ("mdn_nlevels", 0),
            ("mdn_nlevels", 99),
            ("mdn_blksz", 0),
            ("mdn_blksz", 1 << 30),
            ("mdn_blksz", 8192),
            ("mdn_indblkshift", 3),
            ("mdn_indblkshift", 40),
            ("mdn_nblkptr", 1),
            ("mdn_nblkptr", 9),
        ] {
            let stream = self.raw.keyed(entry, Some(Value::Uint64(value)))?;
            let mut case = Case::new(&format!("raw, {entry} {value}"), "judge/new@a", stream);
            case.only_ours = match (entry, value) {
                ("mdn_nlevels", 0) => Some("no tree of blocks has no level"),
                ("mdn_blksz", 8192) => {
                    Some("blocks of dnodes have 16 KiB, and the stream's ranges are made for that")
                }
                _ => None,
            };
            cases.push(case);
        }
        for entry in [
            "DSL_CRYPTO_SUITE",
            "DSL_CRYPTO_GUID",
            "DSL_CRYPTO_VERSION",
            "DSL_CRYPTO_MASTER_KEY_1",
            "DSL_CRYPTO_HMAC_KEY_1",
            "DSL_CRYPTO_IV",
            "DSL_CRYPTO_MAC",
            "portable_mac",
            "keyformat",
            "pbkdf2iters",
            "pbkdf2salt",
            "mdn_checksum",
            "mdn_compress",
            "mdn_nlevels",
            "mdn_blksz",
            "mdn_indblkshift",
            "mdn_nblkptr",
            "mdn_maxblkid",
            "to_ivset_guid",
        ] {
            let stream = self.raw.keyed(entry, None)?;
            cases.push(Case::new(&format!("raw, no {entry}"), "judge/new@a", stream));
        }
        for (entry, value) in [
            ("DSL_CRYPTO_GUID", Some(99)),
            ("from_ivset_guid", Some(99)),
            ("from_ivset_guid", None),
            ("mdn_indblkshift", Some(12)),
        ] {
            let stream = self.raw_step.keyed(entry, value.map(Value::Uint64))?;
            let what = format!("raw increment, {entry} {value:?}");
            cases.push(Case::new(&what, "judge/raw@x", stream));
        }
        Ok(cases)
    }

    /// What would go on with a receive.
    fn resumed(&self) -> Result<Vec<Case>> {
        let resuming = |begin: &mut Begin| {
            let all = begin.version_info.features() | FeatureFlags::RESUMING;
            begin.version_info = VersionInfo::new(HeaderType::SUBSTREAM, all);
        };
        let at = |object: u64, offset: u64| {
            let mut list = NvList::new();
            list.insert("resume_object", object);
            list.insert("resume_offset", offset);
            list.encode(Encoding::Native, Endian::Little)
        };
        let go_on = |template: &Template, change: fn(&mut Begin)| {
            let mut begin = template.begin.clone();
            resuming(&mut begin);
            change(&mut begin);
            template.made(begin, &at(999, 999)).map(Made::end)
        };
        let plain = |_: &mut Begin| {};
        let case = |what: &str, target: &str, stream: Vec<u8>| Case::new(what, target, stream).with(&["-s"]);
        Ok(vec![
            case("goes on, nothing there", "judge/new@a", go_on(&self.full, plain)?),
            case(
                "goes on, nothing was interrupted",
                "judge/fs@x",
                go_on(&self.step, plain)?,
            ),
            case(
                "goes on, full, nothing was interrupted",
                "judge/fs@x",
                go_on(&self.full, plain)?,
            ),
            case(
                "goes on with another snapshot",
                "judge/part@a",
                go_on(&self.full, |begin| begin.to_guid = 9)?,
            ),
            case(
                "goes on at another place",
                "judge/part@a",
                go_on(&self.full, plain)?,
            ),
            case(
                "goes on from another snapshot",
                "judge/cont@b",
                go_on(&self.step, |begin| begin.from_guid = 9)?,
            ),
            case(
                "goes on with another increment",
                "judge/cont@b",
                go_on(&self.step, |begin| begin.to_guid = 9)?,
            ),
            case(
                "increment goes on at another place",
                "judge/cont@b",
                go_on(&self.step, plain)?,
            ),
            case(
                "full goes on beside an increment",
                "judge/cont@b",
                go_on(&self.full, plain)?,
            ),
        ])
    }
}
