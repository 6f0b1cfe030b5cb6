//! Spans of what the node does, sent by OTLP to where the `tracing` block says: requests by their method and path, flushes of
//! groups with their stages, requests to receivers. Names and attributes are upstream's.
//!
//! A span that is being worked in is known to the task, so that nothing hands it on; without a `tracing` block there are none,
//! and asking costs a look. The messages are few and small, so they are written here instead of bringing a framework for them.

mod batch;
mod context;
mod export;
mod otlp;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, request};

pub(crate) use batch::Sink;
use context::TraceContext;
pub(crate) use otlp::Value;

tokio::task_local! {
    /// The span that this task works in.
    static CURRENT: Current;
}

#[derive(Clone)]
struct Current {
    sink: Arc<Sink>,
    context: TraceContext,
    /// The integration that is being told, which names the requests to it.
    integration: &'static str,
}

/// What a span is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Work inside this process.
    Internal = 1,
    /// A request that came in.
    Server = 2,
    /// A request that goes out.
    Client = 3,
}

/// A span from its beginning on; it ends when it is dropped. Without tracing it is nothing.
#[derive(Default)]
pub(crate) struct Span(Option<Box<Open>>);

struct Open {
    current: Current,
    span: otlp::Span,
}

impl Span {
    /// The first span of a trace, kept with the configured probability.
    pub(crate) fn root(sink: Option<&Arc<Sink>>, name: &str) -> Self {
        Self::begin(sink, name, Kind::Internal, || None)
    }

    /// The span of a request; part of its sender's trace if it names one.
    pub(crate) fn server(sink: Option<&Arc<Sink>>, head: &request::Parts) -> Self {
        let Some(sink) = sink else { return Self(None) };
        let name = format!("{} {}", head.method, head.uri.path());
        let mut span = Self::begin(Some(sink), &name, Kind::Server, || read(&head.headers));
        span.set("http.request.method", head.method.as_str());
        span.set("url.path", head.uri.path());
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        for (key, value) in [
            ("server.address", text(http::header::HOST)),
            ("user_agent.original", text(http::header::USER_AGENT)),
        ] {
            if let Some(value) = value {
                span.set(key, value);
            }
        }
        span
    }

    /// Part of the span that this task works in.
    pub(crate) fn child(name: &str, kind: Kind) -> Self {
        let current = CURRENT.try_with(Clone::clone).ok();
        current.map_or_else(Self::default, |current| Self::below(&current, name, kind))
    }

    /// Part of this span.
    pub(crate) fn inner(&self, name: &str, kind: Kind) -> Self {
        self.0.as_ref().map_or_else(Self::default, |open| Self::below(&open.current, name, kind))
    }

    /// A request to the integration that this task tells.
    pub(crate) fn request(method: &http::Method) -> Self {
        let Ok(current) = CURRENT.try_with(Clone::clone) else { return Self(None) };
        let name = format!("{}/HTTP {method}", current.integration);
        let mut span = Self::below(&current, &name, Kind::Client);
        span.set("http.request.method", method.as_str());
        span
    }

    fn begin(
        sink: Option<&Arc<Sink>>,
        name: &str,
        kind: Kind,
        parent: impl FnOnce() -> Option<TraceContext>,
    ) -> Self {
        let Some(sink) = sink else { return Self(None) };
        let (context, parent) = match parent() {
            Some(parent) => (parent.child(), parent.span.to_vec()),
            None => (TraceContext::root(sink.fraction()), Vec::new()),
        };
        let current = Current { sink: Arc::clone(sink), context, integration: "" };
        Self::open(current, parent, name, kind)
    }

    fn below(parent: &Current, name: &str, kind: Kind) -> Self {
        let current = Current { context: parent.context.child(), ..parent.clone() };
        Self::open(current, parent.context.span.to_vec(), name, kind)
    }

    fn open(current: Current, parent_span_id: Vec<u8>, name: &str, kind: Kind) -> Self {
        let mut span = otlp::Span::default();
        if current.context.sampled {
            span = otlp::Span {
                trace_id: current.context.trace.to_vec(),
                span_id: current.context.span.to_vec(),
                trace_state: current.context.state.as_deref().unwrap_or_default().to_owned(),
                parent_span_id,
                name: name.to_owned(),
                kind: kind as i32,
                start_time_unix_nano: current.sink.now(),
                ..span
            };
        }
        Self(Some(Box::new(Open { current, span })))
    }

    /// Whether there is tracing at all.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What is known of it when it begins.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// Adds an attribute.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(open) = self.0.as_mut().filter(|open| open.current.context.sampled) {
            open.span.attributes.push(otlp::attribute(key, value));
        }
    }

    /// It has failed, for this reason.
    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        if let Some(open) = &mut self.0 {
            open.span.status = Some(otlp::Status { message: why.into(), code: otlp::ERROR });
        }
    }

    /// Requests made in this span are made to that integration.
    pub(crate) fn telling(mut self, kind: &'static str) -> Self {
        if let Some(open) = &mut self.0 {
            open.current.integration = kind;
        }
        self
    }

    /// Works in this span.
    pub(crate) async fn scope<F: Future>(&self, work: F) -> F::Output {
        match &self.0 {
            None => work.await,
            Some(open) => CURRENT.scope(open.current.clone(), Box::pin(work)).await,
        }
    }

    /// Tells the other side of a request where it belongs.
    pub(crate) fn inject(&self, headers: &mut HeaderMap) {
        let Some(Open { current, .. }) = self.0.as_deref() else { return };
        if let Ok(value) = HeaderValue::try_from(current.context.to_string()) {
            headers.insert(PARENT, value);
        }
        let state = current.context.state.as_deref();
        if let Some(value) = state.and_then(|state| HeaderValue::from_str(state).ok()) {
            headers.insert(STATE, value);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.current.context.sampled {
            let mut span = std::mem::take(&mut self.span);
            span.end_time_unix_nano = self.current.sink.now();
            self.current.sink.push(span);
        }
    }
}

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

fn read(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    TraceContext::parse(text(PARENT)?, text(STATE))
}
