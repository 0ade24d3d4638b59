//! The hive, here or elsewhere.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{self, PageRequest, Target};
use hive_core::{HiveApi, RemoteHive};
use secrecy::SecretString;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
use crate::engine::Engine;
use crate::{HiveError, records};

/// A hive: one in this process, or one that is reached over HTTP.
///
/// Both are used alike. Dropping the object ends what it does; [`close`](Self::close) also waits for it.
#[derive(uniffi::Object)]
pub struct Hive {
    pub(crate) place: Arc<Place>,
    pub(crate) engine: Arc<Engine>,
}

/// Where the hive is.
pub(crate) enum Place {
    Elsewhere(Named),
    LoggedIn(RemoteHive),
    #[cfg(feature = "embedded")]
    Here(Embedded),
}

/// A hive elsewhere. Its client is made by the first call and not before: it reads the machine's certificates, which is
/// nothing for the thread of an event loop.
pub(crate) struct Named {
    url: String,
    api_key: SecretString,
    client: OnceCell<RemoteHive>,
}

impl Named {
    async fn client(&self) -> Result<RemoteHive, HiveError> {
        let connect = async || {
            let (url, api_key) = (self.url.clone(), self.api_key.clone());
            let connecting = spawn_blocking(move || RemoteHive::connect(&url, api_key));
            connecting.await.map_err(|error| HiveError::internal(error.to_string()))?.map_err(HiveError::from)
        };
        self.client.get_or_try_init(connect).await.cloned()
    }
}

#[uniffi::export]
impl Hive {
    /// Names a hive by its URL, such as `https://hive.example.com`, and acts on it with a key. Nothing is sent yet, and a URL
    /// that is none is refused by the first call.
    #[uniffi::constructor]
    pub fn connect(url: String, api_key: String) -> Result<Arc<Self>, HiveError> {
        let named = Named { url, api_key: api_key.into(), client: OnceCell::new() };
        Ok(Self::at(Place::Elsewhere(named), Engine::get()?))
    }

    /// Logs in to a hive with a password, and acts on it as that user until the login ends.
    #[uniffi::constructor]
    pub async fn login(url: String, username: String, password: String) -> Result<Arc<Self>, HiveError> {
        let engine = Engine::get()?;
        let login = async move { Ok(RemoteHive::login(&url, api::LoginRequest { username, password }).await?) };
        let (client, _) = engine.run(login).await?;
        Ok(Self::at(Place::LoggedIn(client), engine))
    }

    /// Opens what has to be opened, so that what is wrong with it is told here and not by the first call.
    pub async fn ready(&self) -> Result<(), HiveError> {
        self.call(|_| async { Ok(()) }).await
    }

    /// Ends what this object does, and waits for it. A hive elsewhere goes on.
    pub async fn close(&self) -> Result<(), HiveError> {
        let place = self.place.clone();
        let closing = async move {
            match place.as_ref() {
                Place::Elsewhere(_) | Place::LoggedIn(_) => {}
                #[cfg(feature = "embedded")]
                Place::Here(embedded) => embedded.close().await,
            }
            Ok(())
        };
        self.engine.run(closing).await
    }
}

impl Hive {
    pub(crate) fn at(place: Place, engine: Arc<Engine>) -> Arc<Self> {
        Arc::new(Self { place: Arc::new(place), engine })
    }

    /// Does some work with the hive on the engine's threads.
    pub(crate) async fn call<T, F>(
        &self,
        work: impl FnOnce(Arc<dyn HiveApi>) -> F + Send + 'static,
    ) -> Result<T, HiveError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, HiveError>> + Send + 'static,
    {
        let place = self.place.clone();
        self.engine.run(async move { work(place.api().await?).await }).await
    }
}

impl Place {
    async fn api(&self) -> Result<Arc<dyn HiveApi>, HiveError> {
        match self {
            Self::Elsewhere(named) => Ok(Arc::new(named.client().await?)),
            Self::LoggedIn(client) => Ok(Arc::new(client.clone())),
            #[cfg(feature = "embedded")]
            Self::Here(embedded) => Ok(Arc::new(embedded.hive().await?.as_system())),
        }
    }
}

/// All pages of a list.
pub(crate) async fn every_page<'h, T: 'h>(
    mut page_of: impl FnMut(PageRequest) -> BoxFuture<'h, hive_core::Result<api::Page<T>>>,
) -> Result<Vec<T>, HiveError> {
    let mut items = Vec::new();
    for page in 1.. {
        let got = page_of(PageRequest { page, per_page: PageRequest::MAX_PER_PAGE }).await?;
        let is_last = got.items.is_empty();
        items.extend(got.items);
        if is_last || items.len() as u64 >= got.total {
            break;
        }
    }
    Ok(items)
}

/// The satellite with this id or name.
pub(crate) async fn find(api: &dyn HiveApi, word: &str) -> Result<api::Satellite, HiveError> {
    let missing = || hive_core::Error::SatelliteNotFound(word.to_owned());
    if let Ok(id) = word.parse::<SatelliteId>() {
        return Ok(api.satellites().get(id).await?.ok_or_else(missing)?);
    }
    let filter = api::SatelliteFilter { search: Some(word.to_owned()), ..api::SatelliteFilter::default() };
    let satellites = api.satellites();
    let similar = every_page(|page| satellites.list(filter.clone(), page)).await?;
    Ok(similar.into_iter().find(|satellite| satellite.name.as_str() == word).ok_or_else(missing)?)
}

/// The id of the satellite with this id or name.
pub(crate) async fn find_id(api: &dyn HiveApi, word: &str) -> Result<SatelliteId, HiveError> {
    match word.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(find(api, word).await?.id),
    }
}

/// Reads targets: names, ids, `tag:x` or `all`.
pub(crate) fn targets(words: &[String]) -> Result<Vec<Target>, HiveError> {
    words.iter().map(|word| records::id("targets", word)).collect()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_url_that_is_none_is_refused() {
        let refused = Hive::connect("not a url".into(), "key".into()).unwrap().ready().await;
        assert!(matches!(refused, Err(HiveError::InvalidInput { .. })), "{refused:?}");
    }

    #[test]
    fn a_word_that_is_no_target_is_refused() {
        assert!(matches!(targets(&["tag:".into()]), Err(HiveError::InvalidInput { .. })));
        assert_eq!(targets(&["all".into(), "tag:web".into()]).unwrap(), [Target::All, Target::Tag("web".into())]);
    }

    #[tokio::test]
    async fn every_page_is_read_once() {
        let page_of = |PageRequest { page, per_page }| {
            let items = if page == 1 { vec![1; 1000] } else { vec![2; 5] };
            futures_util::future::ready(Ok(api::Page { items, total: 1005, page, per_page })).boxed()
        };
        assert_eq!(every_page(page_of).await.unwrap().len(), 1005);
    }
}
