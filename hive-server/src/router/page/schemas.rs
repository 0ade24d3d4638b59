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

/// Returns the limits of a type in words, as HTML: nothing where it has none.
pub(super) fn limits_of(schema: &Value) -> String {
    let mut limits: Vec<String> = Vec::new();
    for (least, most, unit) in
        [("minimum", "maximum", ""), ("minLength", "maxLength", " characters"), ("minItems", "maxItems", " entries")]
    {
        let (least, most) = (schema[least].as_u64(), schema[most].as_u64());
        // A number of 64 bits has no limit that a reader meets.
        limits.extend(match (least, most.filter(|most| *most < u64::from(u32::MAX))) {
            (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
            (None, Some(most)) => Some(format!("at most {most}{unit}")),
            (Some(least), None) if least > 0 => Some(format!("at least {least}{unit}")),
            _ => None,
        });
    }
    let pattern = schema["pattern"].as_str().map(|pattern| format!("<code>{}</code>", escape(pattern)));
    let limits: Vec<String> = limits.into_iter().chain(pattern).collect();
    if limits.is_empty() { String::new() } else { format!(", <span class=\"dim\">{}</span>", limits.join(", ")) }
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
        let _ = writeln!(page, "<p class=\"dim\">{}{}</p>", type_of(schema), limits_of(schema));
    }
    for object in objects {
        write_fields(page, object);
    }
    page.push_str("</section>\n");
}

/// The description of a field. That of one that may be `null` is beside its type.
fn description_of(field: &Value) -> &str {
    let parts = field["oneOf"].as_array().into_iter().flatten();
    let descriptions = std::iter::once(field).chain(parts).map(|part| part["description"].as_str());
    descriptions.flatten().next().unwrap_or_default()
}

fn write_fields(page: &mut String, object: &Value) {
    let is_required = |name: &str| object["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    page.push_str("<table>\n");
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        let optional = if is_required(name) { "" } else { " <span class=\"dim\">optional</span>" };
        let description = description_of(field);
        let _ = writeln!(
            page,
            "<tr><td><code>{}</code>{optional}</td><td>{}{} {}</td></tr>",
            escape(name),
            type_of(field),
            limits_of(field),
            markdown(description),
        );
    }
    page.push_str("</table>\n");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_words() {
        let check = |schema, expected| assert_eq!(limits_of(&schema), expected);
        let dim = |words| format!(", <span class=\"dim\">{words}</span>");
        check(json!({ "type": "string" }), String::new());
        check(json!({ "minimum": 0, "maximum": u64::MAX }), String::new());
        check(json!({ "minimum": 1, "maximum": 1000 }), dim("1 to 1000"));
        check(json!({ "maxItems": 64 }), dim("at most 64 entries"));
        check(json!({ "minLength": 1, "pattern": "^<" }), dim("at least 1 characters, <code>^&lt;</code>"));
    }
}
