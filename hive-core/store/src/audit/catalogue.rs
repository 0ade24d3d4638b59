//! The catalogue of audited actions: each with its stable word, the types of its targets and its description.
//!
//! Every record that is written has an action of this list. A record that is read back has its word as text: a later version, or
//! a forged record, may have other words.

use std::fmt;

/// Declares the actions. The documentation of a variant is the description of the action.
macro_rules! actions {
    ($(#[doc = $description:literal] $name:ident = $word:literal on [$($target_type:literal),+];)*) => {
        /// An audited action.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum AuditAction {
            $(#[doc = $description] $name,)*
        }

        impl AuditAction {
            /// Every action, in the order of `docs/audit.md`.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the stable word of the action, as it is stored and sent.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// Returns the types that a target of the action can have. The first one is the usual one.
            pub const fn target_types(self) -> &'static [&'static str] {
                match self {
                    $(Self::$name => &[$($target_type),+],)*
                }
            }

            /// Returns what a record of the action means, in one sentence.
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$name => $description.trim_ascii(),)*
                }
            }
        }
    };
}

actions! {
    /// A satellite registered, or was refused because its name is taken.
    SatelliteRegister = "satellite.register" on ["satellite"];
    /// A registration took over the name of a satellite and replaced its key.
    SatelliteKeyReplace = "satellite.key_replace" on ["satellite"];
    /// A satellite became active with its first heartbeat.
    SatelliteActivate = "satellite.activate" on ["satellite"];
    /// The name, the tags, the status, the region or the team of a satellite was changed, or its new name is taken.
    SatelliteUpdate = "satellite.update" on ["satellite"];
    /// The networks from which a satellite may connect were set.
    SatelliteAddressesSet = "satellite.addresses_set" on ["satellite"];
    /// The link of a satellite was ended.
    SatelliteDisconnect = "satellite.disconnect" on ["satellite"];
    /// A satellite was removed.
    SatelliteRemove = "satellite.remove" on ["satellite"];
    /// A second process with the identity of an online satellite was refused.
    SatelliteConflict = "satellite.conflict" on ["satellite"];
    /// A satellite sent a message about a command or a session of another satellite.
    SatelliteForeignMessage = "satellite.foreign_message" on ["command", "session"];
    /// A command on one satellite: the intent, then the outcome.
    SatelliteExec = "satellite.exec" on ["satellite"];
    /// A shutdown or a reboot of a satellite: the intent, then the outcome.
    SatellitePower = "satellite.power" on ["satellite"];
    /// The outcome of a command of a kind that this version does not know.
    SatelliteCommand = "satellite.command" on ["satellite"];
    /// A command on several satellites: the intent, then the outcome.
    SatelliteExecMulti = "satellite.exec_multi" on ["job"];
    /// The intent to cancel a command. The outcome is that of the command.
    CommandCancel = "command.cancel" on ["command"];
    /// The intent to cancel a job. The outcome is that of the job.
    JobCancel = "job.cancel" on ["job"];
    /// The opening of a session: the intent, then the outcome.
    SessionCreate = "session.create" on ["session"];
    /// A viewer attached to a session.
    SessionAttach = "session.attach" on ["session"];
    /// A viewer took the keyboard of a session from another one.
    SessionTakeControl = "session.take_control" on ["session"];
    /// The intent to end a session. The outcome is `session.end`.
    SessionTerminate = "session.terminate" on ["session"];
    /// A session ended.
    SessionEnd = "session.end" on ["session"];
    /// A user logged in with a password.
    AuthLogin = "auth.login" on ["user"];
    /// A credential was rejected. The type of the target is the kind of the credential.
    AuthFailure = "auth.failure" on ["password", "api_key", "login_token", "satellite_key", "registration_token"];
    /// The number of failures of one kind in a minute, where not all have a record.
    AuthFailureSummary = "auth.failure_summary"
        on ["password", "api_key", "login_token", "satellite_key", "registration_token", "foreign_message"];
    /// A user was created.
    UserCreate = "user.create" on ["user"];
    /// The role of a user was changed, or a user was disabled or enabled.
    UserUpdate = "user.update" on ["user"];
    /// A user got a new password from an administrator.
    UserPasswordReset = "user.password_reset" on ["user"];
    /// A user changed their password.
    UserPasswordChange = "user.password_change" on ["user"];
    /// A team was created.
    TeamCreate = "team.create" on ["team"];
    /// What the members of a team with the role `team_user` may do was changed.
    TeamUpdate = "team.update" on ["team"];
    /// The networks from which the members of a team may use it were set.
    TeamAddressesSet = "team.addresses_set" on ["team"];
    /// A user became a member of a team, or got another role in it.
    TeamMemberPut = "team.member_put" on ["team"];
    /// A user was removed from a team.
    TeamMemberRemove = "team.member_remove" on ["team"];
    /// A group of satellites was created.
    GroupCreate = "group.create" on ["group"];
    /// The name, the query or the members of a group were changed.
    GroupUpdate = "group.update" on ["group"];
    /// A group was removed.
    GroupRemove = "group.remove" on ["group"];
    /// An API key was created.
    ApiKeyCreate = "api_key.create" on ["api_key"];
    /// An API key got a new secret.
    ApiKeyRotate = "api_key.rotate" on ["api_key"];
    /// An API key was revoked.
    ApiKeyRevoke = "api_key.revoke" on ["api_key"];
    /// A registration token was created.
    RegistrationTokenCreate = "registration_token.create" on ["registration_token"];
    /// A registration token was revoked.
    RegistrationTokenRevoke = "registration_token.revoke" on ["registration_token"];
    /// The audit log was exported.
    AuditExport = "audit.export" on ["audit"];
    /// Old records were deleted. The details have the signed checkpoint, where a verification begins.
    AuditCheckpoint = "audit.checkpoint" on ["audit"];
    /// A program recorded something of its own. Its action and its target are in the details.
    AuditNote = "audit.note" on ["note"];
    /// Other key files were accepted than those that wrote the database.
    HiveKeysAccept = "hive.keys_accept" on ["hive"];
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn each_action_has_a_word_of_its_own() {
        let words: BTreeSet<_> = AuditAction::ALL.iter().map(|action| action.as_str()).collect();
        assert_eq!(words.len(), AuditAction::ALL.len());
        for word in words {
            let (subject, verb) = word.split_once('.').unwrap();
            let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(is_plain(subject) && is_plain(verb), "{word}");
        }
    }

    #[test]
    fn the_page_lists_exactly_the_actions() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/audit.md");
        let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, table) =
            page.split_once("| action | target | meaning |\n|---|---|---|\n").expect("a table of the actions");
        let listed: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
        let row = |action: &AuditAction| {
            let targets: Vec<_> = action.target_types().iter().map(|word| format!("`{word}`")).collect();
            format!("| `{action}` | {} | {} |", targets.join(", "), action.description())
        };
        let expected: Vec<_> = AuditAction::ALL.iter().map(row).collect();
        assert!(listed == expected, "the table of docs/audit.md is to be:\n{}", expected.join("\n"));
    }
}
