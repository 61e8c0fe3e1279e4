//! What is shown while a stream is on its way: a bar for people, or a line a second as `zfs send -v` prints.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Zoned;

use super::nice::nice_bytes;
use super::title::Title;
use super::warn;

/// How a send or receive is reported.
#[derive(Clone, Debug)]
pub(crate) enum Reporter {
    /// Not at all.
    Silent,
    /// A bar on standard error, which is full at `total` bytes.
    Bar {
        /// The size of the stream, in bytes, as far as it is known; 0: not at all.
        total: u64,
    },
    /// Once a second.
    EverySecond {
        /// The snapshot.
        name: String,
        /// Whether each time prints a line on standard error.
        prints: bool,
        /// Whether the lines are for programs.
        parsable: bool,
        /// The estimated size of what is sent, in bytes, if the process' title is to tell.
        title: Option<u64>,
    },
}

/// Does `work` and reports meanwhile how many bytes of stream it says to be behind it.
pub(crate) fn during<T>(reporter: Reporter, bytes: impl Fn() -> u64 + Send, work: impl FnOnce() -> T) -> T {
    let interval = match reporter {
        Reporter::Silent => return work(),
        Reporter::Bar { .. } => Duration::from_millis(100),
        Reporter::EverySecond { .. } => Duration::from_secs(1),
    };
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        // A stream of which nobody can tell how far it is, for want of a thread, is still a stream.
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            let mut shown = Shown::new(reporter);
            while is_done.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                shown.update(bytes());
            }
            shown.finish(bytes());
        });
        let outcome = work();
        drop(done);
        outcome
    })
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    EverySecond {
        name: String,
        prints: bool,
        parsable: bool,
        title: Option<(Title, u64)>,
    },
}

impl Shown {
    fn new(reporter: Reporter) -> Self {
        match reporter {
            Reporter::Silent => Self::Nothing,
            Reporter::Bar { total } => Self::Bar(bar(total)),
            Reporter::EverySecond {
                name,
                prints,
                parsable,
                title,
            } => {
                if prints && !parsable {
                    warn(format_args!("TIME        SENT   SNAPSHOT {name}"));
                }
                Self::EverySecond {
                    name,
                    prints,
                    parsable,
                    title: title.and_then(|total| Some((Title::find()?, total))),
                }
            }
        }
    }

    fn update(&mut self, bytes: u64) {
        match self {
            Self::Nothing => {}
            Self::Bar(bar) => {
                // The total is an estimate; a bar that is full and goes on would look stuck.
                if bar.length().is_some_and(|total| total < bytes) {
                    bar.set_length(bytes);
                }
                bar.set_position(bytes);
            }
            Self::EverySecond {
                name,
                prints,
                parsable,
                title,
            } => {
                if let Some((title, total)) = title {
                    title.show(name, bytes, *total);
                }
                if *prints {
                    print_line(name, *parsable, bytes);
                }
            }
        }
    }

    fn finish(&self, bytes: u64) {
        if let Self::Bar(bar) = self {
            bar.set_length(bytes);
            bar.set_position(bytes);
            bar.finish();
        }
    }
}

fn print_line(name: &str, parsable: bool, bytes: u64) {
    let time = Zoned::now().strftime("%H:%M:%S").to_string();
    if parsable {
        warn(format_args!("{time}\t{bytes}\t{name}"));
    } else {
        warn(format_args!("{time}   {:>5}   {name}", nice_bytes(bytes)));
    }
}

fn bar(total: u64) -> ProgressBar {
    let template = "{bar:40} {bytes:>11} of about {total_bytes:11} {bytes_per_sec:>13}  {eta} left";
    styled(ProgressBar::new(total), template)
}

/// A bar with what the template says.
pub(crate) fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A bar on standard error for a walk through a pool, whose length is told on the way; none where that is no terminal.
pub(crate) fn walk_bar() -> Option<ProgressBar> {
    let template = "{bar:40} {percent}% {bytes} of {total_bytes}, {eta} left";
    let is_seen = io::stderr().is_terminal();
    is_seen.then(|| styled(ProgressBar::new(0), template))
}
