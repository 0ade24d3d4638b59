//! How SQLite executes each statement: none may read a whole table that grows.

#![expect(clippy::unwrap_used, reason = "a failed check panics")]

use std::collections::BTreeSet;

use hive_wire::api::{
    ApiKeySort, AuditQuery, AuditSort, CommandSort, GroupSort, JobSort, JobTargetSort, RegistrationTokenSort,
    SessionSort, Sort, SortColumn as _, TagSort, TeamSort, UserSort,
};
use hive_wire::id::Seed;
use hive_wire::{CommandId, GroupId, SatelliteId, TeamId};

use super::*;
use crate::access::{VisibleScope, VisibleTeams};
use crate::sql::{SqlStore, SqlTelemetryStore, Statement};
use crate::{
    ApiKeyStore, AuditStore, CommandStore, GroupQuery, GroupStore, JobStore, KeyKind, RegistrationTokenStore, RowOrder,
    RowRange, RowStart, SatelliteOrder, SatelliteQuery, SatelliteSelection, SatelliteStore, SessionQuery, SessionStore,
    SortKey, TagListQuery, TeamStore, TelemetryStore, UserStore,
};

/// Names constants together with their texts.
macro_rules! texts {
    ($($name:ident)*) => { [$((stringify!($name), &$name)),*] };
}

/// Indexes that have entries for open rows only. Those are few, and reading them is the purpose of the statement.
// Rows of work that goes on are few: reading all of such an index is bounded by what is under way.
const INDEXES_OF_OPEN_ROWS: [&str; 4] =
    ["jobs_open", "sessions_open", "satellite_commands_open", "satellite_commands_queued"];

/// What a statement may read as a whole: a part of its text, of the step that reads, and the reason.
const EXCUSES: [(&str, &str, &str); 25] = [
    ("WITH RECURSIVE made", "m", "they are the keys that were found"),
    ("WITH v (", "v", "they are the rows of the statement itself"),
    ("UNION ALL", "overdue", "the sub-query before it has its conditions"),
    ("AS rows_counted", "rows_counted", "the sub-query before it has its conditions"),
    ("INSERT INTO satellite", "job_targets", "the check of a reference, which is skipped unless one is broken"),
    ("FROM hive", "hive", "it has one row"),
    ("UPDATE hive", "hive", "it has one row"),
    ("FROM teams t", "t", "people create teams by hand, and a list stops at its page"),
    ("FROM users u ORDER BY", "u", "it stops at its page"),
    ("FROM users u LIMIT", "u", "it stops at the most that is counted"),
    ("FROM teams WHERE addresses", "teams_addresses", "the index has the teams with a list alone"),
    ("FROM satellites WHERE addresses", "satellites_addresses", "the index has the satellites with a list alone"),
    ("FROM users o WHERE o.id <>", "o", "it stops at the first other admin, and people are few"),
    ("FROM satellite_groups g", "satellite_groups", "people create groups by hand, and a list stops at its page"),
    ("FROM satellite_tags t JOIN satellites", "satellite_tags_tag", "it counts the tags, and reads the index only"),
    ("FROM registration_tokens t", "t", "a list stops at its page, and its count at the most that is counted"),
    ("FROM audit_log a ORDER BY a.seq", "a", "it stops at its page"),
    ("FROM audit_log a LIMIT", "a", "it stops at the most that is counted"),
    ("FROM jobs j WHERE j.created_at >= 0", "jobs_by_end", "it stops at its page"),
    ("FROM sessions s LIMIT", "s", "it stops at the most that is counted"),
    (
        "FROM sessions s WHERE s.ended_at IS NOT NULL LIMIT",
        "s",
        "nearly all have ended, and it stops at the most that is counted",
    ),
    ("FROM audit_log ORDER BY seq DESC LIMIT 1", "audit_log", "it stops at the last record"),
    ("FROM sessions s JOIN satellites", "sessions_created", "it stops at its page"),
    ("SELECT s.id FROM satellites s", "satellites_listed", "only the index is read, without the rows"),
    ("FROM satellites s WHERE", "satellites_", "it stops at its page, or only the index is read"),
];

