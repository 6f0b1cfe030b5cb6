//! What a scalar means: go-yaml v2's table of YAML 1.1, and the conversions to the type that a key has.

use std::borrow::Cow;
use std::sync::Arc;

/// A scalar as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    text: Arc<str>,
    /// Written without quotes and not as a block.
    plain: bool,
    tag: Option<Arc<str>>,
}

/// What a scalar means where any type is allowed.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// `null`, `~` or nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is too large for the other.
    Unsigned(u64),
    /// A number.
    Float(f64),
    /// All else.
    Text(String),
}

impl Scalar {
    pub(super) fn new(text: Cow<'_, str>, plain: bool, tag: Option<String>) -> Self {
        Self { text: text.into(), plain, tag: tag.map(Into::into) }
    }

    /// A text without quotes.
    pub(super) fn plain(text: &str) -> Self {
        Self::new(text.into(), true, None)
    }

    pub(super) fn is_bool(&self) -> bool {
        matches!(self.resolve(), Resolved::Bool(_))
    }

    /// The text as written, escapes resolved.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is `null`, `~` or nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.untyped() && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
            || self.tag.as_deref() == Some("!!null")
    }

    /// Whether as a key it asks for a merge.
    pub(super) fn is_merge(&self) -> bool {
        self.untyped() && &*self.text == "<<" || self.tag.as_deref() == Some("!!merge")
    }

    /// Neither quotes nor a tag say that it is a text.
    fn untyped(&self) -> bool {
        self.plain && self.tag.as_deref().is_none_or(|tag| tag != "!!str" && tag.starts_with("!!"))
    }

    /// What it means where any type is allowed.
    #[must_use]
    pub fn resolve(&self) -> Resolved {
        let tagged_number = matches!(self.tag.as_deref(), Some("!!int" | "!!float" | "!!bool"));
        if !self.untyped() && !tagged_number {
            return Resolved::Text(self.text.to_string());
        }
        if self.is_null() {
            return Resolved::Null;
        }
        match &*self.text {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                Resolved::Bool(true)
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => Resolved::Bool(false),
            text => number(text).unwrap_or_else(|| Resolved::Text(text.to_owned())),
        }
    }
}

/// A number as go-yaml reads it: Go's prefixes, `_` anywhere, octal by a leading zero, no base 60.
fn number(text: &str) -> Option<Resolved> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Some(Resolved::Float(f64::INFINITY));
        }
        "-.inf" | "-.Inf" | "-.INF" => return Some(Resolved::Float(f64::NEG_INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Some(Resolved::Float(f64::NAN)),
        _ => {}
    }
    let plain: String = text.chars().filter(|letter| *letter != '_').collect();
    if let Some(whole) = whole(&plain) {
        return Some(whole);
    }
    if is_float(&plain) { plain.parse().ok().map(Resolved::Float) } else { None }
}

fn whole(text: &str) -> Option<Resolved> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', b'o', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // `from_str_radix` would take a second sign.
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -value } else { value };
    match i64::try_from(value) {
        Ok(value) => Some(Resolved::Int(value)),
        Err(_) => u64::try_from(value).ok().map(Resolved::Unsigned),
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_is_good = match mantissa.split_once('.') {
        None => !mantissa.is_empty() && digits(mantissa),
        Some((whole, part)) => digits(whole) && digits(part) && mantissa.len() > 1,
    };
    mantissa_is_good
        && exponent.is_none_or(|exponent| {
            let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Resolved) {
        assert_eq!(Scalar::new(text.into(), true, None).resolve(), expected, "{text}");
    }

    fn text(text: &str) -> Resolved {
        Resolved::Text(text.to_owned())
    }

    #[test]
    fn plain_scalars_mean_what_go_yaml_says() {
        for yes in ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"] {
            check(yes, Resolved::Bool(true));
        }
        for no in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"] {
            check(no, Resolved::Bool(false));
        }
        for null in ["", "~", "null", "Null", "NULL"] {
            check(null, Resolved::Null);
        }
        check("yEs", text("yEs"));
        check("010", Resolved::Int(8));
        check("1_000", Resolved::Int(1000));
        check("0x1F", Resolved::Int(31));
        check("0b101", Resolved::Int(5));
        check("-0b101", Resolved::Int(-5));
        check("+7", Resolved::Int(7));
        check("0", Resolved::Int(0));
        check("18446744073709551615", Resolved::Unsigned(u64::MAX));
        check("-9223372036854775808", Resolved::Int(i64::MIN));
        check("1.7", Resolved::Float(1.7));
        check("1e3", Resolved::Float(1000.0));
        check("09", Resolved::Float(9.0));
        check(".5", Resolved::Float(0.5));
        check(".inf", Resolved::Float(f64::INFINITY));
        check("09:00", text("09:00"));
        check("1:5", text("1:5"));
        check("+-7", text("+-7"));
        check(".", text("."));
        check("2024-01-01", text("2024-01-01"));
        check("=", text("="));
    }

    #[test]
    fn quotes_and_tags_make_texts() {
        assert_eq!(Scalar::new("7".into(), false, None).resolve(), text("7"));
        assert_eq!(Scalar::new("7".into(), true, Some("!!str".into())).resolve(), text("7"));
        let tagged = Scalar::new("7".into(), false, Some("!!int".into()));
        assert_eq!(tagged.resolve(), Resolved::Int(7));
        assert!(!Scalar::new("".into(), false, None).is_null());
    }
}
