//! A store that changes a few methods of another one.

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::{Channel, Received};
use hive_wire::api::{
    ApiKeySort, AuditEntry, AuditQuery, AuditSort, AuditVerification, CommandSort, CommandType, Group, GroupSort,
    JobSort, JobTargetSort, RegistrationTokenInfo, RegistrationTokenSort, SessionEnd, SessionSort, Size, TagCount,
    TagSort, Team, TeamMember, TeamMemberSort, TeamSort, User, UserSort,
};
use hive_wire::{
    ApiKeyId, AuditId, CommandId, GroupId, GroupName, JobId, RegistrationTokenId, SatelliteId, SatelliteName,
    SessionId, TeamId, Timestamp, UserId,
};

use crate::access::{Role, VisibleScope, VisibleTeams};
use crate::audit::{AuditDraft, AuditHead, AuditRecord};
use crate::{
    AllowListRow, AllowListStore, AllowListSubject, AnswerClaim, AnswerClaimOutcome, AnswerStore, ApiKeyOwner,
    ApiKeyRow, ApiKeyStore, AuditRange, AuditStore, CommandInsertOutcome, CommandOutcome, CommandRow, CommandStore,
    Delivery, Fingerprints, GroupPatch, GroupQuery, GroupStore, HiveRow, HiveStore, IdempotencyKey, JobEnd,
    JobInsertOutcome, JobRow, JobStore, JobTargetRow, JournalPosition, JournalRow, KeyRotation, Losses, MemberLosses,
    NeededRoles, NewCommand, NewJob, NewRegistrationTokenRow, NewSatellite, NewSession, NewUserRow, OpenCommandCount,
    OpenWork, QueuePage, QueuedCommandRow, RegisterOutcome, RegistrationRetry, RegistrationTokenRow,
    RegistrationTokenStore, RetentionStore, RowRange, SatelliteDescription, SatelliteKeyRow, SatelliteOrder,
    SatellitePatch, SatelliteQuery, SatelliteRow, SatelliteStore, SessionQuery, SessionRow, SessionStore, Store,
    StoreResult, StoredAnswer, TagListQuery, TeamPatch, TeamStore, TurnRow, UserPatch, UserRow, UserStore,
    UserUpdateOutcome,
};