/// The constants that are no statement by themselves, and those that a list completes.
const PARTS: [&str; 36] = [
    "GROUP_LIST",
    "GROUP_ROWS_COUNTED",
    "TAG_LIST",
    "TAG_COUNT",
    "HEARTBEAT_LIST",
    "HEARTBEAT_IS_KEPT",
    "SATELLITE_ROWS_COUNTED",
    "SATELLITE_LIST",
    "SATELLITE_LIST_IDS",
    "COMMAND_LIST",
    "COMMAND_ROWS_COUNTED",
    "COMMAND_LIST_UNFINISHED",
    "COMMAND_LIST_TURNS",
    "JOB_LIST",
    "JOB_IDS",
    "JOB_ROWS_COUNTED",
    "JOB_TEAMS_ELSEWHERE",
    "JOBS_OF_TEAMS",
    "JOB_TARGETS_UNSELECTED",
    "JOB_COUNTS",
    "JOB_COUNTS_GROUPS",
    "JOB_IS_SHOWN",
    "AUDIT_ROWS_COUNTED",
    "COUNT_LIMIT",
    "JOB_TARGET_LIST",
    "JOB_TARGET_ROWS_COUNTED",
    "USER_LIST",
    "USER_ROWS_COUNTED",
    "TEAM_LIST",
    "TEAM_ROWS_COUNTED",
    "TEAM_MEMBER_LIST",
    "TEAM_MEMBER_ROWS_COUNTED",
    "API_KEY_LIST",
    "API_KEY_ROWS_COUNTED",
    "SESSION_ROWS_COUNTED",
    "TOKEN_ROWS_COUNTED",
];

