//! The columns by which each list of the REST API is sorted.
//!
//! A column is here only if an index of the store has its order, or if the list is short by nature (the members of a team).

use super::list::{Sort, SortColumn};

macro_rules! sort_columns {
    ($(
        $(#[$meta:meta])*
        $name:ident: $direction:ident $default:ident, $per_page:literal per page {
            $($(#[$column_meta:meta])* $column:ident = $word:literal),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$column_meta])* $column,)*
        }

        impl SortColumn for $name {
            const COLUMNS: &'static [Self] = &[$(Self::$column),*];
            const DEFAULT: Sort<Self> = Sort::$direction(Self::$default);
            const DEFAULT_PER_PAGE: u32 = $per_page;

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$column => $word,)*
                }
            }
        }
    )*};
}

sort_columns! {
    /// The order of satellites.
    SatelliteSort: ascending Name, 20 per page {
        /// By name.
        Name = "name",
        /// By the word of the status.
        Status = "status",
        /// By the time of the last heartbeat.
        LastSeen = "last_seen",
        /// By the time of the first registration.
        CreatedAt = "created_at",
    }

    /// The order of tags.
    TagSort: ascending Tag, 20 per page {
        /// By the tag.
        Tag = "tag",
    }

    /// The order of groups.
    GroupSort: ascending Name, 20 per page {
        /// By name.
        Name = "name",
        /// By the time of the creation.
        CreatedAt = "created_at",
    }

    /// The order of the commands of a satellite.
    CommandSort: descending CreatedAt, 20 per page {
        /// By the time of the request.
        CreatedAt = "created_at",
    }

    /// The order of jobs.
    JobSort: descending CreatedAt, 20 per page {
        /// By the time of the request.
        CreatedAt = "created_at",
        /// By the time of the end.
        FinishedAt = "finished_at",
    }

    /// The order of the satellites of a job.
    JobTargetSort: ascending SatelliteName, 20 per page {
        /// By the name that the satellite had when the job was stored.
        SatelliteName = "satellite_name",
    }

    /// The order of sessions.
    SessionSort: descending CreatedAt, 1000 per page {
        /// By the time of the request.
        CreatedAt = "created_at",
    }

    /// The order of users.
    UserSort: ascending Username, 20 per page {
        /// By name.
        Username = "username",
        /// By the time of the creation.
        CreatedAt = "created_at",
    }

    /// The order of teams.
    TeamSort: ascending Slug, 1000 per page {
        /// By slug.
        Slug = "slug",
        /// By the time of the creation.
        CreatedAt = "created_at",
    }

    /// The order of the members of a team.
    TeamMemberSort: ascending Username, 1000 per page {
        /// By the name of the user.
        Username = "username",
    }

    /// The order of API keys.
    ApiKeySort: descending CreatedAt, 1000 per page {
        /// By the time of the creation.
        CreatedAt = "created_at",
        /// By name.
        Name = "name",
        /// By the time of the last use.
        LastUsedAt = "last_used_at",
    }

    /// The order of registration tokens.
    RegistrationTokenSort: descending CreatedAt, 1000 per page {
        /// By the time of the creation.
        CreatedAt = "created_at",
        /// By the time until which the token is valid.
        ExpiresAt = "expires_at",
    }

    /// The order of audit records.
    AuditSort: descending Seq, 20 per page {
        /// By the position in the chain: the order in which the records were written.
        Seq = "seq",
    }
}
