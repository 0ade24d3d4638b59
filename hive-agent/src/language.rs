//! The language of messages for people, by the locale.

/// The language of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `en`, and every other locale.
    English,
    /// `de`.
    German,
}

impl Language {
    /// The language of a locale. The first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set decides.
    pub fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |value: &String| !value.is_empty();
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| variable(name).filter(is_set))
            .unwrap_or_default();
        // `de_DE.UTF-8`, `de-CH` and `de@euro` are all German.
        let language = locale.split(['_', '.', '@', '-']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("de") { Self::German } else { Self::English }
    }

    /// Returns the text in this language.
    pub(crate) fn pick(self, english: impl Into<String>, german: impl Into<String>) -> String {
        match self {
            Self::English => english.into(),
            Self::German => german.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(lc_all: &str, lc_messages: &str, lang: &str) -> Language {
        Language::of_locale(|name| {
            Some(match name {
                "LC_ALL" => lc_all.to_owned(),
                "LC_MESSAGES" => lc_messages.to_owned(),
                _ => lang.to_owned(),
            })
        })
    }

    #[test]
    fn the_first_locale_that_is_set_decides() {
        assert_eq!(language("", "", "de_DE.UTF-8"), Language::German);
        assert_eq!(language("", "de", "en_US.UTF-8"), Language::German);
        assert_eq!(language("C", "de_AT", "de_DE"), Language::English);
        assert_eq!(language("de-CH", "", ""), Language::German);
        assert_eq!(language("", "", "den_CA"), Language::English);
        assert_eq!(Language::of_locale(|_| None), Language::English);
    }
}
