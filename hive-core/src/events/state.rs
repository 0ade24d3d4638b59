//! What of the hive changes often, as its latest state: metrics of satellites, sessions, commands and jobs. Readers take it in
//! steps, and get each thing once a step.

use std::sync::{Arc, OnceLock};

use hive_wire::api::{CommandStatus, JobCounts, JobStatus};
use hive_wire::ui::{SatelliteMetrics, UiEvent};
use hive_wire::{CommandId, JobId, SatelliteId, SessionId, TeamId};

use super::EventSubject;
use crate::access::{AccessDecision, Permission, Principal, Resource, ResourceScope, may, may_see};

/// Sessions, commands and jobs whose latest state is kept for readers that are behind.
pub(super) const KEPT_WORK: usize = 10_000;

/// A session, a command or a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum WorkKey {
    Session(SessionId),
    Command(CommandId),
    Job(JobId),
}

/// The latest state of a session, a command or a job.
#[derive(Debug)]
pub(crate) struct WorkState {
    event: UiEvent,
    scope: WorkScope,
    json: OnceLock<Box<str>>,
}

/// What a piece of work belongs to.
#[derive(Debug)]
enum WorkScope {
    /// A satellite, with the permission to see this of it.
    Satellite(EventSubject, Permission),
    /// The teams of all satellites of a job.
    Teams(Arc<[Option<TeamId>]>),
}

impl Resource for (&EventSubject, &Permission) {
    fn read_permission(&self) -> Permission {
        self.1.clone()
    }

    fn scope(&self) -> ResourceScope<'_> {
        self.0.scope()
    }
}

impl WorkState {
    pub(super) fn of_satellite(event: UiEvent, subject: EventSubject, permission: Permission) -> Self {
        Self { event, scope: WorkScope::Satellite(subject, permission), json: OnceLock::new() }
    }

    pub(super) fn of_job(id: JobId, teams: Arc<[Option<TeamId>]>, status: JobStatus, counts: JobCounts) -> Self {
        let event = UiEvent::JobProgress { id, status, counts };
        Self { event, scope: WorkScope::Teams(teams), json: OnceLock::new() }
    }

    /// Whether this can be the state after `before`. An end is final, and a command that has started was delivered.
    pub(super) fn may_follow(&self, before: &Self) -> bool {
        match (&before.event, &self.event) {
            // Nothing comes after an end: a late report would show the session as open again.
            (UiEvent::SessionEnded { .. }, _) => false,
            (UiEvent::CommandUpdated { status: before, .. }, UiEvent::CommandUpdated { status, .. }) => {
                // The two are reported by different tasks, and may change places.
                let is_late = *before == CommandStatus::Started && *status == CommandStatus::Delivered;
                !before.is_terminal() && !is_late
            }
            (UiEvent::JobProgress { status, .. }, _) => !status.is_terminal(),
            _ => true,
        }
    }

    /// The event.
    pub(crate) fn event(&self) -> &UiEvent {
        &self.event
    }

    /// The event as JSON, written once for all readers.
    pub(crate) fn json(&self) -> &str {
        // Once for all readers, and never for a state that is replaced before anybody reads it.
        self.json.get_or_init(|| to_json(&self.event))
    }

    /// The satellite that it is about; none for a job.
    pub(crate) fn satellite(&self) -> Option<SatelliteId> {
        match &self.scope {
            WorkScope::Satellite(subject, _) => Some(subject.satellite),
            WorkScope::Teams(_) => None,
        }
    }

    /// Whether this principal may see it.
    pub(crate) fn is_visible_to(&self, principal: &Principal) -> bool {
        match &self.scope {
            WorkScope::Satellite(subject, permission) => may_see(principal, &(subject, permission)),
            // A key that is limited to tags would need the tags of all satellites of the job. It follows the job by REST.
            WorkScope::Teams(_) if principal.satellite_tags.is_some() => false,
            // As in `Jobs::row_for`: a job with one hidden satellite is hidden.
            WorkScope::Teams(teams) => teams.iter().all(|team| {
                let scope = ResourceScope::team(*team);
                may(principal, &Permission::SatellitesRead, scope) == AccessDecision::Allow
            }),
        }
    }
}

/// The latest metrics of a satellite.
#[derive(Debug)]
pub(crate) struct MetricsState {
    metrics: SatelliteMetrics,
    subject: EventSubject,
    json: OnceLock<Box<str>>,
}

