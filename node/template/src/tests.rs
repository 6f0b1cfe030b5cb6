//! Whole templates over a small type of our own.

use std::any::Any;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

/// A struct with a field, a map and a method with an argument.
#[derive(Debug)]
struct Page;

#[derive(Debug)]
struct Labels(Vec<(&'static str, &'static str)>);

impl Object for Page {
    fn type_name(&self) -> &str {
        "*test.Page"
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Title" => "<b>x</b> & 'q'".into(),
            "Labels" => Value::object(Labels(vec![("alertname", "Down"), ("job", "node")])),
            "Numbers" => Value::list((1..4).map(Value::Int).collect()).unwrap(),
            "Start" => {
                Value::Time(Time::new("2026-11-22T10:00:00.5Z".parse().unwrap(), TimeZone::UTC))
            }
            _ => return None,
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Labels {
    fn type_name(&self) -> &str {
        "test.Labels"
    }

    fn kind(&self) -> Kind {
        Kind::Map
    }

    fn has_method(&self, name: &str) -> bool {
        matches!(name, "Names" | "Only")
    }

    fn method(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, CallError>> {
        let names = || self.0.iter().map(|(name, _)| (*name).into()).collect();
        match (name, arguments) {
            ("Names", []) => Some(Ok(Value::Texts(Arc::new(names())))),
            ("Only", [Value::Text(name)]) => Some(Ok(self.field(name)?)),
            ("Only", _) => Some(Err(CallError::count("Only", 1, arguments.len()))),
            _ => None,
        }
    }

    fn field(&self, name: &str) -> Option<Value> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        Some(found.map_or("", |(_, value)| *value).into())
    }

    fn entries(&self) -> Vec<(Value, Value)> {
        self.0.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn text(&self) -> Option<String> {
        Some(
            self.0
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(", "),
        )
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn functions() -> Functions {
    standard(Timestamp::UNIX_EPOCH, &TimeZone::UTC)
}

fn templates() -> Templates {
    Templates::new(functions().into_keys())
}

#[track_caller]
fn check(template: &str, expected: &str) {
    let text = templates().text(template, &Value::object(Page), &functions());
    assert_eq!(text.unwrap_or_else(|e| format!("ERR {e}")), expected, "{template}");
}

#[track_caller]
fn check_html(template: &str, expected: &str) {
    let text = templates().html(template, &Value::object(Page), &functions());
    assert_eq!(text.unwrap_or_else(|e| format!("ERR {e}")), expected, "{template}");
}

#[test]
fn actions_do_what_go_does() {
    check("{{ $x := 1 }}{{ range .Numbers }}{{ $x = 2 }}{{ $x := 3 }}{{ end }}{{ $x }}", "2");
    check("a {{- \" b \" -}} c {{/* comment */}} d {{- /* c2 */ -}} e", "a b c  de");
    check("{{ range $k, $v := .Labels }}{{ $k }}={{ $v }};{{ end }}", "alertname=Down;job=node;");
    check(
        "{{ range $i, $n := .Numbers }}{{ if $i }}, {{ end }}{{ $n }}{{ else }}none{{ end }}",
        "1, 2, 3",
    );
    check("{{ range .Numbers }}{{ if eq . 2 }}{{ continue }}{{ end }}{{ . }}{{ end }}", "13");
    check("{{ range .Numbers }}{{ if eq . 2 }}{{ break }}{{ end }}{{ . }}{{ end }}", "1");
    check(
        "{{ define \"a\" }}[{{ . }}]{{ end }}{{ template \"a\" .Title }}{{ template \"a\" }}",
        "[<b>x</b> & 'q'][<no value>]",
    );
    check("{{ block \"b\" 3 }}<{{ . }}>{{ end }}", "<3>");
    check("{{ with .Labels.nosuch }}A{{ else with .Labels.job }}{{ . }}{{ end }}", "node");
    check("{{ range 3 }}{{ . }}{{ end }}", "012");
    check("{{ if and 1 0 }}a{{ else if or 0 \"x\" }}b{{ else }}c{{ end }}", "b");
    check(
        "{{ 1.0 }} {{ 1e3 }} {{ 0x1F }} {{ 0o17 }} {{ 1_000 }} {{ 'a' }} {{ `raw\\n` }}",
        "1 1000 31 15 1000 97 raw\\n",
    );
    check(
        "{{ .Labels.job | printf \"%s-%s\" \"x\" }} {{ \"abc\" | len | printf \"%03d\" }}",
        "x-node 003",
    );
    check(
        "{{ .Labels.Names | join \",\" }} {{ .Labels.Only \"job\" }} {{ (index .Numbers 0) }}",
        "alertname,job node 1",
    );
    check("{{ .Labels }} {{ .Labels.nosuch }}|", "alertname=Down, job=node |");
    check(
        "{{ .Start }} {{ .Start.Format \"15:04\" }} {{ (.Start.Add 3600000000000).Hour }}",
        "2026-11-22 10:00:00.5 +0000 UTC 10:00 11",
    );
    check(
        "{{ and 1 0 \"x\" }} {{ or 0 \"\" \"z\" }} {{ not 0 }} {{ slice \"abcdef\" 1 3 }} {{ index \"abc\" 1 }}",
        "0 z true bc 98",
    );
}

#[test]
fn mistakes_have_gos_texts_and_places() {
    for (template, text) in [
        ("{{ if }}", "template: :1: missing value for if"),
        ("{{ nosuch }}", "template: :1: function \"nosuch\" not defined"),
        ("{{ $x }}", "template: :1: undefined variable \"$x\""),
        ("{{ if 1 }}", "template: :1: unexpected EOF"),
        ("{{ end }}", "template: :1: unexpected {{end}}"),
        ("\n{{ break }}", "template: :2: {{break}} outside {{range}}"),
        ("{{ 1 | 2 }}", "template: :1: non executable command in pipeline stage 2"),
        ("{{ 'ab' }}", "template: :1: malformed character constant: 'ab'"),
        (
            "{{ .NoSuch }}",
            "template: :1:3: executing \"\" at <.NoSuch>: can't evaluate field NoSuch in type *test.Page",
        ),
        (
            "{{ .Title.Foo }}",
            "template: :1:9: executing \"\" at <.Title.Foo>: can't evaluate field Foo in type string",
        ),
        (
            "{{ template \"x\" . }}",
            "template: :1:12: executing \"\" at <{{template \"x\" .}}>: template \"x\" not defined",
        ),
        (
            "{{ index .Numbers 5 }}",
            "template: :1:3: executing \"\" at <index .Numbers 5>: error calling index: index out of range: 5",
        ),
        (
            "{{ eq 1 1.0 }}",
            "template: :1:3: executing \"\" at <eq 1 1.0>: error calling eq: incompatible types for comparison: int and float64",
        ),
        ("{{ toUpper 1 }}", "template: :1:11: executing \"\" at <1>: expected string; found 1"),
        (
            "{{ toUpper }}",
            "template: :1:3: executing \"\" at <toUpper>: wrong number of args for toUpper: want 1 got 0",
        ),
        (
            "{{ range \"ab\" }}{{ end }}",
            "template: :1:9: executing \"\" at <\"ab\">: range can't iterate over ab",
        ),
        ("{{ nil }}", "template: :1:3: executing \"\" at <nil>: nil is not a command"),
        (
            "{{ .Title 1 }}",
            "template: :1:3: executing \"\" at <.Title>: Title has arguments but cannot be invoked as function",
        ),
    ] {
        check(template, &format!("ERR {text}"));
    }
}

#[test]
fn html_is_escaped_by_context() {
    check_html(
        "<p title={{ .Title }}>{{ .Title }}</p>",
        "<p title=&lt;b&gt;x&lt;/b&gt;&#32;&amp;&#32;&#39;q&#39;>&lt;b&gt;x&lt;/b&gt; &amp; &#39;q&#39;</p>",
    );
    check_html("<a href=\"{{ \"javascript:alert(1)\" }}\">", "<a href=\"#ZgotmplZ\">");
    check_html(
        "<a href=\"http://h/{{ \"p q\" }}?x={{ \"p&q\" }}\">",
        "<a href=\"http://h/p%20q?x=p%26q\">",
    );
    check_html("{{ \"<b>\" | safeHtml }}{{ .Labels.nosuch }}", "<b>");
    check_html("<script>var x = {{ 2 }};</script>", "<script>var x =  2 ;</script>");
    check_html("{{ \"<\" | urlquery }} {{ \"<\" | html }}", "%3C &lt;");
    assert!(templates().html("<a href=\"{{ 1 }}", &Value::Nil, &functions()).is_err());
}

#[test]
fn last_definition_wins_but_blank_ones_replace_nothing() {
    let mut templates = templates();
    templates.add("a.tmpl", "{{ define \"x\" }}first{{ end }}").unwrap();
    templates
        .add("b.tmpl", "{{ define \"x\" }} \n {{ end }}{{ define \"y\" }}one{{ end }}")
        .unwrap();
    templates.add("c.tmpl", "{{ define \"y\" }}two{{ end }}").unwrap();
    let text =
        templates.text("{{ template \"x\" . }}{{ template \"y\" . }}", &Value::Nil, &functions());
    assert_eq!(text.unwrap(), "firsttwo");
    assert_eq!(
        templates.add("bad.tmpl", "a\n{{ if }}").unwrap_err().to_string(),
        "template: bad.tmpl:2: missing value for if"
    );
}

#[test]
fn deep_recursion_is_rendered_and_endless_recursion_refused() {
    check(
        "{{ define \"n\" }}{{ if . }}{{ template \"n\" (slice . 1) }}.{{ end }}{{ end }}{{ template \"n\" \"0123456789012345678901234567890123456789012345678901234567890123456789\" }}",
        &".".repeat(70),
    );
    check(
        "{{ define \"n\" }}{{ template \"n\" }}{{ end }}{{ template \"n\" }}",
        "ERR template: :1:28: executing \"n\" at <{{template \"n\"}}>: exceeded maximum template depth (100000)",
    );
}

#[test]
fn nesting_costs_no_stack() {
    let deep = |open: &str, close: &str, n: usize| open.repeat(n) + "x" + &close.repeat(n);
    check(&deep("{{if 1}}", "{{end}}", 20_000), "x");
    check(&deep("{{with 1}}", "{{end}}", 20_000), "x");
    check(&deep("{{range 1}}", "{{end}}", 20_000), "x");
    let chain = format!("{{{{if 0}}}}{}{{{{else}}}}x{{{{end}}}}", "{{else if 0}}".repeat(20_000));
    check(&chain, "x");
    check(&format!("{{{{ {} }}}}", deep("(", ")", 100).replace('x', "1")), "1");
    check(
        &format!("{{{{ {} }}}}", deep("(", ")", 101).replace('x', "1")),
        "ERR template: :1: parentheses nested deeper than 100",
    );
}

/// What would grow without end ends in an error.
#[test]
fn made_values_are_bounded() {
    for (template, end) in [
        (r#"{{$x := "ab"}}{{range 100}}{{$x = printf "%s%s" $x $x}}{{end}}"#, "too large"),
        (r#"{{$x := "ab"}}{{range 100}}{{$x = print $x $x}}{{end}}"#, "too large"),
        (r#"{{$x := "ab"}}{{range 100}}{{$x = reReplaceAll "" $x $x}}{{end}}"#, "too large"),
        (r#"{{$x := "ab"}}{{range 100}}{{$x = join $x (stringSlice $x $x)}}{{end}}"#, "too large"),
        (r#"{{$x := "ab"}}{{range 100}}{{$x = toJson (list $x $x)}}{{end}}"#, "too large"),
        (r"{{$x := list}}{{range 1000}}{{$x = list $x $x}}{{end}}", "nested deeper than 100"),
        (r#"{{$x := list}}{{range 1000}}{{$x = dict "a" $x}}{{end}}"#, "nested deeper than 100"),
        (r"{{$x := list 1}}{{range 60}}{{$x = list $x $x}}{{end}}{{$x}}", "too large"),
        (r#"{{range 10000000}}{{range 10000000}}{{end}}{{end}}"#, "too many rounds"),
        (
            r#"{{define "n"}}{{range 9}}{{template "n"}}{{end}}{{end}}{{template "n"}}"#,
            "depth (100000)",
        ),
    ] {
        let limits = Limits { int_rounds: 100_000, output_bytes: 1 << 20, ..Limits::default() };
        let templates = templates().with_limits(limits);
        let error = templates.text(template, &Value::Nil, &functions()).unwrap_err();
        assert!(error.to_string().ends_with(end), "{template}: {error}");
    }
}

#[test]
fn endless_output_is_refused() {
    let error = templates()
        .text("{{ range 10000000 }}{{ printf \"%9999d\" 1 }}{{ end }}", &Value::Nil, &functions())
        .unwrap_err();
    assert!(error.to_string().ends_with("output is too large"), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "(\\{\\{|\\}\\}|[ .$|()\"'`a-c=:,-]|if|else|end|range|with|define|template|break|\\PC){0,24}") {
        let _either = templates().text(&text, &Value::object(Page), &functions());
        let _either = templates().html(&text, &Value::object(Page), &functions());
    }
}
