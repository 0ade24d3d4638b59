//! What one entry of the table declares beside its method, path and handler.

use hive_core::access::Permission;
use hive_core::wire::ErrorCode;
use hive_core::wire::api::RevokedWork;
use hive_core::wire::query::names;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use utoipa::openapi::HttpMethod;
use utoipa::openapi::path::{
    Operation as OpenApiOperation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, Ref, RefOr, Required, extensions::ExtensionsBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::access::ACCESS_EXTENSION;
use super::answers::{AnswerDoc, RequestInput, error_answers, merge_answers};
use super::error_format::{Schemas, add_schema};
use super::guard::is_strict;
use super::idempotency::{KEY_EXTENSION, KeyUse};
use super::{Access, ErrorFormat, Reach};
use crate::limits::RateClass;

/// The extension of an operation in the document that says which rate its calls are under.
const RATE_EXTENSION: &str = "x-hive-rate";

/// The limits on the requests of an operation, where they are not those that follow from who may call, the method and the server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RequestLimits {
    /// The most bytes of a body.
    pub(super) body_bytes: Option<usize>,
    /// The class of the rates.
    rate: Option<RateClass>,
    /// Whether it gives a name to something, which may be in use.
    pub(super) gives_name: bool,
}

/// One operation. It is for everybody unless it says who may call it.
pub(crate) struct Operation {
    id: &'static str,
    summary: &'static str,
    description: Option<&'static str>,
    access: Access,
    path: Vec<Parameter>,
    query: Vec<Parameter>,
    query_names: Vec<&'static str>,
    headers: Vec<Parameter>,
    key: KeyUse,
    body: Option<RequestBody>,
    limits: RequestLimits,
    answers: Vec<(u16, AnswerDoc)>,
    errors: Vec<ErrorCode>,
    schemas: Schemas,
    is_socket: bool,
    takes_token: bool,
}

