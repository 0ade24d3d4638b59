//! Why a satellite could not register, with what to do next.

use crate::error::Error;
use crate::identity::jwt::TokenError;
use crate::store::TokenState;

/// Why a satellite could not register.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The token was refused.
    #[error("{0}")]
    Token(TokenProblem),
    /// Another error.
    #[error(transparent)]
    Other(#[from] Error),
}

/// What is wrong with a registration token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenProblem {
    /// There is none.
    Required,
    /// This hive did not make it.
    Invalid,
    /// It has expired.
    Expired,
    /// A satellite has registered with it.
    Used,
    /// It was revoked.
    Revoked,
    /// Its creator may not create tokens any more.
    MakerGone,
    /// Its prefix and its claims have different scopes.
    ScopeMismatch,
}

impl TokenProblem {
    /// Returns the stable code of the problem.
    pub fn code(self) -> &'static str {
        match self {
            Self::Required => "registration_token_required",
            Self::Invalid => "registration_token_invalid",
            Self::Expired => "registration_token_expired",
            Self::Used => "registration_token_used",
            Self::Revoked | Self::MakerGone => "registration_token_revoked",
            Self::ScopeMismatch => "scope_mismatch",
        }
    }

    /// Returns the reason as the audit log names it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Required => "missing",
            Self::Invalid => "unknown",
            Self::Expired => "expired",
            Self::Used => "used",
            Self::Revoked => "revoked",
            Self::MakerGone => "maker_gone",
            Self::ScopeMismatch => "scope_mismatch",
        }
    }

    /// Returns what to do next.
    pub fn instructions(self) -> &'static str {
        match self {
            Self::Required => {
                "Send 'Authorization: Bearer <token>'. An admin makes one with 'hive tokens create --scope global'."
            }
            Self::Invalid => {
                "Copy the whole token, from hive_satellite_ to its end, as it was shown when it was made on this server."
            }
            Self::Expired => {
                "Ask an admin for a new one: 'hive tokens create'. It can live longer with --expires-in-hours."
            }
            Self::Used => "A token registers one satellite. Ask an admin for another one: 'hive tokens create'.",
            Self::MakerGone => "Ask somebody who may make registration tokens for one: 'hive tokens create'.",
            Self::Revoked => "Ask an admin why, and for a new one: 'hive tokens create'.",
            Self::ScopeMismatch => "Do not edit the token: use it with the prefix it was made with.",
        }
    }
}

impl std::fmt::Display for TokenProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Required => "registering needs a registration token",
            Self::Invalid => "the registration token is not valid on this server",
            Self::Expired => "the registration token has expired",
            Self::Used => "the registration token was used before",
            Self::Revoked => "the registration token was revoked",
            Self::MakerGone => "who made the registration token was disabled, or may make none any more",
            Self::ScopeMismatch => "the registration token's prefix and content disagree",
        })
    }
}

impl From<TokenError> for TokenProblem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Malformed | TokenError::Forged => Self::Invalid,
            TokenError::Expired => Self::Expired,
            TokenError::ScopeMismatch => Self::ScopeMismatch,
        }
    }
}

impl From<TokenState> for TokenProblem {
    fn from(state: TokenState) -> Self {
        match state {
            TokenState::Unknown => Self::Invalid,
            TokenState::Used => Self::Used,
            TokenState::Revoked => Self::Revoked,
            TokenState::Expired => Self::Expired,
        }
    }
}

impl From<RegistrationError> for Error {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Other(error) => error,
            RegistrationError::Token(TokenProblem::Required) => Self::AuthRequired,
            RegistrationError::Token(
                TokenProblem::Used
                | TokenProblem::Revoked
                | TokenProblem::MakerGone
                | TokenProblem::Expired
                | TokenProblem::Invalid,
            ) => Self::AuthInvalid,
            RegistrationError::Token(TokenProblem::ScopeMismatch) => Self::Forbidden("scope_mismatch".into()),
        }
    }
}
