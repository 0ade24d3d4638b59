//! The OpenAPI document: what the tables say, and what is true for all of them. It is built once in a process.

use std::sync::OnceLock;

use axum::body::Bytes;
use serde_json::{Value, json};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, RefOr, ServerBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::page;

/// The kind of messages that this version does not know.
const UNKNOWN_KIND: &str = "unknown";

static DOCUMENT: OnceLock<ApiDocument> = OnceLock::new();

const DESCRIPTION: &str = "The API of a hive: REST under `/api/v1`, the API for satellites and the health of the server. \
    A request is refused in this order: 401 without a valid credential, 404 for an object that is hidden from the caller or does not \
    exist, 403 without the permission, and then 400 for its input. `x-hive-access` of an operation says who may call it: everybody \
    (`public`), every authenticated user for what is theirs (`person`), satellites (`satellite`), or users with a permission on what \
    `reach` names. `x-hive-rate` says which rate its calls are under (`read`, `act`, `exec` or `login`); a caller over it gets 429 with \
    `Retry-After`. Fields may be added to answers, and words to fields without an `enum`.";

/// The document as it is served.
pub(super) struct ApiDocument {
    json: Bytes,
    page: Bytes,
}

impl ApiDocument {
    /// Builds the document from the tables, unless another router of this process has built it: all have the same tables.
    pub(super) fn init(openapi: OpenApi) {
        DOCUMENT.get_or_init(|| {
            let document = complete(openapi);
            Self { json: document.to_string().into(), page: page::render(&document).into() }
        });
    }

    /// Returns the document.
    pub(super) fn get() -> &'static Self {
        DOCUMENT.get().expect("a router sets it before it serves")
    }

    /// The document as JSON.
    pub(super) fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// The document as an HTML page.
    pub(super) fn page(&self) -> Bytes {
        self.page.clone()
    }
}

/// The schema of the document in itself: that of OpenAPI is in its specification.
impl PartialSchema for ApiDocument {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new().description(Some("An OpenAPI 3.1 document."));
        schema
            .required("openapi")
            .required("paths")
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

impl ToSchema for ApiDocument {}

/// Adds what is true for all tables.
fn complete(mut openapi: OpenApi) -> Value {
    openapi.info = InfoBuilder::new()
        .title("Satellite Hive")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .build();
    // The paths begin at the server's root: `/health` and the satellite API lie beside `/api/v1`.
    openapi.servers = Some(vec![ServerBuilder::new().url("/").build()]);
    let components = openapi.components.get_or_insert_default();
    components.add_security_scheme("token", bearer("A JWT of `POST /api/v1/auth/login`.", Some("JWT")));
    let api_key =
        ApiKeyValue::with_description("X-API-Key", "An API key of a user. It may also be sent as a bearer token.");
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(api_key)));
    components.add_security_scheme("satellite", bearer("A satellite's API key, or a registration token.", None));
    let mut document =
        serde_json::to_value(openapi).expect("a document is made of texts, numbers and maps with text keys");
    // After the conversion: in the typed document descriptions lie in two dozen places.
    clean_texts(&mut document);
    open_kinds(&mut document);
    bound_integers(&mut document);
    document
}

fn bearer(description: &str, format: Option<&str>) -> SecurityScheme {
    let http: HttpBuilder = Http::builder().scheme(HttpAuthScheme::Bearer).description(Some(description));
    SecurityScheme::Http(match format {
        Some(format) => http.bearer_format(format).build(),
        None => http.build(),
    })
}

/// Descriptions come from doc comments, where a link is the path of an item.
fn clean_texts(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "description" => *text = without_links(text),
                    field => clean_texts(field),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                clean_texts(item);
            }
        }
        _ => {}
    }
}

/// A message of a later version is read as the variant `unknown`, whatever its kind is: that word itself is never sent. The variant
/// gets the schema of every kind that the others do not have.
fn open_kinds(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Array(variants)) = fields.get_mut("oneOf") {
                let known = variants.iter().filter_map(kind_of).filter(|kind| *kind != UNKNOWN_KIND);
                let known: Vec<Value> = known.map(Value::from).collect();
                for variant in variants.iter_mut().filter(|variant| kind_of(variant) == Some(UNKNOWN_KIND)) {
                    variant["properties"]["type"] = json!({ "type": "string", "not": { "enum": known } });
                }
            }
            fields.values_mut().for_each(open_kinds);
        }
        Value::Array(items) => items.iter_mut().for_each(open_kinds),
        _ => {}
    }
}

/// Adds the largest value of each unsigned integer that has no smaller one: a larger number is refused, and a reader need not know the
/// formats, which JSON Schema does not have.
fn bound_integers(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // utoipa writes `u-int32` where the OpenAPI registry of formats has `uint32`.
            let format = fields.get("format").and_then(Value::as_str).and_then(|format| format.strip_prefix("u-int"));
            let largest = format.and_then(|bits| match bits {
                "8" => Some(("uint8", u64::from(u8::MAX))),
                "16" => Some(("uint16", u64::from(u16::MAX))),
                "32" => Some(("uint32", u64::from(u32::MAX))),
                "64" => Some(("uint64", u64::MAX)),
                _ => None,
            });
            if let Some((format, largest)) = largest {
                fields.insert("format".to_owned(), format.into());
                fields.entry("maximum").or_insert(largest.into());
            }
            fields.values_mut().for_each(bound_integers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        _ => {}
    }
}

