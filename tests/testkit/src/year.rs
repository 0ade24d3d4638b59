//! A year of rows in the database of a hive.

use serde_json::Value;
use tokio::process::Command;

use crate::cli::Finished;
use crate::hive::TestHive;

const SCRIPT: &str = include_str!("year.py");
const COUNT: &str = "import sqlite3, sys, json\n\
    database = sqlite3.connect(sys.argv[1], timeout=30)\n\
    print(json.dumps({name: database.execute(f'SELECT COUNT(*) FROM {name}').fetchone()[0] for name in sys.argv[2:]}))";

impl TestHive {
    /// Stops the server, and fills its SQLite database with a year of `rows` audit records, commands with output, and sessions
    /// each. Returns the numbers of rows, and the ids of a satellite and of what is open.
    pub async fn fill_with_a_year(&mut self, rows: u32) -> Value {
        self.server().stop().await;
        // The log is another one now.
        std::fs::remove_file(self.data_dir().join("audit.head")).ok();
        let mut command = Command::new("python3");
        command.args(["-c", SCRIPT]).arg(self.data_dir().join("hive.db")).arg(rows.to_string());
        Finished::run(command).await.expect_success().json()
    }

    /// Counts the rows of tables of its SQLite database.
    pub async fn count_rows(&self, tables: &[&str]) -> Value {
        let mut command = Command::new("python3");
        command.args(["-c", COUNT]).arg(self.data_dir().join("hive.db")).args(tables);
        Finished::run(command).await.expect_success().json()
    }

    /// Starts the server again on the same port and data, with these arguments.
    pub async fn restart_server_with(&mut self, args: &[&str]) {
        self.set_server_args(args);
        self.restart_server().await;
    }
}
