//! The command line of `zferry send`.

use std::io::{self, IsTerminal, Write};

use zferry_replicate::package::{Notice, PackageOptions};
use zferry_replicate::send::{SendError, SendOptions};
use zferry_zpool::dsl::DslPool;

use crate::error::CommandError;
use crate::keys::KeyOptions;
use crate::output::progress;
use crate::output::warn;

/// How the command is called. Replication tools look here for what they can ask for.
pub(super) const USAGE: &str = "\
zferry send [-DLPVbcehnpsvw] [--skip-damaged] [-i|-I SNAPSHOT] [-R [-X DATASET[,DATASET]...]] SNAPSHOT
       zferry send [-DLPVcenvw] [-i SNAPSHOT|BOOKMARK] FILESYSTEM|VOLUME|SNAPSHOT
       zferry send [-DLPVbcehnpv] [-i SNAPSHOT|BOOKMARK] --redact BOOKMARK SNAPSHOT
       zferry send [-PVenv] -t <receive_resume_token>
       zferry send [-DLPVbcehnpsvw] [-i|-I SNAPSHOT] [-R [-X DATASET[,DATASET]...]] -t <receive_resume_token> SNAPSHOT
       zferry send [-PVnv] --saved FILESYSTEM|VOLUME";

/// Send a snapshot, or what changed since an earlier one, as a stream on standard output
///
/// The stream is byte for byte the one that `zfs send` would write, so any `zfs receive` takes it.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    disable_version_flag = true,
    override_usage = USAGE,
    after_help = "\
Examples:
  Send a snapshot from a pool in a file:
    zferry -d tank.img send tank/home@monday > monday.zsend

  Send what changed since, compressed as it is stored:
    zferry -d tank.img send -c -i @monday tank/home@tuesday | ssh backup zfs receive pool/home

  Send a file system and everything below it, with all snapshots up to one, and what changed since a week later:
    zferry -d tank.img send -R tank/home@monday > home.zsend
    zferry -d tank.img send -R -I @monday tank/home@next > home-next.zsend

  Go on with that where its receiver was interrupted:
    zferry -d tank.img send -t TOKEN -R -I @monday tank/home@next | ssh backup zferry receive -s pool/home

  Send an encrypted snapshot as it is, without its key, or in the clear:
    zferry -d tank.img send -w tank/safe@monday > monday.zsend
    zferry -d tank.img send -K safe.key tank/safe@monday | ssh home zfs receive pool/safe

  Send what can be read of a damaged snapshot, and keep a list of what cannot:
    zferry -d tank.img send --skip-damaged tank/home@monday > monday.zsend 2> monday.damaged

  Ask how large a stream would be:
    zferry -d tank.img send -nv tank/home@monday"
)]
pub(crate) struct Args {
    /// Send only what changed since this snapshot or bookmark: @SNAPSHOT or #BOOKMARK of the same file system, or the
    /// full name of one, such as the origin of a clone
    #[arg(short = 'i', value_name = "SNAPSHOT|BOOKMARK")]
    pub(super) from: Option<String>,
    /// Send every snapshot since this one of the same file system, or since the origin of a clone
    #[arg(short = 'I', value_name = "SNAPSHOT", conflicts_with = "from")]
    pub(super) intermediates: Option<String>,
    /// Send everything below the file system too: snapshots, clones, volumes and properties, so that the receiver can
    /// make the same of it, and with -i or -I renames and destroys too
    #[arg(short = 'R', long)]
    pub(super) replicate: bool,
    /// With -R, leave out file systems that lack the snapshot, and what is below them
    #[arg(short = 's', long)]
    pub(super) skip_missing: bool,
    /// With -R, leave out this file system and what is below it
    #[arg(short = 'X', long, value_name = "DATASET", value_delimiter = ',')]
    pub(super) exclude: Vec<String>,
    /// Send the properties that were set
    #[arg(short = 'p', long)]
    pub(super) props: bool,
    /// Send only properties that were received, with the values that came with the stream
    #[arg(short = 'b', long)]
    pub(super) backup: bool,
    /// Send the holds on snapshots
    #[arg(short = 'h', long)]
    pub(super) holds: bool,
    /// Allow blocks above 128 KiB in the stream
    #[arg(short = 'L', long = "large-block")]
    pub(super) large_block: bool,
    /// Send blocks that are small enough to lie in their pointers as they lie there
    #[arg(short = 'e', long)]
    pub(super) embed: bool,
    /// Send blocks compressed, as they are stored
    #[arg(short = 'c', long)]
    pub(super) compressed: bool,
    /// Send blocks as they are stored: an encrypted dataset encrypted, which takes no key; of any other, -L, -e and -c
    #[arg(short = 'w', long)]
    pub(super) raw: bool,
    #[command(flatten)]
    key: KeyOptions,
    /// Send a block that the stream holds already as a reference to it (receivers since OpenZFS 2.0 need `zstream redup`
    /// in front)
    #[arg(short = 'D', long)]
    pub(super) dedup: bool,
    /// Leave out what this redaction bookmark of the same file system lists
    #[arg(short = 'd', long, value_name = "BOOKMARK")]
    pub(super) redact: Option<String>,
    /// Go on with a send whose receiver was interrupted: the value of its property receive_resume_token. With the options
    /// and the snapshot that a package was made of (-R, -I, -p, -b, -h), the rest of the package is sent; without them, that
    /// of the one stream
    #[arg(short = 't', long = "resume", value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// Send what an interrupted receive into this file system or volume brought
    #[arg(short = 'S', long)]
    pub(super) saved: bool,
    /// Go on where a block cannot be read: the stream gets the number 0x2f5baddb10c again and again in its place, as
    /// OpenZFS has it, and its dataset, object, path, offset and length are listed on standard error (with -P in columns).
    /// Receivers take such a stream for whole, and the exit status is 0: look at the list
    #[arg(long)]
    pub(super) skip_damaged: bool,
    /// Send nothing; with -v or -P, say how large the stream would be
    #[arg(short = 'n', long)]
    pub(super) dryrun: bool,
    /// Say how large the stream is going to be and, each second, how much was sent
    #[arg(short = 'v', long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Say so in columns for programs
    #[arg(short = 'P', long)]
    pub(super) parsable: bool,
    /// Show in the process' title how far the stream is
    #[arg(short = 'V', long)]
    pub(super) proctitle: bool,
    /// Show a progress bar on standard error (the default when it is a terminal and standard output is not)
    #[arg(long, overrides_with = "no_progress")]
    pub(super) progress: bool,
    /// Show none
    #[arg(long, overrides_with = "progress")]
    pub(super) no_progress: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    pub(super) help: Option<bool>,
    /// The snapshot, or a file system or volume that is not in use
    #[arg(value_name = "SNAPSHOT")]
    pub(super) snapshot: Option<String>,
}