impl Operation {
    /// An operation by its id, such as `satellite_get`, and a summary in the third person.
    pub(crate) fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            description: None,
            access: Access::Public,
            path: Vec::new(),
            query: Vec::new(),
            query_names: Vec::new(),
            headers: Vec::new(),
            key: KeyUse::Ignored,
            body: None,
            limits: RequestLimits::default(),
            answers: Vec::new(),
            errors: Vec::new(),
            schemas: Vec::new(),
            is_socket: false,
            takes_token: false,
        }
    }

    /// Says more than the summary.
    pub(crate) fn description(mut self, text: &'static str) -> Self {
        self.description = Some(text);
        self
    }

    /// For every authenticated user.
    pub(crate) fn person(mut self) -> Self {
        self.access = Access::Person;
        self
    }

    /// For satellites.
    pub(crate) fn satellite(mut self) -> Self {
        self.access = Access::Satellite;
        self
    }

    /// For users with this permission.
    pub(crate) fn permission(mut self, permission: Permission, reach: Reach) -> Self {
        self.access = Access::Permission(permission, reach);
        self
    }

    /// Adds a parameter of the path, in the order of the path.
    pub(crate) fn path<T: ToSchema>(mut self, description: &'static str) -> Self {
        let schema = Ref::from_schema_name(add_schema::<T>(&mut self.schemas));
        self.path.push(parameter("", ParameterIn::Path, Some(description.into()), true, schema.into()));
        self
    }

    /// Adds a parameter of the path that is any text.
    pub(crate) fn path_text(mut self, description: &'static str) -> Self {
        self.path.push(parameter("", ParameterIn::Path, Some(description.into()), true, String::schema()));
        self
    }

    /// Adds the parameters of a query struct: one for each field.
    pub(crate) fn query<T: ToSchema + DeserializeOwned>(mut self) -> Self {
        self.query_names.extend(names::<T>());
        T::schemas(&mut self.schemas);
        // Each field is a parameter of its own: an object as one parameter is sent differently by every client.
        let RefOr::T(Schema::Object(fields)) = T::schema() else {
            unreachable!("the derived schema of a struct is an object")
        };
        self.query.extend(parameters(fields));
        self
    }

    /// Adds a header that may be sent.
    pub(crate) fn header(mut self, name: &str, description: &str) -> Self {
        self.headers.push(parameter(name, ParameterIn::Header, Some(description.into()), false, String::schema()));
        self
    }

    /// Takes an `Idempotency-Key`, which the handler gives to the hive: the same key gives the same command or job.
    pub(crate) fn key_of_command(mut self) -> Self {
        self.key = KeyUse::Command;
        self
    }

    /// Takes an `Idempotency-Key`. Its answer is kept, and given again to callers who may still make the call by its path.
    pub(crate) fn keeps_answer(mut self) -> Self {
        self.key = KeyUse::Answer { object: None };
        self
    }

    /// Like [`keeps_answer`](Self::keeps_answer), where the path does not name the object of the call: the answer has its id at this
    /// JSON pointer.
    pub(crate) fn keeps_answer_about(mut self, pointer: &'static str, reach: Reach) -> Self {
        self.key = KeyUse::Answer { object: Some((pointer, reach)) };
        self
    }

    /// Takes an `Idempotency-Key`. Its answer has a secret, which is shown once. The id of what was made is at this JSON pointer, or
    /// in the path.
    pub(crate) fn keeps_secret(mut self, id: Option<&'static str>) -> Self {
        self.key = KeyUse::Secret { id };
        self
    }

    /// Takes a JSON body, of which this is an example. A body may be left out where all of its fields may.
    pub(crate) fn body<T: ToSchema>(mut self, example: Value) -> Self {
        let name = add_schema::<T>(&mut self.schemas);
        // An empty example shows that the operation works without a body.
        let is_required = example.as_object().is_some_and(|fields| !fields.is_empty()) && requires_fields::<T>();
        let content = Content::builder().schema(Some(Ref::from_schema_name(name))).example(Some(example)).build();
        let required = if is_required { Required::True } else { Required::False };
        self.body =
            Some(RequestBodyBuilder::new().content("application/json", content).required(Some(required)).build());
        self
    }

    /// Limits the body to this many bytes, instead of the limit of the server.
    pub(crate) fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.limits.body_bytes = Some(bytes);
        self
    }

    /// Counts its calls as this class. Unless given, a call of a user is a read or an act by its method, and others have no rate.
    pub(crate) fn rate(mut self, class: RateClass) -> Self {
        self.limits.rate = Some(class);
        self
    }

    /// It gives a name to something. Where that is in use, the answer is 409, and callers may find only so many.
    pub(crate) fn gives_name(mut self) -> Self {
        self.limits.gives_name = true;
        self
    }

    /// Answers with data in an envelope.
    pub(crate) fn answer<T: ToSchema>(mut self, status: u16, description: &'static str) -> Self {
        let data = Ref::from_schema_name(add_schema::<T>(&mut self.schemas));
        self.answers.push((status, AnswerDoc::envelope(description, data.into())));
        self
    }

    /// Answers 200 with this type after a change, and with what was revoked by it, in an envelope.
    pub(crate) fn answer_changed<T: ToSchema>(mut self, description: &'static str) -> Self {
        let (value, revoked) = (add_schema::<T>(&mut self.schemas), add_schema::<RevokedWork>(&mut self.schemas));
        self.answers.push((200, AnswerDoc::changed(description, &value, &revoked)));
        self
    }

    /// Answers 200 with a whole list in an envelope.
    pub(crate) fn answer_list<T: ToSchema>(mut self, description: &'static str) -> Self {
        let item = add_schema::<T>(&mut self.schemas);
        self.answers.push((200, AnswerDoc::list(description, &item)));
        self
    }

    /// Answers 200 with one page of a list in an envelope.
    pub(crate) fn answer_page<T: ToSchema>(mut self, description: &'static str) -> Self {
        let (item, schemas) = (add_schema::<T>(&mut self.schemas), &mut self.schemas);
        self.answers.push((200, AnswerDoc::page(description, &item, schemas)));
        self
    }

    /// Answers 200 with `null` as data.
    pub(crate) fn answer_done(mut self, description: &'static str) -> Self {
        self.answers.push((200, AnswerDoc::done(description)));
        self
    }

    /// Answers with this type alone, without an envelope.
    pub(crate) fn answer_bare<T: ToSchema>(mut self, status: u16, description: &'static str) -> Self {
        let schema = Ref::from_schema_name(add_schema::<T>(&mut self.schemas));
        self.answers.push((status, AnswerDoc::of(description, "application/json", Some(schema.into()))));
        self
    }

    /// Answers 200 with the fields of this type beside `success`.
    pub(crate) fn answer_beside_success<T: ToSchema>(mut self, description: &'static str) -> Self {
        let fields = add_schema::<T>(&mut self.schemas);
        self.answers.push((200, AnswerDoc::beside_success(description, &fields)));
        self
    }

    /// Answers with a body of another type than JSON.
    pub(crate) fn answer_raw(mut self, status: u16, media_type: &'static str, description: &'static str) -> Self {
        self.answers.push((status, AnswerDoc::of(description, media_type, Some(String::schema()))));
        self
    }

    /// Answers with a stream of events (`text/event-stream`), each with the JSON of this type as data.
    pub(crate) fn answer_events<T: ToSchema>(mut self, description: &'static str) -> Self {
        let event = add_schema::<T>(&mut self.schemas);
        self.answers.push((200, AnswerDoc::events(description, &event)));
        self
    }

    /// Answers 200 with lines (`application/jsonl`), each with the JSON of this type.
    pub(crate) fn answer_lines<T: ToSchema>(mut self, description: &'static str) -> Self {
        let line = add_schema::<T>(&mut self.schemas);
        self.answers.push((200, AnswerDoc::lines(description, &line)));
        self
    }

    /// Takes a JWT in the query too, as `token`: browsers send no headers with a WebSocket.
    pub(crate) fn token_in_query(mut self) -> Self {
        self.takes_token = true;
        self
    }

    /// Opens a WebSocket, of a sub-protocol if it has one, with these JSON messages from and to the client.
    pub(crate) fn socket<From: ToSchema, To: ToSchema>(mut self, sub_protocol: Option<&'static str>) -> Self {
        let (from, to) = (add_schema::<From>(&mut self.schemas), add_schema::<To>(&mut self.schemas));
        self.answers.push((101, AnswerDoc::socket(sub_protocol, &from, &to)));
        self.is_socket = true;
        self
    }

    /// Adds errors beside those that follow from who may call, and from the input.
    pub(crate) fn errors(mut self, codes: impl IntoIterator<Item = ErrorCode>) -> Self {
        self.errors.extend(codes);
        self
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    pub(super) fn id(&self) -> &'static str {
        self.id
    }

    pub(super) fn key_use(&self) -> KeyUse {
        self.key
    }

    pub(super) fn takes_token(&self) -> bool {
        self.takes_token
    }

    pub(super) fn query_names(&self) -> Vec<&'static str> {
        self.query_names.clone()
    }

    pub(super) fn limits(&self) -> RequestLimits {
        self.limits
    }

    /// Returns the class of the rates of its calls by this method.
    pub(super) fn rate_class(&self, method: &HttpMethod) -> RateClass {
        self.limits.rate.unwrap_or_else(|| match method {
            _ if !self.access.is_for_users() => RateClass::Unlimited,
            HttpMethod::Get => RateClass::Read,
            _ => RateClass::Act,
        })
    }

    /// Returns the operation as a part of the document, and the schemas that it refers to.
    pub(super) fn into_openapi(
        mut self,
        method: &HttpMethod,
        path: &str,
        tag: &str,
        format: ErrorFormat,
    ) -> (OpenApiOperation, Schemas) {
        let rate = self.rate_class(method);
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let names: Vec<_> = names.collect();
        // At the start of the process and in every test, not at the first call.
        assert_eq!(names.len(), self.path.len(), "{path} has another number of parameters than its operation");
        for (parameter, name) in self.path.iter_mut().zip(names) {
            name.clone_into(&mut parameter.name);
        }
        let input = RequestInput {
            // A query is refused where none is taken.
            is_checked: is_strict(path) || !self.path.is_empty() || self.body.is_some(),
            has_body: self.body.is_some(),
            is_socket: self.is_socket,
            key: self.key,
        };
        let errors = error_answers(&self.access, input, self.errors, format, &mut self.schemas);
        let answers = merge_answers(self.answers, errors);
        let extensions = ExtensionsBuilder::new().add(ACCESS_EXTENSION, self.access.to_extension());
        let extensions = match rate {
            RateClass::Unlimited => extensions,
            class => extensions.add(RATE_EXTENSION, json!(class.as_str())),
        };
        let extensions = match self.limits.body_bytes {
            Some(bytes) => extensions.add("x-max-body-bytes", json!(bytes)),
            None => extensions,
        };
        let extensions = match self.key.as_str() {
            Some(word) => extensions.add(KEY_EXTENSION, json!(word)),
            None => extensions,
        };
        self.headers.extend(self.key.parameter());
        let parameters = [self.path, self.query, self.headers].concat();
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .summary(Some(self.summary))
            .description(self.description)
            .tag(tag)
            .parameters((!parameters.is_empty()).then_some(parameters))
            .request_body(self.body)
            .securities(Some(security(&self.access)))
            .extensions(Some(extensions.build()));
        for (status, answer) in answers {
            operation = operation.response(status.to_string(), answer.into_response());
        }
        (operation.build(), self.schemas)
    }
}

