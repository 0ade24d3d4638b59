//! The types of the document.

use std::fmt::Write;

use serde_json::Value;

use super::html::{escape, markdown};

/// Returns the name of the component that a reference names.
pub(super) fn reference_name(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// Returns a type in words, as HTML, with links to the components.
pub(super) fn type_of(schema: &Value) -> String {
    if let Some(name) = reference_name(schema) {
        let name = escape(name);
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for (key, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if let Some(parts) = schema[key].as_array() {
            return parts.iter().map(type_of).collect::<Vec<_>>().join(word);
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|word| format!("<code>{}</code>", escape(&word.to_string()))).collect();
        return words.join(" or ");
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec!["anything"],
    };
    let kinds: Vec<_> = kinds.into_iter().map(|kind| one_kind(kind, schema)).collect();
    kinds.join(" or ")
}

fn one_kind(kind: &str, schema: &Value) -> String {
    match kind {
        "array" => format!("list of {}", type_of(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map of {}", type_of(&schema["additionalProperties"]))
        }
        "object" => fields_in_words(schema),
        other => escape(other),
    }
}

/// The fields of an object that is no component.
fn fields_in_words(schema: &Value) -> String {
    let Some(fields) = schema["properties"].as_object() else { return "object".to_owned() };
    let fields = fields.iter().map(|(name, field)| format!("<code>{}</code>: {}", escape(name), type_of(field)));
    format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
}

/// Writes all components.
pub(super) fn write_schemas(page: &mut String, document: &Value) {
    page.push_str("<h2>Types</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        write_schema(page, &escape(name), schema);
    }
}

fn write_schema(page: &mut String, name: &str, schema: &Value) {
    let description = markdown(schema["description"].as_str().unwrap_or_default());
    let _ =
        writeln!(page, "<section id=\"schema-{name}\">\n<h3><a href=\"#schema-{name}\">{name}</a></h3>\n{description}");
    let parts = [&schema["oneOf"], &schema["allOf"]].into_iter().filter_map(Value::as_array).flatten();
    let objects: Vec<_> = std::iter::once(schema).chain(parts).filter(|part| part["properties"].is_object()).collect();
    if objects.is_empty() {
        let _ = writeln!(page, "<p class=\"dim\">{}</p>", type_of(schema));
    }
    for object in objects {
        write_fields(page, object);
    }
    page.push_str("</section>\n");
}

fn write_fields(page: &mut String, object: &Value) {
    let is_required = |name: &str| object["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    page.push_str("<table>\n");
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        let optional = if is_required(name) { "" } else { " <span class=\"dim\">optional</span>" };
        let description = field["description"].as_str().unwrap_or_default();
        let _ = writeln!(
            page,
            "<tr><td><code>{}</code>{optional}</td><td>{} {}</td></tr>",
            escape(name),
            type_of(field),
            markdown(description),
        );
    }
    page.push_str("</table>\n");
}
