//! Methods of Go's times, durations, months and weekdays.

use jiff::SignedDuration;

use crate::time::{Duration, Time, weekday_number};
use crate::value::{CallError, Value};

type Answer = Option<Result<Value, CallError>>;

/// Whether the value has a method of that name.
pub(crate) fn has(value: &Value, name: &str) -> bool {
    match value {
        Value::Time(_) => TIME.contains(&name),
        Value::Duration(_) => DURATION.contains(&name),
        Value::Month(_) | Value::Weekday(_) | Value::Location(_) => name == "String",
        Value::Object(object) => object.has_method(name),
        _ => false,
    }
}

/// Calls it; `None` when there is no such method.
pub(crate) fn call(value: &Value, name: &str, arguments: &[Value]) -> Answer {
    match value {
        Value::Object(object) => object.method(name, arguments),
        Value::Time(time) => time_method(time, name, arguments),
        Value::Duration(time) => duration_method(*time, name, arguments),
        Value::Month(_) | Value::Weekday(_) | Value::Location(_) if name == "String" => {
            Some(none(name, arguments).map(|()| value.stringer().unwrap_or_default().into()))
        }
        _ => None,
    }
}

const TIME: [&str; 27] = [
    "Add",
    "AddDate",
    "After",
    "Before",
    "Day",
    "Equal",
    "Format",
    "Hour",
    "In",
    "IsZero",
    "Local",
    "Location",
    "Minute",
    "Month",
    "Nanosecond",
    "Round",
    "Second",
    "String",
    "Sub",
    "Truncate",
    "UTC",
    "Unix",
    "UnixMilli",
    "UnixNano",
    "Weekday",
    "Year",
    "YearDay",
];

const DURATION: [&str; 10] = [
    "Abs",
    "Hours",
    "Microseconds",
    "Milliseconds",
    "Minutes",
    "Nanoseconds",
    "Round",
    "Seconds",
    "String",
    "Truncate",
];

fn none(name: &str, arguments: &[Value]) -> Result<(), CallError> {
    if arguments.is_empty() { Ok(()) } else { Err(CallError::count(name, 0, arguments.len())) }
}

fn one<'a>(name: &str, arguments: &'a [Value]) -> Result<&'a Value, CallError> {
    match arguments {
        [argument] => Ok(argument),
        _ => Err(CallError::count(name, 1, arguments.len())),
    }
}

fn moment<'a>(name: &str, arguments: &'a [Value]) -> Result<&'a Time, CallError> {
    match one(name, arguments)? {
        Value::Time(time) => Ok(time),
        other => Err(CallError::wrong_type("time.Time", other)),
    }
}

fn span(name: &str, arguments: &[Value]) -> Result<Duration, CallError> {
    match one(name, arguments)? {
        Value::Duration(time) => Ok(*time),
        Value::Int(n) => Ok(Duration(*n)),
        other => Err(CallError::wrong_type("time.Duration", other)),
    }
}

fn time_method(time: &Time, name: &str, arguments: &[Value]) -> Answer {
    if !TIME.contains(&name) {
        return None;
    }
    Some(match name {
        "Format" => one(name, arguments).and_then(|layout| match layout {
            Value::Text(layout) => Ok(time.format(layout).into()),
            other => Err(CallError::wrong_type("string", other)),
        }),
        "Add" => span(name, arguments).map(|by| Value::Time(time.plus(by))),
        "Sub" => moment(name, arguments).map(|earlier| Value::Duration(time.since(earlier))),
        "Before" => {
            moment(name, arguments).map(|other| Value::Bool(time.moment() < other.moment()))
        }
        "After" => moment(name, arguments).map(|other| Value::Bool(time.moment() > other.moment())),
        "Equal" => moment(name, arguments).map(|other| Value::Bool(time == other)),
        "Truncate" => span(name, arguments).map(|by| Value::Time(cut(time, by, false))),
        "Round" => span(name, arguments).map(|by| Value::Time(cut(time, by, true))),
        "AddDate" => add_date(time, arguments),
        "In" => one(name, arguments).and_then(|zone| match zone {
            Value::Location(zone) => Ok(Value::Time(time.in_zone(zone.clone()))),
            other => Err(CallError::wrong_type("*time.Location", other)),
        }),
        _ => none(name, arguments).map(|()| time_part(time, name)),
    })
}