/// Returns the kind of a variant, which is the only word of its field `type`.
fn kind_of(variant: &Value) -> Option<&str> {
    let parts = variant["allOf"].as_array().map_or(std::slice::from_ref(variant), Vec::as_slice);
    parts.iter().find_map(|part| match part["properties"]["type"]["enum"].as_array()?.as_slice() {
        [Value::String(kind)] => Some(kind.as_str()),
        _ => None,
    })
}

/// Replaces links of rustdoc by their text: those that begin with a code span.
fn without_links(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("[`") {
        // A bracket that is never closed is text, and so is all behind it.
        let Some(end) = rest[start..].find("`]").map(|end| start + end) else { break };
        plain.push_str(&rest[..start]);
        plain.push_str(&rest[start + 1..=end]);
        rest = &rest[end + 2..];
        if let Some(target) = rest.strip_prefix('(')
            && let Some(end) = target.find(')')
        {
            rest = &target[end + 1..];
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use hive_core::Hive;

    use super::*;
    use crate::{AppState, Config, router};

    const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

    async fn document() -> Value {
        let hive = Hive::builder().in_memory().build().await.unwrap();
        drop(router(AppState::new(&Config::default(), hive)));
        serde_json::from_slice(&ApiDocument::get().json()).unwrap()
    }

    /// `HIVE_BLESS=1 cargo test -p hive-server openapi` writes the file anew; its changes are then to be read.
    #[tokio::test]
    async fn the_openapi_document_is_the_committed_one() {
        let document = serde_json::to_string_pretty(&document().await).unwrap() + "\n";
        if std::env::var_os("HIVE_BLESS").is_some() {
            std::fs::write(SNAPSHOT, &document).unwrap();
        }
        let committed = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
        let differing = document.lines().zip(committed.lines()).find(|(now, before)| now != before);
        let how = "rewrite docs/openapi.json: HIVE_BLESS=1 cargo test -p hive-server openapi";
        assert!(document == committed, "{how}; the first line that differs, now and before: {differing:#?}");
    }

    #[tokio::test]
    async fn every_reference_of_the_openapi_document_has_its_schema() {
        let document = document().await;
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(references.len() > 100);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} is not in the document");
        }
    }

    fn collect_references<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                for field in fields.values() {
                    collect_references(field, found);
                }
            }
            Value::Array(items) => {
                for item in items {
                    collect_references(item, found);
                }
            }
            _ => {}
        }
    }

    #[tokio::test]
    async fn operation_ids_of_the_openapi_document_are_unique() {
        let document = document().await;
        let items = document["paths"].as_object().unwrap().values().filter_map(Value::as_object);
        let operations = items.flat_map(|item| item.values());
        let mut ids: Vec<_> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count, "{ids:?}");
    }

    /// POSTs that take no idempotency key, with the reason.
    const POSTS_WITHOUT_KEY: [(&str, &str); 3] = [
        ("auth_login", "nobody is known yet whose key it could be"),
        ("satellite_register", "a registration token is used once, and a repetition is told by the satellite's key"),
        ("satellite_heartbeat", "a repetition is the same report"),
    ];

    #[tokio::test]
    async fn every_post_of_the_openapi_document_takes_an_idempotency_key_or_says_why_not() {
        let document = document().await;
        let mut without = Vec::new();
        for item in document["paths"].as_object().unwrap().values() {
            let Some(post) = item.get("post") else { continue };
            let id = post["operationId"].as_str().unwrap();
            let parameters = post["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let header = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key");
            assert_eq!(header.is_some(), post["x-idempotency-key"].is_string(), "{id}");
            match header {
                Some(header) => {
                    assert_eq!((&header["in"], &header["required"]), (&json!("header"), &json!(false)), "{id}");
                    assert!(post["responses"]["409"]["headers"]["Retry-After"].is_object(), "{id}");
                }
                None => without.push(id),
            }
        }
        without.sort_unstable();
        let mut listed = POSTS_WITHOUT_KEY.map(|(id, _)| id);
        listed.sort_unstable();
        assert_eq!(without, listed);
    }

    #[test]
    fn a_message_of_a_later_version_is_of_any_other_kind() {
        let kind = |word: &str| json!({ "properties": { "type": { "enum": [word] } }, "required": ["type"] });
        let mut document =
            json!({ "oneOf": [kind("input"), { "allOf": [{ "$ref": "x" }, kind("resize")] }, kind("unknown")] });
        open_kinds(&mut document);
        let other = json!({ "type": "string", "not": { "enum": ["input", "resize"] } });
        assert_eq!(document["oneOf"][2]["properties"]["type"], other);
        assert_eq!(document["oneOf"][0], kind("input"));
    }

    #[test]
    fn an_unsigned_integer_has_a_largest_value() {
        let check = |mut schema: Value, expected: Value| {
            bound_integers(&mut schema);
            assert_eq!(schema, expected);
        };
        check(json!([{ "format": "u-int32" }]), json!([{ "format": "uint32", "maximum": u32::MAX }]));
        check(json!({ "format": "u-int64", "maximum": 7 }), json!({ "format": "uint64", "maximum": 7 }));
        check(json!({ "format": "int32" }), json!({ "format": "int32" }));
    }

    #[test]
    fn a_link_of_rustdoc_becomes_its_text() {
        let check = |text, expected| assert_eq!(without_links(text), expected);
        check("1 to [`MAX_SCREEN`](super::MAX_SCREEN), or [`Size`].", "1 to `MAX_SCREEN`, or `Size`.");
        check("characters of `[a-z0-9-]`", "characters of `[a-z0-9-]`");
        check("an open [`link", "an open [`link");
    }
}
