//! `hive whoami`: the selected hive, and the user of its key.

use hive_core::wire::api::Me;
use serde::Serialize;

use super::{or_empty, wire_name};
use crate::error::Result;
use crate::output::Printer;
use crate::settings::{CredentialSource, Credentials};
use crate::table::TextTable;
use hive_core::HiveApi;

#[derive(Serialize)]
struct WhoamiDocument<'a> {
    #[serde(flatten)]
    me: Me,
    url: &'a str,
    profile: Option<&'a str>,
}

pub(super) async fn run(api: &dyn HiveApi, credentials: &Credentials, printer: Printer) -> Result<()> {
    let (profile, by) = match &credentials.source {
        CredentialSource::Explicit => (None, "--api-key or HIVE_API_KEY".to_owned()),
        CredentialSource::Profile(name) => (Some(name.as_str()), format!("the profile {name}")),
        CredentialSource::LocalHive => (None, "the hive that was started here".to_owned()),
    };
    let document = WhoamiDocument { me: api.identity().me().await?, url: &credentials.url, profile };
    printer.show(&document, |WhoamiDocument { me, url, .. }| {
        TextTable::pairs([
            ("hive", (*url).to_owned()),
            ("key of", by),
            ("username", me.user.username.clone()),
            ("role", wire_name(&me.user.role)),
            ("user id", me.user.id.to_string()),
            ("API key", or_empty(me.api_key_id)),
        ])
    })
}
