//! Programs that own the whole screen, through `hive shell` on a real terminal.

use hive_testkit::{Console, Screen};

use super::{NAME, SHELL, Site};

/// A shell at its prompt.
async fn at_prompt(site: &Site) -> Console {
    let mut console = site.hive.console(["shell", NAME, "--shell", SHELL, "-e", "LANG=C.UTF-8"]);
    // Quoted apart, so that the echo of this line is not taken for the prompt.
    console.type_keys("PS1='prom''pt> '\r").await;
    console.until_text("prompt>").await;
    console
}

/// Starts a program and waits for what it shows; it owns the whole screen then.
async fn run(console: &mut Console, line: &str, shown: &str) {
    console.type_keys(format!("clear; {line}\r")).await;
    console.until_text(shown).await;
}

/// Waits until the prompt is all there is.
async fn until_prompt(console: &Console) {
    console.until("the prompt is back", |screen| screen.contents().trim_end().ends_with("prompt>")).await;
}

#[tokio::test]
async fn vim_edits_a_file() {
    let site = Site::start().await;
    let mut console = at_prompt(&site).await;
    let file = site.hive.dir().join("edited");
    // Without configuration and without a swap file: the same on every machine.
    run(&mut console, &format!("vim -u NONE -N -n {}", file.display()), "~\n~\n~").await;
    console.until("it has a screen of its own", Screen::alternate_screen).await;
    console.type_keys("ih\u{e9}llo w\u{f6}rld\rsecond line").await;
    console.until_text("second line").await;
    console.type_keys("\x1bggyyp").await;
    console.until_text("h\u{e9}llo w\u{f6}rld\nh\u{e9}llo w\u{f6}rld\nsecond line").await;
    console.resize(60, 15);
    console.until("it draws anew", |screen| screen.contents().lines().count() <= 15).await;
    console.type_keys("\x1b:wq\r").await;
    console.until("the shell's screen is back", |screen| !screen.alternate_screen()).await;
    let edited = std::fs::read_to_string(file).unwrap();
    assert_eq!(edited, "h\u{e9}llo w\u{f6}rld\nh\u{e9}llo w\u{f6}rld\nsecond line\n");
}

#[tokio::test]
async fn less_shows_both_ends_of_a_file() {
    let site = Site::start().await;
    let mut console = at_prompt(&site).await;
    let file = site.hive.dir().join("long");
    let text: Vec<String> = (1..=10_000).map(|line| format!("line {line}")).collect();
    std::fs::write(&file, text.join("\n")).unwrap();
    run(&mut console, &format!("less {}", file.display()), "line 1\nline 2\n").await;
    console.type_keys("G").await;
    console.until_text("line 10000").await;
    console.type_keys("g/line 777$\r").await;
    console.until_text("line 777\nline 778").await;
    console.type_keys("q").await;
    until_prompt(&console).await;
}

#[tokio::test]
async fn top_and_htop_draw_again_and_again() {
    let site = Site::start().await;
    let mut console = at_prompt(&site).await;
    for (line, shown) in [("top -d 0.3", "load average"), ("htop -d 3", "F10Quit")] {
        run(&mut console, line, shown).await;
        let drawn = console.bytes().len();
        hive_testkit::until("it draws again", async || console.bytes().len() > drawn + 2_000).await;
        console.resize(100, 30);
        console.until_text(shown).await;
        console.type_keys("q").await;
        until_prompt(&console).await;
        console.resize(80, 24);
    }
}

#[tokio::test]
async fn tmux_runs_inside() {
    let site = Site::start().await;
    let mut console = at_prompt(&site).await;
    let socket = site.hive.dir().join("tmux");
    // On a socket of its own, so that it meets no tmux of this machine.
    run(&mut console, &format!("tmux -u -S {} -f /dev/null new /bin/sh", socket.display()), "[0] 0:sh").await;
    console.type_keys("echo in''side\r").await;
    console.until_text("inside").await;
    console.resize(100, 40);
    let is_last = |screen: &Screen| screen.contents_between(39, 0, 39, 10).starts_with("[0] 0:sh");
    console.until("the status line is the last", is_last).await;
    console.type_keys("exit\r").await;
    console.until_text("[exited]").await;
    until_prompt(&console).await;
}
