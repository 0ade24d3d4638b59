//! No keyring: this program was built without, or for a system without a supported keyring.

use std::future::{Ready, ready};

use secrecy::SecretString;

use super::{KeyringError, Result};

pub(super) fn store(_id: &str, _label: &str, _key: &SecretString) -> Ready<Result<()>> {
    ready(Err(KeyringError::Missing))
}

pub(super) fn load(_id: &str) -> Ready<Result<SecretString>> {
    ready(Err(KeyringError::Missing))
}

pub(super) fn delete(_id: &str) -> Ready<Result<()>> {
    ready(Err(KeyringError::Missing))
}
