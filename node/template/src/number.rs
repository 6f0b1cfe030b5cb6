//! Number literals of templates, and Go's ways of writing floats.

use crate::quote;
use crate::tree::Number;

/// Reads a literal that the lexer took for a number or a character.
///
/// # Errors
/// Go's message.
pub(crate) fn parse(text: &str) -> Result<Number, String> {
    if text == "''" {
        return Err("invalid syntax".to_owned());
    }
    if text.starts_with('\'') {
        let c = quote::unquote_char(text)
            .ok_or_else(|| format!("malformed character constant: {text}"))?;
        let code = u32::from(c);
        return Ok(Number {
            text: text.into(),
            int: Some(i64::from(code)),
            float: Some(f64::from(code)),
            floating: false,
        });
    }
    if text.ends_with('i') && !text.contains(['x', 'X']) {
        return Err(format!("complex numbers are not supported: {}", quote::go(text)));
    }
    if let Some(wide) = parse_int(text) {
        let int = i64::try_from(wide).ok();
        if int.is_none() && u64::try_from(wide).is_err() {
            return Err(format!("integer overflow: {}", quote::go(text)));
        }
        #[expect(clippy::cast_precision_loss, reason = "as Go rounds an integer to a float")]
        let float = Some(wide as f64);
        return Ok(Number { text: text.into(), int, float, floating: false });
    }
    parse_as_float(text)
}

fn parse_as_float(text: &str) -> Result<Number, String> {
    let illegal = || format!("illegal number syntax: {}", quote::go(text));
    let float = parse_float(text).ok_or_else(illegal)?;
    if !text.contains(['.', 'e', 'E', 'p', 'P']) {
        return Err(match int_digits(text) {
            true => format!("integer overflow: {}", quote::go(text)),
            false => illegal(),
        });
    }
    Ok(Number { text: text.into(), int: whole(float), float: Some(float), floating: true })
}

/// A literal made of nothing but decimal digits, whatever its size.
fn int_digits(text: &str) -> bool {
    text.trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

/// The integer that a float is exactly.
fn whole(float: f64) -> Option<i64> {
    let fits = float.fract() == 0.0 && float.abs() < 9.2e18;
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
    fits.then_some(float as i64)
}

/// Go's `ParseInt` with base 0, wide enough for every unsigned 64-bit value.
fn parse_int(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !underscores_fit(body, radix != 10) {
        return None;
    }
    let plain = body.replace('_', "");
    if plain.is_empty() || plain.starts_with(['+', '-']) || plain.len() > 70 {
        return None;
    }
    let value = i128::from_str_radix(&plain, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// An underscore stands between digits, or after a base prefix.
fn underscores_fit(body: &str, prefixed: bool) -> bool {
    !body.contains("__") && !body.ends_with('_') && (prefixed || !body.starts_with('_'))
}

/// Go's `ParseFloat`: decimal, hexadecimal with an exponent, infinities and NaN.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let plain = match text.contains('_') {
        true if underscores_fit(text, false) => text.replace('_', ""),
        true => return None,
        false => text.to_owned(),
    };
    let unsigned = plain.trim_start_matches(['+', '-']);
    if plain.len() - unsigned.len() > 1 {
        return None;
    }
    let lower = unsigned.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        let value = parse_hex_float(hex)?;
        return Some(if plain.starts_with('-') { -value } else { value });
    }
    let value: f64 = plain.parse().ok()?;
    // Numbers out of range are errors in Go, infinities by name are not.
    (value.is_finite() || lower.starts_with('i') || lower.starts_with('n')).then_some(value)
}

fn parse_hex_float(hex: &str) -> Option<f64> {
    let (mantissa, exponent) = hex.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 13 {
        return None;
    }
    let value = u64::from_str_radix(&digits, 16).ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    let shift = exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    #[expect(clippy::cast_precision_loss, reason = "at most 52 bits")]
    let result = value as f64 * 2_f64.powi(shift);
    result.is_finite().then_some(result)
}

/// A float as Go's `strconv.FormatFloat` writes it: `verb` is one of `e E f F g G b x X`, without a precision
/// the shortest digits that read back.
pub(crate) fn format_float(value: f64, verb: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    match verb {
        'e' | 'E' => exponent_form(value, verb, precision),
        'g' | 'G' => general_form(value, verb, precision),
        'b' => binary_form(value),
        'x' | 'X' => hex_form(value, verb, precision),
        _ => match precision {
            Some(digits) => format!("{value:.digits$}"),
            None => format!("{value}"),
        },
    }
}

fn exponent_form(value: f64, verb: char, precision: Option<usize>) -> String {
    let text = match precision {
        Some(digits) => format!("{value:.digits$e}"),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}{verb}{sign}{:02}", exponent.unsigned_abs())
}

fn general_form(value: f64, verb: char, precision: Option<usize>) -> String {
    let precision = precision.map(|digits| digits.max(1));
    let text = match precision {
        Some(digits) => format!("{value:.*e}", digits - 1),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    let count = mantissa.bytes().filter(u8::is_ascii_digit).count();
    if exponent < -4 || exponent >= general_limit(count, exponent, precision) {
        let e = if verb == 'G' { 'E' } else { 'e' };
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}{e}{sign}{:02}", exponent.unsigned_abs());
    }
    let after_point = i32::try_from(count).unwrap_or(0) - 1 - exponent;
    let places = usize::try_from(after_point).unwrap_or(0);
    if after_point < 0 {
        return shift_left(mantissa, after_point.unsigned_abs());
    }
    format!("{value:.places$}")
}

