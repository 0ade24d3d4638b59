//! Completions in real shells, and the manual.

use std::path::Path;

use hive_testkit::{Finished, TestHive, binary};
use tokio::process::Command;

use super::Home;

/// What bash offers for the last word of a line.
async fn offered(hive: &TestHive, line: &str) -> Vec<String> {
    let script = r#"
        PATH=$1:$PATH
        source <(hive completions bash)
        read -ra COMP_WORDS <<< "$2"
        [[ $2 == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9
        _clap_complete_hive hive "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut command = Command::new("bash");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.env("HIVE_URL", hive.url()).env("HIVE_API_KEY", hive.api_key());
    let folder = binary("hive");
    command.args(["--norc", "-c", script, "bash"]).arg(folder.parent().unwrap()).arg(line);
    let finished = Finished::run(command).await.expect_success();
    assert_eq!(finished.stderr, "", "a Tab says nothing by itself");
    finished.stdout.lines().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

#[tokio::test]
async fn bash_completes_commands_options_and_the_names_of_satellites() {
    let mut hive = TestHive::start().await;
    let _satellite = hive.satellite("web-server-01").await;
    hive.cli(["satellites", "update", "web-server-01", "--tag", "prod"]).await.expect_success();
    assert_eq!(offered(&hive, "hive sat").await, ["satellites"]);
    assert_eq!(offered(&hive, "hive satellites get web").await, ["web-server-01"]);
    assert_eq!(offered(&hive, "hive exec tag:").await, ["tag:prod"]);
    assert!(offered(&hive, "hive exec --time").await.contains(&"--timeout".to_owned()));
    assert_eq!(offered(&hive, "hive power web-server-01 --action re").await, ["reboot"]);
    hive.kill_server();
    assert_eq!(offered(&hive, "hive satellites get web").await, [""; 0], "no hive, no names, no noise");
}

#[tokio::test]
async fn zsh_and_fish_can_read_their_scripts() {
    let home = Home::new();
    for shell in ["zsh", "fish"] {
        let script = home.run(["completions", shell]).await.expect_success().stdout;
        assert!(script.contains("HIVE_COMPLETE"), "{script}");
        let path = home.path().join(shell);
        std::fs::write(&path, script).unwrap();
        let mut check = Command::new(shell);
        check.arg("-n").arg(&path);
        if is_installed(shell) {
            Finished::run(check).await.expect_success();
        }
    }
}

#[tokio::test]
async fn every_command_has_a_page_that_man_can_show() {
    let home = Home::new();
    home.run(["man", "pages"]).await.expect_success();
    let pages: Vec<_> =
        std::fs::read_dir(home.path().join("pages")).unwrap().map(|page| page.unwrap().path()).collect();
    let named = |name: &str| pages.iter().find(|page| page.ends_with(name)).unwrap_or_else(|| panic!("no {name}"));
    for (name, word) in [("hive.1", "satellites"), ("hive-exec.1", "tag:web"), ("hive-audit-verify.1", "public-key")] {
        let source = std::fs::read_to_string(named(name)).unwrap();
        assert!(source.starts_with(".ie") || source.contains(".TH"), "{name} is no page:\n{source}");
        let shown = if is_installed("man") { rendered(named(name)).await } else { source.replace('\\', "") };
        assert!(shown.contains(word), "{name} has no {word}:\n{shown}");
    }
}

async fn rendered(page: &Path) -> String {
    let mut man = Command::new("man");
    man.env("MANPAGER", "cat").env("MANWIDTH", "200").env("LANG", "C.UTF-8").arg("-l").arg(page);
    Finished::run(man).await.expect_success().stdout
}

fn is_installed(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(program).is_file())
}
