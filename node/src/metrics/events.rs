//! Metrics of the event recorder.

use std::sync::Arc;

use tocsin_service::metrics::{Counter, Family, Gauge, Registry};

use super::float;
use crate::events::EventNumbers;

pub(super) struct EventMetrics {
    recorded: Arc<Family<Counter>>,
    bytes: Arc<Family<Counter>>,
    dropped: Arc<Family<Counter>>,
    unwritable: Arc<Family<Counter>>,
    output_drops: Arc<Family<Counter>>,
    queued: Arc<Gauge>,
}

impl EventMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        registry.counters(
            "alertmanager_event_kafka_produce_errors_total",
            "The total number of Kafka produce attempts that failed.",
            &["output", "error_type"],
        );
        Self {
            recorded: registry.counters(
                "alertmanager_events_recorded_total",
                "The total number of events recorded by the event recorder.",
                &["event_type", "output", "result"],
            ),
            bytes: registry.counters(
                "alertmanager_event_recorder_bytes_written_total",
                "The total number of bytes written to the event recorder.",
                &["event_type", "output"],
            ),
            dropped: registry.counters(
                "alertmanager_events_dropped_total",
                "The total number of events dropped due to a full queue.",
                &["event_type"],
            ),
            unwritable: registry.counters(
                "alertmanager_event_serialize_errors_total",
                "The total number of events that failed to serialize.",
                &["event_type"],
            ),
            output_drops: registry.counters(
                "alertmanager_event_output_drops_total",
                "The total number of events dropped by an output due to a full local buffer.",
                &["output"],
            ),
            queued: registry.gauge(
                "alertmanager_event_recorder_queue_length",
                "Current number of events waiting in the event recorder write queue.",
            ),
        }
    }

    pub(super) fn show(&self, numbers: &EventNumbers) {
        for ((kind, output, result), count) in &numbers.recorded {
            self.recorded.with(&[kind, output, result]).mirror(*count);
        }
        for ((kind, output), count) in &numbers.bytes {
            self.bytes.with(&[kind, output]).mirror(*count);
        }
        for (kind, count) in &numbers.dropped {
            self.dropped.with(&[kind]).mirror(*count);
        }
        for (kind, count) in &numbers.unwritable {
            self.unwritable.with(&[kind]).mirror(*count);
        }
        for (output, count) in &numbers.output_drops {
            self.output_drops.with(&[output]).mirror(*count);
        }
        self.queued.set(float(numbers.queued));
    }
}