impl Args {
    /// Whether more is said than goes wrong.
    pub(super) const fn is_verbose(&self) -> bool {
        self.prints_estimate() || self.proctitle
    }

    /// Whether the size of a single stream is said. That of a package is also with `-V`.
    pub(super) const fn prints_estimate(&self) -> bool {
        self.verbose > 0 || self.parsable
    }

    /// The incremental source.
    pub(super) fn source(&self) -> Option<&str> {
        self.intermediates.as_deref().or(self.from.as_deref())
    }

    pub(super) const fn send_options(&self) -> SendOptions {
        SendOptions {
            large_blocks: self.large_block,
            embedded: self.embed,
            compressed: self.compressed,
            raw: self.raw,
        }
    }

    /// Whether more than one stream is asked for.
    pub(super) const fn is_package(&self) -> bool {
        self.replicate || self.intermediates.is_some()
    }

    /// Whether a list of what is sent goes before it.
    pub(super) const fn has_header(&self) -> bool {
        self.is_package() || self.props || self.backup || self.holds
    }

    /// Loads the key that it takes to send a dataset in the clear.
    pub(super) fn load_key(&self, dsl: &DslPool<'_>, dataset: &str) -> Result<(), CommandError> {
        if self.raw {
            return Ok(());
        }
        self.key.load(dsl, dataset)
    }

    pub(super) fn refuse_terminal(&self) -> Result<(), CommandError> {
        if !self.dryrun && io::stdout().is_terminal() {
            return Err(CommandError::failed(
                "Error: Stream can not be written to a terminal.\nYou must redirect standard output.",
            ));
        }
        Ok(())
    }

    pub(super) fn package_options(&self) -> PackageOptions {
        PackageOptions {
            replicate: self.replicate,
            properties: self.props,
            backup: self.backup,
            holds: self.holds,
            skip_missing: self.skip_missing,
            exclude: self.exclude.clone(),
            raw: self.raw,
            ..PackageOptions::default()
        }
    }

    pub(super) fn notify(&self, notice: &Notice) {
        if !notice.is_detail() || self.is_verbose() {
            warn(notice);
        }
    }

    /// Says what is going to be sent, if that was asked for.
    pub(super) fn say(
        &self,
        print: &mut dyn FnMut(&mut dyn Write) -> Result<(), io::Error>,
    ) -> Result<(), io::Error> {
        match (self.is_verbose(), self.dryrun) {
            (false, _) => Ok(()),
            // A dry run has nothing else to put on standard output.
            (true, true) => print(&mut io::stdout()),
            (true, false) => print(&mut io::stderr()),
        }
    }

    pub(super) fn cannot_send(&self, to: &str, error: SendError) -> CommandError {
        match error {
            // Whoever reads the stream has gone; there is nobody to tell, and zfs dies of it without a word.
            SendError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => error.into(),
            error => {
                let failed = CommandError::failed(format_args!("warning: cannot send '{to}': {error}"));
                if let SendError::Block { source, .. } | SendError::Pool { source, .. } = &error
                    && source.is_damage()
                {
                    return failed.hint("With --skip-damaged, everything else is sent.");
                }
                if matches!(error, SendError::KeyNotLoaded(_)) {
                    return failed.hint("Give the key with -K FILE or --key-prompt, or send the dataset encrypted as it is with -w.");
                }
                failed
            }
        }
    }

    pub(super) fn shows_bar(&self) -> bool {
        let wanted = self.progress || (io::stderr().is_terminal() && !io::stdout().is_terminal());
        wanted && !self.no_progress && !self.is_verbose() && !self.dryrun
    }

    /// How the send of `to` is reported. Its size is estimated at `total` bytes, with what is sent beside it.
    pub(super) fn reporter(&self, to: &str, total: Option<u64>, shows_bar: bool) -> progress::Reporter {
        let total = total.unwrap_or(0);
        if shows_bar {
            return progress::Reporter::Bar { total };
        }
        if self.verbose == 0 && !self.proctitle {
            return progress::Reporter::Silent;
        }
        progress::Reporter::EverySecond {
            name: to.to_owned(),
            prints: self.verbose > 0,
            parsable: self.parsable,
            title: self.proctitle.then_some(total),
        }
    }
}
