//! What only an embedded hive can do: open a data directory, serve satellites and clients, and make keys for its users.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hive_core::wire::api::ApiKeyCreate;

use crate::backend::Backend;
use crate::embedded::Embedded;
use crate::engine::Engine;
use crate::{Hive, HiveError, records};

#[uniffi::export]
impl Hive {
    /// A hive in this process with its data in a directory. Without a path, or with `:memory:`, the data is in memory and is
    /// lost with the object. The first call opens the hive.
    #[uniffi::constructor]
    pub fn open(path: Option<String>) -> Result<Arc<Self>, HiveError> {
        let engine = Engine::get()?;
        let dir = path.filter(|path| path != ":memory:").map(PathBuf::from);
        let embedded = Embedded::new(dir, engine.tasks().clone());
        Ok(Self::new(Backend::Embedded(embedded), engine))
    }

    /// Lets satellites and clients reach this hive over HTTP. Port 0 takes a free port.
    ///
    /// The end of the server closes the hive: its satellites were told to reconnect, and it does not accept them again.
    pub async fn serve(&self, address: String) -> Result<Arc<Server>, HiveError> {
        let listen: SocketAddr = records::parse_id("address", &address)?;
        let (backend, engine) = (self.backend.clone(), self.engine.clone());
        let address = engine.run(async move { backend.embedded()?.serve(listen).await }).await?;
        Ok(Arc::new(Server { address, backend: self.backend.clone(), engine }))
    }

    /// Makes an API key for a user of this hive.
    pub async fn user_api_key_create(&self, username: String, name: String) -> Result<records::NewApiKey, HiveError> {
        let backend = self.backend.clone();
        let create = async move {
            let system = backend.embedded()?.hive().await?.as_system();
            let request = ApiKeyCreate { name, ..ApiKeyCreate::default() };
            Ok(system.api_key_create_for(&username, request).await?.into())
        };
        self.engine.run(create).await
    }
}

/// A server of an embedded hive. Dropping it ends it.
#[derive(uniffi::Object)]
pub struct Server {
    address: SocketAddr,
    backend: Arc<Backend>,
    engine: Arc<Engine>,
}

#[uniffi::export]
impl Server {
    /// The URL that it listens on.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the open requests, tells the satellites to reconnect, and closes the hive.
    pub async fn stop(&self) -> Result<(), HiveError> {
        let backend = self.backend.clone();
        let stop = async move {
            backend.close().await;
            Ok(())
        };
        self.engine.run(stop).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // `drop` cannot wait for the server. A closed hive refuses further calls at once.
        if let Ok(embedded) = self.backend.embedded() {
            embedded.start_closing();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_served_hive_is_reached_and_ends_with_its_server() {
        let hive = Hive::open(None).unwrap();
        let server = hive.serve("127.0.0.1:0".into()).await.unwrap();
        hive.user_create("ann".into(), true).await.unwrap();
        let key = hive.user_api_key_create("ann".into(), "test".into()).await.unwrap();

        let remote = Hive::connect(server.url(), key.api_key.0).unwrap();
        assert_eq!(remote.me().await.unwrap().user.username, "ann");

        server.stop().await.unwrap();
        assert!(matches!(remote.me().await, Err(HiveError::Unavailable { .. })));
        assert!(matches!(hive.me().await, Err(HiveError::Conflict { .. })));
    }

    #[tokio::test]
    async fn a_remote_hive_cannot_be_served() {
        let hive = Hive::connect("http://127.0.0.1:1".into(), "key".into()).unwrap();
        let result = hive.serve("127.0.0.1:0".into()).await;
        assert!(matches!(result, Err(HiveError::Conflict { .. })));
    }

    #[tokio::test]
    async fn the_data_of_a_directory_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = Some(dir.path().to_string_lossy().into_owned());
        let hive = Hive::open(path.clone()).unwrap();
        hive.team_create("ops".into()).await.unwrap();
        hive.close().await.unwrap();
        let again = Hive::open(path).unwrap();
        assert_eq!(again.team_list().await.unwrap()[0].slug, "ops");
        again.close().await.unwrap();
    }
}
