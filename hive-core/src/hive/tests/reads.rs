//! How often the store is read: not more often because more callers wait, and not as a whole where a filter can answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use hive_wire::agent::{Channel, CommandResult, Received, ToServer};
use hive_wire::api::{
    CommandEnd, CommandStatus, EndReason, ExecCommand, OutputEncoding, PageRequest, PlatformRole, SatelliteFilter,
    SessionEnd, SessionFilter, Size, TargetStatus, UserCreate, UserUpdate,
};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::satellite_api::RegisteredSatellite;
use hive_wire::{CommandId, SatelliteId, SessionId, UserId};
use serde_json::json;
use tokio::sync::watch;

use super::{NAME, connect, register};
use crate::access::{Authority, Credential, Principal};
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, record};
use crate::commands::ExecOptions;
use crate::commands::in_flight::SatelliteRef;
use crate::hive::{Hive, Settings};
use crate::store::{
    CommandOutcome, CommandRow, Database, NewSession, RowRange, SatelliteOrder, SatelliteQuery, SatelliteRow, Store,
    StoreLayer, StoreResult, UserPatch, UserRow,
};

/// A store that counts reads, and that stops answering some of them.
struct CountedReads {
    below: Arc<dyn Store>,
    counts: Mutex<BTreeMap<&'static str, usize>>,
    /// While it is false, no user is read.
    answers: watch::Sender<bool>,
}

impl CountedReads {
    async fn new() -> Arc<Self> {
        let below = Database::in_memory().open().await.unwrap();
        Arc::new(Self { below, counts: Mutex::default(), answers: watch::Sender::new(true) })
    }

    fn count(&self, what: &'static str, count: usize) {
        *self.counts.lock().unwrap().entry(what).or_default() += count;
    }

    /// Returns the count and begins anew.
    fn take(&self, what: &'static str) -> usize {
        self.counts.lock().unwrap().remove(what).unwrap_or_default()
    }

    async fn until(&self, what: &'static str, count: usize) {
        let reached = async {
            while self.counts.lock().unwrap().get(what).is_none_or(|counted| *counted < count) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), reached).await.expect("it is read so often");
    }
}

#[async_trait]
impl StoreLayer for CountedReads {
    fn below(&self) -> &dyn Store {
        self.below.as_ref()
    }

    async fn command_get(&self, id: CommandId) -> StoreResult<Option<CommandRow>> {
        self.count("command_get", 1);
        self.below.command_get(id).await
    }

    async fn command_list_unfinished(&self, ids: &[CommandId]) -> StoreResult<Vec<CommandId>> {
        self.count("command_list_unfinished", 1);
        self.below.command_list_unfinished(ids).await
    }

    async fn satellite_list(
        &self,
        query: &SatelliteQuery,
        range: RowRange<SatelliteOrder>,
    ) -> StoreResult<(Vec<SatelliteRow>, u64)> {
        let found = self.below.satellite_list(query, range).await?;
        self.count("satellite rows", found.0.len());
        Ok(found)
    }

    async fn user_get(&self, id: UserId) -> StoreResult<Option<UserRow>> {
        self.count("user_get", 1);
        self.answers.subscribe().wait_for(|answers| *answers).await.unwrap();
        self.below.user_get(id).await
    }
}

async fn counted_hive() -> (Hive, Arc<CountedReads>) {
    let store = CountedReads::new().await;
    let settings = Settings { sweep_interval: Duration::from_millis(20), ..Settings::default() };
    (Hive::builder().store(store.clone()).settings(settings).build().await.unwrap(), store)
}

/// Submits a command that waits for its satellite.
async fn submit(hive: &Hive, satellite: SatelliteId) -> CommandId {
    let command = ExecCommand::shell("uptime");
    hive.as_system().commands().submit(satellite, command, ExecOptions::default()).await.unwrap()
}

fn satellite_ref(of: &RegisteredSatellite) -> SatelliteRef {
    SatelliteRef { satellite: of.id, name: NAME.try_into().unwrap() }
}

#[tokio::test]
async fn a_thousand_callers_that_wait_for_absent_commands_cost_one_read_a_round() {
    let (hive, store) = counted_hive().await;
    let registered = register(&hive, NAME).await;
    // It has been online once, so that it accepts commands.
    drop(connect(&hive, &registered, "journal-1").await);
    let ids = join_all((0..20).map(|_| submit(&hive, registered.id))).await;
    let (commands, of) = (hive.services().commands.clone(), satellite_ref(&registered));
    store.take("command_get");
    let waiters = (0..1000).map(|index| commands.snapshot(ids[index % ids.len()], &of, Duration::from_mins(5)));
    let ended = async {
        store.until("command_get", 1000).await;
        store.take("command_list_unfinished");
        store.until("command_list_unfinished", 10).await;
        let reads = store.take("command_get");
        assert_eq!(reads, 1000, "each looked once, and then all of them waited");
        // As another process does.
        for id in &ids {
            let end = CommandOutcome {
                status: CommandStatus::Cancelled,
                end: CommandEnd::default(),
                finished_at: hive.source().now(),
                output: Vec::new(),
            };
            assert!(store.below.command_finish(*id, end, Vec::new()).await.unwrap());
        }
    };
    let (snapshots, ()) = tokio::join!(join_all(waiters), ended);
    for snapshot in snapshots {
        assert_eq!(snapshot.unwrap().result.status, TargetStatus::Command(CommandStatus::Cancelled));
    }
    assert_eq!(store.take("command_get"), 1000, "and once more for the result");
    assert!(commands.in_flight().absent().is_empty(), "nothing is left of those who waited");
}

