//! Inputs and what the two grammars and the fallback make of them, recorded from Alertmanager 0.34.
//!
//! A matcher is written `⟨name op "value"⟩` with the value quoted as in Go, an error as `✗ text`.

use super::tests::Expected::{self, Disagree, Error, Same, Utf8, Warn};

/// Input, UTF-8 grammar, classic grammar, fallback.
#[rustfmt::skip]
pub(super) const LISTS: &[(&str, &str, &str, Expected)] = &[
    ("", "(none)", "(none)", Same), // 1
    ("{}", "(none)", "(none)", Same), // 2
    ("{", "✗ 0:1: end of input: expected close brace", "(none)", Warn), // 3
    ("}", "✗ 0:1: }: expected opening brace", "(none)", Warn), // 4
    ("{{}", "✗ 1:2: unexpected {: expected label name", "✗ bad matcher format: {", Error), // 5
    ("{}}", "✗ 2:3: }: expected end of input", "✗ bad matcher format: }", Error), // 6
    (",", "✗ 0:1: unexpected ,: expected label name", "✗ bad matcher format: ", Error), // 7
    ("{,}", "✗ 1:2: unexpected ,: expected label name", "✗ bad matcher format: ", Error), // 8
    ("foo=bar", r#"⟨foo = "bar"⟩"#, r#"⟨foo = "bar"⟩"#, Same), // 9
    ("{foo=bar}", r#"⟨foo = "bar"⟩"#, r#"⟨foo = "bar"⟩"#, Same), // 10
    ("{foo=bar,}", r#"⟨foo = "bar"⟩"#, r#"⟨foo = "bar"⟩"#, Same), // 11
    ("foo=bar,", r#"⟨foo = "bar"⟩"#, r#"⟨foo = "bar"⟩"#, Same), // 12
    ("{foo=bar", "✗ 0:8: end of input: expected close brace", r#"⟨foo = "bar"⟩"#, Warn), // 13
    ("foo=bar}", "✗ 0:8: }: expected opening brace", r#"⟨foo = "bar"⟩"#, Warn), // 14
    (" { foo = bar , a != b } ", r#"⟨foo = "bar"⟩ ⟨a != "b"⟩"#, "✗ bad matcher format:  { foo = bar ", Utf8), // 15
    (r#"foo="bar""#, r#"⟨foo = "bar"⟩"#, r#"⟨foo = "bar"⟩"#, Same), // 16
    (r#"foo!="bar""#, r#"⟨foo != "bar"⟩"#, r#"⟨foo != "bar"⟩"#, Same), // 17
    (r#"foo=~"ba.*""#, r#"⟨foo =~ "ba.*"⟩"#, r#"⟨foo =~ "ba.*"⟩"#, Same), // 18
    (r#"foo!~"ba.*""#, r#"⟨foo !~ "ba.*"⟩"#, r#"⟨foo !~ "ba.*"⟩"#, Same), // 19
    ("foo=~[a-z]+", r#"⟨foo =~ "[a-z]+"⟩"#, r#"⟨foo =~ "[a-z]+"⟩"#, Same), // 20
    (r#""foo"="bar""#, r#"⟨foo = "bar"⟩"#, r#"✗ bad matcher format: "foo"="bar""#, Utf8), // 21
    (r#""foo bar"="baz""#, r#"⟨foo bar = "baz"⟩"#, r#"✗ bad matcher format: "foo bar"="baz""#, Utf8), // 22
    ("foo bar=baz", "✗ 4:7: unexpected bar: expected an operator such as '=', '!=', '=~' or '!~'", "✗ bad matcher format: foo bar=baz", Error), // 23
    ("foo=bar baz", "✗ 8:11: unexpected baz: expected a comma or close brace", r#"⟨foo = "bar baz"⟩"#, Warn), // 24
    ("foo=", "✗ end of input: expected label value", r#"⟨foo = ""⟩"#, Warn), // 25
    (r#"foo="""#, r#"⟨foo = ""⟩"#, r#"⟨foo = ""⟩"#, Same), // 26
    ("foo", "✗ end of input: expected an operator such as '=', '!=', '=~' or '!~'", "✗ bad matcher format: foo", Error), // 27
    ("=bar", "✗ 0:1: unexpected =: expected label name", "✗ bad matcher format: =bar", Error), // 28
    ("foo==bar", "✗ 4:5: unexpected =: expected label value", r#"⟨foo = "=bar"⟩"#, Warn), // 29
    ("foo=~~bar", "✗ 5:6: ~: invalid input: expected label value", r#"⟨foo =~ "~bar"⟩"#, Warn), // 30
    ("foo!bar", "✗ 3:4: !: expected one of '=~': expected an operator such as '=', '!=', '=~' or '!~'", "✗ bad matcher format: foo!bar", Error), // 31
    ("foo!", "✗ 3:4: unexpected end of input, expected one of '=~': expected an operator such as '=', '!=', '=~' or '!~'", "✗ bad matcher format: foo!", Error), // 32
    ("foo<5", "✗ end of input: expected an operator such as '=', '!=', '=~' or '!~'", "✗ bad matcher format: foo<5", Error), // 33
    ("a-b=c", r#"⟨a-b = "c"⟩"#, "✗ bad matcher format: a-b=c", Utf8), // 34
    ("1a=b", r#"⟨1a = "b"⟩"#, "✗ bad matcher format: 1a=b", Utf8), // 35
    ("a.b=c", r#"⟨a.b = "c"⟩"#, "✗ bad matcher format: a.b=c", Utf8), // 36
    ("föö=bär", r#"⟨föö = "bär"⟩"#, "✗ bad matcher format: föö=bär", Utf8), // 37
    ("foo=🙂", r#"⟨foo = "🙂"⟩"#, r#"⟨foo = "🙂"⟩"#, Same), // 38
    (r#""foo🙂"="x""#, r#"⟨foo🙂 = "x"⟩"#, r#"✗ bad matcher format: "foo🙂"="x""#, Utf8), // 39
    (r#"foo="a,b",bar=c"#, r#"⟨foo = "a,b"⟩ ⟨bar = "c"⟩"#, r#"⟨foo = "a,b"⟩ ⟨bar = "c"⟩"#, Same), // 40
    ("foo=a,,bar=b", "✗ 6:7: unexpected ,: expected a matcher or close brace after comma", "✗ bad matcher format: ", Error), // 41
    (r#"foo="bar"#, r#"✗ 4:8: "bar: missing end ": expected label value"#, r#"✗ matcher value contains unescaped double quote: "bar"#, Error), // 42
    (r#"foo=bar""#, r#"✗ 7:8: ": missing end ": expected a comma or close brace"#, r#"✗ matcher value contains unescaped double quote: bar""#, Error), // 43
    (r#"foo=ba"r"#, r#"✗ 6:8: "r: missing end ": expected a comma or close brace"#, r#"✗ matcher value contains unescaped double quote: ba"r"#, Error), // 44
    (r#"foo="a\"b""#, r#"⟨foo = "a\"b"⟩"#, r#"⟨foo = "a\"b"⟩"#, Same), // 45
    (r#"foo="a\nb""#, r#"⟨foo = "a\nb"⟩"#, r#"⟨foo = "a\nb"⟩"#, Same), // 46
    (r#"foo="a\tb""#, r#"⟨foo = "a\tb"⟩"#, r#"⟨foo = "a\\tb"⟩"#, Disagree), // 47
    (r#"foo="\d+""#, r#"✗ 4:9: "\d+": invalid input"#, r#"⟨foo = "\\d+"⟩"#, Warn), // 48
    (r#"foo=~"\d+""#, r#"✗ 5:10: "\d+": invalid input"#, r#"⟨foo =~ "\\d+"⟩"#, Warn), // 49
    (r#"foo=~"\\d+""#, r#"⟨foo =~ "\\d+"⟩"#, r#"⟨foo =~ "\\d+"⟩"#, Same), // 50
    (r#"foo=~\d+"#, r#"✗ 5:6: \: invalid input: expected label value"#, r#"⟨foo =~ "\\d+"⟩"#, Warn), // 51
    (r#"foo=a\nb"#, r#"✗ 5:6: \: invalid input: expected a comma or close brace"#, r#"⟨foo = "a\nb"⟩"#, Warn), // 52
    ("foo='bar'", "✗ 4:5: ': invalid input: expected label value", r#"⟨foo = "'bar'"⟩"#, Warn), // 53
    ("foo=`bar`", "✗ 4:5: `: invalid input: expected label value", r#"⟨foo = "`bar`"⟩"#, Warn), // 54
    (r#"foo="\xf0\x9f\x99\x82""#, r#"⟨foo = "🙂"⟩"#, r#"⟨foo = "\\xf0\\x9f\\x99\\x82"⟩"#, Disagree), // 55
    (r#"foo="\xf0\x9f""#, r#"✗ 4:14: "\xf0\x9f": invalid input"#, r#"⟨foo = "\\xf0\\x9f"⟩"#, Warn), // 56
    (r#"foo="\u00e9""#, r#"⟨foo = "é"⟩"#, r#"⟨foo = "\\u00e9"⟩"#, Disagree), // 57
    (r#"foo=~"[a""#, "✗ failed to create matcher: error parsing regexp: missing closing ]: `[a)$`", "✗ error parsing regexp: missing closing ]: `[a)$`", Error), // 58
    (r#"foo=~"*""#, "✗ failed to create matcher: error parsing regexp: missing argument to repetition operator: `*`", "✗ error parsing regexp: missing argument to repetition operator: `*`", Error), // 59
    ("foo=a b", "✗ 6:7: unexpected b: expected a comma or close brace", r#"⟨foo = "a b"⟩"#, Warn), // 60
    (r#"foo=":x""#, r#"⟨foo = ":x"⟩"#, r#"⟨foo = ":x"⟩"#, Same), // 61
    (r#"foo=:"x""#, r#"✗ 5:8: unexpected "x": expected a comma or close brace"#, r#"✗ matcher value contains unescaped double quote: :"x""#, Error), // 62
    ("a=b,a=c", r#"⟨a = "b"⟩ ⟨a = "c"⟩"#, r#"⟨a = "b"⟩ ⟨a = "c"⟩"#, Same), // 63
    (r#"foo="bar"baz="q""#, "✗ 9:12: unexpected baz: expected a comma or close brace", r#"✗ matcher value contains unescaped double quote: "bar"baz="q""#, Error), // 64
    (r#"{foo="bar"}}"#, "✗ 11:12: }: expected end of input", r#"✗ matcher value contains unescaped double quote: "bar"}"#, Error), // 65
    (r#"job="a"} "#, "✗ 0:8: }: expected opening brace", r#"✗ matcher value contains unescaped double quote: "a"}"#, Error), // 66
    (r#"foo="{x}""#, r#"⟨foo = "{x}"⟩"#, r#"⟨foo = "{x}"⟩"#, Same), // 67
    ("foo={x}", "✗ 4:5: unexpected {: expected label value", r#"⟨foo = "{x"⟩"#, Warn), // 68
    (r#"trickier==\\=\=\""#, "✗ 9:10: unexpected =: expected label value", r#"⟨trickier = "=\\=\\=\""⟩"#, Warn), // 69
    (r#"{quote="She said: \"Hi, you\""}"#, r#"⟨quote = "She said: \"Hi, you\""⟩"#, r#"⟨quote = "She said: \"Hi, you\""⟩"#, Same), // 70
    (r#"foo="a
b""#, r#"✗ 4:9: "a
b": invalid input"#, r#"⟨foo = "a\nb"⟩"#, Warn), // 71
    (r#"foo = "bar" , "#, r#"⟨foo = "bar"⟩"#, r#"⟨foo = "bar"⟩"#, Same), // 72
];
