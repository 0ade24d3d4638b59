//! A hive in this process, and the server that lets satellites and other clients reach it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hive_core::wire::api::ApiKeyCreate;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::{Engine, Tasks};
use crate::hive::Place;
use crate::{Hive, HiveError, records};

/// A hive in this process. It is opened by the first call.
pub(crate) struct Embedded {
    /// None for one that lives in memory.
    dir: Option<PathBuf>,
    hive: OnceCell<hive_core::Hive>,
    servers: TaskTracker,
    closed: CancellationToken,
    tasks: Tasks,
}

impl Embedded {
    pub(crate) async fn hive(&self) -> Result<&hive_core::Hive, HiveError> {
        if self.closed.is_cancelled() {
            return Err(HiveError::conflict("this hive was closed; open it again"));
        }
        let open = async || match &self.dir {
            Some(dir) => hive_core::Hive::builder().data_dir(dir).build().await,
            None => hive_core::Hive::builder().in_memory().build().await,
        };
        Ok(self.hive.get_or_try_init(open).await?)
    }

    /// Ends the servers, the links and the hive. Waits for all of it.
    pub(crate) async fn close(&self) {
        self.closed.cancel();
        self.servers.close();
        self.servers.wait().await;
        if let Some(hive) = self.hive.get() {
            hive.shutdown().await;
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.closed.cancel();
        if let Some(hive) = self.hive.take() {
            drop(self.tasks.start(async move { hive.shutdown().await }));
        }
    }
}

#[uniffi::export]
impl Hive {
    /// A hive in this process, whose data lies in a directory; in memory, and gone with the process, where none is given.
    /// It is opened by the first call.
    #[uniffi::constructor]
    pub fn open(path: Option<String>) -> Result<Arc<Self>, HiveError> {
        let engine = Engine::get()?;
        let embedded = Embedded {
            dir: path.filter(|path| path != ":memory:").map(PathBuf::from),
            hive: OnceCell::new(),
            servers: TaskTracker::new(),
            closed: CancellationToken::new(),
            tasks: engine.tasks().clone(),
        };
        Ok(Self::at(Place::Here(embedded), engine))
    }

    /// Lets satellites and clients reach this hive over HTTP. Port 0 takes a free one.
    ///
    /// The hive is over with its server: satellites that were told to go are not let in again.
    pub async fn serve(&self, address: String) -> Result<Arc<Server>, HiveError> {
        let listen: SocketAddr = records::id("address", &address)?;
        let (place, engine) = (self.place.clone(), self.engine.clone());
        let serve = async move {
            let embedded = here(&place)?;
            let config = hive_server::Config { listen, ..hive_server::Config::default() };
            let server = hive_server::Server::bind(config, embedded.hive().await?.clone()).await.map_err(refused)?;
            let (address, stop) = (server.local_addr(), embedded.closed.clone());
            drop(embedded.tasks.start(embedded.servers.track_future(server.run(stop))));
            Ok(address)
        };
        let address = engine.run(serve).await?;
        Ok(Arc::new(Server { address, place: self.place.clone(), engine }))
    }

    /// Makes an API key for a user of this hive.
    pub async fn user_api_key_create(&self, username: String, name: String) -> Result<records::NewApiKey, HiveError> {
        let place = self.place.clone();
        let create = async move {
            let system = here(&place)?.hive().await?.as_system();
            let wanted = ApiKeyCreate { name, ..ApiKeyCreate::default() };
            Ok(system.api_key_create_for(&username, wanted).await?.into())
        };
        self.engine.run(create).await
    }
}

/// Where a hive in this process can be reached. It ends with its object.
#[derive(uniffi::Object)]
pub struct Server {
    address: SocketAddr,
    place: Arc<Place>,
    engine: Arc<Engine>,
}

#[uniffi::export]
impl Server {
    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers what was asked, tells the satellites to come back, and closes the hive.
    pub async fn stop(&self) -> Result<(), HiveError> {
        let place = self.place.clone();
        let stop = async move {
            here(&place)?.close().await;
            Ok(())
        };
        self.engine.run(stop).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Place::Here(embedded) = self.place.as_ref() {
            embedded.closed.cancel();
        }
    }
}

fn here(place: &Place) -> Result<&Embedded, HiveError> {
    match place {
        Place::Here(embedded) => Ok(embedded),
        Place::Elsewhere(_) | Place::LoggedIn(_) => {
            Err(HiveError::conflict("this hive is elsewhere: only one in this process can do that"))
        }
    }
}

fn refused(error: hive_server::BindError) -> HiveError {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    HiveError::unavailable(format!("{error}{cause}"))
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

        let remote = Hive::connect(server.url(), key.api_key).unwrap();
        assert_eq!(remote.me().await.unwrap().user.username, "ann");

        server.stop().await.unwrap();
        assert!(matches!(remote.me().await, Err(HiveError::Unavailable { .. })));
        assert!(matches!(hive.me().await, Err(HiveError::Conflict { .. })));
    }

    #[tokio::test]
    async fn a_hive_elsewhere_cannot_be_served() {
        let hive = Hive::connect("http://127.0.0.1:1".into(), "key".into()).unwrap();
        let refused = hive.serve("127.0.0.1:0".into()).await;
        assert!(matches!(refused, Err(HiveError::Conflict { .. })));
    }

    #[tokio::test]
    async fn what_is_in_a_directory_is_there_again() {
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
