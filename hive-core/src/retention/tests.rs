use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hive_wire::ErrorCode;
use hive_wire::api::{CommandStatus, ExecCommand, OutputEncoding, Target};

use super::*;
use crate::Hive;
use crate::clock::{ClockAndRng, ManualClock, SystemEntropy};
use crate::commands::ExecOptions;
use crate::context::{DiskSpace, DiskSpaceMonitor};
use crate::hive::DiskLevel;
use crate::jobs::JobOptions;
use crate::settings::Settings;

const DAY: Duration = Duration::from_hours(24);

#[test]
fn nothing_is_kept_longer_than_the_defaults_say() {
    let settings = Settings::default();
    let days = |kept: Option<Duration>| kept.map(|kept| kept.as_secs() / DAY.as_secs());
    assert_eq!(days(settings.retain_audit), Some(90));
    assert_eq!(days(settings.retain_output), Some(7));
    assert_eq!(days(settings.retain_commands), Some(90));
    assert_eq!(days(settings.retain_removed), Some(7));
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn housekeeping_deletes_what_has_ended_and_leaves_what_is_open() {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let source = ClockAndRng { clock: clock.clone(), entropy: Arc::new(SystemEntropy) };
    let settings = Settings::default().prune_interval(Duration::from_millis(50)).prune_pause(Duration::ZERO);
    // Open commands must not expire in this test.
    let settings = settings.sweep_interval(Duration::from_hours(1));
    let hive = Hive::builder().in_memory().source(source).settings(settings).build().await.unwrap();
    let acting = hive.as_system();
    let registered = crate::hive::tests::register(&hive, "web-server-01").await;
    let removed = crate::hive::tests::register(&hive, "web-server-02").await;
    let mut satellite = crate::hive::tests::connect(&hive, &registered, "journal-1").await;
    let exec = async |line: &str| {
        acting.commands().submit(registered.id, ExecCommand::shell(line), ExecOptions::default()).await.unwrap()
    };
    let ended = exec("echo hello").await;
    let command = satellite.command().await;
    satellite.send_output(command.id, 0, b"hello\n").await;
    satellite.finish(command.id, CommandStatus::Succeeded, 0, 6).await;
    let open = exec("sleep 1000").await;
    acting.satellites().remove(removed.id).await.unwrap();
    let get = async |id| acting.commands().get(id, OutputEncoding::Lossy).await.unwrap();
    assert_eq!(get(ended).await.unwrap().stdout, "hello\n");

    clock.advance(8 * DAY);
    until("the output is deleted", async || get(ended).await.unwrap().truncated).await;
    assert_eq!(get(ended).await.unwrap().stdout, "");
    clock.advance(84 * DAY);
    until("the command is deleted", async || get(ended).await.is_none()).await;
    assert!(get(open).await.is_some());
    let first = async || hive.services().store.audit_records(0, 1).await.unwrap()[0].seq;
    until("the audit log is pruned", async || first().await > 1).await;
    assert!(acting.audit().verify().await.unwrap().valid);
    hive.shutdown().await;
}

#[tokio::test]
async fn a_nearly_full_disk_takes_no_new_commands_and_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(50));
    let read = {
        let free = free.clone();
        move |_: &Path| Ok(DiskSpace { free: free.load(Ordering::SeqCst), total: 100 })
    };
    let monitor = DiskSpaceMonitor::with_reader(dir.path(), Box::new(read));
    let settings = Settings::default().sweep_interval(Duration::from_millis(20));
    let hive = Hive::builder().data_dir(dir.path()).settings(settings).disk_space(monitor).build().await.unwrap();
    let acting = hive.as_system();
    let registered = crate::hive::tests::register(&hive, "web-server-01").await;
    let mut satellite = crate::hive::tests::connect(&hive, &registered, "journal-1").await;
    let exec =
        async || acting.commands().submit(registered.id, ExecCommand::shell("true"), ExecOptions::default()).await;
    let job = async || acting.jobs().submit(vec![Target::All], ExecCommand::shell("true"), JobOptions::default()).await;
    let running = exec().await.unwrap();
    free.store(8, Ordering::SeqCst);
    until("it is low", async || hive.disk_level() == DiskLevel::Low).await;
    let other = exec().await.unwrap();
    free.store(1, Ordering::SeqCst);
    until("it is critical", async || hive.disk_level() == DiskLevel::Critical).await;
    for refused in [exec().await.unwrap_err(), job().await.unwrap_err()] {
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        assert!(refused.to_wire().message.contains("nearly full"), "{refused:?}");
    }
    let command = satellite.command().await;
    assert_eq!(command.id, running);
    satellite.finish(running, CommandStatus::Succeeded, 0, 0).await;
    let cancel = acting.commands();
    let (cancelled, ()) = tokio::join!(cancel.cancel(other), satellite.finish(other, CommandStatus::Cancelled, 0, 0));
    assert_eq!(cancelled.unwrap().status, CommandStatus::Cancelled);
    assert!(hive.is_ready().await);
    free.store(50, Ordering::SeqCst);
    until("there is space again", async || exec().await.is_ok()).await;
    job().await.unwrap();
    hive.shutdown().await;
}
