//! The variables of the environment, each under three names.

use hive_agent::{Error, Language};

use super::wrong;

/// Looks up variables under all their names.
pub(crate) struct EnvVars<F> {
    pub(crate) variable: F,
}

impl<F: Fn(&str) -> Option<String>> EnvVars<F> {
    /// Returns a setting by its name without `HIVE_`. An empty value counts as not set.
    pub(crate) fn get(&self, suffix: &str) -> Option<String> {
        // `SATELLITE_NAME`, and not `SATELLITE_SATELLITE_NAME`.
        let short = suffix.strip_prefix("SATELLITE_").unwrap_or(suffix);
        let names = [format!("HIVE_{suffix}"), format!("DEPLOYSTACK_{suffix}"), format!("SATELLITE_{short}")];
        names.iter().find_map(|name| (self.variable)(name).filter(|value| !value.trim().is_empty()))
    }

    pub(super) fn list(&self, suffix: &str) -> Vec<String> {
        let text = self.get(suffix).unwrap_or_default();
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(ToOwned::to_owned).collect()
    }

    pub(super) fn flag(&self, suffix: &str, setting: &'static str) -> Result<Option<bool>, Error> {
        let parse = |text: String| match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(wrong(setting, "true or false is needed")),
        };
        self.get(suffix).map(parse).transpose()
    }

    /// The language of messages.
    pub(crate) fn language(&self) -> Language {
        Language::of_locale(&self.variable)
    }
}
