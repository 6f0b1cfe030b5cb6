//! Prometheus' text format 0.0.4 and OpenMetrics 1.0, byte for byte as Go's client prints them:
//! label names sorted, numbers in Go's shortest form.

use std::fmt::Write;

use super::{Family, Metric};

/// Which text a scraper gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text format 0.0.4.
    Classic,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The best format that the `Accept` header allows; classic when it says nothing.
    #[must_use]
    pub fn from_accept(accept: Option<&str>) -> Self {
        let quality = |kind: &str| {
            let ranges = accept.unwrap_or("").split(',');
            let fitting = ranges.filter(|range| range.trim_start().starts_with(kind));
            fitting.map(range_quality).fold(0.0_f64, f64::max)
        };
        let open = quality("application/openmetrics-text");
        let classic = quality("text/plain");
        if open > 0.0 && open >= classic { Self::OpenMetrics } else { Self::Classic }
    }

    /// Value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

fn range_quality(range: &str) -> f64 {
    let parts = range.split(';').map(str::trim);
    parts.filter_map(|part| part.strip_prefix("q=")).find_map(|q| q.parse().ok()).unwrap_or(1.0)
}

/// A family that can print itself, whatever it holds.
pub(super) trait Show: Send + Sync {
    /// Appends the family's lines, or nothing when it has no children.
    fn show(&self, format: Format, out: &mut String);
}

impl<M: Metric> Show for Family<M> {
    fn show(&self, format: Format, out: &mut String) {
        let children = self.lock().clone();
        if children.is_empty() {
            return;
        }
        let open = format == Format::OpenMetrics;
        let counter = M::KIND == "counter";
        // OpenMetrics names a counter's family without the suffix of its samples.
        let family = match self.name.strip_suffix("_total") {
            Some(stem) if open && counter => stem,
            _ => &self.name,
        };
        let mut help = String::new();
        escape(&self.help, open, &mut help);
        put(out, format_args!("# HELP {family} {help}\n# TYPE {family} {}\n", M::KIND));

        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.sort_by_key(|index| &self.labels[*index]);
        for (values, metric) in &children {
            let mut labels = String::new();
            for index in &order {
                separate(&mut labels);
                labels.push_str(&self.labels[*index]);
                labels.push_str("=\"");
                escape(&values[*index], true, &mut labels);
                labels.push('"');
            }
            metric.samples(&mut |suffix, extra, value| {
                out.push_str(&self.name);
                out.push_str(suffix);
                show_labels(&labels, extra, open, out);
                out.push(' ');
                number(value, out);
                out.push('\n');
            });
        }
    }
}

fn show_labels(labels: &str, extra: Option<(&str, f64)>, open: bool, out: &mut String) {
    if labels.is_empty() && extra.is_none() {
        return;
    }
    out.push('{');
    out.push_str(labels);
    if let Some((name, value)) = extra {
        if !labels.is_empty() {
            out.push(',');
        }
        put(out, format_args!("{name}=\""));
        number(value, out);
        // OpenMetrics wants a canonical float as a bound.
        if open && value.is_finite() && value.fract() == 0.0 && value.abs() < 1e6 {
            out.push_str(".0");
        }
        out.push('"');
    }
    out.push('}');
}

fn separate(labels: &mut String) {
    if !labels.is_empty() {
        labels.push(',');
    }
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

/// Prints as Go's `strconv.FormatFloat(value, 'g', -1, 64)`: with an exponent below 1e-04 and from
/// 1e+06 on.
fn number(value: f64, out: &mut String) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    // Rust's `{:e}` has the shortest digits that read back the same, as Go's has.
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        put(out, format_args!("{value}"));
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        put(out, format_args!("{digits}e{sign}{:02}", exponent.abs()));
    }
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::metrics::Registry;

    #[test]
    fn numbers_look_like_gos() {
        #[track_caller]
        fn check(value: f64, expected: &str) {
            let mut out = String::new();
            number(value, &mut out);
            assert_eq!(out, expected);
        }
        check(0.0, "0");
        check(1.0, "1");
        check(-2.5, "-2.5");
        check(0.005, "0.005");
        check(0.0001, "0.0001");
        check(0.00001, "1e-05");
        check(123_456.0, "123456");
        check(1_000_000.0, "1e+06");
        check(1_234_567.0, "1.234567e+06");
        check(1_763_854_196.25, "1.76385419625e+09");
        check(f64::INFINITY, "+Inf");
        check(f64::NAN, "NaN");
    }

    fn sample_registry() -> Registry {
        let registry = Registry::new();
        let hits = registry.counters("hits_total", "Line\nbreak \"q\" \\.", &["verb", "code"]);
        hits.with(&["get", "200"]).add(3);
        hits.with(&["a\"b\\c\nd", "500"]).inc();
        registry.gauge("heat", "Heat.").set(-1.5);
        let times = registry.histograms("time_seconds", "Time.", &["verb"], &[0.5, 1.0]);
        times.with(&["get"]).observe(0.75);
        registry.summaries("work_seconds", "Work.", &[]).with(&[]).observe(2.0);
        registry.counters("unused_total", "Unused.", &["x"]);
        registry
    }

    #[track_caller]
    fn check(format: Format, expected: &Expect) {
        expected.assert_eq(&sample_registry().render(format));
    }

    #[test]
    fn classic_text() {
        check(
            Format::Classic,
            &expect![[r#"
                # HELP heat Heat.
                # TYPE heat gauge
                heat -1.5
                # HELP hits_total Line\nbreak "q" \\.
                # TYPE hits_total counter
                hits_total{code="500",verb="a\"b\\c\nd"} 1
                hits_total{code="200",verb="get"} 3
                # HELP time_seconds Time.
                # TYPE time_seconds histogram
                time_seconds_bucket{verb="get",le="0.5"} 0
                time_seconds_bucket{verb="get",le="1"} 1
                time_seconds_bucket{verb="get",le="+Inf"} 1
                time_seconds_sum{verb="get"} 0.75
                time_seconds_count{verb="get"} 1
                # HELP work_seconds Work.
                # TYPE work_seconds summary
                work_seconds_sum 2
                work_seconds_count 1
            "#]],
        );
    }

    #[test]
    fn open_metrics_text() {
        check(
            Format::OpenMetrics,
            &expect![[r#"
                # HELP heat Heat.
                # TYPE heat gauge
                heat -1.5
                # HELP hits Line\nbreak \"q\" \\.
                # TYPE hits counter
                hits_total{code="500",verb="a\"b\\c\nd"} 1
                hits_total{code="200",verb="get"} 3
                # HELP time_seconds Time.
                # TYPE time_seconds histogram
                time_seconds_bucket{verb="get",le="0.5"} 0
                time_seconds_bucket{verb="get",le="1.0"} 1
                time_seconds_bucket{verb="get",le="+Inf"} 1
                time_seconds_sum{verb="get"} 0.75
                time_seconds_count{verb="get"} 1
                # HELP work_seconds Work.
                # TYPE work_seconds summary
                work_seconds_sum 2
                work_seconds_count 1
                # EOF
            "#]],
        );
    }

    #[test]
    fn accept_header_chooses() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::from_accept(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(Format::from_accept(Some("text/plain")), Format::Classic);
        assert_eq!(Format::from_accept(Some("*/*")), Format::Classic);
        assert_eq!(Format::from_accept(None), Format::Classic);
    }
}
