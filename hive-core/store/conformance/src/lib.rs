//! Checks that a store keeps the promises of the traits of [`hive_store`].
//!
//! The checks use the public traits only, so that they run on any implementation: the ones of hive-store, a
//! [`StoreLayer`](hive_store::StoreLayer), or a store of your own. Add this crate to your dev-dependencies and call
//! [`check_all`] in a test on a multi-threaded runtime:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use hive_store::Database;
//!
//! # // A test of the caller's would have #[tokio::test(flavor = "multi_thread")] here.
//! # #[tokio::main]
//! # async fn main() -> hive_store::StoreResult<()> {
//! let store = Database::in_memory().open().await?;
//! hive_store_conformance::check_all(store).await;
//! # Ok(())
//! # }
//! ```
//!
//! If several processes can open one database, open it twice and call [`check_shared`] too. [`check_telemetry`] and
//! [`check_shared_telemetry`] do the same for telemetry.
//!
//! Each check creates its own rows under random names. The checks can therefore run one after the other on one store, and
//! on a store that is in use. A check that fails panics.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![expect(clippy::unwrap_used, reason = "a failed check panics")]

mod allow_lists;
mod answers;
mod audit;
mod commands;
mod fixture;
mod groups;
mod hive;
mod identity;
mod jobs;
mod lists;
mod losses;
mod output;
mod registration;
mod retention;
mod satellites;
mod sessions;
mod telemetry;
mod visibility;

use std::sync::Arc;

use hive_store::{Store, TelemetryStore};

use fixture::Fixture;

/// The number of concurrent callers in a race.
const CALLERS: usize = 64;

macro_rules! run {
    ($fixture:expr, $($check:path),* $(,)?) => {$(
        tracing::debug!(check = stringify!($check), "checking a promise of the store");
        Box::pin($check($fixture)).await;
    )*};
}