fn constants() -> Vec<(&'static str, &'static str)> {
    let all = texts!(
        HIVE_GET HIVE_INSERT HIVE_KEYS_SET
        TEAM_ALLOW_LISTS SATELLITE_ALLOW_LISTS TEAM_ALLOW_LIST_SET SATELLITE_ALLOW_LIST_SET
        AUDIT_HEAD AUDIT_LIST AUDIT_RECORDS AUDIT_ROWS
        COMMAND_REQUEUE COMMAND_SET_EXPIRY COMMAND_GET COMMAND_LIST_OPEN COMMAND_LIST_IN_FLIGHT COMMAND_LIST_QUEUED
        COMMAND_PAGE COMMAND_PAGE_POWER COMMAND_LIST_WAITING_JOBS COMMAND_COUNT_OPEN COMMAND_LIST_REVOKED
        COMMAND_LIST_OVERDUE
        IDEMPOTENCY_PURGE IDEMPOTENCY_FIND IDEMPOTENCY_INSERT IDEMPOTENCY_RELEASE
        ANSWER_GET ANSWER_CLEAR ANSWER_INSERT ANSWER_RENEW ANSWER_KEEP ANSWER_RELEASE ANSWER_KEYS_PRUNE ANSWER_PRUNE
        USER_INSERT USER_GET USER_FIND USER_UPDATE USER_PASSWORD_SET
        TEAM_INSERT TEAM_GET TEAM_UPDATE TEAM_USERS TEAM_MEMBER_PUT TEAM_MEMBER_REMOVE TEAM_MEMBERSHIPS
        API_KEY_INSERT API_KEY_OWNER API_KEY_ROTATE API_KEY_REVOKE API_KEY_LIST_MADE API_KEY_REVOKE_MADE
        API_KEY_NOTE_USED USER_COMMANDS_QUEUED KEY_COMMANDS_QUEUED USER_TOKENS_UNUSED
        KEY_TOKENS_REVOKE
        JOB_INSERT JOB_PAYLOAD JOB_GET JOB_LIST_OPEN JOB_TARGET_COUNT
        JOB_CANCEL JOB_COMMANDS_CANCEL JOB_FINISH JOB_SHOW JOB_LIST_HIDDEN JOB_COMMANDS_END_HIDDEN JOB_END_HIDDEN
        OUTPUT_LENGTH OUTPUT_INSERT OUTPUT_LENGTHS OUTPUT_CHUNKS
        TOKEN_INSERT TOKEN_ROW TOKEN_GET TOKEN_LIST TOKEN_TAKE TOKEN_REVOKE
        SATELLITE_GET SATELLITE_FIND SATELLITE_KEY SATELLITE_BY_NAME SATELLITE_INSERT SATELLITE_RENEW SATELLITE_UPDATE
        SATELLITE_OF_TEAM SATELLITE_KEY_SUPERSEDE SUPERSEDED_KEYS SUPERSEDED_KEYS_PRUNE SATELLITE_REMOVE
        SATELLITE_ACTIVATE SATELLITE_DESCRIBE SATELLITE_REGISTERED_BY SATELLITE_KEY_RENEW SATELLITE_JOURNAL_SET
        SATELLITE_JOURNAL_ADVANCE SATELLITE_CONFLICT SATELLITE_TAGS_CLEAR SATELLITE_TAG_INSERT SATELLITE_COMMANDS_END
        SATELLITE_SESSIONS_END SATELLITE_OPEN_WORK SATELLITE_GROUPS_LEAVE
        GROUP_INSERT GROUP_GET GROUP_FIND GROUP_UPDATE GROUP_REMOVE GROUP_MEMBERS_CLEAR
        OUTPUT_PRUNE_MARK OUTPUT_PRUNE COMMAND_PRUNE JOB_TARGETS_PRUNE JOB_TEAMS_PRUNE JOB_PRUNE SESSION_PRUNE
        SATELLITE_TAGS_PRUNE SATELLITE_KEYS_PRUNE SATELLITE_CLEAR SATELLITE_PRUNE AUDIT_PRUNE
        SESSION_INSERT SESSION_OPEN SESSION_END SESSION_RESIZE SESSION_LIST_OPEN_IDS SESSION_LIST SESSION_GET
    );
    all.map(|(name, text)| (name, *text)).to_vec()
}

/// The statements that take many rows, with two.
fn of_many_rows() -> Vec<(&'static str, String)> {
    let all = texts!(
        AUDIT_INSERT COMMAND_INSERT COMMAND_DELIVER COMMAND_START COMMAND_FINISH COMMAND_FINISH_QUEUED JOB_TEAM_INSERT
        JOB_TARGET_INSERT OUTPUT_INSERT_AT_END SATELLITE_GET_MANY SATELLITE_FIND_MANY GROUP_MEMBER_INSERT
        GROUP_MEMBER_DELETE
    );
    all.map(|(name, statement)| (name, statement.example())).to_vec()
}

/// The statements of telemetry, which has a database of its own.
fn of_telemetry() -> Vec<(&'static str, String)> {
    let all = texts!(
        PRESENCE_STORE PRESENCE_TIMES PRESENCE_DELETE HEARTBEAT_ADD HEARTBEAT_PRUNE HEARTBEAT_DELETE
    );
    let all = all.map(|(name, statement)| (name, statement.example()));
    all.into_iter().chain([("PRESENCE_GET", PRESENCE_GET.to_owned())]).collect()
}

/// Every order of a list, from the start, behind other rows, and behind a key.
fn parts<C: RowOrder>(columns: &[C]) -> Vec<RowRange<C>> {
    let mut parts = Vec::new();
    for &column in columns {
        // Any value will do: SQLite chooses a plan by the form of a statement.
        let key = match column.kind() {
            KeyKind::Text => SortKey::text("web", "x"),
            KeyKind::Number | KeyKind::OptionalNumber => SortKey::number(7, "x"),
        };
        for sort in [Sort::ascending(column), Sort::descending(column)] {
            // A cursor has another condition than a page, and needs its index too.
            for start in [RowStart::Offset(10), RowStart::After(key.clone())] {
                parts.push(RowRange { sort, start, limit: 10 });
            }
        }
    }
    parts
}

