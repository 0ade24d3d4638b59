//! `hive whoami`: which hive is meant, and who one is there.

use hive_core::wire::api::Me;
use serde::Serialize;

use super::{shown, word};
use crate::failure::Result;
use crate::output::Output;
use crate::settings::{CredentialSource, Credentials};
use crate::table::Table;
use hive_core::HiveApi;

#[derive(Serialize)]
struct Who<'a> {
    #[serde(flatten)]
    me: Me,
    url: &'a str,
    profile: Option<&'a str>,
}

pub(super) async fn run(api: &dyn HiveApi, credentials: &Credentials, output: Output) -> Result<()> {
    let (profile, by) = match &credentials.source {
        CredentialSource::Explicit => (None, "--api-key or HIVE_API_KEY".to_owned()),
        CredentialSource::Profile(name) => (Some(name.as_str()), format!("the profile {name}")),
        CredentialSource::LocalHive => (None, "the hive that was started here".to_owned()),
    };
    let who = Who { me: api.identity().me().await?, url: &credentials.url, profile };
    output.show(&who, |Who { me, url, .. }| {
        Table::pairs([
            ("hive", (*url).to_owned()),
            ("key of", by),
            ("username", me.user.username.clone()),
            ("role", word(&me.user.role)),
            ("user id", me.user.id.to_string()),
            ("API key", shown(me.api_key_id)),
        ])
    })
}
