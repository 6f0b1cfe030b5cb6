//! Metrics: counters, gauges, histograms and summaries with labels, and Prometheus' text formats.
//!
//! A family is made once with its label names; `with` gives the child for label values, which a
//! hot path keeps and updates with one atomic operation. Families whose children were never made
//! show nothing, so make children at start for what must be there with zero. Knows no names.

mod text;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

pub use text::Format;

/// Default histogram bounds of Prometheus' client libraries, in seconds.
pub const DEFAULT_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Grows only.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Shows a count that somebody else keeps, as of now.
    pub fn mirror(&self, total: u64) {
        self.0.store(total, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Grows only, by fractions: seconds, for one.
#[derive(Debug, Default)]
pub struct FloatCounter(Gauge);

impl FloatCounter {
    /// Adds `amount`, which must not be negative.
    pub fn add(&self, amount: f64) {
        self.0.add(amount);
    }

    /// Shows a total that somebody else keeps, as of now.
    pub fn mirror(&self, total: f64) {
        self.0.set(total);
    }
}

/// Goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Shows `value` from now on.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds `amount`, which may be negative.
    pub fn add(&self, amount: f64) {
        add_float(&self.0, amount);
    }

    /// The value.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

fn add_float(cell: &AtomicU64, amount: f64) {
    let add = |bits| Some((f64::from_bits(bits) + amount).to_bits());
    // The closure never refuses, so the update cannot fail.
    let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
}

/// Counts observations by size.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for what is above all of them; not cumulative.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// One that belongs to no registry: its owner shows it with [`Histogram::mirror`].
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, sum: AtomicU64::new(0) }
    }

    /// Counts one observation.
    pub fn observe(&self, value: f64) {
        let index = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[index].fetch_add(1, Ordering::Relaxed);
        add_float(&self.sum, value);
    }

    /// Shows what somebody else counted, as of now: `buckets` not cumulative, the last one for
    /// what is above all bounds.
    pub fn mirror(&self, buckets: &[u64], sum: f64) {
        for (own, other) in self.buckets.iter().zip(buckets) {
            own.store(*other, Ordering::Relaxed);
        }
        self.sum.store(sum.to_bits(), Ordering::Relaxed);
    }

    /// Observations by size, as [`Histogram::mirror`] takes them.
    #[must_use]
    pub fn buckets(&self) -> Vec<u64> {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect()
    }

    /// All observations together.
    #[must_use]
    pub fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Ordering::Relaxed))
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }
}

/// A summary without quantiles: count and sum of observations.
#[derive(Debug, Default)]
pub struct Summary {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Summary {
    /// Counts one observation.
    pub fn observe(&self, value: f64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        add_float(&self.sum, value);
    }

    /// Shows what somebody else counted, as of now.
    pub fn mirror(&self, count: u64, sum: f64) {
        self.count.store(count, Ordering::Relaxed);
        self.sum.store(sum.to_bits(), Ordering::Relaxed);
    }
}

/// One metric name with a child for each combination of label values.
#[derive(Debug)]
pub struct Family<M> {
    name: Box<str>,
    help: Box<str>,
    labels: Box<[Box<str>]>,
    bounds: &'static [f64],
    children: Mutex<Children<M>>,
}

/// By label values, in the order of the family's label names.
type Children<M> = BTreeMap<Box<[Box<str>]>, Arc<M>>;

impl<M: Metric> Family<M> {
    /// The child with these label values, in the order of the family's label names; made with
    /// zero on first use. Missing values are empty, surplus ones are dropped.
    pub fn with(&self, values: &[&str]) -> Arc<M> {
        debug_assert_eq!(values.len(), self.labels.len(), "label values of {}", self.name);
        let values = values.iter().copied().chain(std::iter::repeat(""));
        let key: Box<[Box<str>]> = values.take(self.labels.len()).map(Box::from).collect();
        let mut children = self.lock();
        Arc::clone(children.entry(key).or_insert_with(|| Arc::new(M::zero(self.bounds))))
    }

