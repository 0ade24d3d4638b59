//! A hive inside an axum app that has routes of its own.
//!
//! Run it with `cargo run --example mount`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use hive_core::wire::api::{ApiKeyCreate, PlatformRole, UserCreate};
use hive_core::{Hive, RemoteHive};
use hive_server::AppState;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let hive = Hive::builder().in_memory().build().await?;
    let state = AppState::new(&hive_server::Config::default(), hive.clone());

    // Satellites, the command line and `RemoteHive` take a URL with a path; `merge` would put the hive at the root.
    let app = Router::new()
        .route("/hello", get(async || "hello from the app"))
        .nest("/hive", hive_server::router(state.clone()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    // With the callers' addresses, which the audit log tells.
    let serving = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>());
    let serving = tasks.spawn(serving.with_graceful_shutdown(stop.clone().cancelled_owned()).into_future());

    let system = hive.as_system();
    system.identity().user_create(UserCreate { username: "anna".into(), role: PlatformRole::GlobalUser }).await?;
    let key = system.api_key_create_for("anna", ApiKeyCreate::default()).await?.api_key;
    let me = RemoteHive::connect(&format!("{url}/hive"), key.into())?.identity().me().await?;
    println!("the hive knows {}", me.user.username);
    assert_eq!(me.user.username, "anna");

    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let hello = client.get(format!("{url}/hello").parse()?).await?.into_body().collect().await?.to_bytes();
    println!("the app says {}", String::from_utf8_lossy(&hello));
    assert_eq!(hello, "hello from the app");
    drop(client);

    // The app ends the hive: first what still asks it something, then its links and whatever it does by itself.
    state.draining().cancel();
    hive.shutdown().await;
    stop.cancel();
    serving.await??;
    Ok(())
}
