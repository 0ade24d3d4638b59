//! Messages for people: what is wrong, and what to do next. In English, and in German if the locale is German.
//!
//! [`explain`] is for an error that ends the agent. The warnings are for the log of an agent that continues.

mod warnings;

use std::io::{self, ErrorKind};

use hive_wire::escape;
use hive_wire::satellite_api::ErrorResponse;

use crate::error::Error;
use crate::language::Language;

pub use crate::system_error::describe;
pub(crate) use warnings::{identity_conflict, keys_rejected, other_name, unauthorized};
pub use warnings::{log_level_ignored, token_is_visible, unreachable};

/// Explains an error: one line for what is wrong, one for what to do.
pub fn explain(error: &Error, language: Language) -> String {
    let (what, next) = (what_happened(error, language), what_to_do(error, language));
    if next.is_empty() { what } else { format!("{what}\n{next}") }
}

/// The process cannot start, because of the system.
pub fn cannot_start(error: &io::Error, language: Language) -> String {
    let cause = describe(error, language);
    language.pick(format!("the agent cannot start: {cause}"), format!("Der Agent kann nicht starten: {cause}"))
}

/// Standard output does not take the line that says that the satellite is online.
pub fn cannot_announce(error: &io::Error, language: Language) -> String {
    let cause = describe(error, language);
    language.pick(
        format!("standard output does not take the line of the event online: {cause}"),
        format!("Die Standardausgabe nimmt die Zeile des Ereignisses online nicht an: {cause}"),
    )
}

/// Explains what is wrong, on one line.
pub(crate) fn what_happened(error: &Error, language: Language) -> String {
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
        Error::TokenFile { path, source } => {
            let cause = describe(source, language);
            language.pick(
            format!("the registration token cannot be read from {}: {cause}", path.display()),
            format!("Das Registrierungstoken kann nicht aus {} gelesen werden: {cause}", path.display()),
        )
        }
        Error::DataDir { path, source } => {
            let cause = describe(source, language);
            language.pick(
            format!("the data directory {} cannot be written: {cause}", path.display()),
            format!("In das Datenverzeichnis {} kann nicht geschrieben werden: {cause}", path.display()),
        )
        }
        Error::DataDirInUse(path) => language.pick(
            format!("another agent already runs with the data directory {}", path.display()),
            format!("Mit dem Datenverzeichnis {} läuft bereits ein anderer Agent", path.display()),
        ),
        Error::StoredKey { path, source } => {
            let cause = describe(source, language);
            language.pick(
            format!("the stored key {} cannot be read: {cause}", path.display()),
            format!("Der gespeicherte Schlüssel {} ist nicht lesbar: {cause}", path.display()),
        )
        }
        // In the language of the server, which knows why it refuses.
        Error::Refused(refusal) => printable(&refusal.message),
        Error::NotAHive { server, status } => language.pick(
            format!("{server} answers, but not as a hive (status {status})"),
            format!("{server} antwortet, aber nicht als Hive (Status {status})"),
        ),
        Error::KeyRejected => language.pick(
            "the server accepts none of this satellite's keys, and no registration token was given; the keys are kept in backend.key.rejected.json",
            "Der Server nimmt keinen Schlüssel dieses Satelliten an, und es wurde kein Registrierungstoken angegeben; die Schlüssel bleiben in backend.key.rejected.json",
        ),
        Error::LocalApi { address, source } => {
            let cause = describe(source, language);
            language.pick(
            format!("the local status pages cannot listen on {address}: {cause}"),
            format!("Die lokalen Statusseiten können nicht auf {address} lauschen: {cause}"),
        )
        }
        Error::Certificates(source) if source.kind() == ErrorKind::NotFound => language.pick(
            "this machine has no root certificates, so the certificate of the server cannot be checked",
            "Auf dieser Maschine gibt es keine Wurzelzertifikate; das Zertifikat des Servers kann nicht geprüft werden",
        ),
        Error::Certificates(source) => {
            let cause = describe(source, language);
            language.pick(
                format!("the root certificates of this machine cannot be loaded: {cause}"),
                format!("Die Wurzelzertifikate dieser Maschine können nicht geladen werden: {cause}"),
            )
        }
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
mod tests;
