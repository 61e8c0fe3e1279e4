//! The properties that say how a new dataset is encrypted: of `create` and `receive`.

use zferry_blocks::crypt::Suite;
use zferry_zpool::NewEncryption;
use zferry_zpool::dsl::DslPool;

use super::assignment::Assignment;
use crate::keys::NewKey;
use crate::writing::random;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Encryption {
    suite: Option<Choice>,
    key: NewKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Off,
    Suite(Suite),
}

impl Encryption {
    /// Takes a property that concerns encryption. Says whether it was one.
    pub(super) fn take(&mut self, assignment: &Assignment) -> Result<bool, String> {
        let Assignment { name, value } = assignment;
        if name != "encryption" {
            return self.key.take(name, value);
        }
        self.suite = Some(match &**value {
            "off" => Choice::Off,
            "on" => Choice::Suite(Suite::ON),
            other => {
                let suite = Suite::ALL.into_iter().find(|suite| suite.name() == other);
                let names = "on | off | aes-128-ccm | aes-192-ccm | aes-256-ccm | aes-128-gcm | aes-192-gcm | aes-256-gcm";
                let wrong = || format!("'encryption' must be one of '{names}'");
                Choice::Suite(suite.ok_or_else(wrong)?)
            }
        });
        Ok(true)
    }

    /// How the new dataset `name` is encrypted; an error is what zfs(8) says. `dsl` is its pool, where that is there.
    /// `has_input` says that standard input is free for a key.
    pub(super) fn of_new(
        &self,
        dsl: Option<&DslPool<'_>>,
        name: &str,
        has_input: bool,
    ) -> Result<NewEncryption, String> {
        let told = |why: &str| why.to_owned();
        let suite = match self.suite {
            Some(Choice::Off) if self.key.is_some() => {
                return Err(told("Encryption must be turned on to set encryption properties."));
            }
            Some(Choice::Off) => return Ok(NewEncryption::Off),
            Some(Choice::Suite(suite)) => Some(suite),
            None => None,
        };
        if !self.key.is_some() {
            return match suite {
                None => Ok(NewEncryption::Inherited),
                Some(suite) if is_encrypted_above(dsl, name)? => Ok(NewEncryption::InheritedKey(suite)),
                Some(_) => Err(told("Keyformat required for new encryption root.")),
            };
        }
        if suite.is_none() && !is_encrypted_above(dsl, name)? {
            return Err(told("Encryption must be turned on to set encryption properties."));
        }
        let format = self.key.format;
        let format = format.ok_or_else(|| told("Keyformat required for new encryption root."))?;
        let location = self.key.location.clone().unwrap_or_else(|| "prompt".to_owned());
        if location == "prompt" && !has_input {
            return Err(told("Cannot use 'prompt' keylocation because stdin is in use."));
        }
        let salt = random().map_err(|error| error.message)?;
        let key = self.key.read(format, &location, None, salt)?;
        Ok(NewEncryption::Root { suite, key, location })
    }
}

/// Whether what a dataset lies below is encrypted.
fn is_encrypted_above(dsl: Option<&DslPool<'_>>, name: &str) -> Result<bool, String> {
    let (Some(dsl), Some((parent, _))) = (dsl, name.rsplit_once('/')) else {
        return Ok(false);
    };
    let cannot = |error| format!("cannot open '{parent}': {error}");
    let Some(dir) = dsl.dir(parent).map_err(cannot)? else {
        return Ok(false);
    };
    Ok(dsl.encryption(&dir).map_err(cannot)?.is_some())
}
