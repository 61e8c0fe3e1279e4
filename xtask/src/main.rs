//! Developers' tasks, run as `cargo xtask TASK`.

mod bench;
mod cuts;
mod example;
mod fuzz;
mod interop;
mod kill;
mod life;
mod numbers;
mod refusals;
mod replicate;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Developers' tasks of zferry"
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Send a snapshot of the example pool and check the stream
    Example,
    /// Measure zferry beside OpenZFS's own code
    Bench(bench::Arguments),
    /// Run the fuzz targets for a bounded time
    Fuzz(fuzz::Arguments),
    /// Cut streams, and have OpenZFS's kernel, in a virtual machine, and zferry go on with them
    Cuts(cuts::Arguments),
    /// Have OpenZFS's own code judge the streams that zferry makes
    Interop(interop::Arguments),
    /// Let zferry and OpenZFS's own code act on one pool in turn, at random, and judge it
    Life(life::Arguments),
    /// Kill zferry while it writes to a pool, again and again, and judge what is left
    Kill(kill::Arguments),
    /// Have OpenZFS's kernel, in a virtual machine, import and use a pool that zferry received into
    Kernel,
    /// Provoke each refusal of a receive, and hold errnos and sentences to OpenZFS's
    Refusals(refusals::Arguments),
    /// Have OpenZFS's kernel and zferry replicate a random life of a tree to each other, package by package
    Replicate(replicate::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Example => example::run(),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Cuts(arguments) => cuts::run(&arguments),
        Task::Interop(arguments) => interop::run(&arguments),
        Task::Life(arguments) => life::run(&arguments),
        Task::Kill(arguments) => kill::run(&arguments),
        Task::Kernel => interop::run_kernel(),
        Task::Refusals(arguments) => refusals::run(&arguments),
        Task::Replicate(arguments) => replicate::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why:#}");
            ExitCode::FAILURE
        }
    }
}
