//! Calls with an idempotency key that give no command and no job: each is carried out once, and its answer is kept and given again.
//!
//! A call claims its key before it runs, and holds a lease while it runs. If the server dies in between, the lease ends, and it
//! stays unknown whether the call was carried out: nobody carries it out again. Whoever calls checks the caller's rights first.

mod decision;

use std::pin::pin;
use std::sync::Arc;

use hive_wire::Timestamp;
use tokio::time::sleep;
use tracing::warn;

use self::decision::{Decision, decide, kept};
use crate::access::Principal;
use crate::context::ServiceContext;
use crate::idempotency::{KeyPurpose, stored_key};
use crate::keys::Keys;
use crate::store::{AnswerClaim, AnswerStore, Store};
use crate::{Error, Result};

pub use self::decision::{CallAnswer, MAX_KEPT_BODY};
pub use crate::store::WholeAnswer;

/// How often a lease is renewed before it would end: a busy disk may delay a renewal.
const RENEWALS: u32 = 3;

/// The calls with a key of all callers.
pub(crate) struct Answers {
    store: Arc<dyn AnswerStore>,
    keys: Arc<Keys>,
    context: ServiceContext,
}

/// A call with an idempotency key.
#[derive(Debug, Clone, Copy)]
pub struct KeyedCall<'c> {
    /// The operation that is called.
    pub operation: &'static str,
    /// All that makes two calls the same, such as path, query and body. It is stored as a digest.
    pub request: &'c [&'c [u8]],
}

/// What becomes of a call with a key.
#[derive(Debug)]
pub enum ClaimedCall {
    /// The key was free: the call is to be carried out.
    New(RunningCall),
    /// The same call was carried out before, with this answer.
    Answered(WholeAnswer),
}

/// A call that has claimed its key. Dropped without being carried out, it leaves the key claimed with an unknown outcome.
#[must_use = "the key stays claimed"]
pub struct RunningCall {
    answers: Arc<Answers>,
    owner: String,
    key: String,
}

impl std::fmt::Debug for RunningCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningCall").field("owner", &self.owner).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Answers {
    pub(crate) fn new(store: &Arc<dyn Store>, keys: Arc<Keys>, context: ServiceContext) -> Self {
        Self { store: store.clone(), keys, context }
    }

    /// Claims a key for a call, or returns the answer to the same call.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        principal: &Principal,
        key: String,
        call: KeyedCall<'_>,
    ) -> Result<ClaimedCall> {
        let KeyedCall { operation, request } = call;
        // With the operation: the same body on another path is another request.
        let request = [&[operation.as_bytes()], request].concat();
        let request = (KeyPurpose::Answer, &request[..]);
        let key = stored_key(&self.context, &self.keys.vault, principal, key, request)?;
        let running = RunningCall { answers: self.clone(), owner: key.owner.clone(), key: key.key.clone() };
        // The lease counts on the steady clock, which an adjusted wall clock does not end early.
        let now = self.context.steady();
        let claim = AnswerClaim { key, route: operation.to_owned(), now, leased_until: self.lease_from(now) };
        match decide(self.store.answer_claim(claim).await?, self.context.steady()) {
            Decision::CarryOut => Ok(ClaimedCall::New(running)),
            Decision::Repeat(answer) => Ok(ClaimedCall::Answered(answer)),
            Decision::Refuse(conflict) => Err(Error::KeyConflict(conflict)),
        }
    }

    fn lease_from(&self, now: Timestamp) -> Timestamp {
        now.plus(self.context.settings().answer_lease)
    }
}

impl RunningCall {
    /// Carries out the call to its end, also if its caller goes away meanwhile, and keeps what is to be kept of the answer before
    /// it returns. `call` returns a value for the caller, and its answer.
    ///
    /// # Errors
    /// `Internal` if the call panics: then the outcome is unknown to later calls.
    pub async fn carry_out<T: Send + 'static>(
        self,
        call: impl Future<Output = (T, CallAnswer)> + Send + 'static,
    ) -> Result<T> {
        let context = self.answers.context.clone();
        let to_end = async move {
            let mut call = pin!(call);
            let (value, answer) = tokio::select! {
                done = &mut call => done,
                // It never ends by itself: the call is what ends this.
                never = self.renew() => match never {},
            };
            self.end(answer).await;
            Ok(value)
        };
        // Also where the caller hangs up: the effect happens, and its answer has to be kept.
        context.run_to_end(to_end).await
    }

    /// Says again and again that the call still runs.
    async fn renew(&self) -> std::convert::Infallible {
        loop {
            let context = &self.answers.context;
            // A few times in each lease, so that one failed renewal does not lose it.
            sleep(context.settings().answer_lease / RENEWALS).await;
            let until = self.answers.lease_from(context.steady());
            if let Err(error) = self.answers.store.answer_renew(&self.owner, &self.key, until).await {
                self.warn("the lease of a call with an idempotency key was not renewed", &error);
            }
        }
    }

    /// Stores the answer, or frees the key.
    async fn end(&self, answer: CallAnswer) {
        let store = &self.answers.store;
        let ended = match kept(answer) {
            Some(answer) => store.answer_keep(&self.owner, &self.key, answer).await,
            None => store.answer_release(&self.owner, &self.key).await,
        };
        // The caller gets the answer all the same: the call was carried out.
        if let Err(error) = ended {
            self.warn("the answer of a call with an idempotency key was not kept", &error);
        }
    }

    fn warn(&self, message: &str, error: &(dyn std::error::Error + 'static)) {
        warn!(caller.id = self.owner, error, "{message}");
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests;
