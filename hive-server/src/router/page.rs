//! The OpenAPI document as an HTML page, for people. It holds no script and loads nothing; everything in it is escaped.

mod html;
mod schemas;

use std::fmt::Write;

use data_encoding::BASE64;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use self::html::{escape, inline, markdown};
use self::schemas::{limits_of, type_of, write_schemas};

const STYLE: &str = include_str!("page.css");

/// The methods of OpenAPI, in the order of the page.
const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

/// The policy of the page: its own style, by its hash, and nothing else.
pub(super) fn content_security_policy() -> String {
    // By hash, so that a style attribute or element that came in through a text has no effect.
    let hash = BASE64.encode(&Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// An operation with its place.
struct PageEntry<'d> {
    method: &'static str,
    path: &'d str,
    operation: &'d Value,
}

impl PageEntry<'_> {
    fn id(&self) -> &str {
        self.operation["operationId"].as_str().unwrap_or_default()
    }

    fn tag(&self) -> &str {
        self.operation["tags"][0].as_str().unwrap_or_default()
    }
}

/// Writes the page of a document.
pub(super) fn render(document: &Value) -> String {
    let entries = entries(document);
    let mut tags: Vec<&str> = entries.iter().map(PageEntry::tag).collect();
    // By name and not in the order of the tables, so that a reader finds an area.
    tags.sort_unstable();
    tags.dedup();
    let mut page = String::new();
    let title = escape(text(&document["info"]["title"]));
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} API</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title} API</h1>\n\
         <p class=\"dim\">Version {}, as <a href=\"openapi.json\">openapi.json</a></p>\n{}<nav>\n",
        escape(text(&document["info"]["version"])),
        markdown(text(&document["info"]["description"])),
    );
    for tag in &tags {
        write_contents(&mut page, tag, &entries);
    }
    page.push_str("</nav>\n");
    for tag in &tags {
        let _ = writeln!(page, "<h2>{}</h2>", escape(tag));
        for entry in entries.iter().filter(|entry| entry.tag() == *tag) {
            write_entry(&mut page, entry);
        }
    }
    write_schemas(&mut page, document);
    page.push_str("</body>\n</html>\n");
    page
}

fn entries(document: &Value) -> Vec<PageEntry<'_>> {
    let mut entries = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            entries.extend(item.get(method).map(|operation| PageEntry { method, path, operation }));
        }
    }
    entries
}

