//! What kind of call an operation of the route table is, by which its rate and the counts of refused calls are chosen.

/// The class of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RateClass {
    /// It reads, or opens a stream of what happens.
    Read,
    /// It changes something, or opens a session.
    Act,
    /// It runs commands on satellites: it counts as a call, and as a command on its satellites.
    Exec,
    /// It tries a password. Only wrong ones count, for their address.
    Login,
    /// It has no rate: nobody is known, or a satellite calls, which has limits of its own.
    Unlimited,
}

impl RateClass {
    /// Returns the word of the class in the document and in counts.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Act => "act",
            Self::Exec => "exec",
            Self::Login => "login",
            Self::Unlimited => "unlimited",
        }
    }
}