#[tokio::test]
async fn whoever_waits_for_an_absent_command_follows_it_once_its_satellite_is_back() {
    let (hive, store) = counted_hive().await;
    let registered = register(&hive, NAME).await;
    drop(connect(&hive, &registered, "journal-1").await);
    let id = submit(&hive, registered.id).await;
    let (commands, of) = (hive.services().commands.clone(), satellite_ref(&registered));
    store.take("command_get");
    let satellite = async {
        store.until("command_get", 1).await;
        let mut satellite = connect(&hive, &registered, "journal-1").await;
        assert_eq!(satellite.command().await.id, id);
        satellite.send_output(id, 0, b"up 7 days").await;
        satellite.finish(id, CommandStatus::Succeeded, 0, 9).await;
        satellite
    };
    let (snapshot, _satellite) = tokio::join!(commands.snapshot(id, &of, Duration::from_mins(5)), satellite);
    let report = commands.report(id, snapshot.unwrap(), OutputEncoding::Lossy).await.unwrap();
    assert_eq!((report.result.stdout.as_str(), report.result.exit_code), ("up 7 days", Some(0)));
}

/// Issues grants to a user.
async fn grants(hive: &Hive, user: UserId, count: usize) -> Vec<crate::grants::GrantGuard> {
    let principal = Principal::new(Credential::Login(user), "olga", PlatformRole::GlobalUser);
    let mut grants = Vec::new();
    for _ in 0..count {
        grants.push(hive.services().grants.issue(&principal).await.unwrap());
    }
    grants
}

async fn user(hive: &Hive, name: &str) -> UserId {
    let request = UserCreate { username: name.into(), role: PlatformRole::GlobalUser };
    hive.as_system().identity().user_create(request).await.unwrap().user.id
}

/// A hive that revalidates grants only when a test does.
async fn quiet_hive(sweep_interval: Duration) -> (Hive, Arc<CountedReads>) {
    let store = CountedReads::new().await;
    let settings = Settings { sweep_interval, ..Settings::default() };
    (Hive::builder().store(store.clone()).settings(settings).build().await.unwrap(), store)
}

#[tokio::test]
async fn many_streams_of_one_credential_are_revalidated_by_one_read() {
    let (hive, store) = quiet_hive(Duration::from_hours(1)).await;
    let (olga, anna) = (user(&hive, "olga").await, user(&hive, "anna").await);
    let (of_olga, of_anna) = (grants(&hive, olga, 500).await, grants(&hive, anna, 500).await);
    store.take("user_get");
    let services = hive.services();
    services.grants.revalidate_all().await;
    assert_eq!(store.take("user_get"), 2);
    assert!(of_olga.iter().chain(&of_anna).all(|grant| grant.check().is_ok()));
    let disabled = UserUpdate { role: None, disabled: Some(true) };
    hive.as_system().identity().user_update(olga, disabled).await.unwrap();
    assert!(of_olga.iter().all(|grant| grant.check().is_err()));
    services.grants.revalidate_all().await;
    assert!(of_anna.iter().all(|grant| grant.check().is_ok()));
}

#[tokio::test]
async fn a_sweep_of_grants_ends_with_its_period_and_the_next_one_goes_on() {
    let (hive, store) = quiet_hive(Duration::from_millis(100)).await;
    let mut all = Vec::new();
    for name in ["anna", "bert", "olga", "paul", "rita", "theo"] {
        let id = user(&hive, name).await;
        all.push((id, grants(&hive, id, 1).await));
    }
    store.answers.send_replace(false);
    let services = hive.services();
    tokio::time::timeout(Duration::from_mins(1), services.grants.revalidate_all()).await.expect("it does not hang");
    assert!(all.iter().all(|(_, grants)| grants[0].check().is_ok()), "a slow store ends no stream");
    // As another process does: this one does not revalidate at once.
    for (id, _) in &all {
        let needed = crate::identity::losses::needed_roles();
        let patch = UserPatch { role: None, disabled: Some(true), needed, now: hive.source().now() };
        let subject = Subject::new(id);
        let record = record(&services.context, &Principal::system(), AuditAction::UserUpdate, subject, json!({}));
        store.below.user_update(*id, patch, record).await.unwrap();
    }
    store.answers.send_replace(true);
    for (_, grants) in &all {
        grants[0].revoked().await;
    }
}

