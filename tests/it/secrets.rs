//! Nothing that a process writes holds a secret, but for the one file that is there to hold it.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use hive_testkit::{PostgresDatabase, SatelliteOptions, ServerOptions, TestHive};
use serde_json::json;

use crate::support::text;

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

#[tokio::test]
async fn no_secret_is_written_anywhere() {
    // At the most verbose level: what is not logged there is not logged at all.
    let verbose =
        [("HIVE_LOG", "trace"), ("RUST_LOG", "trace")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = ServerOptions { env: verbose.to_vec(), ..ServerOptions::default() };
    let mut hive = TestHive::start_with(options).await;
    let token = hive.new_token(None).await;
    let unused_token = hive.new_token(None).await;
    let options = SatelliteOptions { env: verbose.to_vec(), ..SatelliteOptions::default() };
    let mut satellite = hive.satellite_with_token("web-server-01", &token, options).await;
    let key_file = satellite.data_dir().join("backend.key.json");
    let satellite_key = satellite.api_key();

    let (env_value, stdin_value, wrong) = ("env-hunter-2-value", "stdin-hunter-2-value", "wrong-hunter-2-password");
    let command = json!({
        "command": "cat >/dev/null; echo ${#SECRET}",
        "env": {"SECRET": env_value},
        "stdin": BASE64.encode(stdin_value.as_bytes()),
    });
    hive.rest().post(&satellite.path("/exec"), &command).await.data();
    satellite.process().kill();
    hive.until_online(&satellite, false).await;
    // Queued while the satellite is away, so that the secrets are in the database.
    hive.submit(&satellite, &command).await;
    let login = json!({"username": "admin", "password": hive.password()});
    let login = hive.anonymous().post("/api/v1/auth/login", &login).await.data();
    hive.anonymous().post("/api/v1/auth/login", &json!({"username": "admin", "password": wrong})).await.refusal();
    hive.anonymous().bearer(&unused_token).post("/api/satellites/register", &json!({"name": "bad"})).await;
    satellite.restart().await;

    let mut said = String::new();
    for args in
        [&["satellites", "list"][..], &["tokens", "list"], &["keys", "list"], &["audit", "list", "--limit", "1000"]]
    {
        for format in ["table", "json"] {
            let finished = hive.cli(["-o", format].iter().chain(args)).await.expect_success();
            said.push_str(&finished.stdout);
            said.push_str(&finished.stderr);
        }
    }
    let audit_log = hive.dir().join("audit.jsonl");
    hive.cli(["audit", "export", "--output", audit_log.to_str().unwrap()]).await.expect_success();
    satellite.process().stop().await;
    hive.server().stop().await;

    let stdin_base64 = BASE64.encode(stdin_value.as_bytes());
    let secrets = [
        ("the admin's API key", hive.api_key()),
        ("the admin's password", hive.password()),
        ("a login's token", text(&login["token"])),
        ("a used registration token", &token),
        ("an unused registration token", &unused_token),
        ("the satellite's API key", &satellite_key),
        ("a value of the environment", env_value),
        ("standard input", stdin_value),
        ("standard input in base64", &stdin_base64),
        ("a wrong password", wrong),
        ("the database's password", PostgresDatabase::PASSWORD),
    ];
    for (what, secret) in secrets {
        assert!(!said.contains(secret), "the command line shows {what}");
    }
    for file in files_below(hive.dir()).into_iter().filter(|file| *file != key_file) {
        let bytes = std::fs::read(&file).unwrap();
        for (what, secret) in secrets {
            assert!(!holds(&bytes, secret), "{} holds {what}", file.display());
        }
    }
}
