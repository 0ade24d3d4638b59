//! What a hive has before its server starts: an admin and their API key, made in this process.
//!
//! The server's own commands do the same (`hive-server admin create`), in a process each. Every test would pay for both, and
//! few are about them: those begin with [`TestHive::start_empty`](crate::TestHive::start_empty).

use std::path::Path;

use hive_core::Hive;
use hive_core::wire::api::{ApiKeyCreate, PlatformRole, UserCreate};

use hive_test_peers::until;

/// The admin of every test hive.
pub(crate) const ADMIN: &str = "admin";

/// The admin, as they prove who they are.
#[derive(Debug)]
pub(crate) struct TestAdmin {
    pub(crate) password: String,
    pub(crate) api_key: String,
}

/// Makes a hive in this directory, and in this database where one is named, with an admin.
pub(crate) async fn seed(data_dir: &Path, database: Option<&str>) -> TestAdmin {
    let mut builder = Hive::builder().data_dir(data_dir);
    if let Some(url) = database {
        builder = builder.database(url.parse().unwrap());
    }
    let hive = builder.build().await.unwrap();
    let system = hive.as_system();
    let admin = UserCreate { username: ADMIN.into(), role: PlatformRole::GlobalAdmin };
    let password = system.identity().user_create(admin).await.unwrap().password.0;
    let api_key = system.api_key_create_for(ADMIN, ApiKeyCreate::default()).await.unwrap().api_key;
    hive.shutdown().await;
    drop((system, hive));
    // Tests damage these files, and unmount the disk below them: this process has to be done with them.
    until("the files of the new hive are closed", async || !has_open(data_dir)).await;
    TestAdmin { password, api_key }
}

/// Whether this process has a file of this directory open.
fn has_open(dir: &Path) -> bool {
    let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|path| path.starts_with(dir))
}