const SATELLITE_ORDERS: [SatelliteOrder; 3] = [SatelliteOrder::Name, SatelliteOrder::Status, SatelliteOrder::CreatedAt];
const SEED: Seed = Seed { unix_millis: 1, random: [1; 10] };

/// Runs every list in each of its orders, without filters, so that the store notes the statements.
async fn run_orders(store: &SqlStore) {
    let visible = VisibleScope::ALL;
    for range in parts(&SATELLITE_ORDERS) {
        store.satellite_list(&SatelliteQuery::visible_to(visible.clone()), range.clone()).await.unwrap();
        store.satellite_list_ids(&SatelliteQuery::visible_to(visible.clone()), range).await.unwrap();
    }
    for range in parts(GroupSort::COLUMNS) {
        let query = GroupQuery { visible: visible.clone(), team_id: None, search: None };
        store.group_list(&query, range).await.unwrap();
    }
    for range in parts(CommandSort::COLUMNS) {
        store.command_list(SatelliteId::new(SEED), &visible, range).await.unwrap();
    }
    for range in parts(JobSort::COLUMNS) {
        store.job_list(&visible, range).await.unwrap();
    }
    for range in parts(JobTargetSort::COLUMNS) {
        store.job_target_list(hive_wire::JobId::new(SEED), range).await.unwrap();
    }
    for range in parts(SessionSort::COLUMNS) {
        let query = SessionQuery { visible: visible.clone(), satellite_id: None, ended: None };
        store.session_list(&query, range).await.unwrap();
    }
    for range in parts(UserSort::COLUMNS) {
        store.user_list(range).await.unwrap();
    }
    for range in parts(TeamSort::COLUMNS) {
        store.team_list(&VisibleTeams::All, range).await.unwrap();
    }
    for range in parts(ApiKeySort::COLUMNS) {
        store.api_key_list(hive_wire::UserId::new(SEED), range).await.unwrap();
    }
    for range in parts(RegistrationTokenSort::COLUMNS) {
        store.registration_token_list(&visible, range).await.unwrap();
    }
    for range in parts(AuditSort::COLUMNS) {
        store.audit_list(&AuditQuery::default(), &visible, range).await.unwrap();
    }
}

/// Runs every list with each of its filters, so that the store notes the statements.
async fn run_lists(store: &SqlStore) {
    let (team, satellite) = (TeamId::new(SEED), SatelliteId::new(SEED));
    // The three kinds of callers: who sees all, a member of teams, and a key that is limited to tags.
    let tagged = VisibleScope { tags: Some(["web".to_owned()].into()), ..VisibleScope::ALL };
    for visible in [VisibleScope::ALL, VisibleScope::of_teams([team]), tagged] {
        run_lists_of_satellites(store, &visible).await;
        let all = AuditQuery::default();
        let at = Some(hive_wire::Timestamp::from_micros(1));
        for query in [
            all.clone(),
            AuditQuery { actor: Some("anna".into()), ..all.clone() },
            AuditQuery { action: Some("audit.note".into()), ..all.clone() },
            AuditQuery { satellite_id: Some(satellite), ..all.clone() },
            AuditQuery { seq: Some(7), ..all.clone() },
            // One filter at a time: each has its own index.
            AuditQuery { since: at, until: at, ..all },
        ] {
            store.audit_list(&query, &visible, RowRange::part(10, 10)).await.unwrap();
        }
        for range in parts(CommandSort::COLUMNS) {
            store.command_list(satellite, &visible, range).await.unwrap();
        }
        for range in parts(JobSort::COLUMNS) {
            store.job_list(&visible, range).await.unwrap();
        }
        store.job_is_visible(hive_wire::JobId::new(SEED), &visible).await.unwrap();
        for satellite_id in [None, Some(satellite)] {
            for ended in [None, Some(true), Some(false)] {
                for range in parts(SessionSort::COLUMNS) {
                    let query = SessionQuery { visible: visible.clone(), satellite_id, ended };
                    store.session_list(&query, range).await.unwrap();
                }
            }
        }
        for range in parts(RegistrationTokenSort::COLUMNS) {
            store.registration_token_list(&visible, range).await.unwrap();
        }
        store.team_list(&visible.teams, RowRange::part(10, 10)).await.unwrap();
    }
    store.team_member_list(team, RowRange::part(10, 10)).await.unwrap();
    store.session_list_open(Some(satellite)).await.unwrap();
    store.command_list_unfinished(&[CommandId::new(SEED)]).await.unwrap();
    store.command_list_turns(vec![CommandId::new(SEED)]).await.unwrap();
    let mut jobs =
        std::collections::HashMap::from([(hive_wire::JobId::new(SEED), hive_wire::api::JobCounts::default())]);
    store.count_targets(&mut jobs).await.unwrap();
}

