//! `time_intervals` and `mute_time_intervals`: named hours, days and seasons.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use jiff::tz::TimeZone;
use tocsin_core::interval::{
    BadInterval, DayRange, MonthRange, NamedInterval, TimeInterval, TimeRange, WeekdayRange,
    YearRange, zone,
};
use tocsin_service::yaml::{Field, Value};

use super::block::Block;

/// Reads one named interval; the names are those of the intervals before it.
pub(crate) fn read(block: &mut Block<'_>, names: &RefCell<HashSet<String>>) -> NamedInterval {
    let name = block.text_always("name", "");
    if name.is_empty() {
        block.mistake_at("name", "missing name in time interval");
    } else if !names.borrow_mut().insert(name.clone()) {
        block.mistake_at("name", format!("time interval {name:?} is not unique"));
    }
    let (mut intervals, mut shown) = (Vec::new(), Vec::new());
    for field in block.section().list("time_intervals") {
        let mut inner = Block::new(field.section_or_empty(), block.rules);
        intervals.push(interval(&mut inner));
        shown.push(inner.finish());
    }
    block.show("time_intervals", Value::List(shown));
    NamedInterval { name: name.into(), intervals }
}

fn interval(block: &mut Block<'_>) -> TimeInterval {
    TimeInterval {
        times: times(block),
        weekdays: ranges(block, "weekdays", WeekdayRange::parse),
        days_of_month: ranges(block, "days_of_month", DayRange::parse),
        months: ranges(block, "months", MonthRange::parse),
        years: ranges(block, "years", YearRange::parse),
        location: location(block),
    }
}

fn times(block: &mut Block<'_>) -> Option<Vec<TimeRange>> {
    let field = block.given("times")?;
    let (mut times, mut shown) = (Vec::new(), Vec::new());
    for item in field.list() {
        let section = item.section_or_empty();
        let (start, end) = (section.text_or("start_time", ""), section.text_or("end_time", ""));
        match TimeRange::parse(&start, &end) {
            Ok(range) => {
                let entry = |key: &str, text: String| (key.to_owned(), text.into());
                shown.push(Value::Map(vec![
                    entry("start_time", range.start_text()),
                    entry("end_time", range.end_text()),
                ]));
                times.push(range);
            }
            Err(error) => {
                let place = match &error {
                    BadInterval::Time(text) if *text == end && start != end => {
                        section.given("end_time")
                    }
                    BadInterval::TimeMissing => None,
                    _ => section.given("start_time"),
                };
                note(place.as_ref().unwrap_or(&item), &error);
            }
        }
    }
    block.show("times", Value::List(shown));
    Some(times)
}

fn note(field: &Field<'_>, error: &BadInterval) {
    match error {
        BadInterval::Time(_) => {
            field.mistake_with_hint(error.to_string(), "write it as HH:MM, such as 09:00 or 24:00");
        }
        BadInterval::Weekday(_) => {
            let hint = "write the English name in full, such as monday or monday:friday";
            field.mistake_with_hint(error.to_string(), hint);
        }
        BadInterval::WeekdaysReversed => {
            let hint = "a week begins with sunday; write two ranges";
            field.mistake_with_hint("end day is before start day", hint);
        }
        _ => field.mistake(error.to_string()),
    }
}

fn ranges<T: fmt::Display>(
    block: &mut Block<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, BadInterval>,
) -> Option<Vec<T>> {
    let field = block.given(key)?;
    let mut ranges = Vec::new();
    for item in field.list() {
        let Some(text) = item.text() else { continue };
        match parse(&text) {
            Ok(range) => ranges.push(range),
            Err(error) => note(&item, &error),
        }
    }
    let shown = ranges.iter().map(|range| range.to_string().into()).collect();
    block.show(key, Value::Flow(shown));
    Some(ranges)
}

fn location(block: &mut Block<'_>) -> Option<TimeZone> {
    let field = block.given("location")?;
    let name = field.text()?;
    let find = |name: &str| match name {
        "Local" => Some(TimeZone::system()),
        name => TimeZone::get(name).ok(),
    };
    match zone(&name, find) {
        Ok(zone) => {
            // Upstream shows UTC for the empty name.
            block.show("location", if name.is_empty() { "UTC" } else { name.as_str() });
            Some(zone)
        }
        Err(error) => {
            let hint =
                "names are those of the IANA database, such as Europe/Berlin, in exact letter case";
            field.mistake_with_hint(error.to_string(), hint);
            None
        }
    }
}
