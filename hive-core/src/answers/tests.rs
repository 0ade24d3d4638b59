#![expect(clippy::unwrap_used, reason = "a failed check panics")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::Hive;
use crate::clock::{ClockAndRng, ManualClock, SystemEntropy};
use crate::error::KeyConflict;
use crate::settings::Settings;

const LEASE: Duration = Duration::from_millis(60);

struct AnswersFixture {
    hive: Hive,
    clock: Arc<ManualClock>,
}

impl AnswersFixture {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        let source = ClockAndRng { clock: clock.clone(), entropy: Arc::new(SystemEntropy) };
        let settings = Settings::default().answer_lease(LEASE);
        let hive = Hive::builder().in_memory().source(source).settings(settings).build().await.unwrap();
        Self { hive, clock }
    }

    async fn claim(&self, request: &[u8]) -> Result<ClaimedCall> {
        let call = KeyedCall { operation: "test", request: &[request] };
        self.hive.as_system().claim_call("key".into(), call).await
    }

    async fn claim_new(&self) -> RunningCall {
        match self.claim(b"a").await.unwrap() {
            ClaimedCall::New(running) => running,
            other @ ClaimedCall::Answered(_) => panic!("{other:?}"),
        }
    }

    async fn conflict(&self) -> Option<KeyConflict> {
        match self.claim(b"a").await {
            Err(Error::KeyConflict(conflict)) => Some(conflict),
            Ok(ClaimedCall::Answered(_)) => None,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the same call is refused for this reason, or answered.
    async fn until(&self, expected: Option<KeyConflict>) {
        let waiting = async {
            while self.conflict().await != expected {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_mins(1), waiting).await.unwrap_or_else(|_| panic!("{expected:?}"));
    }
}

fn answer(status: u16) -> CallAnswer {
    CallAnswer::Plain(WholeAnswer { status, headers: Vec::new(), body: "{}".into() })
}

#[tokio::test]
async fn a_call_goes_on_without_its_caller_and_keeps_its_answer() {
    let world = AnswersFixture::new().await;
    let (end, ended) = oneshot::channel();
    let call = world.claim_new().await.carry_out(async move {
        ended.await.unwrap();
        ((), answer(201))
    });
    assert!(call.now_or_never().is_none(), "its caller goes away");
    assert_eq!(world.conflict().await, Some(KeyConflict::InProgress));
    // The lease is renewed while the call runs, however long that is.
    world.clock.advance(2 * LEASE);
    world.until(Some(KeyConflict::InProgress)).await;
    end.send(()).unwrap();
    world.until(None).await;
    world.hive.shutdown().await;
}

#[tokio::test]
async fn a_refused_call_frees_its_key_for_any_call() {
    let world = AnswersFixture::new().await;
    world.claim_new().await.carry_out(async { ((), answer(409)) }).await.unwrap();
    assert!(matches!(world.claim(b"b").await, Ok(ClaimedCall::New(_))));
    assert_eq!(world.conflict().await, Some(KeyConflict::OtherRequest));
}

#[tokio::test]
async fn a_call_that_was_lost_is_not_carried_out_again() {
    let world = AnswersFixture::new().await;
    // As after the death of its server: nobody renews the lease.
    drop(world.claim_new().await);
    assert_eq!(world.conflict().await, Some(KeyConflict::InProgress));
    world.clock.advance(LEASE);
    assert_eq!(world.conflict().await, Some(KeyConflict::OutcomeUnknown));
    world.clock.advance(Duration::from_hours(24));
    assert!(matches!(world.claim(b"a").await, Ok(ClaimedCall::New(_))), "the key has expired");
}

#[tokio::test]
async fn a_call_that_panics_leaves_its_outcome_unknown() {
    let world = AnswersFixture::new().await;
    let done: Result<()> = world.claim_new().await.carry_out(async { panic!("of the test") }).await;
    assert!(matches!(done, Err(Error::Internal(_))));
    world.clock.advance(LEASE);
    assert_eq!(world.conflict().await, Some(KeyConflict::OutcomeUnknown));
}

#[tokio::test]
async fn of_many_calls_at_once_one_is_carried_out() {
    let world = AnswersFixture::new().await;
    let count = AtomicU32::new(0);
    let calls = (0..50).map(|_| async {
        match world.claim(b"a").await {
            Ok(ClaimedCall::New(running)) => {
                count.fetch_add(1, Ordering::Relaxed);
                running.carry_out(async { ((), answer(201)) }).await.unwrap();
            }
            Ok(ClaimedCall::Answered(_)) | Err(Error::KeyConflict(KeyConflict::InProgress)) => {}
            other => panic!("{other:?}"),
        }
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(count.load(Ordering::Relaxed), 1);
    assert_eq!(world.conflict().await, None);
}