/// Runs the lists of satellites, of their groups and of their tags, with each of their filters.
async fn run_lists_of_satellites(store: &SqlStore, visible: &VisibleScope) {
    let team = TeamId::new(SEED);
    let all = SatelliteQuery::visible_to(visible.clone());
    for query in [
        all.clone(),
        SatelliteQuery { team_id: Some(team), ..all.clone() },
        SatelliteQuery { status: Some(hive_wire::api::SatelliteStatus::Active), ..all.clone() },
        SatelliteQuery { tags: vec!["web".into()], ..all.clone() },
        SatelliteQuery { search: Some("web".into()), ..all.clone() },
        SatelliteQuery { selection: Some(SatelliteSelection::listed_by(GroupId::new(SEED))), ..all.clone() },
        SatelliteQuery { selection: Some(a_group()), ..all.clone() },
        SatelliteQuery { ids: Some(vec![SatelliteId::new(SEED)]), ..all },
    ] {
        for range in parts(&SATELLITE_ORDERS) {
            store.satellite_list(&query, range.clone()).await.unwrap();
            store.satellite_list_ids(&query, range).await.unwrap();
        }
    }
    for search in [None, Some("web".to_owned())] {
        for team_id in [None, Some(team)] {
            for range in parts(GroupSort::COLUMNS) {
                let groups = GroupQuery { visible: visible.clone(), team_id, search: search.clone() };
                store.group_list(&groups, range).await.unwrap();
            }
            for range in parts(TagSort::COLUMNS) {
                let tags = TagListQuery { visible: visible.clone(), team_id, search: search.clone() };
                store.satellite_tag_list(&tags, range).await.unwrap();
            }
        }
    }
}

/// The satellites of a group with a query of every kind.
fn a_group() -> SatelliteSelection {
    let query = "web AND (all OR NOT api)".parse().unwrap();
    SatelliteSelection { listed_by: Some(GroupId::new(Seed { unix_millis: 1, random: [2; 10] })), query: Some(query) }
}

/// Returns the steps of a statement that read a whole table without an excuse.
async fn scans(store: &SqlStore, text: &str) -> Vec<String> {
    let explained = Statement { text: format!("EXPLAIN QUERY PLAN {text}").into(), values: Vec::new() };
    let steps = store.fetch_all(explained).await.unwrap();
    let steps = steps.iter().map(|step| step.text("detail").unwrap());
    let is_scan =
        |step: &String| step.starts_with("SCAN ") && !step.contains("CONSTANT ROW") && !step.contains("(subquery");
    let is_excused = |step: &String| {
        let index = step.rsplit("INDEX ").next().unwrap_or_default();
        INDEXES_OF_OPEN_ROWS.contains(&index)
            || EXCUSES.iter().any(|(of, by, _)| text.contains(of) && step["SCAN ".len()..].contains(by))
    };
    steps.filter(is_scan).filter(|step| !is_excused(step)).collect()
}

