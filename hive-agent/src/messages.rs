//! Messages for people when the agent cannot continue: what is wrong, and what to do next. In English, and in German if
//! the locale is German.

use std::path::Path;

use hive_wire::HiveId;
use hive_wire::escape::{self, error_chain};
use hive_wire::satellite_api::ErrorResponse;

use crate::error::Error;
use crate::language::Language;
use crate::satellite_api::AuthRejection;

/// Explains an error: one line for what is wrong, one for what to do.
pub fn explain(error: &Error, language: Language) -> String {
    let (what, next) = (what_happened(error, language), what_to_do(error, language));
    if next.is_empty() { what } else { format!("{what}\n{next}") }
}

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

fn what_happened(error: &Error, language: Language) -> String {
    match error {
        Error::Name(name) => language.pick(name.to_string(), name.in_german()),
        Error::Setting { setting, reason } => language.pick(
            format!("the setting {setting} is wrong: {reason}"),
            format!("Die Einstellung {setting} ist falsch: {reason}"),
        ),
        Error::TokenMissing => language.pick(
            "no registration token was given, and this satellite is not registered yet",
            "Es wurde kein Registrierungstoken angegeben, und dieser Satellit ist noch nicht registriert",
        ),
        Error::TokenPlaceholder => language.pick(
            "the registration token is the placeholder of an example, not a real token",
            "Das Registrierungstoken ist der Platzhalter eines Beispiels, kein echtes Token",
        ),
        Error::TokenMalformed => language.pick(
            "the registration token is malformed: it must look like hive_satellite_global_… or hive_satellite_team_… and be complete",
            "Das Registrierungstoken ist fehlerhaft: Es muss wie hive_satellite_global_… oder hive_satellite_team_… aussehen und vollständig sein",
        ),
        Error::TokenFile { path, source } => language.pick(
            format!("the registration token cannot be read from {}: {source}", path.display()),
            format!("Das Registrierungstoken kann nicht aus {} gelesen werden: {source}", path.display()),
        ),
        Error::DataDir { path, source } => language.pick(
            format!("the data directory {} cannot be written: {source}", path.display()),
            format!("In das Datenverzeichnis {} kann nicht geschrieben werden: {source}", path.display()),
        ),
        Error::DataDirInUse(path) => language.pick(
            format!("another agent already runs with the data directory {}", path.display()),
            format!("Mit dem Datenverzeichnis {} läuft bereits ein anderer Agent", path.display()),
        ),
        Error::StoredKey { path, source } => language.pick(
            format!("the stored key {} cannot be read: {source}", path.display()),
            format!("Der gespeicherte Schlüssel {} ist nicht lesbar: {source}", path.display()),
        ),
        Error::Refused(refusal) => printable(&refusal.message),
        Error::NotAHive { server, status } => language.pick(
            format!("{server} answers, but not as a hive (status {status})"),
            format!("{server} antwortet, aber nicht als Hive (Status {status})"),
        ),
        Error::KeyRejected => language.pick(
            "the server accepts none of this satellite's keys, and no registration token was given; the keys are kept in backend.key.rejected.json",
            "Der Server nimmt keinen Schlüssel dieses Satelliten an, und es wurde kein Registrierungstoken angegeben; die Schlüssel bleiben in backend.key.rejected.json",
        ),
        Error::LocalApi { address, source } => language.pick(
            format!("the local status pages cannot listen on {address}: {source}"),
            format!("Die lokalen Statusseiten können nicht auf {address} lauschen: {source}"),
        ),
        Error::Certificates(_) => error_chain(error),
    }
}

