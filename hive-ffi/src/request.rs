//! Calls of any path of the API, for what has no method of its own.

use hive_core::client::ApiRequest;

use crate::records::Json;
use crate::{Hive, HiveError};

#[uniffi::export]
impl Hive {
    /// Calls a path of a remote hive's API, such as `GET` and `/api/v1/satellites?tag=web`, and returns the answer. The body is
    /// JSON. `GET /api/v1/openapi.json` describes all paths.
    ///
    /// The answer must be JSON with an end, so no stream. A hive in this process has no paths: `serve` it, and connect to that.
    pub async fn request(&self, method: String, path: String, json: Option<Json>) -> Result<Json, HiveError> {
        let backend = self.backend.clone();
        let call = async move {
            let mut request = ApiRequest::new(method, path);
            request.body = json.map(|json| parse(&json)).transpose()?;
            let answer = backend.remote().await?.request(request).await?;
            Ok(Json(answer.json().await?.to_string()))
        };
        self.engine.run(call).await
    }
}

fn parse(json: &Json) -> Result<serde_json::Value, HiveError> {
    serde_json::from_str(&json.0).map_err(|error| HiveError::invalid("json", format!("is no JSON: {error}")))
}