impl Resource for MetricsState {
    fn read_permission(&self) -> Permission {
        Permission::MetricsRead
    }

    fn scope(&self) -> ResourceScope<'_> {
        self.subject.scope()
    }
}

impl MetricsState {
    pub(super) fn new(metrics: SatelliteMetrics, subject: EventSubject) -> Self {
        Self { metrics, subject, json: OnceLock::new() }
    }

    /// The satellite.
    pub(crate) fn satellite(&self) -> SatelliteId {
        self.metrics.id
    }

    /// The metrics as JSON, written once for all readers.
    pub(crate) fn json(&self) -> &str {
        self.json.get_or_init(|| to_json(&self.metrics))
    }
}

fn to_json(value: &impl serde::Serialize) -> Box<str> {
    serde_json::to_string(value).expect("the keys of a message are texts").into()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use hive_wire::UserId;
    use hive_wire::api::{PlatformRole, Role};
    use hive_wire::id::Seed;
    use proptest::collection::{btree_map, btree_set, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::access::Credential;

    fn seed(number: u8) -> Seed {
        Seed { unix_millis: 1, random: [number; 10] }
    }

    fn team(number: u8) -> TeamId {
        TeamId::new(seed(number))
    }

    fn principal(roles: BTreeMap<u8, u8>, tags: Option<BTreeSet<String>>) -> Principal {
        let role = |number: u8| [Role::Viewer, Role::Operator, Role::Admin][usize::from(number)].clone();
        let teams = roles.into_iter().map(|(number, kind)| (team(number), role(kind))).collect();
        let user = Principal::new(Credential::Login(UserId::new(seed(0))), "anna", PlatformRole::GlobalUser);
        Principal { satellite_tags: tags, ..user.teams(teams) }
    }

    fn command(status: CommandStatus) -> WorkState {
        let (id, satellite_id) = (CommandId::new(seed(1)), SatelliteId::new(seed(2)));
        let event = UiEvent::CommandUpdated { id, satellite_id, status, exit_code: None };
        WorkState::of_satellite(event, EventSubject::unknown(satellite_id), Permission::SatellitesRead)
    }

    #[test]
    fn a_late_report_changes_nothing() {
        use CommandStatus as S;
        let check = |before, after, expected: bool| {
            assert_eq!(command(after).may_follow(&command(before)), expected);
        };
        check(S::Queued, S::Delivered, true);
        check(S::Delivered, S::Started, true);
        // A command goes back to the queue when its satellite lost it before it began.
        check(S::Delivered, S::Queued, true);
        check(S::Started, S::Succeeded, true);
        check(S::Started, S::Delivered, false);
        check(S::Succeeded, S::Started, false);
        check(S::Failed, S::Queued, false);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn who_may_see_a_state_is_decided_as_for_rows(
            roles in btree_map(0_u8..4, 0_u8..3, 0..4),
            tags in proptest::option::of(btree_set("[ab]", 0..2)),
            of in proptest::option::of(0_u8..4),
            has in vec("[ab]", 0..2),
            teams in vec(proptest::option::of(0_u8..4), 1..4),
        ) {
            let principal = principal(roles, tags);
            let (id, satellite) = (SessionId::new(seed(1)), SatelliteId::new(seed(2)));
            let subject = EventSubject { satellite, team: of.map(team), tags: has.as_slice().into() };
            let scope = ResourceScope::Satellite { team: of.map(team), tags: &has };
            let created_at = hive_wire::Timestamp::from_micros(1);
            let event = UiEvent::SessionStarted { session_id: id, satellite_id: satellite, created_at };
            for permission in [Permission::SessionsOpen, Permission::SatellitesRead] {
                let state = WorkState::of_satellite(event.clone(), subject.clone(), permission.clone());
                let may_see = may(&principal, &permission, scope) == AccessDecision::Allow;
                prop_assert_eq!(state.is_visible_to(&principal), may_see);
            }
            let teams: Arc<[_]> = teams.into_iter().map(|of| of.map(team)).collect();
            let job = WorkState::of_job(JobId::new(seed(3)), teams.clone(), JobStatus::Running, JobCounts::default());
            let all = teams.iter().all(|of| {
                may(&principal, &Permission::SatellitesRead, ResourceScope::team(*of)) == AccessDecision::Allow
            });
            // A key that is limited to tags sees no job here, whatever its teams.
            prop_assert_eq!(job.is_visible_to(&principal), all && principal.satellite_tags.is_none());
        }
    }
}
