//! `hive api`: a call of any path of the API.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use hive_core::RemoteHive;
use hive_core::client::{ApiRequest, ApiResponse};
use serde_json::{Map, Value};

use crate::args::{ApiArgs, ApiField};
use crate::error::{CliError, Result};
use crate::exec::line_buffer::LineBuffer;
use crate::files::is_stdout;
use crate::output::{self, Printer};

/// The prefix of the paths of the API.
const PREFIX: &str = "/api/v1/";

pub(super) async fn run(hive: &RemoteHive, printer: Printer, args: ApiArgs) -> Result<()> {
    let answer = hive.request(request(args)?).await?;
    match answer.media_type().as_deref() {
        // Anything else may have no end (`text/event-stream`) or be no text, and is passed on as it comes.
        Some("application/json") => show(printer, &answer.json().await?),
        _ => copy(answer).await,
    }
}

fn request(args: ApiArgs) -> Result<ApiRequest> {
    let ApiArgs { method, path, fields, input, idempotency_key } = args;
    let mut request = ApiRequest::new(method, absolute(path));
    request.idempotency_key = idempotency_key;
    // The other methods act, and the API takes what they are given as a body.
    let has_body = !["GET", "HEAD", "DELETE"].iter().any(|method| request.method.eq_ignore_ascii_case(method));
    if let Some(file) = input {
        request.body = Some(read_body(&file)?);
    } else if has_body {
        request.body = (!fields.is_empty()).then(|| body(&fields));
    } else {
        request.query = fields.into_iter().map(|field| (field.name, field.value)).collect();
    }
    Ok(request)
}

fn absolute(path: String) -> String {
    if path.starts_with('/') { path } else { format!("{PREFIX}{path}") }
}

/// Returns the object of these fields. A field that is given twice is a list.
fn body(fields: &[ApiField]) -> Value {
    let mut members = Map::new();
    for field in fields {
        // A name that is given once is a value. A list with one entry is written as JSON: `-f 'tags=["a"]'`.
        let is_list = fields.iter().filter(|other| other.name == field.name).count() > 1;
        if !is_list {
            members.insert(field.name.clone(), field.json());
        } else if let Value::Array(values) = members.entry(field.name.clone()).or_insert_with(|| Value::Array(vec![])) {
            values.push(field.json());
        }
    }
    Value::Object(members)
}

fn read_body(file: &Path) -> Result<Value> {
    let mut text = String::new();
    if is_stdout(file) {
        io::stdin().read_to_string(&mut text).map_err(CliError::file("read", "standard input"))?;
    } else {
        text = std::fs::read_to_string(file).map_err(CliError::file("read", file))?;
    }
    serde_json::from_str(&text).map_err(|error| CliError::usage(format!("--input is no JSON: {error}")))
}

/// Writes a JSON answer: over several lines for people, as one document for programs, and with `jsonl` its data line by line.
fn show(printer: Printer, answer: &Value) -> Result<()> {
    match (printer.is_lines(), answer.get("data")) {
        // Lines are for scripts that read rows: without the envelope.
        (true, Some(data)) => printer.json(data),
        _ if printer.is_json() => printer.json(answer),
        _ => output::text(&serde_json::to_string_pretty(answer).map_err(|error| CliError::Output(error.into()))?),
    }
}

/// Writes an answer that is no JSON as it comes. A terminal gets it line by line, with harmful characters escaped.
async fn copy(mut answer: ApiResponse) -> Result<()> {
    // A terminal would act on control characters of a satellite; a file gets the bytes as they are.
    let mut lines = io::stdout().is_terminal().then(LineBuffer::default);
    while let Some(chunk) = answer.chunk().await? {
        match &mut lines {
            Some(lines) => output::bytes(lines.push(&chunk).as_bytes())?,
            None => output::bytes(&chunk)?,
        }
    }
    lines.map_or(Ok(()), |mut lines| output::bytes(lines.take_rest().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{CallCommand, Cli, CliCommand};
    use clap::Parser as _;
    use serde_json::json;

    fn read(line: &str) -> ApiRequest {
        let CliCommand::Call(CallCommand::Api(args)) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("{line}");
        };
        request(args).unwrap()
    }

    #[test]
    fn fields_of_a_reading_call_are_its_query() {
        let request = read("hive api get satellites -f tag=web -f tag=eu -f per_page=10");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("get", "/api/v1/satellites"));
        let query: Vec<_> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(query, ["tag=web", "tag=eu", "per_page=10"]);
        assert_eq!(request.body, None);
    }

    #[test]
    fn fields_of_another_call_are_its_body() {
        let request = read("hive api POST /api/v1/sessions -f satellite_id=x -f cols=80 --idempotency-key k");
        assert_eq!(request.body, Some(json!({"satellite_id": "x", "cols": 80})));
        assert_eq!((request.path.as_str(), request.query.len()), ("/api/v1/sessions", 0));
        assert_eq!(request.idempotency_key.as_deref(), Some("k"));
        assert_eq!(
            read("hive api PUT x -f tags=a -f name=b -f tags=1").body,
            Some(json!({"tags": ["a", 1], "name": "b"}))
        );
        assert_eq!(read("hive api POST jobs/x/cancel").body, None);
    }
}
