//! Where a test hive keeps its data: in SQLite, or in a PostgreSQL database of its own.

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

/// Which database the servers of the tests use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// The one this run is about: `HIVE_TEST_DATABASE`, SQLite unless said.
    pub fn of_this_run() -> Self {
        match std::env::var("HIVE_TEST_DATABASE").as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres,
            Ok(other) => panic!("HIVE_TEST_DATABASE must be sqlite or postgres, not {other}"),
        }
    }
}

/// A PostgreSQL database that is made for one test and goes with its value.
#[derive(Debug)]
pub struct PostgresDatabase {
    server: PgConnectOptions,
    name: String,
}

impl PostgresDatabase {
    /// What must not be seen anywhere.
    pub const PASSWORD: &str = "s3cret-of-the-database";

    /// Makes a database in the cluster that `cargo xtask test` has started.
    pub async fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let url = std::env::var("HIVE_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!("HIVE_TEST_POSTGRES is not set: run `cargo xtask test`, or give the URL of a PostgreSQL for tests")
        });
        let server = PgConnectOptions::from_str(&url).unwrap().disable_statement_logging();
        let name = format!("hive_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        run(&server, format!("CREATE DATABASE {name}")).await;
        Self { server, name }
    }

    /// Where it is, for a server.
    pub fn url(&self) -> String {
        self.url_via(&self.address())
    }

    /// Where its PostgreSQL listens.
    pub fn address(&self) -> String {
        format!("{}:{}", self.server.get_host(), self.server.get_port())
    }

    /// Where it is by another way: a proxy.
    pub fn url_via(&self, address: &str) -> String {
        format!("postgres://{}:{}@{address}/{}", self.server.get_username(), Self::PASSWORD, self.name)
    }

    /// Runs a statement in a transaction that lasts as long as the returned connection.
    pub async fn hold(&self, statement: &str) -> PgConnection {
        let mut connection = self.server.clone().database(&self.name).connect().await.unwrap();
        // A test's own words.
        connection.execute(AssertSqlSafe(format!("BEGIN; {statement}"))).await.unwrap();
        connection
    }

    /// Runs a statement behind the server's back; how many rows it changed.
    pub async fn execute(&self, statement: &str) -> u64 {
        run(&self.server.clone().database(&self.name), statement.to_owned()).await
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // On a thread of its own: whoever drops it may be in the middle of a runtime.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // FORCE: a server that was killed may still hold connections.
            runtime.block_on(run(&server, format!("DROP DATABASE {name} WITH (FORCE)")));
        });
        dropping.join().ok();
    }
}

async fn run(server: &PgConnectOptions, statement: String) -> u64 {
    let mut connection: PgConnection = server.connect().await.unwrap();
    // A test's own words.
    connection.execute(AssertSqlSafe(statement)).await.unwrap().rows_affected()
}
