//! [`DeviceRegistry`] over REST.

use async_trait::async_trait;
use hive_wire::api::{
    AllowList, AllowListUpdate, ApiError, EventCursor, EventQuery, Page, PageRequest, Satellite, SatelliteFilter,
    SatelliteListQuery, SatelliteSort, SatelliteUpdate, TagCount, TagFilter, TagSort,
};
use hive_wire::satellite_api::{ErrorResponse, RegisterRequest, RegisterResponse, RegisteredSatellite};
use hive_wire::{ErrorCode, SatelliteId};
use reqwest::{Method, header};
use secrecy::SecretString;

use super::Client;
use super::transport::{Patience, with_query};
use crate::lists::collect;
use crate::{DeviceRegistry, Error, EventItem, Result, Subscription};

#[async_trait]
impl DeviceRegistry for Client {
    async fn register(&self, token: SecretString, request: RegisterRequest) -> Result<RegisteredSatellite> {
        let call = self.transport.post_as(&token, &["api", "satellites", "register"]);
        let (status, body) = self.transport.exchange(call.json(&request)).await?;
        // The satellite API has no envelope, and errors of another form.
        if status.is_success() {
            let answer: RegisterResponse = serde_json::from_slice(&body).map_err(Error::internal)?;
            return Ok(answer.satellite);
        }
        Err(serde_json::from_slice(&body).map_or_else(|_| self.transport.failure(status, &body), refusal))
    }

    async fn disconnect(&self, id: SatelliteId) -> Result<()> {
        let path = ["api", "v1", "satellites", &id.to_string(), "disconnect"];
        self.transport.call(self.transport.post(&path)).await
    }

    async fn get(&self, id: SatelliteId) -> Result<Option<Satellite>> {
        let path = ["api", "v1", "satellites", &id.to_string()];
        present(self.transport.fetch(self.transport.get(&path)).await)
    }

    async fn list(&self, filter: SatelliteFilter, page: PageRequest<SatelliteSort>) -> Result<Page<Satellite>> {
        let call = self.transport.get(&["api", "v1", "satellites"]);
        let call = with_query(call, &SatelliteListQuery::from(filter))?;
        self.transport.fetch_page(with_query(call, &page)?).await
    }

    async fn update(&self, id: SatelliteId, update: SatelliteUpdate) -> Result<Satellite> {
        let path = ["api", "v1", "satellites", &id.to_string()];
        self.transport.fetch(self.transport.request(Method::PUT, &path).json(&update)).await
    }

    async fn remove(&self, id: SatelliteId) -> Result<()> {
        let path = ["api", "v1", "satellites", &id.to_string()];
        self.transport.call(self.transport.request(Method::DELETE, &path)).await
    }

    async fn get_by_tag(&self, tag: &str) -> Result<Vec<Satellite>> {
        // By the filter and not by a path with the tag: `.` and `..` are valid tags, and a URL would resolve them.
        let filter = SatelliteFilter { tags: vec![tag.to_owned()], ..SatelliteFilter::default() };
        collect(usize::MAX, None, |page| self.list(filter.clone(), page)).await
    }

    async fn list_tags(&self, filter: TagFilter, page: PageRequest<TagSort>) -> Result<Page<TagCount>> {
        let call = with_query(self.transport.get(&["api", "v1", "tags"]), &filter)?;
        self.transport.fetch_page(with_query(call, &page)?).await
    }

    async fn allow_list(&self, id: SatelliteId) -> Result<AllowList> {
        self.transport.fetch(self.transport.get(&["api", "v1", "satellites", &id.to_string(), "addresses"])).await
    }

    async fn allow_list_set(&self, id: SatelliteId, update: AllowListUpdate) -> Result<AllowList> {
        let path = ["api", "v1", "satellites", &id.to_string(), "addresses"];
        self.transport.fetch(self.transport.request(Method::PUT, &path).json(&update)).await
    }

    async fn subscribe(&self, after: Option<EventCursor>) -> Result<Subscription<EventItem>> {
        let call = self.transport.get(&["api", "v1", "events"]).header(header::ACCEPT, "text/event-stream");
        let call = with_query(call, &EventQuery { after })?;
        Ok(self.satellite_events(self.transport.send(call, Patience::Command).await?))
    }
}

/// Turns the error for a missing or hidden resource into `None`.
pub(super) fn present<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(thing) => Ok(Some(thing)),
        Err(Error::NotFound { .. } | Error::SatelliteNotFound(_) | Error::SessionNotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the error of a refused registration. The satellite API has some codes of its own. All others are the error codes in
/// lower case.
fn refusal(answer: ErrorResponse) -> Error {
    let ErrorResponse { error: word, message, .. } = answer;
    match word.as_str() {
        "registration_token_required" => Error::AuthRequired,
        "scope_mismatch" => Error::Forbidden(word),
        word if word.starts_with("registration_token_") => Error::AuthInvalid,
        // The field is part of the message here, in the form of `Error::InvalidInput`.
        "invalid_input" => {
            let (field, rule) = message.split_once(": ").unwrap_or(("request", &message));
            Error::invalid(field, rule)
        }
        word => {
            let code = ErrorCode::from(word.to_ascii_uppercase().as_str());
            Error::from_wire(ApiError { code, message, details: None })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_absent() {
        assert_eq!(present::<u8>(Err(Error::SatelliteNotFound("x".into()))).unwrap(), None);
        assert!(present::<u8>(Err(Error::AuthInvalid)).is_err());
    }

    #[test]
    fn a_refused_registration_is_the_error_a_local_hive_gives() {
        let check = |word: &str, message: &str, expected: &Error| {
            let answer = ErrorResponse {
                success: false,
                error: word.into(),
                message: message.into(),
                instructions: String::new(),
                hive_id: None,
                class: None,
            };
            assert_eq!(refusal(answer).to_wire(), expected.to_wire(), "{word}");
        };
        check("registration_token_required", "x", &Error::AuthRequired);
        check("registration_token_used", "x", &Error::AuthInvalid);
        check("scope_mismatch", "x", &Error::Forbidden("scope_mismatch".into()));
        check("invalid_input", "name: too short", &Error::invalid("name", "too short"));
        check("conflict", "the name is taken", &Error::Conflict("the name is taken".into()));
        let code = ErrorCode::from("NOT_YET_KNOWN");
        check("not_yet_known", "x", &Error::from_wire(ApiError { code, message: "x".into(), details: None }));
    }
}
