//! The answers of an operation.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hive_core::wire::ErrorCode;
use hive_core::wire::api::Pagination;
use serde_json::json;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Content, Ref, RefOr, Response};

use super::error_format::{Schemas, add_schema};
use super::idempotency::KeyUse;
use super::{Access, ErrorFormat, Reach};

const JSON: &str = "application/json";

/// One answer: what it means, and its body by media type.
pub(super) struct AnswerDoc(Response);

impl AnswerDoc {
    /// An answer with a body of this media type and schema.
    pub(super) fn of(description: &str, media_type: &str, schema: Option<RefOr<Schema>>) -> Self {
        let content = Content::new(schema);
        Self(ResponseBuilder::new().description(description).content(media_type, content).build())
    }

    /// The data of an answer in its envelope.
    pub(super) fn envelope(description: &str, data: RefOr<Schema>) -> Self {
        Self::of(description, JSON, Some(envelope(data).into()))
    }

    pub(super) fn changed(description: &str, value: &str, revoked: &str) -> Self {
        let revoked = ObjectBuilder::new().property("revoked", Ref::from_schema_name(revoked));
        let data = AllOfBuilder::new().item(Ref::from_schema_name(value)).item(revoked);
        Self::envelope(description, data.into())
    }

    pub(super) fn beside_success(description: &str, fields: &str) -> Self {
        let success = ObjectBuilder::new().property("success", is_true()).required("success");
        let body = AllOfBuilder::new().item(success).item(Ref::from_schema_name(fields));
        Self::of(description, JSON, Some(body.into()))
    }

    pub(super) fn list(description: &str, item: &str) -> Self {
        Self::envelope(description, ArrayBuilder::new().items(Ref::from_schema_name(item)).into())
    }

    pub(super) fn page(description: &str, item: &str, schemas: &mut Schemas) -> Self {
        let pagination = Ref::from_schema_name(add_schema::<Pagination>(schemas));
        let items = ArrayBuilder::new().items(Ref::from_schema_name(item));
        let page = envelope(items.into()).property("pagination", pagination).required("pagination");
        Self::of(description, JSON, Some(page.into()))
    }

    pub(super) fn done(description: &str) -> Self {
        Self::envelope(description, ObjectBuilder::new().schema_type(Type::Null).into())
    }

    /// A stream of events. Its schema is that of one event with its fields, as in OpenAPI 3.2: 3.1 has no other place for it.
    pub(super) fn events(description: &str, event: &str) -> Self {
        let field = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
        let data =
            field("The JSON of the event.").content_media_type(JSON).content_schema(Some(Ref::from_schema_name(event)));
        let fields = ObjectBuilder::new()
            .description(Some(format!("One event of the stream, with a `{event}` as its data.")))
            .property("event", field("The name of the event."))
            .property("id", field("Its position, where a stream can be continued."))
            .property("data", data)
            .required("data");
        Self::of(description, "text/event-stream", Some(fields.into()))
    }

    /// Lines of JSON. OpenAPI 3.1 cannot describe one of them: the schema is the text, and names the line.
    pub(super) fn lines(description: &str, line: &str) -> Self {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(format!("Lines, each with a `{line}`.")))
            .content_schema(Some(Ref::from_schema_name(line)));
        Self::of(description, "application/jsonl", Some(text.into()))
    }

    /// The upgrade to a WebSocket. OpenAPI has no place for its messages: they are components, named by an extension.
    pub(super) fn socket(sub_protocol: Option<&str>, from: &str, to: &str) -> Self {
        let messages = json!({ "subProtocol": sub_protocol, "fromClient": reference(from), "toClient": reference(to) });
        let kind = sub_protocol.map_or_else(String::new, |name| format!(" of the sub-protocol `{name}`"));
        let description = format!("A WebSocket{kind}, with JSON messages `{from}` and `{to}`.");
        let extensions = ExtensionsBuilder::new().add("x-socket", messages).build();
        Self(ResponseBuilder::new().description(description).extensions(Some(extensions)).build())
    }

    /// Says when a client may try again.
    fn with_retry_after(mut self) -> Self {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
        let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait.")).build();
        self.0.headers.insert("Retry-After".to_owned(), header.into());
        self
    }

    pub(super) fn into_response(self) -> Response {
        self.0
    }
}

