//! Methods of Go's times, durations, months and weekdays, and of the caller's objects.

use std::cmp::Ordering;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::call::{Signature, Type};
use crate::duration;
use crate::time::{Duration, Time, weekday_number};
use crate::value::{CallError, Value};

/// What is known of a method before it is called.
pub(crate) enum Method {
    /// The arguments it takes.
    Known(Signature),
    /// It checks its arguments for itself.
    Unchecked,
    /// Go does not let templates call it: it gives several values.
    Refused(&'static str),
}

/// The value's method of that name.
pub(crate) fn find(value: &Value, name: &str) -> Option<Method> {
    match value {
        Value::Object(object) if !object.has_method(name) => None,
        Value::Object(object) => {
            Some(object.signature(name).map_or(Method::Unchecked, Method::Known))
        }
        Value::Time(_) => time_signature(name).map(Method::Known).or_else(|| refused(name)),
        Value::Duration(_) => duration::signature(name).map(Method::Known),
        Value::Month(_) | Value::Weekday(_) | Value::Location(_) if name == "String" => {
            Some(Method::Known(Signature::fixed(&[])))
        }
        _ => None,
    }
}

/// Calls a method that was found, with arguments that fit what is known of it.
pub(crate) fn call(value: &Value, name: &str, arguments: &[Value]) -> Result<Value, CallError> {
    match value {
        Value::Object(object) => object
            .method(name, arguments)
            .unwrap_or_else(|| Err(CallError::Failed(format!("no method {name}")))),
        Value::Time(time) => time_method(time, name, arguments).map_err(CallError::Failed),
        Value::Duration(time) => Ok(duration::call(time.0, name, arguments)),
        _ => Ok(value.stringer().unwrap_or_default().into()),
    }
}

fn refused(name: &str) -> Option<Method> {
    Some(Method::Refused(match name {
        "Date" => "function Date has 3 return values; should be 1 or 2",
        "Clock" => "function Clock has 3 return values; should be 1 or 2",
        "ISOWeek" => {
            "invalid function signature for ISOWeek: second return value should be error; is int"
        }
        "Zone" => {
            "invalid function signature for Zone: second return value should be error; is int"
        }
        _ => return None,
    }))
}

fn time_signature(name: &str) -> Option<Signature> {
    Some(match name {
        "Unix" | "UnixMilli" | "UnixMicro" | "UnixNano" | "UTC" | "Local" | "IsZero" | "Year"
        | "Month" | "Day" | "Hour" | "Minute" | "Second" | "Nanosecond" | "Weekday" | "YearDay"
        | "String" | "Location" | "IsDST" => Signature::fixed(&[]),
        "Format" => Signature::fixed(&[Type::Text]),
        "Add" | "Truncate" | "Round" => Signature::fixed(&[Type::Duration]),
        "AddDate" => Signature::fixed(&[Type::Int, Type::Int, Type::Int]),
        "Sub" | "Before" | "After" | "Equal" | "Compare" => Signature::fixed(&[Type::Time]),
        "In" => Signature::fixed(&[Type::Location]),
        _ => return None,
    })
}

fn time_method(time: &Time, name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        (_, []) => Ok(time_part(time, name)),
        ("Format", [layout]) => Ok(time.format(layout.as_text().unwrap_or_default()).into()),
        ("In", [Value::Location(zone)]) => Ok(Value::Time(time.in_zone(zone.clone()))),
        ("In", _) => Err("time: missing Location in call to Time.In".to_owned()),
        ("Add", [Value::Duration(by)]) => Ok(Value::Time(time.plus(*by))),
        ("AddDate", [Value::Int(years), Value::Int(months), Value::Int(days)]) => {
            Ok(Value::Time(add_date(time, *years, *months, *days)))
        }
        ("Truncate", [Value::Duration(by)]) => Ok(Value::Time(to_multiple(time, *by, false))),
        ("Round", [Value::Duration(by)]) => Ok(Value::Time(to_multiple(time, *by, true))),
        (_, [Value::Time(other)]) => Ok(compare(time, name, other)),
        _ => Err(format!("no method {name}")),
    }
}