/// The credentials that an operation takes: one of them, or none for everybody.
fn security(access: &Access) -> Vec<SecurityRequirement> {
    let scheme = |name: &str| SecurityRequirement::new::<_, [&str; 0], &str>(name, []);
    match access {
        Access::Public => Vec::new(),
        Access::Person | Access::Permission(..) => vec![scheme("token"), scheme("api_key")],
        Access::Satellite => vec![scheme("satellite")],
    }
}

/// Whether a body of this type has fields that must be there.
fn requires_fields<T: ToSchema>() -> bool {
    matches!(T::schema(), RefOr::T(Schema::Object(object)) if !object.required.is_empty())
}

fn parameters(fields: Object) -> Vec<Parameter> {
    let Object { properties, required, .. } = fields;
    let of = |(name, schema): (String, RefOr<Schema>)| {
        let is_required = required.contains(&name);
        let (description, schema) = split_description(schema);
        parameter(&name, ParameterIn::Query, description, is_required, schema)
    };
    properties.into_iter().map(of).collect()
}

/// A parameter has a description of its own, and is left out instead of being `null`.
fn split_description(schema: RefOr<Schema>) -> (Option<String>, RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            if let SchemaType::Array(types) = &mut object.schema_type {
                // An `Option` in a query is a parameter that is left out: there is no way to write null in one.
                types.retain(|kind| *kind != Type::Null);
                if let [kind] = types.as_slice() {
                    object.schema_type = SchemaType::Type(kind.clone());
                }
            }
            object.default = object.default.take().filter(|value| !value.is_null());
            (object.description.take(), object.into())
        }
        RefOr::T(Schema::Array(mut array)) => (array.description.take(), array.into()),
        RefOr::T(Schema::OneOf(one)) => {
            one.items.into_iter().find(is_not_null).map_or_else(|| (None, String::schema()), split_description)
        }
        RefOr::Ref(mut reference) => {
            let description = std::mem::take(&mut reference.description);
            ((!description.is_empty()).then_some(description), reference.into())
        }
        other @ RefOr::T(_) => (None, other),
    }
}

fn is_not_null(schema: &RefOr<Schema>) -> bool {
    !matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null))
}

fn parameter(
    name: &str,
    place: ParameterIn,
    description: Option<String>,
    is_required: bool,
    schema: RefOr<Schema>,
) -> Parameter {
    let required = if is_required { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .description(description)
        .required(required)
        .schema(Some(schema))
        .build()
}