/// Declares each method twice: in [`StoreLayer`], where it calls the store below by default, and in its own trait, for every
/// layer. If a method is missing here or has another signature, this does not compile.
macro_rules! layer {
    ($($store:ident { $($method:ident($($name:ident: $given:ty),*) -> $answer:ty;)* })*) => {
        /// A store over another one. Only [`below`](Self::below) must be implemented: other methods call the store below by
        /// default. Every layer is a [`Store`].
        ///
        /// A layer must keep the promises of the traits, which the crate `hive-store-conformance` checks. It sees the calls of its
        /// own process, and not what another process does to the same database.
        ///
        /// ```
        /// use std::sync::Arc;
        /// use std::sync::atomic::{AtomicU64, Ordering};
        ///
        /// use async_trait::async_trait;
        /// use hive_store::audit::AuditDraft;
        /// use hive_store::{CommandOutcome, Database, Store, StoreLayer, StoreResult};
        /// use hive_wire::CommandId;
        ///
        /// /// Counts the commands that end.
        /// struct Counting {
        ///     below: Arc<dyn Store>,
        ///     ended: AtomicU64,
        /// }
        ///
        /// #[async_trait]
        /// impl StoreLayer for Counting {
        ///     fn below(&self) -> &dyn Store {
        ///         self.below.as_ref()
        ///     }
        ///
        ///     async fn command_finish(
        ///         &self,
        ///         id: CommandId,
        ///         outcome: CommandOutcome,
        ///         audit: Vec<AuditDraft>,
        ///     ) -> StoreResult<bool> {
        ///         let has_ended = self.below.command_finish(id, outcome, audit).await?;
        ///         self.ended.fetch_add(has_ended.into(), Ordering::Relaxed);
        ///         Ok(has_ended)
        ///     }
        /// }
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> StoreResult<()> {
        /// let counting = Counting { below: Database::in_memory().open().await?, ended: AtomicU64::new(0) };
        /// // A hive is built on it by `hive_core::HiveBuilder::store`.
        /// let store: Arc<dyn Store> = Arc::new(counting);
        /// assert_eq!(store.hive_get().await?, None);
        /// # Ok(())
        /// # }
        /// ```
        #[async_trait]
        pub trait StoreLayer: Send + Sync {
            /// Returns the store below.
            fn below(&self) -> &dyn Store;
            $($(
                #[doc = concat!("See [`", stringify!($store), "::", stringify!($method), "`].")]
                async fn $method(&self, $($name: $given),*) -> StoreResult<$answer> {
                    // Fully qualified: the layer has a method of the same name.
                    $store::$method(self.below(), $($name),*).await
                }
            )*)*
        }

        $(
            #[async_trait]
            impl<L: StoreLayer> $store for L {
                $(
                    async fn $method(&self, $($name: $given),*) -> StoreResult<$answer> {
                        StoreLayer::$method(self, $($name),*).await
                    }
                )*
            }
        )*
    };
}

layer! {
    HiveStore {
        hive_get() -> Option<HiveRow>;
        hive_create(hive: HiveRow) -> HiveRow;
        hive_keys_set(keys: Fingerprints, audit: AuditDraft) -> ();
    }
    SatelliteStore {
        satellite_register(token: RegistrationTokenId, satellite: NewSatellite, audit: AuditDraft) -> RegisterOutcome;
        satellite_register_again(
            token: RegistrationTokenId,
            again: RegistrationRetry,
            audit: AuditDraft
        ) -> Option<SatelliteRow>;
        satellite_get(id: SatelliteId) -> Option<SatelliteRow>;
        satellite_find(name: &SatelliteName) -> Option<SatelliteRow>;
        satellite_get_many(ids: &[SatelliteId]) -> Vec<SatelliteRow>;
        satellite_find_many(names: &[SatelliteName]) -> Vec<SatelliteRow>;
        satellite_list(query: &SatelliteQuery, range: RowRange<SatelliteOrder>) -> (Vec<SatelliteRow>, u64);
        satellite_list_ids(query: &SatelliteQuery, range: RowRange<SatelliteOrder>) -> Vec<SatelliteId>;
        satellite_tag_list(query: &TagListQuery, range: RowRange<TagSort>) -> (Vec<TagCount>, u64);
        satellite_update(id: SatelliteId, patch: SatellitePatch, audit: AuditDraft) -> Option<SatelliteRow>;
        satellite_remove(id: SatelliteId, now: Timestamp, audit: AuditDraft) -> bool;
        satellite_activate(id: SatelliteId, now: Timestamp, audit: AuditDraft) -> bool;
        satellite_open_work(id: SatelliteId) -> Option<OpenWork>;
        satellite_key(id: SatelliteId) -> Option<SatelliteKeyRow>;
        satellite_superseded_keys(id: SatelliteId, limit: u32) -> Vec<String>;
        satellite_superseded_keys_prune(before: Timestamp) -> ();
        satellite_describe(descriptions: Vec<SatelliteDescription>) -> ();
        satellite_journal_set(id: SatelliteId, journal: JournalRow) -> ();
        satellite_journal_advance(positions: Vec<JournalPosition>) -> ();
        satellite_conflict(id: SatelliteId, now: Timestamp, audit: AuditDraft) -> bool;
    }
    GroupStore {
        group_create(group: Group, members: Vec<SatelliteId>, audit: AuditDraft) -> ();
        group_get(id: GroupId) -> Option<Group>;
        group_find(name: &GroupName) -> Vec<Group>;
        group_list(query: &GroupQuery, range: RowRange<GroupSort>) -> (Vec<Group>, u64);
        group_update(id: GroupId, patch: GroupPatch, audit: AuditDraft) -> Option<Group>;
        group_remove(id: GroupId, audit: AuditDraft) -> bool;
    }
    CommandStore {
        command_insert(commands: Vec<NewCommand>, idempotency: Option<IdempotencyKey>, audit: AuditDraft) -> CommandInsertOutcome;
        command_deliver(id: CommandId, delivery: Delivery) -> bool;
        command_start(id: CommandId, now: Timestamp) -> bool;
        command_finish(id: CommandId, outcome: CommandOutcome, audit: Vec<AuditDraft>) -> bool;
        command_finish_queued(id: CommandId, outcome: CommandOutcome, audit: Vec<AuditDraft>) -> bool;
        command_get(id: CommandId) -> Option<CommandRow>;
        command_requeue(id: CommandId, now: Timestamp) -> bool;
        command_set_expiry(id: CommandId, expires_at: Timestamp) -> bool;
        command_list_turns(ids: Vec<CommandId>) -> Vec<TurnRow>;
        command_list_open(satellite: SatelliteId) -> Vec<CommandRow>;
        command_list_in_flight(satellite: SatelliteId) -> Vec<(CommandId, CommandType)>;
        command_list_queued(satellite: SatelliteId, page: Option<QueuePage>, limit: u32) -> Vec<QueuedCommandRow>;
        command_list_waiting_jobs(satellite: SatelliteId) -> Vec<JobId>;
        command_count_open() -> Vec<OpenCommandCount>;
        command_list(
            satellite: SatelliteId,
            visible: &VisibleScope,
            range: RowRange<CommandSort>
        ) -> (Vec<CommandRow>, u64);
        command_list_revoked(satellite: SatelliteId, journal_id: &str, since: Timestamp, limit: u32) -> Vec<CommandId>;
        command_list_overdue(now: Timestamp, grace: std::time::Duration, limit: u32) -> Vec<CommandId>;
        command_list_unfinished(ids: &[CommandId]) -> Vec<CommandId>;
        command_output_append(id: CommandId, channel: Channel, offset: u64, bytes: Bytes) -> ();
        command_output_len(id: CommandId) -> Received;
        command_output(id: CommandId, channel: Channel, from: u64, limit: usize) -> Bytes;
    }
    JobStore {
        job_insert(
            job: NewJob,
            commands: Vec<NewCommand>,
            idempotency: Option<IdempotencyKey>,
            audit: AuditDraft
        ) -> JobInsertOutcome;
        job_sweep(before: Timestamp, now: Timestamp) -> u64;
        job_payload(id: JobId) -> Option<String>;
        job_get(id: JobId) -> Option<JobRow>;
        job_is_visible(id: JobId, visible: &VisibleScope) -> bool;
        job_list(visible: &VisibleScope, range: RowRange<JobSort>) -> (Vec<JobRow>, u64);
        job_list_open() -> Vec<JobId>;
        job_target_list(id: JobId, range: RowRange<JobTargetSort>) -> (Vec<JobTargetRow>, u64);
        job_cancel(id: JobId, now: Timestamp, audit: AuditDraft) -> bool;
        job_finish(id: JobId, end: JobEnd, audit: AuditDraft) -> bool;
    }
    AnswerStore {
        answer_claim(claim: AnswerClaim) -> AnswerClaimOutcome;
        answer_renew(owner: &str, key: &str, leased_until: Timestamp) -> bool;
        answer_keep(owner: &str, key: &str, answer: StoredAnswer) -> bool;
        answer_release(owner: &str, key: &str) -> bool;
    }
    SessionStore {
        session_insert(session: NewSession, limit: u32, audit: AuditDraft) -> bool;
        session_open(id: SessionId, audit: AuditDraft) -> bool;
        session_get(id: SessionId) -> Option<SessionRow>;
        session_list(query: &SessionQuery, range: RowRange<SessionSort>) -> (Vec<SessionRow>, u64);
        session_list_open(satellite: Option<SatelliteId>) -> Vec<SessionRow>;
        session_list_open_ids() -> Vec<SessionId>;
        session_end(id: SessionId, end: SessionEnd, now: Timestamp, audit: AuditDraft) -> bool;
        session_resize(id: SessionId, size: Size) -> ();
    }
    UserStore {
        user_create(user: NewUserRow, audit: AuditDraft) -> User;
        user_get(id: UserId) -> Option<UserRow>;
        user_find(username: &str) -> Option<UserRow>;
        user_list(range: RowRange<UserSort>) -> (Vec<User>, u64);
        user_update(id: UserId, patch: UserPatch, audit: AuditDraft) -> UserUpdateOutcome;
        user_password_set(id: UserId, hash: String, before: Option<String>, audit: AuditDraft) -> bool;
    }
    TeamStore {
        team_create(team: Team, audit: AuditDraft) -> ();
        team_get(id: TeamId) -> Option<Team>;
        team_list(visible: &VisibleTeams, range: RowRange<TeamSort>) -> (Vec<Team>, u64);
        team_update(
            id: TeamId,
            patch: TeamPatch,
            needed: NeededRoles,
            audit: AuditDraft
        ) -> Option<(Team, Vec<MemberLosses>)>;
        team_member_put(
            team: TeamId,
            user: UserId,
            role: Role,
            needed: NeededRoles,
            audit: AuditDraft
        ) -> Losses;
        team_member_remove(team: TeamId, user: UserId, needed: NeededRoles, audit: AuditDraft) -> Option<Losses>;
        team_member_list(team: TeamId, range: RowRange<TeamMemberSort>) -> (Vec<TeamMember>, u64);
        team_memberships(user: UserId) -> Vec<(TeamId, Role)>;
    }
    ApiKeyStore {
        api_key_create(key: ApiKeyRow, audit: AuditDraft) -> ();
        api_key_owner(id: ApiKeyId) -> Option<ApiKeyOwner>;
        api_key_list(user: UserId, range: RowRange<ApiKeySort>) -> (Vec<ApiKeyRow>, u64);
        api_key_rotate(
            id: ApiKeyId,
            user: UserId,
            rotation: KeyRotation,
            audit: AuditDraft
        ) -> Option<ApiKeyRow>;
        api_key_revoke(id: ApiKeyId, user: UserId, now: Timestamp, audit: AuditDraft) -> Option<Losses>;
        api_key_note_used(uses: Vec<(ApiKeyId, Timestamp)>) -> ();
    }
    AllowListStore {
        allow_list_all() -> Vec<AllowListRow>;
        allow_list_set(subject: AllowListSubject, networks: Option<Vec<String>>, audit: AuditDraft) -> bool;
    }
    RegistrationTokenStore {
        registration_token_create(token: NewRegistrationTokenRow, audit: AuditDraft) -> ();
        registration_token_get(id: RegistrationTokenId) -> Option<RegistrationTokenInfo>;
        registration_token_row(id: RegistrationTokenId) -> Option<RegistrationTokenRow>;
        registration_token_list(
            visible: &VisibleScope,
            range: RowRange<RegistrationTokenSort>
        ) -> (Vec<RegistrationTokenInfo>, u64);
        registration_token_revoke(id: RegistrationTokenId, now: Timestamp, audit: AuditDraft) -> bool;
    }
    AuditStore {
        audit_append(draft: AuditDraft) -> AuditEntry;
        audit_list(
            query: &AuditQuery,
            visible: &VisibleScope,
            range: RowRange<AuditSort>
        ) -> (Vec<AuditEntry>, u64);
        audit_get(id: AuditId, visible: &VisibleScope) -> Option<AuditEntry>;
        audit_records(first_seq: u64, limit: u32) -> Vec<AuditRecord>;
        audit_head() -> Option<AuditHead>;
        audit_verify(public_key: Option<&str>) -> AuditVerification;
    }
    RetentionStore {
        command_output_prune(before: Timestamp, limit: u32) -> u64;
        command_prune(before: Timestamp, limit: u32) -> u64;
        job_prune(before: Timestamp, limit: u32) -> u64;
        session_prune(before: Timestamp, limit: u32) -> u64;
        answer_prune(now: Timestamp, limit: u32) -> u64;
        satellite_prune(before: Timestamp, limit: u32) -> u64;
        audit_prune(range: AuditRange, checkpoint: AuditDraft) -> bool;
        space_reclaim() -> bool;
    }
}