fn time_part(time: &Time, name: &str) -> Value {
    let civil = time.civil();
    match name {
        "UTC" => Value::Time(time.in_zone(TimeZone::UTC)),
        "Local" => Value::Time(time.in_zone(TimeZone::system())),
        "Location" => Value::Location(time.zone().clone()),
        "IsZero" => Value::Bool(time.is_zero()),
        "IsDST" => Value::Bool(time.zone().to_offset_info(time.moment()).dst().is_dst()),
        "Unix" => Value::Int64(time.moment().as_second()),
        "UnixMilli" => Value::Int64(time.moment().as_millisecond()),
        "UnixMicro" => Value::Int64(time.moment().as_microsecond()),
        "UnixNano" => Value::Int64(low_bits(time.nanoseconds())),
        "Year" => Value::Int(i64::from(civil.year())),
        "Month" => Value::Month(i64::from(civil.month())),
        "Day" => Value::Int(i64::from(civil.day())),
        "Hour" => Value::Int(i64::from(civil.hour())),
        "Minute" => Value::Int(i64::from(civil.minute())),
        "Second" => Value::Int(i64::from(civil.second())),
        "Nanosecond" => Value::Int(i64::from(civil.subsec_nanosecond())),
        "Weekday" => Value::Weekday(weekday_number(&civil)),
        "YearDay" => Value::Int(i64::from(civil.day_of_year())),
        _ => time.to_string().into(),
    }
}

fn compare(time: &Time, name: &str, other: &Time) -> Value {
    let order = time.moment().cmp(&other.moment());
    match name {
        "Sub" => Value::Duration(time.since(other)),
        "Before" => Value::Bool(order == Ordering::Less),
        "After" => Value::Bool(order == Ordering::Greater),
        "Equal" => Value::Bool(order == Ordering::Equal),
        _ => Value::Int(match order {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }),
    }
}

/// The low 64 bits, as Go gives them for times that its type does not hold.
fn low_bits(nanos: i128) -> i64 {
    let mut low = [0; 8];
    low.copy_from_slice(&nanos.to_le_bytes()[..8]);
    i64::from_le_bytes(low)
}

/// To a multiple of `by` since the zero time: the one below, or the nearest.
fn to_multiple(time: &Time, by: Duration, nearest: bool) -> Time {
    if by.0 <= 0 {
        return time.clone();
    }
    let by = i128::from(by.0);
    let over = (time.nanoseconds() - Time::zero().nanoseconds()).rem_euclid(by);
    let up = if nearest && over * 2 >= by { by } else { 0 };
    time.at_nanoseconds(time.nanoseconds() - over + up)
}

/// Moves the calendar date; a day that the month lacks runs over into the next month. Beyond the
/// calendar the time stays.
fn add_date(time: &Time, years: i64, months: i64, days: i64) -> Time {
    let civil = time.civil();
    let moved = || -> Option<Timestamp> {
        let months = i64::from(civil.month() - 1).checked_add(months)?;
        let years =
            i64::from(civil.year()).checked_add(years)?.checked_add(months.div_euclid(12))?;
        let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
        let first = Date::new(i16::try_from(years).ok()?, month, 1).ok()?;
        let days = i64::from(civil.day() - 1).checked_add(days)?;
        let date = first.checked_add(Span::new().try_days(days).ok()?).ok()?;
        time.zone().to_timestamp(DateTime::from_parts(date, civil.time())).ok()
    };
    moved().map_or_else(|| time.clone(), |moment| Time::new(moment, time.zone().clone()))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{add_date, call, to_multiple};
    use crate::time::{Duration, Time};
    use crate::value::Value;

    fn at(text: &str) -> Time {
        Time::new(text.parse().unwrap(), TimeZone::UTC)
    }

    #[test]
    fn a_day_that_a_month_lacks_runs_over() {
        let moved = add_date(&at("2026-01-31T10:00:00Z"), 0, 1, 0);
        assert_eq!(moved.to_string(), "2026-03-03 10:00:00 +0000 UTC");
    }

    #[test]
    fn multiples_count_from_the_zero_time() {
        let day = Duration(86_400_000_000_000);
        let low = to_multiple(&at("2026-11-22T12:00:00Z"), day, false);
        assert_eq!(low.to_string(), "2026-11-22 00:00:00 +0000 UTC");
        let near = to_multiple(&at("2026-11-22T12:00:00Z"), day, true);
        assert_eq!(near.to_string(), "2026-11-23 00:00:00 +0000 UTC");
    }

    #[test]
    fn far_times_do_not_overflow() {
        let far = Value::Time(at("9999-12-30T00:00:00Z"));
        assert!(call(&far, "Add", &[Value::Duration(Duration(i64::MAX))]).is_ok());
        assert!(call(&far, "UnixNano", &[]).is_ok());
        let all = [Value::Int(i64::MAX), Value::Int(i64::MAX), Value::Int(i64::MAX)];
        assert!(call(&far, "AddDate", &all).is_ok());
    }
}