#[tokio::test]
async fn a_list_by_presence_reads_the_rows_of_its_page() {
    let (hive, store) = quiet_hive(Duration::from_hours(1)).await;
    let mut online = Vec::new();
    for number in 1..=6 {
        let registered = register(&hive, &format!("web-server-{number:02}")).await;
        if number % 2 == 0 {
            online.push(connect(&hive, &registered, "journal-1").await);
        }
    }
    store.take("satellite rows");
    let list = async |is_online, page| {
        let filter = SatelliteFilter { online: Some(is_online), ..SatelliteFilter::default() };
        let page = hive.as_system().satellites().list(filter, PageRequest::numbered(page, 2)).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|satellite| satellite.name.to_string()).collect();
        (names, page.total, store.take("satellite rows"))
    };
    let names = |numbers: &[u8]| numbers.iter().map(|number| format!("web-server-{number:02}")).collect::<Vec<_>>();
    assert_eq!(list(true, 1).await, (names(&[2, 4]), 3, 2));
    assert_eq!(list(true, 2).await, (names(&[6]), 3, 1));
    assert_eq!(list(false, 1).await, (names(&[1, 3]), 3, 2));
    assert_eq!(list(false, 3).await, (names(&[]), 3, 0));
}

#[tokio::test]
async fn output_of_many_commands_takes_no_more_memory_than_is_set_and_is_complete() {
    const COMMANDS: usize = 40;
    const EACH: usize = 12 * 1024;
    const MOST: usize = 64 * 1024;
    let settings = Settings { max_buffered_output: MOST, ..Settings::default() };
    let hive = Hive::builder().in_memory().settings(settings).build().await.unwrap();
    let mut satellites = Vec::new();
    for number in 0..COMMANDS {
        let registered = register(&hive, &format!("web-server-{number:02}")).await;
        satellites.push(connect(&hive, &registered, "journal-1").await);
    }
    let output = |number: usize| Bytes::from(vec![number as u8; EACH]);
    let mut ids = Vec::new();
    for satellite in &mut satellites {
        ids.push(submit(&hive, satellite.id).await);
        satellite.command().await;
    }
    let in_flight = hive.services().commands.in_flight();
    for (number, (satellite, id)) in satellites.iter_mut().zip(&ids).enumerate() {
        let stream = StreamId(1);
        let open = ToServer::StreamOpen { stream, command_id: *id, channel: Channel::Stdout, offset: 0 };
        satellite.send(open).await;
        satellite.send(Frame::data(stream, 0, output(number), true)).await;
        // A link does not wait for the store. Its satellite gets no more credit until the output is stored.
        let within = async {
            while in_flight.buffered_bytes() > MOST {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), within).await.expect("output is stored early");
    }
    for (satellite, id) in satellites.iter_mut().zip(&ids) {
        let result = CommandResult {
            id: *id,
            status: CommandStatus::Succeeded,
            exit_code: Some(0),
            duration_ms: 1,
            sent: Received { stdout: EACH as u64, stderr: 0 },
            truncated: false,
            error: None,
        };
        satellite.send(ToServer::CommandResult(result)).await;
        assert_eq!(satellite.acknowledged().await, *id);
    }
    for (number, id) in ids.iter().enumerate() {
        let report = hive.as_system().commands().report(*id).await.unwrap().unwrap();
        assert_eq!(report.output.read_all(Channel::Stdout, usize::MAX).await.unwrap(), output(number));
    }
    assert_eq!(in_flight.buffered_bytes(), 0);
}

#[tokio::test]
async fn an_open_session_is_listed_however_many_have_ended_since() {
    let (hive, store) = quiet_hive(Duration::from_hours(1)).await;
    let registered = register(&hive, NAME).await;
    let services = hive.services();
    let record =
        |action| record(&services.context, &Principal::system(), action, Subject::new(registered.id), json!({}));
    let insert = async |seconds| {
        let session = NewSession {
            id: SessionId::new(services.context.seed()),
            satellite_id: registered.id,
            team_id: None,
            size: Size::default(),
            shell: None,
            actor: Principal::system().actor(),
            authorised_by: Authority::Role,
            created_at: services.context.now().plus(Duration::from_secs(seconds)),
        };
        let id = session.id;
        assert!(store.below.session_insert(session, u32::MAX, record(AuditAction::SessionCreate)).await.unwrap());
        id
    };
    let open = insert(0).await;
    for seconds in 1..=1001 {
        let (id, now) = (insert(seconds).await, services.context.now());
        let end = SessionEnd { reason: EndReason::Exited, exit_code: Some(0), error: None };
        assert!(store.below.session_end(id, end, now, record(AuditAction::SessionEnd)).await.unwrap());
    }
    let list = async |ended| {
        let filter = SessionFilter { ended, ..SessionFilter::default() };
        hive.as_system().sessions().list(filter).await.unwrap()
    };
    assert_eq!(list(false).await.iter().map(|session| session.id).collect::<Vec<_>>(), [open]);
    let all = list(true).await;
    assert_eq!(
        (all.len(), all.last().unwrap().id),
        (1001, open),
        "the latest 1,000 that have ended, and all that are open"
    );
}
