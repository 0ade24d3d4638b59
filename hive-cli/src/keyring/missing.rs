//! No keyring: this program was built without, or for a system whose keyring it does not know.

use std::future::{Ready, ready};

use secrecy::SecretString;

use super::{KeyringError, Result};

pub(super) fn keep(_id: &str, _whose: &str, _key: &SecretString) -> Ready<Result<()>> {
    ready(Err(KeyringError::Missing))
}

pub(super) fn find(_id: &str) -> Ready<Result<SecretString>> {
    ready(Err(KeyringError::Missing))
}

pub(super) fn forget(_id: &str) -> Ready<Result<()>> {
    ready(Err(KeyringError::Missing))
}
