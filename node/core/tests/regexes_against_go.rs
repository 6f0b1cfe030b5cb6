//! Ten thousand expressions with the verdicts of Go's `regexp` package, recorded by `golden/regexes.go`: accepted or refused alike, and
//! accepted ones match the same texts.

use tocsin_core::regex::Regex;

const RECORDED: &str = include_str!("golden/regexes.txt");

/// The texts that each expression is tried on, as in `golden/regexes.go`.
const TEXTS: [&str; 16] =
    ["", "a", "b", "ab", "aa", "abc", "A", "é", "1", "a.b", "a\nb", "-", "[", "aab", "k", "a1_"];

const TOO_LARGE: &str = "one expression may take 1 MiB here; Go has no such limit";

/// What is known to differ, and why.
const DIFFERENCES: [(&str, &str); 3] = [
    (r"\B&\p{^Lu}{1000}", TOO_LARGE),
    (r"\_.{\pN\pL{1000}\08", TOO_LARGE),
    (r"<\W{1000}\D", TOO_LARGE),
];

/// The file's form of what Tocsin says.
fn verdict(expression: &str) -> String {
    let Ok(regex) = Regex::anchored(expression) else { return "----".to_owned() };
    let bits = TEXTS.iter().fold(0_u16, |bits, text| bits << 1 | u16::from(regex.is_match(text)));
    format!("{bits:04x}")
}

#[test]
fn verdicts_are_those_of_go() {
    let mut count = 0;
    let mut differing = Vec::new();
    for line in RECORDED.lines() {
        let (recorded, expression) = line.split_once(' ').expect("a verdict and an expression");
        let ours = verdict(expression);
        let known = DIFFERENCES.iter().find(|(text, _)| *text == expression).map(|(_, why)| why);
        if (recorded != ours) != known.is_some() {
            let why = known.map_or("for no known reason", |why| why);
            differing.push(format!("{expression}: Go {recorded}, Tocsin {ours}; {why}"));
        }
        count += 1;
    }
    assert!(count >= 10_000, "{count} expressions");
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}