/// Checks every promise of the traits.
///
/// # Panics
/// If a check fails.
#[expect(clippy::too_many_lines, reason = "it is a list")]
pub async fn check_all(store: Arc<dyn Store>) {
    let fixture = &Fixture::new(store);
    run!(
        fixture,
        hive::a_store_belongs_to_one_hive,
        registration::a_token_registers_one_satellite_of_many,
        registration::a_token_registers_one_name_once,
        registration::a_known_name_keeps_its_id_and_gets_a_new_key,
        registration::the_name_of_a_removed_satellite_is_free,
        registration::a_name_of_another_team_is_refused_and_consumes_no_token,
        registration::a_name_is_taken_over_from_the_allowed_satellite_only,
        registration::a_registration_can_be_repeated,
        registration::a_token_reads_back_as_it_was_stored,
        registration::an_unusable_token_is_reported_before_a_taken_name,
        registration::a_token_is_revoked_or_consumed_and_never_both,
        registration::a_token_is_revoked_once,
        registration::tokens_are_listed_by_team,
        satellites::a_removed_satellite_is_gone_and_its_commands_end,
        satellites::a_satellite_is_removed_once,
        satellites::a_satellite_is_activated_once,
        satellites::an_update_changes_what_it_names,
        satellites::an_assignment_replaces_the_key,
        satellites::an_assignment_ends_what_is_open,
        satellites::a_replaced_key_is_kept_until_it_is_too_old,
        satellites::a_name_is_taken_until_its_satellite_is_removed,
        satellites::a_journal_only_goes_forward,
        satellites::a_conflict_is_stored,
        satellites::a_new_link_learns_what_is_open,
        satellites::a_list_has_what_matches_the_filter,
        satellites::many_satellites_are_read_at_once,
        satellites::a_search_has_no_wildcards,
        satellites::a_page_is_a_part_of_the_list,
        satellites::a_description_replaces_what_it_names,
        commands::commands_are_stored_all_or_none,
        commands::a_command_reads_back_as_it_was_stored,
        commands::an_idempotency_key_stores_one_request_of_many,
        commands::an_idempotency_key_is_its_owners_and_ends,
        commands::many_commands_are_read_at_once,
        commands::a_command_is_delivered_and_started_once,
        commands::a_delivery_may_change_the_expiry,
        commands::an_idempotent_command_may_be_delivered_again,
        commands::a_command_ends_once,
        commands::a_change_that_fails_leaves_the_others,
        commands::a_queued_command_is_delivered_or_ended_and_never_both,
        commands::an_ended_command_stays_as_it_is,
        commands::open_commands_come_oldest_first,
        commands::queued_commands_come_by_priority_then_age,
        commands::only_a_delivered_command_is_queued_again,
        commands::only_a_queued_command_gets_another_expiry,
        commands::open_commands_are_counted,
        commands::commands_are_listed_newest_first,
        commands::overdue_commands_are_found,
        commands::unfinished_commands_are_told_from_others,
        commands::nothing_is_stored_for_a_removed_satellite,
        commands::nothing_is_left_open_by_a_removal_in_a_race,
        commands::commands_are_listed_by_the_team_they_were_given_in,
        commands::an_ai_client_needs_a_rule_or_a_plan,
        output::chunks_may_be_repeated_and_leave_no_gap,
        output::output_is_read_from_any_byte_in_whole_chunks,
        output::the_last_chunks_are_stored_with_the_end,
        jobs::a_job_is_stored_with_its_targets_all_or_none,
        jobs::a_large_job_is_stored_all_or_none,
        jobs::a_target_that_was_removed_is_stored_as_not_run,
        jobs::a_job_reads_back_as_it_was_stored,
        jobs::a_target_has_the_status_of_its_command,
        jobs::targets_come_in_their_order_and_in_pages,
        jobs::an_idempotency_key_stores_one_job_of_many,
        jobs::a_jobs_key_is_not_a_commands,
        jobs::a_job_is_cancelled_once_and_its_queue_with_it,
        jobs::a_queued_command_is_delivered_or_cancelled_and_never_both,
        jobs::a_job_ends_once_and_after_its_commands,
        jobs::jobs_are_listed_newest_first_and_by_team,
        jobs::a_list_has_the_counts_of_each_job,
        sessions::no_more_sessions_are_stored_than_may_be_open,
        sessions::a_session_that_is_refused_leaves_nothing,
        sessions::a_session_reads_back_as_it_was_stored,
        sessions::a_session_is_opened_once,
        sessions::a_session_ends_once,
        sessions::an_ended_session_stays_as_it_is,
        sessions::a_session_has_the_last_size,
        sessions::sessions_are_listed_newest_first_and_by_team,
        sessions::open_sessions_come_oldest_first,
        sessions::sessions_of_a_removed_satellite_are_ended,
        identity::a_username_is_taken_once,
        lists::satellites_are_walked_while_others_come_and_go,
        lists::api_keys_are_walked_while_others_come,
        lists::jobs_without_an_end_are_last,
        lists::every_other_list_is_walked,
        identity::users_are_listed_by_name_and_in_pages,
        identity::an_update_of_a_user_changes_what_it_names,
        identity::a_password_is_changed_once_from_its_current_hash,
        identity::a_slug_is_taken_once,
        identity::a_member_has_the_last_role,
        identity::a_member_may_follow_what_the_team_says,
        identity::members_are_listed_by_name_and_removed_once,
        identity::an_api_key_reads_back_as_it_was_stored,
        identity::an_api_key_is_read_with_its_owner_and_their_teams,
        identity::an_api_key_is_revoked_once_and_by_its_owner,
        identity::a_valid_api_key_is_rotated_by_its_owner,
        identity::the_secret_before_goes_on_for_the_overlap,
        identity::the_last_use_of_a_key_never_goes_back,
        losses::a_lower_role_ends_what_needs_a_higher_one,
        losses::what_a_team_takes_from_its_users_ends_what_needed_it,
        losses::a_demoted_admin_keeps_what_the_teams_allow,
        losses::who_is_disabled_loses_queued_work_and_tokens_and_keeps_keys,
        losses::what_was_made_with_a_key_dies_with_it,
        visibility::a_caller_with_tags_sees_the_satellites_that_have_one,
        visibility::a_job_is_visible_where_all_its_satellites_are,
        audit::records_have_no_gaps_however_many_write,
        audit::the_head_is_the_last_record,
        audit::a_record_is_what_was_drafted,
        audit::a_change_that_fails_leaves_no_record,
        audit::records_are_found_by_their_fields,
        audit::records_of_other_teams_are_hidden,
    );
    check_groups(fixture).await;
    check_answers(fixture).await;
    check_allow_lists(fixture).await;
    check_retention(fixture).await;
}

