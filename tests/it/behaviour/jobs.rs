//! Jobs: one command on many satellites, however many look on.

use hive_core::jobs::JobOptions;
use hive_core::wire::api::{CommandStatus, ExecCommand, Job, JobEvent, JobStatus, PageRequest, Target, TargetStatus};
use hive_core::wire::{ErrorCode, JobId};
use hive_core::{HiveApi, Subscription};

use hive_testkit::SatelliteOptions;

use super::world::NAME;
use super::{BehaviourWorld, claims};
use crate::support::{unique_seconds, until_sleeping};

claims!(
    a_job_is_watched_to_its_end_and_then_told_again,
    a_cancelled_job_ends_what_runs_and_what_waits,
    who_looks_away_ends_nothing,
    the_same_key_is_the_same_job,
    jobs_are_listed_newest_first_and_in_pages,
    a_jobs_status_of_a_later_version_is_kept,
);

async fn submit(api: &dyn HiveApi, line: &str) -> Job {
    api.jobs().submit(vec![Target::All], ExecCommand::shell(line), JobOptions::default()).await.unwrap()
}

/// Everything a watch tells: how its targets ended, and the job at its end.
async fn told(mut watch: Subscription<JobEvent>) -> (Vec<(String, TargetStatus)>, Option<Job>) {
    let (mut targets, mut end) = (Vec::new(), None);
    while let Some(event) = watch.next().await {
        assert!(end.is_none(), "behind the end: {event:?}");
        match event {
            JobEvent::Target { satellite_name, status, .. } => targets.push((satellite_name.to_string(), status)),
            JobEvent::Ended(job) => end = Some(*job),
            _ => {}
        }
    }
    // Targets end in any order.
    targets.sort_by(|a, b| a.0.cmp(&b.0));
    (targets, end)
}

async fn ended(api: &dyn HiveApi, id: JobId) -> Job {
    told(api.jobs().subscribe(id).await.unwrap()).await.1.expect("the job has ended")
}

async fn a_job_is_watched_to_its_end_and_then_told_again(world: BehaviourWorld) {
    world.away("away-server-01", None).await;
    let satellite = world.satellite().await;
    let api = world.api();
    let job = submit(api, "echo one; exit 2").await;
    assert_eq!((job.targets.as_slice(), job.counts.total()), (&["all".to_owned()][..], 2));
    let expected = vec![
        ("away-server-01".to_owned(), TargetStatus::NotRun),
        (NAME.to_owned(), TargetStatus::Command(CommandStatus::Failed)),
    ];
    let first = told(api.jobs().subscribe(job.id).await.unwrap()).await;
    assert_eq!(first.0, expected);
    let end = first.1.clone().unwrap();
    assert_eq!((end.id, end.status.clone(), end.counts.ended()), (job.id, JobStatus::Failed, 2));
    assert_eq!(told(api.jobs().subscribe(job.id).await.unwrap()).await, first, "who comes later hears the same");
    assert_eq!(api.jobs().get(job.id).await.unwrap(), Some(end));
    let targets = api.jobs().list_targets(job.id, PageRequest::numbered(2, 1)).await.unwrap();
    assert_eq!((targets.total, targets.page, targets.per_page), (2, Some(2), 1));
    let target = &targets.items[0];
    assert_eq!((target.satellite_id, target.exit_code, target.stdout_bytes), (satellite.id, Some(2), 4));
    world.end().await;
}

