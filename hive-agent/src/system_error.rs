//! Errors of the operating system, in words for people.

use std::io::{self, ErrorKind};

use crate::language::Language;

/// Returns what happened, in English, for the log and for the hive.
pub(crate) fn text(error: &io::Error) -> String {
    describe(error, Language::English)
}

/// Returns what happened. Kinds without words of their own keep the system's, without its number.
pub fn describe(error: &io::Error, language: Language) -> String {
    // An error with a payload was made by this crate or by a library, and its kind says less than its text.
    if let Some(payload) = error.get_ref() {
        return payload.to_string();
    }
    let (english, german) = match error.kind() {
        ErrorKind::NotFound => {
            ("there is no such file or directory", "eine solche Datei oder ein solches Verzeichnis gibt es nicht")
        }
        ErrorKind::PermissionDenied => ("permission denied", "der Zugriff ist nicht erlaubt"),
        ErrorKind::StorageFull => ("no space is left", "es ist kein Platz mehr frei"),
        ErrorKind::QuotaExceeded => ("the disk quota is used up", "das Plattenkontingent ist erschöpft"),
        ErrorKind::ReadOnlyFilesystem => ("the file system is read-only", "das Dateisystem ist schreibgeschützt"),
        ErrorKind::IsADirectory => ("it is a directory", "es ist ein Verzeichnis"),
        ErrorKind::NotADirectory => {
            ("a part of the path is not a directory", "ein Teil des Pfads ist kein Verzeichnis")
        }
        ErrorKind::AddrInUse => ("another program uses this address", "ein anderes Programm benutzt diese Adresse"),
        ErrorKind::AddrNotAvailable => ("this machine has no such address", "diese Maschine hat keine solche Adresse"),
        ErrorKind::BrokenPipe => ("its reader has closed it", "der Leser hat es geschlossen"),
        // The standard library reports text that is not UTF-8 like this. Other invalid data has a payload.
        ErrorKind::InvalidData => ("it is not text in UTF-8", "es ist kein Text in UTF-8"),
        _ => return without_number(&error.to_string()).to_owned(),
    };
    language.pick(english, german)
}

/// The text without the number that the standard library appends to it.
fn without_number(text: &str) -> &str {
    text.rsplit_once(" (os error ").map_or(text, |(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    fn check(error: impl Into<io::Error>, english: &str, german: &str) {
        let error = error.into();
        assert_eq!(text(&error), english);
        assert_eq!(describe(&error, Language::German), german);
    }

    #[test]
    fn known_kinds_have_words_of_their_own() {
        check(Errno::ENOSPC, "no space is left", "es ist kein Platz mehr frei");
        check(Errno::EACCES, "permission denied", "der Zugriff ist nicht erlaubt");
        check(Errno::EADDRINUSE, "another program uses this address", "ein anderes Programm benutzt diese Adresse");
    }

    #[test]
    fn other_kinds_keep_the_systems_words_without_the_number() {
        assert_eq!(text(&Errno::EMFILE.into()), "Too many open files");
        assert_eq!(text(&io::Error::other("the thread is gone")), "the thread is gone");
    }
}
