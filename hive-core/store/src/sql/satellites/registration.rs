//! Registrations of satellites in an SQL database.

use hive_wire::api::SatelliteType;
use hive_wire::{RegistrationTokenId, SatelliteId, TeamId};

use super::{insert_tags, read_satellite, sorted, supersede_key};
use crate::audit::AuditDraft;
use crate::sql::fields::corrupt_column;
use crate::sql::registration_tokens::token_state;
use crate::sql::writer::Transaction;
use crate::sql::{Row, Statement, statements};
use crate::{NamePolicy, NewSatellite, RegisterOutcome, RegistrationRetry, SatelliteRow, StoreResult};

/// Consumes the token, then registers a new satellite or renews the key of an existing one.
pub(super) async fn register(
    transaction: &mut Transaction,
    token: RegistrationTokenId,
    satellite: NewSatellite,
    mut audit: AuditDraft,
) -> StoreResult<RegisterOutcome> {
    // The write lock is held from here on, so that the name cannot be taken in between.
    let known = transaction.fetch_optional(Statement::new(statements::SATELLITE_BY_NAME).text(&satellite.name)).await?;
    let known = known.as_ref().map(read_owner).transpose()?;
    // A removed satellite is not found here, so that its name is free.
    let is_free = match (known, satellite.name_use) {
        (None, NamePolicy::New | NamePolicy::Of(_)) => true,
        (Some((id, team)), NamePolicy::Of(meant)) => id == meant && team == satellite.team_id,
        (Some(_), NamePolicy::New) | (_, NamePolicy::None) => false,
    };
    // The token stores which satellite it registered, for a repetition.
    let id = known.map_or(satellite.id, |(id, _)| id);
    let take = Statement::new(statements::TOKEN_TAKE)
        .text(token)
        .time(satellite.now)
        .bind(satellite.attempt_hash.clone())
        .text(id);
    let is_token_taken = is_free && transaction.execute(take).await? > 0;
    if !is_token_taken {
        // The state of the token comes first: a caller without a valid one learns nothing about names.
        let state = token_state(transaction, token, satellite.now).await?;
        return Ok(state.map_or(RegisterOutcome::NameTaken, RegisterOutcome::TokenUnusable));
    }
    let row = match known {
        Some(_) => renew(transaction, id, satellite).await?,
        None => insert(transaction, satellite).await?,
    };
    // The draft has the id of a new satellite. After a takeover it is that of the existing one.
    audit.target.id = row.id.to_string();
    transaction.audit(audit);
    Ok(RegisterOutcome::Registered(Box::new(row)))
}

/// Gives the satellite of an earlier registration another key.
pub(super) async fn register_again(
    transaction: &mut Transaction,
    token: RegistrationTokenId,
    again: RegistrationRetry,
    mut audit: AuditDraft,
) -> StoreResult<Option<SatelliteRow>> {
    let RegistrationRetry { attempt_hash, name, since, api_key_hash, now } = again;
    let find = Statement::new(statements::SATELLITE_REGISTERED_BY).text(token).bind(attempt_hash).time(since);
    let Some(found) = transaction.fetch_optional(find).await? else { return Ok(None) };
    // A satellite may have been renamed since: then the repetition would not find what it asks for.
    if found.text("name")? != name.as_str() {
        return Ok(None);
    }
    let id: SatelliteId = found.parse("id")?;
    supersede_key(transaction, id, now).await?;
    let renew = Statement::new(statements::SATELLITE_KEY_RENEW).text(id).bind(api_key_hash).time(now);
    let row = transaction.fetch_optional(renew).await?.ok_or_else(|| corrupt_column("id"))?;
    audit.target.id = id.to_string();
    transaction.audit(audit);
    read_satellite(&row).map(Some)
}

async fn insert(transaction: &mut Transaction, satellite: NewSatellite) -> StoreResult<SatelliteRow> {
    let satellite_type = if satellite.team_id.is_some() { SatelliteType::Team } else { SatelliteType::Global };
    // Sorted, so that equal sets of tags are equal texts.
    let tags = sorted(satellite.tags);
    let statement = Statement::new(statements::SATELLITE_INSERT)
        .text(satellite.id)
        .text(&satellite.name)
        .string_enum(satellite_type)
        .text_opt(satellite.team_id)
        .json(&satellite.capabilities)
        .json(&tags)
        .bind(satellite.api_key_hash)
        .text(&satellite.system.hostname)
        .json(&satellite.system)
        .bind(satellite.agent_version)
        .bind(satellite.satellite_url)
        .bind(satellite.created_by)
        .time(satellite.now)
        .json(&satellite.claimed_tags);
    let row = transaction.fetch_optional(statement).await?.ok_or_else(|| corrupt_column("id"))?;
    insert_tags(transaction, satellite.id, &tags).await?;
    read_satellite(&row)
}

async fn renew(transaction: &mut Transaction, id: SatelliteId, satellite: NewSatellite) -> StoreResult<SatelliteRow> {
    supersede_key(transaction, id, satellite.now).await?;
    let statement = Statement::new(statements::SATELLITE_RENEW)
        .text(id)
        .json(&satellite.capabilities)
        .bind(satellite.api_key_hash)
        .text(&satellite.system.hostname)
        .json(&satellite.system)
        .bind(satellite.agent_version)
        .bind(satellite.satellite_url)
        .time(satellite.now)
        .json(&satellite.claimed_tags);
    read_satellite(&transaction.fetch_optional(statement).await?.ok_or_else(|| corrupt_column("id"))?)
}

fn read_owner(row: &Row) -> StoreResult<(SatelliteId, Option<TeamId>)> {
    Ok((row.parse("id")?, row.parse_opt("team_id")?))
}