/// Checks the plans of all statements in a store on SQLite.
///
/// # Panics
/// If one reads a table that grows as a whole.
pub(crate) async fn check_plans(store: &SqlStore) {
    run_orders(store).await;
    expect_no_sorting(store).await;
    run_lists(store).await;
    let lists = store.read_statements().into_iter().filter(|text| !text.starts_with("EXPLAIN"));
    let lists: Vec<_> = lists.collect();
    assert!(lists.len() > 30, "the lists were noted: {}", lists.len());
    let is_list = |name: &str| ["AUDIT_LIST", "SESSION_LIST", "TOKEN_LIST"].contains(&name);
    let constants = constants().into_iter().filter(|(name, _)| !is_list(name));
    let constants = constants.map(|(name, text)| (name, text.to_owned())).chain(of_many_rows());
    expect_no_scans(store, constants.chain(lists.into_iter().map(|text| ("a list", text)))).await;
}

/// Checks the plans of all statements of telemetry, in a store on SQLite.
///
/// # Panics
/// As [`check_plans`].
pub(crate) async fn check_telemetry_plans(store: &SqlTelemetryStore) {
    let seed = Seed { unix_millis: 1, random: [1; 10] };
    for visible in [VisibleTeams::All, VisibleTeams::Teams(vec![TeamId::new(seed)])] {
        for before in [None, Some(hive_wire::Timestamp::from_micros(1))] {
            store.heartbeat_list(SatelliteId::new(seed), &visible, before, 10).await.unwrap();
        }
    }
    let store = store.below();
    let lists = store.read_statements();
    assert!(lists.len() >= 4, "the lists were noted: {}", lists.len());
    expect_no_scans(store, of_telemetry().into_iter().chain(lists.into_iter().map(|text| ("a list", text)))).await;
}

/// Checks that what was read so far is in the order of an index: nothing is sorted.
async fn expect_no_sorting(store: &SqlStore) {
    let lists: BTreeSet<_> = store.read_statements().into_iter().filter(|text| text.contains(" ORDER BY ")).collect();
    assert!(lists.len() > 60, "the lists were noted: {}", lists.len());
    for text in lists {
        let explained = Statement { text: format!("EXPLAIN QUERY PLAN {text}").into(), values: Vec::new() };
        for step in store.fetch_all(explained).await.unwrap() {
            let step = step.text("detail").unwrap();
            assert!(!step.contains("TEMP B-TREE"), "add an index: {step}\n    {text}");
        }
    }
}

async fn expect_no_scans(store: &SqlStore, statements: impl Iterator<Item = (&'static str, String)>) {
    let mut found = Vec::new();
    for (name, text) in statements {
        for step in scans(store, &text).await {
            found.push(format!("{name}: {step}\n    {text}"));
        }
    }
    assert!(found.is_empty(), "add an index, or an excuse to EXCUSES:\n{}", found.join("\n"));
}

#[test]
fn every_statement_is_explained() {
    let mut declared = BTreeSet::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sql/statements");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.push(format!("{folder}.rs").into());
    for file in files.iter().filter(|file| !file.ends_with("plans.rs")) {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let constant = line.split_once(" const ").and_then(|(_, rest)| rest.split_once(": &str ="));
            let many = line.split_once(" static ").and_then(|(_, rest)| rest.split_once(": ManyRowsStatement ="));
            declared.extend(constant.or(many).map(|(name, _)| name.to_owned()));
        }
    }
    let of_values = of_many_rows().into_iter().chain(of_telemetry()).map(|(name, _)| name);
    let explained = constants().into_iter().map(|(name, _)| name).chain(of_values);
    let known = explained.chain(PARTS).map(str::to_owned).collect();
    let difference: Vec<_> = declared.symmetric_difference(&known).collect();
    assert!(difference.is_empty(), "add to `constants`, or to PARTS: {difference:?}");
}
