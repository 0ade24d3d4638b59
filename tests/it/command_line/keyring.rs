//! Where the key of a login lies: in the keyring of the desktop, or in a file where there is none.
//!
//! `cargo xtask keyring` runs this beside GNOME's keyring. Without one, the bus on which `hive` looks for it is not there.

use hive_testkit::{Finished, TestHive};
use serde_json::Value;

use super::Home;
use super::logins::stored;

/// Somebody's home, on a desktop; whether there is a keyring.
fn desktop() -> (Home, bool) {
    let has_keyring = std::env::var_os("HIVE_TEST_KEYRING").is_some();
    let bus = has_keyring.then(|| std::env::var("DBUS_SESSION_BUS_ADDRESS").expect("a keyring is on a bus"));
    (Home::on_bus(bus.as_deref().unwrap_or("unix:path=/nowhere")), has_keyring)
}

/// Says who is logged in, if anybody is.
async fn who(home: &Home) -> Option<Value> {
    let me = home.run(["-o", "json", "whoami"]).await;
    (me.code == Some(0)).then(|| me.json()["user"]["username"].clone())
}

fn is_in_file(home: &Home) -> bool {
    let (text, mode) = stored(home);
    assert_eq!(mode, 0o600);
    text.contains("hive_key_")
}

fn place(login: &Finished) -> Value {
    login.json()["key_in"].clone()
}

#[tokio::test]
async fn a_key_lies_in_the_keyring_where_there_is_one() {
    let hive = TestHive::start().await;
    let (home, has_keyring) = desktop();
    let json = ["-o", "json"];
    let said = home.log_in(&hive, &json).await.expect_success();
    assert_eq!(place(&said), if has_keyring { "keyring" } else { "file" });
    assert_eq!(said.stderr, "", "that there is none is nothing to tell");
    assert_eq!(is_in_file(&home), !has_keyring);
    assert_eq!(who(&home).await.unwrap(), "admin");

    let in_file = home.log_in(&hive, &["-o", "json", "--no-keyring"]).await.expect_success();
    assert!(place(&in_file) == "file" && is_in_file(&home));
    home.log_in(&hive, &[]).await.expect_success();
    assert_eq!((is_in_file(&home), who(&home).await.unwrap()), (!has_keyring, "admin".into()));
    home.run(["logout"]).await.expect_success();
    assert_eq!((is_in_file(&home), who(&home).await), (false, None));
}

#[tokio::test]
async fn a_key_stays_for_as_long_as_a_profile_needs_it() {
    let hive = TestHive::start().await;
    let (home, _) = desktop();
    let key = format!("{}\n", hive.api_key());
    for name in ["first", "second", "second"] {
        home.run_with(&key, ["login", hive.url(), "--with-key", "--profile", name]).await.expect_success();
        assert_eq!(who(&home).await.unwrap(), "admin");
    }
    home.log_in(&hive, &["--profile", "second"]).await.expect_success();
    home.run(["profiles", "use", "first"]).await.expect_success();
    assert_eq!(who(&home).await.unwrap(), "admin", "the first has the key that the second had");
    home.run(["profiles", "remove", "second"]).await.expect_success();
    assert_eq!(who(&home).await.unwrap(), "admin");
}