    /// Forgets all children: for labels that come and go, before they are set anew. Children held
    /// elsewhere are no longer shown.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Children<M>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one line of a metric: name suffix, an extra label, value.
pub type Sample<'a> = dyn FnMut(&str, Option<(&str, f64)>, f64) + 'a;

/// A kind of metric that a [`Family`] can hold.
pub trait Metric: Send + Sync + 'static {
    /// The word after `# TYPE`.
    const KIND: &'static str;
    /// Nothing counted yet. `bounds` is for histograms alone.
    fn zero(bounds: &'static [f64]) -> Self;
    /// Calls `sample` for each line.
    fn samples(&self, sample: &mut Sample<'_>);
}

impl Metric for Counter {
    const KIND: &'static str = "counter";
    fn zero(_: &'static [f64]) -> Self {
        Self::default()
    }
    fn samples(&self, sample: &mut Sample<'_>) {
        sample("", None, float(self.get()));
    }
}

impl Metric for FloatCounter {
    const KIND: &'static str = "counter";
    fn zero(_: &'static [f64]) -> Self {
        Self::default()
    }
    fn samples(&self, sample: &mut Sample<'_>) {
        sample("", None, self.0.get());
    }
}

impl Metric for Gauge {
    const KIND: &'static str = "gauge";
    fn zero(_: &'static [f64]) -> Self {
        Self::default()
    }
    fn samples(&self, sample: &mut Sample<'_>) {
        sample("", None, self.get());
    }
}

impl Metric for Histogram {
    const KIND: &'static str = "histogram";
    fn zero(bounds: &'static [f64]) -> Self {
        Self::new(bounds)
    }
    fn samples(&self, sample: &mut Sample<'_>) {
        let mut total = 0;
        let bounds = self.bounds.iter().copied().chain(std::iter::once(f64::INFINITY));
        for (bucket, bound) in self.buckets.iter().zip(bounds) {
            total += bucket.load(Ordering::Relaxed);
            sample("_bucket", Some(("le", bound)), float(total));
        }
        sample("_sum", None, f64::from_bits(self.sum.load(Ordering::Relaxed)));
        sample("_count", None, float(total));
    }
}

impl Metric for Summary {
    const KIND: &'static str = "summary";
    fn zero(_: &'static [f64]) -> Self {
        Self::default()
    }
    fn samples(&self, sample: &mut Sample<'_>) {
        sample("_sum", None, f64::from_bits(self.sum.load(Ordering::Relaxed)));
        sample("_count", None, float(self.count.load(Ordering::Relaxed)));
    }
}

/// Counts as the text format shows them: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "the text format knows only floating point")]
fn float(count: u64) -> f64 {
    count as f64
}

type Hook = Box<dyn Fn() + Send + Sync>;

/// All families of a process, shown in order of their names.
#[derive(Default)]
pub struct Registry {
    families: Mutex<BTreeMap<Box<str>, Arc<dyn text::Show>>>,
    hooks: Mutex<Vec<Hook>>,
}

impl Registry {
    /// No families yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A family of counters.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Arc<Family<Counter>> {
        self.family(name, help, labels, &[])
    }

    /// A counter without labels, shown from now on.
    pub fn counter(&self, name: &str, help: &str) -> Arc<Counter> {
        self.counters(name, help, &[]).with(&[])
    }

    /// A counter of fractions without labels, shown from now on.
    pub fn float_counter(&self, name: &str, help: &str) -> Arc<FloatCounter> {
        self.family(name, help, &[], &[]).with(&[])
    }

    /// A family of gauges.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Arc<Family<Gauge>> {
        self.family(name, help, labels, &[])
    }

    /// A gauge without labels, shown from now on.
    pub fn gauge(&self, name: &str, help: &str) -> Arc<Gauge> {
        self.gauges(name, help, &[]).with(&[])
    }

    /// A family of histograms with these upper bounds, ascending.
    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        bounds: &'static [f64],
    ) -> Arc<Family<Histogram>> {
        self.family(name, help, labels, bounds)
    }

    /// A family of summaries without quantiles.
    pub fn summaries(&self, name: &str, help: &str, labels: &[&str]) -> Arc<Family<Summary>> {
        self.family(name, help, labels, &[])
    }

    /// Runs `hook` before each rendering: there, gauges are set from state kept elsewhere.
    pub fn before_render(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// The whole text of a scrape.
    #[must_use]
    pub fn render(&self, format: Format) -> String {
        for hook in self.hooks.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            hook();
        }
        let families: Vec<_> = self.lock().values().map(Arc::clone).collect();
        let mut out = String::with_capacity(64 * 1024);
        for family in families {
            family.show(format, &mut out);
        }
        if format == Format::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }

    /// A family made twice under one name replaces the first one.
    fn family<M: Metric>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        bounds: &'static [f64],
    ) -> Arc<Family<M>> {
        let family = Arc::new(Family {
            name: name.into(),
            help: help.into(),
            labels: labels.iter().copied().map(Box::from).collect(),
            bounds,
            children: Mutex::default(),
        });
        let shown: Arc<dyn text::Show> = Arc::<Family<M>>::clone(&family);
        let before = self.lock().insert(name.into(), shown);
        debug_assert!(before.is_none(), "metric {name} made twice");
        family
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Arc<dyn text::Show>>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Registry").field("families", &self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_shared_and_cleared() {
        let registry = Registry::new();
        let family = registry.counters("a_total", "A.", &["x"]);
        family.with(&["1"]).inc();
        family.with(&["1"]).add(2);
        assert_eq!(family.with(&["1"]).get(), 3);
        family.clear();
        assert_eq!(registry.render(Format::Classic), "");
    }

    #[test]
    fn hook_runs_before_rendering() {
        let registry = Registry::new();
        let gauge = registry.gauge("now", "N.");
        registry.before_render(move || gauge.set(5.0));
        assert!(registry.render(Format::Classic).ends_with("now 5\n"));
    }

    #[test]
    fn histogram_bounds_are_inclusive() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 2.0, 9.0] {
            histogram.observe(value);
        }
        let counts: Vec<u64> =
            histogram.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [2, 2, 1]);
    }
}