fn time_part(time: &Time, name: &str) -> Value {
    let civil = time.civil();
    match name {
        "UTC" => Value::Time(time.in_zone(jiff::tz::TimeZone::UTC)),
        "Local" => Value::Time(time.in_zone(jiff::tz::TimeZone::system())),
        "Location" => Value::Location(time.zone().clone()),
        "IsZero" => Value::Bool(time.is_zero()),
        "Unix" => Value::Int(time.moment().as_second()),
        "UnixMilli" => Value::Int(time.moment().as_millisecond()),
        "UnixNano" => Value::Int(wrapped(time.nanoseconds())),
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

/// Go's nanoseconds wrap round outside the years that they can say.
#[expect(clippy::cast_possible_truncation, reason = "Go's own overflow")]
fn wrapped(nanoseconds: i128) -> i64 {
    nanoseconds as i64
}

/// Down, or to the nearest, multiple of `by` since Go's zero time.
fn cut(time: &Time, by: Duration, nearest: bool) -> Time {
    if by.0 <= 0 {
        return time.clone();
    }
    let zero = Time::zero().nanoseconds();
    let by = i128::from(by.0);
    let over = (time.nanoseconds() - zero).rem_euclid(by);
    let up = if nearest && over * 2 >= by { by } else { 0 };
    time.at_nanoseconds(time.nanoseconds() - over + up)
}

/// Years, months and days on the calendar; days beyond a month's end run into the next, as in Go.
fn add_date(time: &Time, arguments: &[Value]) -> Result<Value, CallError> {
    let [Value::Int(years), Value::Int(months), Value::Int(days)] = arguments else {
        return Err(match arguments.iter().find(|value| !matches!(value, Value::Int(_))) {
            Some(other) if arguments.len() == 3 => CallError::wrong_type("int", other),
            _ => CallError::count("AddDate", 3, arguments.len()),
        });
    };
    let civil = time.civil();
    let months = i64::from(civil.year()) * 12 + i64::from(civil.month()) - 1
        + years.saturating_mul(12).saturating_add(*months);
    let (year, month) =
        (i16::try_from(months.div_euclid(12)), i8::try_from(months.rem_euclid(12) + 1));
    let moved = year
        .ok()
        .zip(month.ok())
        .and_then(|(year, month)| jiff::civil::Date::new(year, month, 1).ok())
        .and_then(|first| {
            let days = days.checked_add(i64::from(civil.day()) - 1)?;
            let date = first.checked_add(SignedDuration::from_hours(days.checked_mul(24)?)).ok()?;
            let at =
                date.at(civil.hour(), civil.minute(), civil.second(), civil.subsec_nanosecond());
            time.zone().to_timestamp(at).ok()
        });
    Ok(Value::Time(
        moved.map_or_else(|| time.clone(), |moment| Time::new(moment, time.zone().clone())),
    ))
}

fn duration_method(time: Duration, name: &str, arguments: &[Value]) -> Answer {
    if !DURATION.contains(&name) {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "Go's floats lose as much")]
    let per = |unit: i64| Value::Float(time.0 as f64 / unit as f64);
    Some(match name {
        "Truncate" => span(name, arguments).map(|by| {
            Value::Duration(if by.0 <= 0 { time } else { Duration(time.0 - time.0 % by.0) })
        }),
        "Round" => span(name, arguments).map(|by| Value::Duration(rounded(time, by))),
        _ => none(name, arguments).map(|()| match name {
            "Abs" => Value::Duration(Duration(time.0.saturating_abs())),
            "Hours" => per(3_600_000_000_000),
            "Minutes" => per(60_000_000_000),
            "Seconds" => per(1_000_000_000),
            "Milliseconds" => Value::Int(time.0 / 1_000_000),
            "Microseconds" => Value::Int(time.0 / 1_000),
            "Nanoseconds" => Value::Int(time.0),
            _ => time.to_string().into(),
        }),
    })
}

/// To the nearest multiple, halves away from zero.
fn rounded(time: Duration, by: Duration) -> Duration {
    if by.0 <= 0 {
        return time;
    }
    let over = time.0 % by.0;
    let up =
        if over.unsigned_abs() * 2 >= by.0.unsigned_abs() { by.0 * time.0.signum() } else { 0 };
    Duration((time.0 - over).saturating_add(up))
}