fn what_to_do(error: &Error, language: Language) -> String {
    match error {
        Error::Name(_) => language.pick(
            "Give a valid one with --name or HIVE_SATELLITE_NAME.",
            "Bitte mit --name oder HIVE_SATELLITE_NAME einen gültigen angeben.",
        ),
        Error::Setting { .. } => language.pick(
            "satellite-agent --help lists all settings.",
            "satellite-agent --help zeigt alle Einstellungen.",
        ),
        Error::TokenMissing | Error::TokenPlaceholder | Error::TokenMalformed | Error::KeyRejected => language.pick(
            "Ask an administrator for one (hive tokens create), and give it with --registration-token-file, HIVE_REGISTRATION_TOKEN_FILE or HIVE_REGISTRATION_TOKEN.",
            "Bitte einen Administrator um eines bitten (hive tokens create) und es mit --registration-token-file, HIVE_REGISTRATION_TOKEN_FILE oder HIVE_REGISTRATION_TOKEN angeben.",
        ),
        Error::TokenFile { .. } => language.pick(
            "Put the token there, readable for the agent, and nothing else; - is standard input.",
            "Bitte das Token dort ablegen, für den Agenten lesbar und ohne weiteren Text; - ist die Standardeingabe.",
        ),
        Error::DataDir { .. } => language.pick(
            "Choose another one with --data-dir or HIVE_DATA_DIR, or make it writable. A registration token was not spent.",
            "Bitte mit --data-dir oder HIVE_DATA_DIR ein anderes wählen oder es beschreibbar machen. Es wurde kein Registrierungstoken verbraucht.",
        ),
        Error::DataDirInUse(_) => language.pick(
            "Stop the other agent, or give this one its own directory with --data-dir.",
            "Bitte den anderen Agenten beenden oder diesem mit --data-dir ein eigenes Verzeichnis geben.",
        ),
        Error::StoredKey { .. } => language.pick(
            "Repair it, or remove it and register again with a new token.",
            "Bitte reparieren oder löschen und mit einem neuen Token neu registrieren.",
        ),
        Error::Refused(refusal) => instructions_after_refusal(refusal, language),
        Error::NotAHive { .. } => language.pick(
            "Check --server or HIVE_SERVER_URL, and what stands between here and the hive.",
            "Bitte --server oder HIVE_SERVER_URL prüfen und was zwischen hier und dem Hive steht.",
        ),
        Error::LocalApi { .. } => language.pick(
            "Choose another address with --local-api, or off.",
            "Bitte mit --local-api eine andere Adresse wählen, oder off.",
        ),
        Error::Certificates(_) => language.pick(
            "Install the package of root certificates (ca-certificates).",
            "Bitte das Paket mit den Wurzelzertifikaten installieren (ca-certificates).",
        ),
    }
}

/// The server's own instructions, except for known cases in another language.
fn instructions_after_refusal(refusal: &ErrorResponse, language: Language) -> String {
    let known = match (language, refusal.error.as_str()) {
        (Language::German, "registration_token_expired") => {
            "Das Token ist abgelaufen. Bitte ein neues anfordern (hive tokens create)."
        }
        (Language::German, "registration_token_used") => {
            "Das Token wurde bereits benutzt; jedes gilt für eine Registrierung. Bitte ein neues anfordern (hive tokens create)."
        }
        (Language::German, "registration_token_revoked") => {
            "Das Token wurde widerrufen. Bitte ein neues anfordern (hive tokens create)."
        }
        (Language::German, "registration_token_invalid") => {
            "Das Token ist ungültig. Bitte prüfen, ob es vollständig ist und zu diesem Hive gehört."
        }
        (
            Language::English,
            "registration_token_expired" | "registration_token_used" | "registration_token_revoked",
        ) if refusal.instructions.is_empty() => {
            "Ask an administrator for a new token (hive tokens create); each is good for one registration."
        }
        _ => return printable(&refusal.instructions),
    };
    known.to_owned()
}

/// Text of a server, shortened and without control characters.
fn printable(text: &str) -> String {
    // A server could send megabytes, which would fill a log.
    let short: String = text.chars().take(1_000).collect();
    escape::text(&short).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::SatelliteName;

    #[test]
    fn a_bad_name_is_explained_in_both_languages() {
        let error = Error::from(SatelliteName::try_from("Short").unwrap_err());
        assert!(explain(&error, Language::English).contains("contains 'S'"));
        assert!(explain(&error, Language::German).contains("enthält 'S'"));
        assert!(explain(&error, Language::German).contains("--name"));
    }

    fn refused(code: &str, instructions: &str) -> Error {
        Error::Refused(Box::new(ErrorResponse {
            success: false,
            error: code.into(),
            message: format!("said \u{1b}[2J{code}"),
            instructions: instructions.into(),
            hive_id: None,
            class: None,
        }))
    }

    #[test]
    fn every_message_is_distinct_and_says_what_next() {
        let io = || std::io::Error::other("disk");
        let errors = [
            Error::TokenMissing,
            Error::TokenPlaceholder,
            Error::TokenMalformed,
            Error::KeyRejected,
            Error::DataDir { path: "d".into(), source: io() },
            Error::DataDirInUse("d".into()),
            Error::StoredKey { path: "d".into(), source: io() },
            refused("registration_token_expired", ""),
            refused("registration_token_used", ""),
            refused("registration_token_revoked", "ask again"),
            refused("registration_token_invalid", "look closer"),
            Error::NotAHive { server: "http://x".into(), status: 404 },
        ];
        for language in [Language::English, Language::German] {
            let texts: Vec<_> = errors.iter().map(|error| explain(error, language)).collect();
            for (n, text) in texts.iter().enumerate() {
                assert_eq!(text.lines().count(), 2, "{text}");
                assert!(!texts[..n].contains(text) && !text.contains('\u{1b}'), "{text}");
            }
        }
    }
}
