//! Terminal sequences reach a terminal in the live stream, and nowhere else.

use std::os::unix::fs::PermissionsExt;

use hive_core::wire::api::SessionCreate;

use super::{NAME, Site, Viewer};

const ESCAPE: char = '\u{1b}';

#[tokio::test]
async fn what_moves_cursors_is_escaped_wherever_it_is_told() {
    let mut site = Site::start().await;
    // A shell whose very name paints, rings and retitles.
    let name = "\u{1b}[31mevil\u{7}\u{1b}]0;owned\u{7}";
    let path = site.hive.dir().join(name);
    std::fs::write(&path, "#!/bin/sh\nprintf '\\033[31mlive\\n'; exec /bin/sh\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    // A value of the environment too, which must not be shown at all.
    let env = [("PAINTED".to_owned(), format!("{ESCAPE}[32mgreen"))].into();
    let wanted = SessionCreate { env, ..site.wanted_with(path.to_str().unwrap()) };
    let session = site.remote().create(wanted).await.unwrap();
    let mut viewer = Viewer::open(site.remote(), session.id).await;
    viewer.until_text("\x1b[31mlive").await;

    // Errors that tell of it, too.
    let missing = format!("/no/{name}");
    let shell = site.hive.cli(["shell", NAME, "--shell", &missing]).await;
    assert_ne!(shell.code, Some(0));
    let mut said = vec![("the error of hive shell".to_owned(), format!("{}{}", shell.stdout, shell.stderr))];
    viewer.type_keys("exit\n").await;
    viewer.ended().await;

    for args in [&["sessions", "list", "--ended"][..], &["audit", "list", "--limit", "1000"]] {
        for format in ["table", "json"] {
            let finished = site.hive.cli(["-o", format].iter().chain(args)).await.expect_success();
            let raw = format!("{}{}", finished.stdout, finished.stderr);
            said.push((format!("hive -o {format} {}", args.join(" ")), raw));
        }
    }
    let path = format!("/api/v1/sessions/{}", session.id);
    for path in [path.as_str(), "/api/v1/sessions?ended=true", "/api/v1/audit/logs", "/api/v1/audit/export"] {
        said.push((path.to_owned(), site.hive.rest().get(path).await.text()));
    }
    said.push(("the log of the server".into(), site.hive.server().log()));
    said.push(("the log of the satellite".into(), site.satellite.process().log()));
    for (what, text) in said {
        for sequence in ["\u{1b}[31m", "\u{1b}]0;", "\u{1b}[32m", "\u{7}"] {
            assert!(!text.contains(sequence), "{what} holds {sequence:?}:\n{text:?}");
        }
        assert!(!text.contains("green"), "{what} holds a value of the environment");
    }
}
