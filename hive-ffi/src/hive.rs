//! The object that stands for a hive, embedded or remote.

use std::sync::Arc;

use hive_core::wire::api;
use hive_core::{HiveApi, RemoteHive};

use crate::HiveError;
use crate::backend::{Backend, LazyRemote};
use crate::engine::Engine;

/// A hive: one in this process, or a remote one over HTTP.
///
/// Both have the same calls. Dropping the object ends its work; [`close`](Self::close) also waits for that.
#[derive(uniffi::Object)]
pub struct Hive {
    pub(crate) backend: Arc<Backend>,
    pub(crate) engine: Arc<Engine>,
}

#[uniffi::export]
impl Hive {
    /// Names a remote hive by its URL, such as `https://hive.example.com`, and acts on it with an API key. Nothing is sent yet.
    /// The first call refuses an invalid URL.
    #[uniffi::constructor]
    pub fn connect(url: String, api_key: String) -> Result<Arc<Self>, HiveError> {
        Ok(Self::new(Backend::Remote(LazyRemote::new(url, api_key)), Engine::get()?))
    }

    /// Logs in to a remote hive with a password, and acts on it as that user until the login ends.
    #[uniffi::constructor]
    pub async fn login(url: String, username: String, password: String) -> Result<Arc<Self>, HiveError> {
        let engine = Engine::get()?;
        let login = async move { Ok(RemoteHive::login(&url, api::LoginRequest { username, password }).await?) };
        let (client, _) = engine.run(login).await?;
        Ok(Self::new(Backend::LoggedIn(client), engine))
    }

    /// Does what the first call would do once: opens an embedded hive, or makes the client of a remote one. Their errors are
    /// raised here.
    pub async fn ready(&self) -> Result<(), HiveError> {
        self.call(|_| async { Ok(()) }).await
    }

    /// Ends the work of this object, and waits for it. A remote hive keeps running.
    pub async fn close(&self) -> Result<(), HiveError> {
        let backend = self.backend.clone();
        let close = async move {
            backend.close().await;
            Ok(())
        };
        self.engine.run(close).await
    }
}

impl Hive {
    pub(crate) fn new(backend: Backend, engine: Arc<Engine>) -> Arc<Self> {
        Arc::new(Self { backend: Arc::new(backend), engine })
    }

    /// Runs work with the hive on the threads of the engine.
    pub(crate) async fn call<T, F>(
        &self,
        work: impl FnOnce(Arc<dyn HiveApi>) -> F + Send + 'static,
    ) -> Result<T, HiveError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, HiveError>> + Send + 'static,
    {
        let backend = self.backend.clone();
        // A clone: the aborted task of a cancelled call may hold the backend a little longer than this object.
        self.engine.run(async move { work(backend.api().await?).await }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_invalid_url_is_refused() {
        let result = Hive::connect("not a url".into(), "key".into()).unwrap().ready().await;
        assert!(matches!(result, Err(HiveError::InvalidInput { .. })), "{result:?}");
    }
}