async fn a_cancelled_job_ends_what_runs_and_what_waits(world: BehaviourWorld) {
    let _first = world.satellite().await;
    let _second = world.satellite_with("web-server-02", SatelliteOptions::default()).await;
    let (api, seconds) = (world.api(), unique_seconds());
    // One at a time, so that one target runs while the other waits.
    let options = JobOptions { concurrency: Some(1), ..JobOptions::default() };
    let command = ExecCommand::shell(format!("sleep {seconds}"));
    let job = api.jobs().submit(vec![Target::All], command, options).await.unwrap();
    assert_eq!(job.concurrency, 1);
    until_sleeping(&seconds, 1).await;
    assert!(api.jobs().cancel(job.id).await.unwrap().cancelled_at.is_some());
    let end = ended(api, job.id).await;
    let cancelled = TargetStatus::Command(CommandStatus::Cancelled);
    assert_eq!((end.status.clone(), end.counts.of(&cancelled)), (JobStatus::Cancelled, 2));
    until_sleeping(&seconds, 0).await;
    assert_eq!(api.jobs().cancel(job.id).await.unwrap(), end, "and stays as it is");
    world.end().await;
}

async fn who_looks_away_ends_nothing(world: BehaviourWorld) {
    let _satellite = world.satellite().await;
    let (api, seconds) = (world.api(), unique_seconds());
    let job = submit(api, &format!("sleep {seconds}")).await;
    let mut watch = api.jobs().subscribe(job.id).await.unwrap();
    assert!(matches!(watch.next().await, Some(JobEvent::Progress { .. })));
    drop(watch);
    // A subscriber that never reads must not hold up the job.
    let unread = api.jobs().subscribe(job.id).await.unwrap();
    until_sleeping(&seconds, 1).await;
    assert_eq!(api.jobs().get(job.id).await.unwrap().unwrap().status, JobStatus::Running);
    api.jobs().cancel(job.id).await.unwrap();
    assert_eq!(ended(api, job.id).await.status, JobStatus::Cancelled);
    world.end().await;
    drop(unread);
}

async fn the_same_key_is_the_same_job(world: BehaviourWorld) {
    world.away("away-server-01", None).await;
    let submit = async |line: &str| {
        let options = JobOptions { idempotency_key: Some("once".into()), ..JobOptions::default() };
        world.api().jobs().submit(vec![Target::All], ExecCommand::shell(line), options).await
    };
    let first = submit("true").await.unwrap();
    assert_eq!(submit("true").await.unwrap().id, first.id);
    assert_eq!(submit("false").await.unwrap_err().code(), ErrorCode::Conflict);
    world.end().await;
}

async fn jobs_are_listed_newest_first_and_in_pages(world: BehaviourWorld) {
    world.away("away-server-01", None).await;
    let api = world.api();
    let mut expected = Vec::new();
    for number in 0..3 {
        expected.insert(0, submit(api, &format!("echo {number}")).await.id);
    }
    let page = async |page| api.jobs().list(PageRequest::numbered(page, 2)).await.unwrap();
    let (first, second) = (page(1).await, page(2).await);
    assert_eq!((first.total, first.per_page, second.page, second.items.len()), (3, 2, Some(2), 1));
    let listed: Vec<_> = first.items.iter().chain(&second.items).map(|job| job.id).collect();
    assert_eq!(listed, expected);
    assert!(page(3).await.items.is_empty());
    world.end().await;
}

async fn a_jobs_status_of_a_later_version_is_kept(world: BehaviourWorld) {
    let _satellite = world.satellite().await;
    let word = world.rename_status("succeeded", "half_done");
    let (expected, of_target) = (JobStatus::from(word), TargetStatus::from(word));
    let api = world.api();
    let job = submit(api, "true").await;
    let (targets, end) = told(api.jobs().subscribe(job.id).await.unwrap()).await;
    assert_eq!(targets, [(NAME.to_owned(), of_target.clone())]);
    let end = end.unwrap();
    assert_eq!((&end.status, end.counts.of(&of_target), end.counts.ended()), (&expected, 1, 1));
    assert_eq!(api.jobs().get(job.id).await.unwrap(), Some(end.clone()));
    assert_eq!(api.jobs().list(PageRequest::default()).await.unwrap().items, [end]);
    let listed = api.jobs().list_targets(job.id, PageRequest::default()).await.unwrap().items;
    assert_eq!(listed.iter().map(|target| &target.status).collect::<Vec<_>>(), [&of_target]);
    world.end().await;
}