/// Checks groups, and the tags of satellites.
async fn check_groups(fixture: &Fixture) {
    run!(
        fixture,
        groups::a_group_reads_back_as_it_was_stored,
        groups::a_group_name_is_taken_once_in_a_team,
        groups::an_update_of_a_group_changes_what_it_names,
        groups::a_group_is_removed_once,
        groups::a_removed_satellite_is_in_no_group,
        groups::groups_are_listed_by_name_and_by_team,
        groups::a_selection_is_the_listed_and_those_of_the_query,
        groups::a_query_selects_what_its_rules_say,
        groups::tags_are_counted_by_what_is_visible,
    );
}

/// Checks the answers that are kept for idempotency keys.
async fn check_answers(fixture: &Fixture) {
    run!(
        fixture,
        answers::a_key_is_claimed_by_one_call_of_many,
        answers::an_answer_is_stored_once_and_reads_back,
        answers::a_released_key_is_free,
        answers::a_lease_is_renewed_while_a_call_runs,
        answers::an_expired_key_is_free_before_its_answer_is_deleted,
        answers::keys_of_answers_and_commands_are_one_namespace,
    );
}

/// Checks allow lists.
async fn check_allow_lists(fixture: &Fixture) {
    run!(
        fixture,
        allow_lists::an_allow_list_is_replaced_and_lifted,
        allow_lists::a_removed_satellite_has_no_allow_list,
    );
}

/// Checks the deletion of old rows.
async fn check_retention(fixture: &Fixture) {
    run!(
        fixture,
        retention::old_output_is_deleted_from_its_end_and_marked,
        retention::ended_commands_without_output_are_deleted_when_they_are_old,
        retention::an_old_job_goes_with_its_commands,
        retention::ended_sessions_are_deleted_when_they_are_old,
        retention::expired_answers_are_deleted_with_their_keys,
        retention::a_removed_satellite_is_forgotten_and_its_name_stays_where_it_is_shown,
        retention::the_audit_log_is_pruned_once_up_to_its_checkpoint,
        retention::free_space_is_returned_until_there_is_none,
    );
}

/// Checks every promise of [`TelemetryStore`].
///
/// # Panics
/// If a check fails.
pub async fn check_telemetry(store: Arc<dyn TelemetryStore>) {
    let store = store.as_ref();
    run!(
        store,
        telemetry::heartbeats_only_go_forward,
        telemetry::the_last_metrics_stay,
        telemetry::a_heartbeat_is_stored_once,
        telemetry::the_newest_heartbeats_are_kept,
        telemetry::heartbeats_are_listed_newest_first_and_by_team,
        telemetry::times_are_read_for_many_satellites,
        telemetry::a_deleted_satellite_has_no_telemetry,
    );
}

/// Checks the promises between two telemetry stores that are open on one database.
///
/// # Panics
/// If a check fails.
pub async fn check_shared_telemetry(one: Arc<dyn TelemetryStore>, other: Arc<dyn TelemetryStore>) {
    Box::pin(telemetry::two_processes_write_the_same_satellites(one, other)).await;
}

/// Checks the promises between two stores that are open on one database.
///
/// # Panics
/// If a check fails.
pub async fn check_shared(one: Arc<dyn Store>, other: Arc<dyn Store>) {
    let one = &Fixture::new(one);
    let other = &one.beside(other);
    Box::pin(audit::two_processes_write_one_chain(one, other)).await;
    Box::pin(registration::two_processes_take_a_token_once(one, other)).await;
    Box::pin(sessions::two_processes_keep_one_limit(one, other)).await;
    Box::pin(identity::two_processes_leave_one_admin(one, other)).await;
    Box::pin(jobs::two_processes_cancel_and_end_a_job_once(one, other)).await;
    Box::pin(answers::two_processes_claim_a_key_once(one, other)).await;
}
