//! Warnings of an agent that continues, for the log.

use std::path::Path;

use hive_wire::HiveId;

use crate::language::Language;
use crate::satellite_api::AuthRejection;

/// The server does not answer. The agent keeps trying.
pub fn unreachable(server: &str, cause: &str, language: Language) -> String {
    language.pick(
        format!(
            "cannot reach the server {server}: {cause}. Check that --server (HIVE_SERVER_URL) is right, that the hive runs and that \
             no firewall is in between; the agent keeps trying"
        ),
        format!(
            "Der Server {server} ist nicht erreichbar: {cause}. Bitte prüfen, ob --server (HIVE_SERVER_URL) stimmt, der Hive läuft \
             und keine Firewall dazwischen liegt; der Agent versucht es weiter"
        ),
    )
}

/// Another agent is online with this satellite's identity. The agent tries again at long intervals.
pub(crate) fn identity_conflict(data_dir: &Path, language: Language) -> String {
    let dir = data_dir.display();
    language.pick(
        format!(
            "identity_conflict: another agent is online with this satellite's identity, so one of the two runs on a copy of the other's \
             data directory. If this machine is the copy, stop this agent, delete {dir} and register it under a name of its own \
             (--name, with a new token of `hive tokens create`); if not, stop the other one"
        ),
        format!(
            "identity_conflict: Ein anderer Agent ist mit der Identität dieses Satelliten online; einer der beiden läuft auf einer Kopie \
             des Datenverzeichnisses. Ist diese Maschine die Kopie, bitte diesen Agenten anhalten, {dir} löschen und unter eigenem Namen \
             neu registrieren (--name, mit einem neuen Token von `hive tokens create`); sonst den anderen anhalten"
        ),
    )
}

/// A 401 that does not reject the key. The agent keeps trying.
pub(crate) fn unauthorized(server: &str, what: AuthRejection, known: Option<HiveId>, language: Language) -> String {
    let known = known.map(|id| id.to_string()).unwrap_or_default();
    match what {
        AuthRejection::OtherHive(other) => language.pick(
            format!(
                "the server {server} is another hive ({other}) than this satellite's ({known}). Check --server (HIVE_SERVER_URL). To \
                 move this machine to that hive, stop the agent, rename backend.key.json in its data directory and register with a \
                 token. The key is kept, and the agent keeps trying"
            ),
            format!(
                "Der Server {server} ist ein anderer Hive ({other}) als der dieses Satelliten ({known}). Bitte --server \
                 (HIVE_SERVER_URL) prüfen. Soll diese Maschine zu jenem Hive, bitte den Agenten beenden, backend.key.json in seinem \
                 Datenverzeichnis umbenennen und mit einem Token neu registrieren. Der Schlüssel bleibt, und der Agent versucht es weiter"
            ),
        ),
        AuthRejection::UnknownHive(_) => language.pick(
            format!(
                "the server {server} does not accept the stored key, and the key's file does not say which hive it is for: an earlier \
                 version wrote it. To register anew, stop the agent, rename backend.key.json in its data directory and give a token. \
                 The key is kept, and the agent keeps trying"
            ),
            format!(
                "Der Server {server} nimmt den gespeicherten Schlüssel nicht an, und seine Datei sagt nicht, für welchen Hive er gilt: \
                 Eine ältere Version hat sie geschrieben. Für eine neue Registrierung bitte den Agenten beenden, backend.key.json in \
                 seinem Datenverzeichnis umbenennen und ein Token angeben. Der Schlüssel bleibt, und der Agent versucht es weiter"
            ),
        ),
        AuthRejection::NotAHive | AuthRejection::Rejected { .. } => language.pick(
            format!(
                "the server {server} answers 401, but not as a hive that knows this satellite's key; something in between, such as a \
                 proxy, may ask for credentials of its own. The key is kept, and the agent keeps trying"
            ),
            format!(
                "Der Server {server} antwortet mit 401, aber nicht als Hive, der den Schlüssel dieses Satelliten kennt; vielleicht \
                 verlangt etwas dazwischen, etwa ein Proxy, eigene Zugangsdaten. Der Schlüssel bleibt, und der Agent versucht es weiter"
            ),
        ),
    }
}

/// The hive has rejected every key.
pub(crate) fn keys_rejected(is_superseded: bool, language: Language) -> String {
    let why = if is_superseded {
        language.pick(
            "the hive has replaced every key that is stored here: this data directory is an older copy, or another machine \
             registered under this name",
            "Der Hive hat alle hier gespeicherten Schlüssel ersetzt: Das Datenverzeichnis ist eine ältere Kopie, oder eine andere \
             Maschine hat sich unter diesem Namen registriert",
        )
    } else {
        language.pick(
            "the hive knows none of the keys that are stored here: the satellite was removed, or the hive was restored from an \
             old backup",
            "Der Hive kennt keinen der hier gespeicherten Schlüssel: Der Satellit wurde entfernt, oder der Hive wurde aus einer \
             alten Sicherung wiederhergestellt",
        )
    };
    let next = language.pick(
        "The keys are kept in backend.key.rejected.json and offered again from time to time. To register anew, start the agent with \
         --registration-token-file and a new token (hive tokens create)",
        "Die Schlüssel bleiben in backend.key.rejected.json und werden von Zeit zu Zeit wieder angeboten. Für eine neue Registrierung \
         bitte den Agenten mit --registration-token-file und einem neuen Token starten (hive tokens create)",
    );
    format!("{why}. {next}")
}

/// A token on the command line is visible to all users.
pub fn token_is_visible(language: Language) -> String {
    language.pick(
        "everybody on this machine can read --registration-token in the list of processes; rather use --registration-token-file or \
         HIVE_REGISTRATION_TOKEN_FILE",
        "Jeder auf dieser Maschine kann --registration-token in der Liste der Prozesse lesen; besser sind --registration-token-file \
         oder HIVE_REGISTRATION_TOKEN_FILE",
    )
}

/// A part of the log level is not one. The other parts apply.
pub fn log_level_ignored(part: &str, language: Language) -> String {
    language.pick(
        format!(
            "{part:?} in --log-level (HIVE_LOG_LEVEL) is ignored: error, warn, info, debug, trace or a filter such as \
             hive_agent=debug is needed"
        ),
        format!(
            "{part:?} in --log-level (HIVE_LOG_LEVEL) wird ignoriert: error, warn, info, debug, trace oder ein Filter wie \
             hive_agent=debug wird gebraucht"
        ),
    )
}

/// The satellite keeps the name under which it is registered.
pub(crate) fn other_name(registered: &str, requested: &str, language: Language) -> String {
    language.pick(
        format!(
            "this satellite is registered as {registered}, and --name says {requested}: it stays {registered}. To rename it, use \
             hive satellites update {registered} --name {requested}"
        ),
        format!(
            "Dieser Satellit ist als {registered} registriert, und --name sagt {requested}: Er bleibt {registered}. Zum Umbenennen dient \
             hive satellites update {registered} --name {requested}"
        ),
    )
}
