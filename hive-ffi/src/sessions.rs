//! Sessions: terminals on satellites.

use std::sync::Arc;

use hive_core::terminal::ViewOptions;
use hive_core::wire::SessionId;
use hive_core::wire::api::{self, SessionCreate};
use hive_core::{HiveApi, terminal};

use crate::lookup::find_satellite_id;
use crate::records::{Session, SessionOptions, Size, ViewMode, parse_id};
use crate::{Hive, HiveError, Terminal};

#[uniffi::export]
impl Hive {
    /// Opens a session on a satellite, by its id or name, and waits until its program runs.
    pub async fn session_create(&self, satellite: String, options: SessionOptions) -> Result<Session, HiveError> {
        let create = move |hive: Arc<dyn HiveApi>| async move {
            let SessionOptions { shell, env, size } = options;
            // The default of the wire, 80 × 24.
            let api::Size { cols, rows } = size.map(api::Size::from).unwrap_or_default();
            let satellite_id = find_satellite_id(hive.as_ref(), &satellite).await?;
            let request = SessionCreate { satellite_id, cols, rows, shell, env: env.into_iter().collect() };
            Ok(hive.sessions().create(request).await?.into())
        };
        self.call(create).await
    }

    /// Attaches a viewer to a session, which reads its output and sends input.
    pub async fn session_attach(
        &self,
        session: String,
        mode: ViewMode,
        size: Option<Size>,
    ) -> Result<Arc<Terminal>, HiveError> {
        let attach = move |hive: Arc<dyn HiveApi>| async move {
            let session: SessionId = parse_id("session", &session)?;
            let options = ViewOptions { mode: mode.into(), size: size.map(api::Size::from) };
            // Only this first attempt can fail the call. Afterwards the terminal reattaches by itself.
            Ok(terminal::Terminal::open(hive.sessions(), session, options).await?)
        };
        let terminal = self.call(attach).await?;
        Ok(Terminal::new(terminal, self.engine.clone()))
    }

    /// Returns a session, also one that has ended; nothing if it does not exist, or the caller may not see it.
    pub async fn session_get(&self, session: String) -> Result<Option<Session>, HiveError> {
        self.call(
            |hive| async move { Ok(hive.sessions().get(parse_id("session", &session)?).await?.map(Session::from)) },
        )
        .await
    }

    /// Lists sessions, newest first: those of one satellite if one is named, and ended ones only with `ended`.
    pub async fn session_list(&self, satellite: Option<String>, ended: bool) -> Result<Vec<Session>, HiveError> {
        let list = move |hive: Arc<dyn HiveApi>| async move {
            let satellite_id = match satellite {
                Some(satellite) => Some(find_satellite_id(hive.as_ref(), &satellite).await?),
                None => None,
            };
            let sessions = hive.sessions().list(api::SessionFilter { satellite_id, ended }).await?;
            Ok(sessions.into_iter().map(Session::from).collect())
        };
        self.call(list).await
    }

    /// Sends input to a session whose keyboard nobody holds. Returns when the satellite has passed on every byte, once and in
    /// order.
    pub async fn session_input(&self, session: String, data: Vec<u8>) -> Result<(), HiveError> {
        self.call(
            |hive| async move { Ok(hive.sessions().send_input(parse_id("session", &session)?, data.into()).await?) },
        )
        .await
    }

    /// Changes the size of a session.
    pub async fn session_resize(&self, session: String, size: Size) -> Result<(), HiveError> {
        self.call(
            move |hive| async move { Ok(hive.sessions().resize(parse_id("session", &session)?, size.into()).await?) },
        )
        .await
    }

    /// Ends a session with its process tree, and returns when that is gone.
    pub async fn session_terminate(&self, session: String) -> Result<(), HiveError> {
        self.call(|hive| async move { Ok(hive.sessions().terminate(parse_id("session", &session)?).await?) }).await
    }
}
