//! API keys and registration tokens.

use std::sync::Arc;

use hive_core::HiveApi;
use hive_core::wire::api::ApiKeyRotate;

use crate::lookup::find_satellite_id;
use crate::records::{
    ApiKey, ApiKeyOptions, NewApiKey, NewRegistrationToken, RegistrationToken, RegistrationTokenOptions, parse_id,
};
use crate::{Hive, HiveError};

#[uniffi::export]
impl Hive {
    /// Makes an API key for the caller. This is the only time that its secret is shown.
    pub async fn api_key_create(&self, name: String, options: ApiKeyOptions) -> Result<NewApiKey, HiveError> {
        let create = move |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.identity().api_key_create(options.named(name)).await?.into())
        };
        self.call(create).await
    }

    /// Lists the caller's API keys.
    pub async fn api_key_list(&self) -> Result<Vec<ApiKey>, HiveError> {
        let list = |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.identity().api_key_list().await?.into_iter().map(ApiKey::from).collect())
        };
        self.call(list).await
    }

    /// Gives one of the caller's API keys another secret. The former secret is accepted for so many seconds more.
    pub async fn api_key_rotate(&self, key: String, overlap_seconds: u32) -> Result<NewApiKey, HiveError> {
        self.call(move |hive| async move {
            let rotate = ApiKeyRotate { overlap_seconds };
            Ok(hive.identity().api_key_rotate(parse_id("key", &key)?, rotate).await?.into())
        })
        .await
    }

    /// Revokes one of the caller's API keys and what was made with it, at once.
    pub async fn api_key_revoke(&self, key: String) -> Result<(), HiveError> {
        self.call(|hive| async move { Ok(hive.identity().api_key_revoke(parse_id("key", &key)?).await.map(drop)?) })
            .await
    }

    /// Makes a registration token. This is the only time that its secret is shown.
    pub async fn registration_token_create(
        &self,
        options: RegistrationTokenOptions,
    ) -> Result<NewRegistrationToken, HiveError> {
        let create = |hive: Arc<dyn HiveApi>| async move {
            let for_satellite = match &options.for_satellite {
                Some(satellite) => Some(find_satellite_id(hive.as_ref(), satellite).await?),
                None => None,
            };
            let mut request = options.into_request()?;
            request.for_satellite = for_satellite;
            Ok(hive.identity().registration_token_create(request).await?.into())
        };
        self.call(create).await
    }

    /// Lists the registration tokens that the caller may manage, newest first.
    pub async fn registration_token_list(&self) -> Result<Vec<RegistrationToken>, HiveError> {
        let list = |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.identity().registration_token_list().await?.into_iter().map(RegistrationToken::from).collect())
        };
        self.call(list).await
    }

    /// Revokes a registration token that was not used yet.
    pub async fn registration_token_revoke(&self, token: String) -> Result<(), HiveError> {
        let revoke = |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.identity().registration_token_revoke(parse_id("token", &token)?).await?)
        };
        self.call(revoke).await
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_tags_of_a_registration_token_are_listed() {
        let hive = Hive::open(None).unwrap();
        let options = RegistrationTokenOptions {
            tags: vec!["web".into()],
            allowed_tags: vec!["rack-*".into()],
            ..RegistrationTokenOptions::default()
        };
        let token = hive.registration_token_create(options).await.unwrap();
        let listed = hive.registration_token_list().await.unwrap();
        assert_eq!(listed[0].id, token.id);
        assert_eq!((&listed[0].tags[..], &listed[0].allowed_tags[..]), (&["web".into()][..], &["rack-*".into()][..]));
        assert_eq!(listed[0].for_satellite, None);
    }

    #[tokio::test]
    async fn a_token_for_a_satellite_that_does_not_exist_is_refused() {
        let hive = Hive::open(None).unwrap();
        let options = RegistrationTokenOptions { for_satellite: Some("web".into()), ..Default::default() };
        let result = hive.registration_token_create(options).await;
        assert!(matches!(result, Err(HiveError::SatelliteNotFound { .. })));
    }
}