/// The exponent from which `%g` uses the exponent form.
fn general_limit(count: usize, exponent: i32, precision: Option<usize>) -> i32 {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    match precision.map(|digits| i32::try_from(digits).unwrap_or(i32::MAX)) {
        None => 6,
        Some(digits) if digits > count && count > exponent => count,
        Some(digits) => digits,
    }
}

/// Digits without a point, followed by zeros.
fn shift_left(mantissa: &str, zeros: u32) -> String {
    let mut text = mantissa.replace('.', "");
    text.extend(std::iter::repeat_n('0', usize::try_from(zeros).unwrap_or(0)));
    text
}

/// `%b`: the mantissa as an integer and a power of two.
fn binary_form(value: f64) -> String {
    let (sign, mantissa, exponent) = parts(value);
    format!("{sign}{mantissa}p{exponent:+}")
}

/// `%x`: hexadecimal with a power of two, one digit before the point.
fn hex_form(value: f64, verb: char, precision: Option<usize>) -> String {
    let (sign, mantissa, exponent) = parts(value);
    let (mut mantissa, mut exponent) = match mantissa {
        0 => (0, 0),
        _ => {
            let shift = mantissa.leading_zeros() - 3;
            (mantissa << shift, exponent + 60 - i32::try_from(shift).unwrap_or(0))
        }
    };
    if let Some(digits) = precision.filter(|digits| *digits < 15) {
        let drop = 60 - 4 * digits;
        let (half, rest) = (1_u64 << (drop - 1), mantissa & ((1 << drop) - 1));
        mantissa >>= drop;
        if rest > half || (rest == half && mantissa & 1 == 1) {
            mantissa += 1;
        }
        mantissa <<= drop;
        if mantissa >> 61 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let fraction = format!("{:015x}", mantissa & ((1 << 60) - 1));
    let fraction = match precision {
        None => fraction.trim_end_matches('0').to_owned(),
        Some(digits) => format!("{fraction:0<digits$}")[..digits].to_owned(),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let e = if exponent < 0 { '-' } else { '+' };
    let text =
        format!("{sign}0x{}{point}{fraction}p{e}{:02}", mantissa >> 60, exponent.unsigned_abs());
    if verb == 'X' { text.to_ascii_uppercase() } else { text }
}

/// Sign, integer mantissa and power of two.
fn parts(value: f64) -> (&'static str, u64, i32) {
    let bits = value.to_bits();
    let sign = if bits >> 63 == 1 { "-" } else { "" };
    let raw = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    let fraction = bits & ((1 << 52) - 1);
    match raw {
        0 => (sign, fraction, -1074),
        _ => (sign, fraction | 1 << 52, raw - 1075),
    }
}

#[cfg(test)]
mod tests {
    use super::{format_float, parse, parse_float};

    #[track_caller]
    fn check(text: &str, int: Option<i64>, float: Option<f64>) {
        let number = parse(text).unwrap();
        assert_eq!((number.int, number.float), (int, float));
    }

    #[test]
    fn literals_of_every_base() {
        check("42", Some(42), Some(42.0));
        check("-0x1F", Some(-31), Some(-31.0));
        check("0b11", Some(3), Some(3.0));
        check("017", Some(15), Some(15.0));
        check("0o17", Some(15), Some(15.0));
        check("1_000", Some(1000), Some(1000.0));
        check("'a'", Some(97), Some(97.0));
        check("1e3", Some(1000), Some(1000.0));
        check(".5", None, Some(0.5));
        check("0x1p-2", None, Some(0.25));
        check("18446744073709551615", None, Some(18_446_744_073_709_551_615.0));
    }

    #[track_caller]
    fn refused(text: &str, message: &str) {
        assert_eq!(parse(text).unwrap_err(), message);
    }

    #[test]
    fn bad_literals_have_go_s_messages() {
        refused("99999999999999999999", "integer overflow: \"99999999999999999999\"");
        refused("'ab'", "malformed character constant: 'ab'");
        refused("089", "integer overflow: \"089\"");
        refused("1__0", "illegal number syntax: \"1__0\"");
    }

    #[track_caller]
    fn prints(value: f64, verb: char, precision: Option<usize>, expected: &str) {
        assert_eq!(format_float(value, verb, precision), expected);
    }

    #[test]
    fn floats_print_as_in_go() {
        prints(123_456.0, 'g', None, "123456");
        prints(1_234_567.0, 'g', None, "1.234567e+06");
        prints(100_000.0, 'g', None, "100000");
        prints(0.00001, 'g', None, "1e-05");
        prints(1_234_567.0, 'g', Some(10), "1234567");
        prints(1_234_567.0, 'g', Some(3), "1.23e+06");
        prints(60.0, 'g', Some(4), "60");
        prints(99.996, 'g', Some(4), "100");
        prints(1.5, 'x', None, "0x1.8p+00");
        prints(1.5, 'b', None, "6755399441055744p-52");
        prints(1.999, 'x', Some(1), "0x1.0p+01");
        prints(0.0, 'e', None, "0e+00");
    }

    #[test]
    fn floats_out_of_range_are_refused() {
        assert_eq!(parse_float("1e999"), None);
        assert_eq!(parse_float("inf"), Some(f64::INFINITY));
        assert_eq!(parse_float("--1"), None);
    }
}
