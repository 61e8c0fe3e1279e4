//! `zferry send -t` and `zferry send --saved`: on with streams that were interrupted.

use zferry_nvlist::{NvList, Value};
use zferry_replicate::send::{Resolved, ResumeError};
use zferry_zpool::dsl::{DslPool, ResumeState};
use zferry_zstream::token::{ResumeToken, unpack};

use super::{Args, send_resolved};
use crate::error::CommandError;
use crate::pools::Paths;

/// The token that the command line gives, once it has been said what is in it.
pub(super) fn token(args: &Args) -> Result<Option<ResumeToken>, CommandError> {
    args.token.as_deref().map(|text| read(args, text)).transpose()
}

fn read(args: &Args, text: &str) -> Result<ResumeToken, CommandError> {
    let list = unpack(text).map_err(|error| cannot(&error))?;
    args.say(&mut |out| write!(out, "resume token contents:\n{}", list.print()))?;
    ResumeToken::decode(text).map_err(|error| cannot(&error))
}

fn cannot(error: &dyn std::fmt::Display) -> CommandError {
    CommandError::failed(format_args!("cannot resume send: {error}"))
}

/// Why a stream cannot go on.
pub(super) fn describe(token: &ResumeToken, error: ResumeError) -> CommandError {
    match error {
        ResumeError::Resolve(error) => super::not_found(&token.to_name, None, error),
        error => cannot(&error),
    }
}

pub(super) fn run(paths: &Paths, args: &Args, text: &str) -> Result<(), CommandError> {
    let token = read(args, text)?;
    let pool = paths.open_pool_of(&token.to_name)?;
    let dsl = DslPool::new(&pool);
    let options = args.send_options().with_token(&token);
    if !options.raw {
        args.load_key(&dsl, &token.to_name)?;
    }
    let resolved = Resolved::resume(&dsl, &token).map_err(|error| describe(&token, error))?;
    send_resolved(&pool, args, &resolved, None, options)
}

/// `zferry send --saved`: what an interrupted receive brought.
pub(super) fn saved(paths: &Paths, args: &Args, name: &str) -> Result<(), CommandError> {
    let pool = paths.open_pool_of(name)?;
    let dsl = DslPool::new(&pool);
    args.load_key(&dsl, name)?;
    let (resolved, state) = Resolved::saved(&dsl, name).map_err(|error| match error {
        ResumeError::Resolve(error) => super::not_found(name, None, error),
        error => CommandError::failed(format_args!("saved send failed: {error}")),
    })?;
    let list = contents(name, &state);
    args.say(&mut |out| write!(out, "resume token contents:\n{}", list.print()))?;
    send_resolved(
        &pool,
        args,
        &resolved,
        None,
        args.send_options().with_state(&state),
    )
}

/// What zfs shows of what it sends: the token of the receive, but from the beginning and with the name that it has here.
fn contents(name: &str, state: &ResumeState) -> NvList {
    let mut list = NvList::new();
    let guids = [("fromguid", state.from_guid), ("toguid", Some(state.to_guid))];
    for (key, guid) in guids {
        if let Some(guid) = guid {
            list.insert(key, guid);
        }
    }
    let flags = [
        ("largeblockok", state.large_blocks),
        ("embedok", state.embedded),
        ("compressok", state.compressed),
        ("rawok", state.raw),
    ];
    for (key, _) in flags.into_iter().filter(|(_, is_set)| *is_set) {
        list.insert(key, Value::Boolean);
    }
    for key in ["object", "offset", "bytes"] {
        list.insert(key, 0_u64);
    }
    list.insert("toname", name);
    list
}
