//! The streams of a hive as objects of other languages.

use std::sync::Arc;

use futures_util::stream::Stream;

use crate::HiveError;
use crate::engine::Engine;
use crate::feed::Feed;
use crate::records::{ExecEvent, JobEvent, SatelliteEvent};

// uniffi exports no generic types: each stream is an object of its own.
macro_rules! streams {
    ($($(#[$doc:meta])* $name:ident of $item:ty;)*) => {$(
        $(#[$doc])*
        #[derive(uniffi::Object)]
        pub struct $name(Feed<$item>);

        impl $name {
            pub(crate) fn new(
                engine: Arc<Engine>,
                source: impl Stream<Item = Result<$item, HiveError>> + Send + 'static,
            ) -> Arc<Self> {
                Arc::new(Self(Feed::new(engine, source)))
            }
        }

        #[uniffi::export]
        impl $name {
            /// Waits for an item; false at the end of the stream. A caller that stops waiting loses nothing.
            pub async fn wait(&self) -> bool {
                self.0.wait().await
            }

            /// Takes the item; nothing if there is none yet.
            pub fn take(&self) -> Result<Option<$item>, HiveError> {
                self.0.take()
            }

            /// Ends the stream.
            pub fn close(&self) {
                self.0.close();
            }
        }
    )*};
}

streams! {
    /// What happens to satellites. It ends with an error if it breaks off: then list the satellites again.
    SatelliteEvents of SatelliteEvent;
    /// What happens to commands while they run.
    ExecEvents of ExecEvent;
    /// What happens to a job until it has ended, beginning with what has happened already.
    JobEvents of JobEvent;
    /// An exported audit log. Each item is a line of JSON; the last one is the signed manifest.
    AuditExport of String;
}
