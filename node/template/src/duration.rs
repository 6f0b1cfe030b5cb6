//! Go's `time.Duration`: how it prints and what it can do.

use crate::call::{Signature, Type};
use crate::time::Duration;
use crate::value::Value;

const SECOND: u64 = 1_000_000_000;

/// A duration of nanoseconds as Go prints it, such as `1h2m3.5s`, `1.5ms`, `0s`.
pub(crate) fn display(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    if size < SECOND {
        let (unit, name) = match size {
            0 => return "0s".to_owned(),
            1..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{name}", decimal(size, unit));
    }
    let seconds = decimal(size % (60 * SECOND), SECOND);
    let minutes = size / (60 * SECOND);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `size / unit` with the digits it needs.
fn decimal(size: u64, unit: u64) -> String {
    let digits = usize::try_from(unit.ilog10()).unwrap_or(0);
    let fraction = format!("{:0>digits$}", size % unit);
    let fraction = fraction.trim_end_matches('0');
    match fraction {
        "" => (size / unit).to_string(),
        _ => format!("{}.{fraction}", size / unit),
    }
}

/// What the type's methods are given.
pub(crate) fn signature(name: &str) -> Option<Signature> {
    Some(match name {
        "Seconds" | "Minutes" | "Hours" | "Milliseconds" | "Microseconds" | "Nanoseconds"
        | "Abs" | "String" => Signature::fixed(&[]),
        "Round" | "Truncate" => Signature::fixed(&[Type::Duration]),
        _ => return None,
    })
}

/// Calls a method with arguments that fit its signature.
pub(crate) fn call(nanos: i64, name: &str, args: &[Value]) -> Value {
    let unit = args.first().and_then(Value::as_int).unwrap_or(0);
    match name {
        "Seconds" => in_units(nanos, 1_000_000_000),
        "Minutes" => in_units(nanos, 60_000_000_000),
        "Hours" => in_units(nanos, 3_600_000_000_000),
        "Milliseconds" => Value::Int64(nanos / 1_000_000),
        "Microseconds" => Value::Int64(nanos / 1_000),
        "Nanoseconds" => Value::Int64(nanos),
        "Abs" => Value::Duration(Duration(nanos.checked_abs().unwrap_or(i64::MAX))),
        "Round" => Value::Duration(Duration(round(nanos, unit))),
        "Truncate" if unit > 0 => Value::Duration(Duration(nanos - nanos % unit)),
        "Truncate" => Value::Duration(Duration(nanos)),
        _ => display(nanos).into(),
    }
}

/// Whole units and their fraction, added as Go adds them.
fn in_units(nanos: i64, unit: i64) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "as in Go")]
    let value = (nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64;
    Value::Float(value)
}

/// To the nearest multiple, halves away from zero; the largest value where it does not fit.
fn round(nanos: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return nanos;
    }
    let (nanos, unit) = (i128::from(nanos), i128::from(unit));
    let rest = nanos % unit;
    let rounded = match rest.abs() * 2 < unit {
        true => nanos - rest,
        false => nanos - rest + unit * nanos.signum(),
    };
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::{display, round};

    #[track_caller]
    fn check(nanos: i64, expected: &str) {
        assert_eq!(display(nanos), expected);
    }

    #[test]
    fn durations_print_as_in_go() {
        check(0, "0s");
        check(1, "1ns");
        check(1_100, "1.1µs");
        check(100_000_000, "100ms");
        check(1_500_000_000, "1.5s");
        check(3_723_000_000_000, "1h2m3s");
        check(3_600_000_000_000, "1h0m0s");
        check(-90_000_000_000, "-1m30s");
        check(i64::MIN, "-2562047h47m16.854775808s");
    }

    #[test]
    fn halves_round_away_from_zero() {
        assert_eq!(round(1_500, 1_000), 2_000);
        assert_eq!(round(-1_500, 1_000), -2_000);
        assert_eq!(round(1_499, 1_000), 1_000);
        assert_eq!(round(i64::MAX, i64::MAX - 1), i64::MAX - 1);
    }
}
