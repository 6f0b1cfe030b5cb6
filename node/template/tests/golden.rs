//! Templates as Alertmanager 0.34 renders them: the cases of `golden/go.jsonl`, outputs and errors
//! of the original, replayed over the same data. Where we still differ, `ours` says what we give.

#![expect(clippy::unwrap_used, reason = "a test")]

mod data;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;
use tocsin_template::{Function, Functions, Templates, Type, standard};

fn functions() -> Functions {
    let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    let mut functions = standard(now, &TimeZone::UTC);
    functions.insert("routeLabels", Function::new(&[Type::Text], |_| Ok("".into())));
    functions
}

/// What a case gives, in the form in which the file holds it.
fn replay(templates: &Templates, functions: &Functions, case: &Json) -> (String, String) {
    let text = |key: &str| case[key].as_str().map(str::to_owned);
    let template = text("template").unwrap();
    let rendered = if case["html"] == true {
        templates.html(&template, &data::dot(), functions)
    } else {
        templates.text(&template, &data::dot(), functions)
    };
    let found = rendered.unwrap_or_else(|error| format!("ERROR {error}"));
    let original = text("error").map(|error| format!("ERROR {error}"));
    let original = original.or_else(|| text("output")).unwrap();
    let ours = text("ours");
    assert_ne!(ours.as_ref(), Some(&original), "no longer different: {template}");
    (found, ours.unwrap_or(original))
}

#[test]
fn go_and_we_agree() {
    let functions = functions();
    let templates = Templates::new(functions.keys().copied());
    let mut differences = String::new();
    let mut count = 0;
    for line in include_str!("golden/go.jsonl").lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let (found, expected) = replay(&templates, &functions, &case);
        if found != expected {
            count += 1;
            differences += &format!(
                "{} {}\n  want {expected}\n  got  {found}\n",
                if case["html"] == true { "html" } else { "text" },
                case["template"]
            );
        }
    }
    assert!(count == 0, "{count} differences\n{differences}");
}
