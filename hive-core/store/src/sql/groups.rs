//! Groups of satellites in an SQL database.

use async_trait::async_trait;
use hive_wire::api::{Group, GroupSort};
use hive_wire::tag_query::TagExpr;
use hive_wire::{GroupId, GroupName, SatelliteId};

use super::error::map_unique_violation;
use super::fields::corrupt_column;
use super::filter::{Filter, like_pattern};
use super::many_rows::{MAX_ROWS, ManyRowsStatement};
use super::writer::Transaction;
use super::{Row, SqlStore, Statement, statements};
use crate::audit::AuditDraft;
use crate::{GroupPatch, GroupQuery, GroupStore, RowRange, SatelliteSelection, StoreResult};

#[async_trait]
impl GroupStore for SqlStore {
    async fn group_create(&self, group: Group, members: Vec<SatelliteId>, audit: AuditDraft) -> StoreResult<()> {
        self.write(move |transaction| {
            Box::pin(async move {
                let statement = Statement::new(statements::GROUP_INSERT)
                    .text(group.id)
                    .text(&group.name)
                    .text_opt(group.team_id)
                    .text_opt(group.query)
                    .time(group.created_at);
                // The index decides about a taken name: two callers that looked first would both have found it free.
                transaction.execute(statement).await.map_err(map_unique_violation("name"))?;
                run_members(transaction, &statements::GROUP_MEMBER_INSERT, group.id, &members).await?;
                transaction.audit(audit);
                Ok(())
            })
        })
        .await
    }

    async fn group_get(&self, id: GroupId) -> StoreResult<Option<Group>> {
        let row = self.fetch_optional(Statement::new(statements::GROUP_GET).text(id)).await?;
        row.as_ref().map(read_group).transpose()
    }

    async fn group_find(&self, name: &GroupName) -> StoreResult<Vec<Group>> {
        let rows = self.fetch_all(Statement::new(statements::GROUP_FIND).text(name)).await?;
        rows.iter().map(read_group).collect()
    }

    async fn group_list(&self, query: &GroupQuery, range: RowRange<GroupSort>) -> StoreResult<(Vec<Group>, u64)> {
        let GroupQuery { visible, team_id, search } = query;
        let mut filter = Filter::default();
        filter.visible_to("g.team_id", None, visible).and_text("g.team_id = ?", *team_id);
        // Names are stored in lower case, so that only the pattern is converted and an index could serve.
        filter.and_text(r"g.name LIKE LOWER(?) ESCAPE '\'", search.as_deref().map(like_pattern));
        self.fetch_part(&filter, statements::GROUP_LIST, statements::GROUP_ROWS_COUNTED, range, read_group).await
    }

    async fn group_update(&self, id: GroupId, patch: GroupPatch, audit: AuditDraft) -> StoreResult<Option<Group>> {
        self.write(move |transaction| Box::pin(update(transaction, id, patch, audit))).await
    }

    async fn group_remove(&self, id: GroupId, audit: AuditDraft) -> StoreResult<bool> {
        self.write(move |transaction| {
            Box::pin(async move {
                transaction.execute(Statement::new(statements::GROUP_MEMBERS_CLEAR).text(id)).await?;
                let is_removed = transaction.execute(Statement::new(statements::GROUP_REMOVE).text(id)).await? > 0;
                if is_removed {
                    transaction.audit(audit);
                }
                Ok(is_removed)
            })
        })
        .await
    }
}

async fn update(
    transaction: &mut Transaction,
    id: GroupId,
    patch: GroupPatch,
    audit: AuditDraft,
) -> StoreResult<Option<Group>> {
    let GroupPatch { name, query, members, add, remove, now } = patch;
    let statement = Statement::new(statements::GROUP_UPDATE)
        .text(id)
        .text_opt(name)
        // Tells a query that is taken away (`null`) from one that stays as it is (left out).
        .bind(query.is_some())
        .text_opt(query.flatten())
        .time(now);
    let Some(row) = transaction.fetch_optional(statement).await.map_err(map_unique_violation("name"))? else {
        return Ok(None);
    };
    if let Some(members) = members {
        transaction.execute(Statement::new(statements::GROUP_MEMBERS_CLEAR).text(id)).await?;
        run_members(transaction, &statements::GROUP_MEMBER_INSERT, id, &members).await?;
    }
    run_members(transaction, &statements::GROUP_MEMBER_INSERT, id, &add).await?;
    // Last, so that a member that is both added and removed is removed.
    run_members(transaction, &statements::GROUP_MEMBER_DELETE, id, &remove).await?;
    transaction.audit(audit);
    read_group(&row).map(Some)
}

async fn run_members(
    transaction: &mut Transaction,
    statement: &'static ManyRowsStatement,
    group: GroupId,
    members: &[SatelliteId],
) -> StoreResult<()> {
    for members in members.chunks(MAX_ROWS) {
        let row = |member: &SatelliteId| Statement::values_only().text(group).text(member).values;
        transaction.run_rows(statement, members.iter().map(row).collect()).await?;
    }
    Ok(())
}

impl Filter {
    /// Restricts a list of satellites `s` to those of a selection.
    pub(super) fn selected_by(&mut self, selection: &SatelliteSelection) -> &mut Self {
        let SatelliteSelection { listed_by, query } = selection;
        let listed = listed_by.map(|group| {
            let group = self.bind(group);
            format!("s.id IN (SELECT satellite_id FROM satellite_group_members WHERE group_id = {group})")
        });
        // One that was never activated is no part of the fleet yet.
        let selected =
            query.as_ref().map(|query| format!("(s.status <> 'inactive' AND {})", self.tagged(query.expr())));
        let parts: Vec<_> = listed.into_iter().chain(selected).collect();
        match parts.as_slice() {
            // Neither members nor a query select nothing. An empty condition would select the whole fleet.
            [] => self.and_raw("1 = 0"),
            parts => self.and_raw(&format!("({})", parts.join(" OR "))),
        }
    }

    /// Returns the condition of a tag query on satellites `s`. Each tag is looked up in the index of tags.
    fn tagged(&mut self, expr: &TagExpr) -> String {
        match expr {
            TagExpr::All => "1 = 1".into(),
            TagExpr::Tag(tag) => {
                let tag = self.bind(tag);
                format!("s.id IN (SELECT satellite_id FROM satellite_tags WHERE tag = {tag})")
            }
            TagExpr::Not(part) => format!("NOT ({})", self.tagged(part)),
            TagExpr::And(parts) => self.joined(parts, " AND "),
            TagExpr::Or(parts) => self.joined(parts, " OR "),
        }
    }

    fn joined(&mut self, parts: &[TagExpr], operator: &str) -> String {
        let parts: Vec<_> = parts.iter().map(|part| self.tagged(part)).collect();
        format!("({})", parts.join(operator))
    }
}

fn read_group(row: &Row) -> StoreResult<Group> {
    Ok(Group {
        id: row.parse("id")?,
        name: row.text("name")?.try_into().map_err(|_| corrupt_column("name"))?,
        team_id: row.parse_opt("team_id")?,
        query: row.parse_opt("query")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
