//! Lines and bars of the page, drawn here as SVG: nothing of it needs a script.

use std::fmt::Write;

use crate::series::{Point, STEPS};

/// A line: its class in the style, and what of a step it shows.
pub(super) type Line = (&'static str, fn(&Point) -> u64);

const WIDTH: usize = STEPS;
const HEIGHT: u64 = 40;

/// A line of the last hour; the newest step is at the right end.
fn path<'a>(
    points: impl Iterator<Item = &'a Point> + Clone,
    most: u64,
    value: impl Fn(&Point) -> u64,
) -> String {
    let first = WIDTH - points.clone().count();
    let mut path = String::new();
    for (x, point) in (first..).zip(points) {
        let letter = if path.is_empty() { 'M' } else { 'L' };
        let y = HEIGHT - value(point).min(most) * (HEIGHT - 2) / most.max(1) - 1;
        let _ = write!(path, "{letter}{x} {y}");
    }
    path
}

/// A picture of one or two lines with the same scale, and its words.
pub(super) fn lines<'a>(
    title: &str,
    points: impl Iterator<Item = &'a Point> + Clone,
    values: &[Line],
    unit: impl Fn(u64) -> String,
) -> String {
    let highest = |value: &fn(&Point) -> u64| points.clone().map(value).max().unwrap_or(0);
    let most = values.iter().map(|(_, value)| highest(value)).max().unwrap_or(0);
    let latest = points.clone().last().copied().unwrap_or_default();
    let now: Vec<_> = values.iter().map(|(_, value)| unit(value(&latest))).collect();
    let now = now.join(" / ");
    let words = format!("{title} in the last hour: now {now}, at most {}", unit(most));
    let mut out = format!(
        "<figure><figcaption>{title} <b>{now}</b></figcaption><svg class=\"line\" viewBox=\"0 0 {WIDTH} \
         {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{words}\">"
    );
    for (class, value) in values {
        let _ =
            write!(out, "<path class=\"{class}\" d=\"{}\"/>", path(points.clone(), most, value));
    }
    out.push_str("</svg></figure>");
    out
}

/// A bar of shares, and its words.
pub(super) fn bar(title: &str, parts: &[(&str, u64)]) -> String {
    let total: u64 = parts.iter().map(|(_, n)| n).sum();
    let words: Vec<_> = parts.iter().map(|(name, n)| format!("{n} of {name}")).collect();
    let words = format!("{title}: {}", words.join(", "));
    let mut out = format!(
        "<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{words}\">"
    );
    let mut x = 0;
    for (name, n) in parts.iter().filter(|_| total > 0) {
        let width = (n * 1000).div_ceil(total);
        let _ = write!(
            out,
            "<rect class=\"r{name}\" x=\"{x}\" y=\"0\" width=\"{width}\" height=\"10\"/>"
        );
        x += width;
    }
    out.push_str("</svg><ul class=\"legend\">");
    for (name, n) in parts {
        let _ = write!(
            out,
            "<li><span class=\"dot r{name}\" aria-hidden=\"true\"></span>{name}: {n}</li>"
        );
    }
    out.push_str("</ul>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_the_right_and_stays_inside() {
        let points: Vec<_> =
            [0, 5, 10].map(|requests| Point { requests, ..Point::default() }).into();
        let line = path(points.iter(), 10, |p| p.requests);
        assert_eq!(line, "M357 39L358 20L359 1");
        let nothing = lines("Requests", [].iter(), &[("a", |p| p.requests)], |n| n.to_string());
        assert!(nothing.contains("d=\"\"") && nothing.contains("now 0"), "{nothing}");
    }

    #[test]
    fn a_bar_without_answers_is_empty() {
        assert!(!bar("Answers", &[("2xx", 0), ("5xx", 0)]).contains("<rect"));
        assert!(bar("Answers", &[("2xx", 3), ("5xx", 1)]).contains("width=\"750\""));
    }
}