fn reference(name: &str) -> serde_json::Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn is_true() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true]))
}

fn envelope(data: RefOr<Schema>) -> ObjectBuilder {
    ObjectBuilder::new().property("success", is_true()).required("success").property("data", data).required("data")
}

/// What an operation takes, as far as its errors depend on it.
#[derive(Clone, Copy)]
pub(super) struct RequestInput {
    pub(super) is_checked: bool,
    pub(super) has_body: bool,
    pub(super) is_socket: bool,
    pub(super) key: KeyUse,
}

/// Returns one answer for each status. Answers of the same status have several media types; what an operation says of a status counts
/// more than the common error.
pub(super) fn merge_answers(answers: Vec<(u16, AnswerDoc)>, errors: Vec<(u16, AnswerDoc)>) -> BTreeMap<u16, AnswerDoc> {
    let mut merged: BTreeMap<u16, AnswerDoc> = BTreeMap::new();
    for (status, answer) in answers {
        match merged.entry(status) {
            Entry::Vacant(entry) => drop(entry.insert(answer)),
            Entry::Occupied(mut entry) => {
                let known = &mut entry.get_mut().0;
                known.description = format!("{} {}", known.description, answer.0.description);
                known.content.extend(answer.0.content);
            }
        }
    }
    for (status, error) in errors {
        merged.entry(status).or_insert(error);
    }
    merged
}

/// The errors of an operation: those that follow from who may call and from the input, and `more`. Codes of one status are one
/// answer.
pub(super) fn error_answers(
    access: &Access,
    input: RequestInput,
    more: Vec<ErrorCode>,
    format: ErrorFormat,
    schemas: &mut Schemas,
) -> Vec<(u16, AnswerDoc)> {
    let mut codes = of_access(access);
    // A call with two credentials is refused wherever one is taken.
    if input.is_checked || *access != Access::Public {
        codes.push(ErrorCode::InvalidInput);
    }
    if input.has_body {
        codes.push(ErrorCode::PayloadTooLarge);
    }
    if input.key != KeyUse::Ignored {
        codes.push(ErrorCode::Conflict);
    }
    codes.extend(more);
    codes.extend([ErrorCode::Internal, ErrorCode::Unavailable]);
    let mut by_status: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for code in codes {
        let words = by_status.entry(code.http_status()).or_default();
        let word = format!("`{code}`");
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let error = (format.schema)(schemas);
    let answer = |status, text: &str| {
        let answer = AnswerDoc::of(text, JSON, Some(Ref::from_schema_name(&error).into()));
        // 409 too: the first call with the same key may still run.
        let may_be_repeated = matches!(status, 429 | 503) || status == 409 && input.key != KeyUse::Ignored;
        (status, if may_be_repeated { answer.with_retry_after() } else { answer })
    };
    let mut answers: Vec<_> = by_status.into_iter().map(|(status, words)| answer(status, &words.join(", "))).collect();
    if input.is_socket {
        answers.push(answer(426, "The request does not open such a WebSocket."));
    }
    answers
}

/// The errors of callers who may not do it.
fn of_access(access: &Access) -> Vec<ErrorCode> {
    let unauthenticated = [ErrorCode::AuthRequired, ErrorCode::AuthInvalid, ErrorCode::RateLimited];
    match access {
        Access::Public => Vec::new(),
        Access::Person | Access::Satellite | Access::Permission(_, Reach::Visible) => unauthenticated.into(),
        Access::Permission(_, reach) => {
            let mut codes = Vec::from(unauthenticated);
            codes.push(ErrorCode::Forbidden);
            codes.extend(reach.is_of_path().then(|| not_found(*reach)));
            codes
        }
    }
}

fn not_found(reach: Reach) -> ErrorCode {
    match reach {
        Reach::Satellite => ErrorCode::SatelliteNotFound,
        Reach::Session => ErrorCode::SessionNotFound,
        _ => ErrorCode::NotFound,
    }
}
