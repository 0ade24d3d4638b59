//! The operations of the document that a server serves.

use std::fmt;

use hive_testkit::TestHive;
use serde_json::{Value, json};

/// The methods of OpenAPI that the API uses.
const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

/// One operation.
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    /// The kinds of ids in the path, such as `SatelliteId`; `None` for another text.
    pub(super) ids: Vec<(String, Option<String>)>,
    /// `x-hive-access`: who may call it, and for a permission which one and on what.
    pub(super) who: String,
    pub(super) permission: String,
    pub(super) reach: String,
    pub(super) security: Value,
    pub(super) has_body: bool,
    /// The example of its body, or an empty object.
    pub(super) example: Value,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.id, self.method, self.path)
    }
}

impl Operation {
    fn read(method: &str, path: &str, operation: &Value) -> Self {
        let access = &operation["x-hive-access"];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let of_path = parameters.filter(|parameter| parameter["in"] == "path");
        let id = |parameter: &Value| {
            let kind = parameter["schema"]["$ref"].as_str().and_then(|kind| kind.rsplit('/').next()).map(String::from);
            (word(&parameter["name"]), kind)
        };
        let content = &operation["requestBody"]["content"]["application/json"];
        Self {
            id: word(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            ids: of_path.map(id).collect(),
            who: word(&access["who"]),
            permission: word(&access["permission"]),
            reach: word(&access["reach"]),
            security: operation["security"].clone(),
            has_body: !content.is_null(),
            example: if content.is_null() { json!({}) } else { content["example"].clone() },
        }
    }

    /// The path with what `value` gives for each kind of id.
    pub(super) fn fill(&self, value: impl Fn(&str) -> String) -> String {
        self.ids.iter().fold(self.path.clone(), |path, (name, kind)| {
            let value = kind.as_deref().map_or_else(|| "web".to_owned(), &value);
            path.replace(&format!("{{{name}}}"), &value)
        })
    }

    /// The path with ids of the right form, of nothing.
    pub(super) fn fill_with_nothing(&self) -> String {
        let prefix = |kind: &str| match kind {
            "SatelliteId" => "sat",
            "CommandId" => "cmd",
            "JobId" => "job",
            "SessionId" => "sess",
            "GroupId" => "grp",
            "TeamId" => "team",
            "UserId" => "usr",
            "ApiKeyId" => "key",
            "RegistrationTokenId" => "reg",
            "AuditId" => "aud",
            other => panic!("no id of the kind {other} is known"),
        };
        self.fill(|kind| format!("{}_01kge3h900e41861050r3gg28a", prefix(kind)))
    }
}

/// Reads the operations from the document of a server.
pub(super) async fn operations(hive: &TestHive) -> Vec<Operation> {
    let document = hive.anonymous().get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("the document has paths") {
        for method in METHODS.iter().filter(|method| !item[**method].is_null()) {
            operations.push(Operation::read(method, path, &item[*method]));
        }
    }
    assert!(operations.len() > 60, "only {} operations", operations.len());
    operations
}