fn write_contents(page: &mut String, tag: &str, entries: &[PageEntry<'_>]) {
    let _ = writeln!(page, "<ul>\n<li><strong>{}</strong></li>", escape(tag));
    for entry in entries.iter().filter(|entry| entry.tag() == tag) {
        let (id, summary) = (escape(entry.id()), inline(text(&entry.operation["summary"])));
        let _ = writeln!(page, "<li><a href=\"#{id}\">{summary}</a></li>");
    }
    page.push_str("</ul>\n");
}

fn write_entry(page: &mut String, entry: &PageEntry<'_>) {
    let PageEntry { method, path, operation } = entry;
    let (id, method) = (escape(entry.id()), method.to_ascii_uppercase());
    let _ = write!(
        page,
        "<section id=\"{id}\">\n<h3><a href=\"#{id}\"><span class=\"method\">{method}</span> <code>{}</code></a></h3>\n\
         <p>{}. <span class=\"dim\">For {}.</span></p>\n{}",
        escape(path),
        inline(text(&operation["summary"])),
        escape(&who(&operation["x-hive-access"])),
        markdown(text(&operation["description"])),
    );
    write_limits(page, operation);
    write_parameters(page, &operation["parameters"]);
    write_body(page, &operation["requestBody"]["content"]["application/json"]);
    write_answers(page, operation["responses"].as_object());
    page.push_str("</section>\n");
}

/// Who may call an operation, in words.
fn who(access: &Value) -> String {
    match (text(&access["who"]), access["permission"].as_str()) {
        (_, Some(permission)) => format!("users with the permission {permission} ({})", text(&access["reach"])),
        ("person", _) => "every user".to_owned(),
        ("satellite", _) => "satellites".to_owned(),
        _ => "everybody".to_owned(),
    }
}

/// Writes what an operation says of its rate and the size of its body.
fn write_limits(page: &mut String, operation: &Value) {
    let rate =
        operation["x-hive-rate"].as_str().map(|class| format!("Its calls count as <code>{}</code>.", escape(class)));
    let size = operation["x-max-body-bytes"].as_u64().map(|bytes| format!("A body has at most {bytes} bytes."));
    let limits: Vec<String> = [rate, size].into_iter().flatten().collect();
    if !limits.is_empty() {
        let _ = writeln!(page, "<p class=\"dim\">{}</p>", limits.join(" "));
    }
}

fn write_parameters(page: &mut String, parameters: &Value) {
    let Some(parameters) = parameters.as_array() else { return };
    page.push_str("<h4>Parameters</h4>\n<table>\n");
    for parameter in parameters {
        let _ = writeln!(
            page,
            "<tr><td><code>{}</code> <span class=\"dim\">{}</span></td><td>{}{} {}</td></tr>",
            escape(text(&parameter["name"])),
            escape(text(&parameter["in"])),
            type_of(&parameter["schema"]),
            limits_of(&parameter["schema"]),
            markdown(text(&parameter["description"])),
        );
    }
    page.push_str("</table>\n");
}

fn write_body(page: &mut String, content: &Value) {
    if content.is_null() {
        return;
    }
    let example = serde_json::to_string_pretty(&content["example"]).unwrap_or_default();
    let _ = writeln!(page, "<h4>Body</h4>\n<p>{}</p>\n<pre>{}</pre>", type_of(&content["schema"]), escape(&example));
}

fn write_answers(page: &mut String, answers: Option<&Map<String, Value>>) {
    page.push_str("<h4>Answers</h4>\n<table>\n");
    for (status, answer) in answers.into_iter().flatten() {
        let contents = answer["content"].as_object().into_iter().flatten();
        let mut types: Vec<String> = contents.map(|(media, content)| content_type(media, &content["schema"])).collect();
        let messages = ["fromClient", "toClient"].iter().map(|end| &answer["x-socket"][*end]);
        // A socket has no body, and its messages stand in an extension.
        types.extend(messages.filter(|message| message.is_object()).map(type_of));
        let _ = writeln!(
            page,
            "<tr><td>{} <span class=\"dim\">{}</span></td><td>{}</td></tr>",
            escape(status),
            types.join(", "),
            markdown(text(&answer["description"])),
        );
    }
    page.push_str("</table>\n");
}

/// The type of a body: that of the data in an envelope, and of the events or lines of a stream.
fn content_type(media: &str, schema: &Value) -> String {
    let data = &schema["properties"]["data"];
    match (&data["contentSchema"], &schema["contentSchema"]) {
        (Value::Null, Value::Null) if !data.is_null() => type_of(data),
        (Value::Null, Value::Null) if media == "application/json" => type_of(schema),
        (Value::Null, Value::Null) => escape(media),
        (Value::Null, line) => format!("lines of {}", type_of(line)),
        (event, _) => format!("events of {}", type_of(event)),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_in_the_page_is_escaped() {
        let bad = "<script>\"&'";
        let operation = json!({
            "operationId": bad, "summary": bad, "description": bad, "tags": [bad],
            "x-hive-access": { "who": "permission", "permission": bad, "reach": bad },
            "parameters": [{ "name": bad, "in": bad, "description": bad, "schema": { "type": bad } }],
            "requestBody": { "content": { "application/json": { "example": bad, "schema": { "$ref": bad } } } },
            "responses": { bad: { "description": bad, "content": { bad: { "schema": { "type": bad } } } } },
        });
        let schema =
            json!({ "type": bad, "description": bad, "properties": { bad: { "type": bad, "description": bad } } });
        let document = json!({
            "info": { "title": bad, "version": bad, "description": bad },
            "paths": { bad: { "get": operation } },
            "components": { "schemas": { bad: schema } },
        });
        let page = render(&document);
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.matches("&lt;script&gt;&quot;&amp;&#39;").count() > 20, "{page}");
        assert!(!page.contains(&format!("id=\"{bad}")), "{page}");
    }

    #[test]
    fn the_policy_names_the_style_of_the_page() {
        assert!(content_security_policy().starts_with("default-src 'none'; style-src 'sha256-"));
    }
}
