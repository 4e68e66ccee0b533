//! JSON Schema to the structural schemas that Kubernetes takes: one type each, no references, no nulls, and unions only
//! where they say how many members may be set.

use serde_json::{Map, Value, json};

/// Rewrites a schema and all below it.
pub(super) fn rewrite(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else {
        // `true`: anything goes.
        return json!({"x-kubernetes-preserve-unknown-fields": true});
    };
    for noise in ["$schema", "title", "default", "additionalItems"] {
        schema.remove(noise);
    }
    drop_null(&mut schema);
    merge_union(&mut schema);
    plain_number(&mut schema);
    plain_description(&mut schema);
    for key in ["properties", "patternProperties"] {
        if let Some(Value::Object(properties)) = schema.get_mut(key) {
            properties.iter_mut().for_each(|(_, property)| *property = rewrite(property.take()));
        }
    }
    for key in ["items", "additionalProperties"] {
        match schema.get_mut(key) {
            Some(Value::Bool(false)) => drop(schema.remove(key)),
            Some(below) => *below = rewrite(below.take()),
            None => {}
        }
    }
    Value::Object(schema)
}

/// A schema with one more rule.
pub(super) fn with_rule(mut schema: Value, rule: &str, message: &str) -> Value {
    let rule = json!({"rule": rule, "message": message});
    match schema["x-kubernetes-validations"].as_array_mut() {
        Some(rules) => rules.push(rule),
        None => schema["x-kubernetes-validations"] = json!([rule]),
    }
    schema
}

/// What is optional is left out, never null: the API server drops nulls before it checks.
fn drop_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|t| t != "null");
        if let [one] = &types[..] {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(members)) = schema.get("anyOf") else { return };
    let not_null: Vec<&Value> = members.iter().filter(|member| member["type"] != "null").collect();
    if let ([Value::Object(member)], true) = (&not_null[..], members.len() == 2) {
        let member = member.clone();
        schema.remove("anyOf");
        // What is said at the field goes before what is said at its type.
        for (key, value) in member {
            schema.entry(key).or_insert(value);
        }
    }
}

/// Rust's enums: words become one `enum`, variants with content become properties of which exactly one is set.
fn merge_union(schema: &mut Map<String, Value>) {
    let Some(Value::Array(members)) = schema.remove("oneOf") else { return };
    let words: Vec<&Value> = members.iter().flat_map(words).collect();
    if words.len() >= members.len() {
        schema.insert("type".to_owned(), "string".into());
        schema.insert("enum".to_owned(), words.into_iter().cloned().collect());
        return;
    }
    let properties: Map<String, Value> = members.iter().flat_map(described_properties).collect();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("minProperties".to_owned(), 1.into());
    schema.insert("maxProperties".to_owned(), 1.into());
}

/// A variant's property, with the variant's own description.
fn described_properties(member: &Value) -> Map<String, Value> {
    let mut properties = member["properties"].as_object().cloned().unwrap_or_default();
    for property in properties.values_mut().filter(|_| member["description"].is_string()) {
        property["description"] = member["description"].clone();
    }
    properties
}

fn words(member: &Value) -> Vec<&Value> {
    let constant = member.get("const").into_iter();
    constant.chain(member["enum"].as_array().into_iter().flatten()).filter(|word| word.is_string()).collect()
}

/// Kubernetes knows signed formats only; the range says the rest.
fn plain_number(schema: &mut Map<String, Value>) {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let most: Option<u64> = match format {
        "uint8" => Some(u8::MAX.into()),
        "uint16" => Some(u16::MAX.into()),
        "uint32" => Some(u32::MAX.into()),
        "uint64" | "uint" => None,
        _ => return,
    };
    schema.remove("format");
    if let Some(most) = most {
        schema.entry("maximum").or_insert(most.into());
    }
}

/// Docstrings as prose: a line break within a paragraph is a space, and links' brackets are gone.
fn plain_description(schema: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs = text.split("\n\n").map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
        *text = paragraphs.collect::<Vec<_>>().join("\n\n").replace("[`", "`").replace("`]", "`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_foreign_formats_are_dropped() {
        let schema = json!({"type": ["integer", "null"], "format": "uint16", "minimum": 1, "default": null});
        assert_eq!(rewrite(schema), json!({"type": "integer", "minimum": 1, "maximum": 65535}));
        let schema =
            json!({"description": "a\nb", "anyOf": [{"type": "object", "description": "c"}, {"type": "null"}]});
        assert_eq!(rewrite(schema), json!({"type": "object", "description": "a b"}));
    }

    #[test]
    fn enums_are_words_or_one_property_of_several() {
        let schema = json!({"oneOf": [{"type": "string", "const": "A", "description": "x"}, {"enum": ["B", "C"]}]});
        assert_eq!(rewrite(schema), json!({"type": "string", "enum": ["A", "B", "C"]}));
        let variant =
            |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
        assert_eq!(
            rewrite(json!({"oneOf": [variant("a"), variant("b")]})),
            json!({
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                "minProperties": 1,
                "maxProperties": 1,
            }),
        );
    }

    #[test]
    fn what_takes_anything_keeps_it() {
        let schema = json!({"type": "object", "additionalProperties": true});
        let expected =
            json!({"type": "object", "additionalProperties": {"x-kubernetes-preserve-unknown-fields": true}});
        assert_eq!(rewrite(schema), expected);
    }
}
