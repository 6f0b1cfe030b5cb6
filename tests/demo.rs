//! `tocsin demo`: the README's first command, without the build.

use std::net::TcpListener;
use std::time::Duration;

use crate::harness::process::Process;
use crate::harness::tocsin::tocsin;
use crate::harness::{eventually, free_port, http};

/// A base with all the demo's ports free behind it.
fn port_base() -> u16 {
    loop {
        let base = 19_000 + free_port() % 90 * 10;
        if (base..base + 10).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return base;
        }
    }
}

#[test]
fn demo_takes_an_alert_shows_it_and_leaves_nothing() {
    let base = port_base();
    let mut demo = Process::start("demo", tocsin().args(["demo", &format!("--port-base={base}")]));
    demo.wait_line("is ready", |line| line.contains("ready").then_some(()));
    demo.write_line("");
    demo.wait_line("shows the notification", |line| {
        (line.contains("notification") && line.contains("DemoAlert")).then_some(())
    });
    demo.signal("INT");
    assert!(demo.wait_end(Duration::from_secs(30)).success());
    eventually("every port is free again", Duration::from_secs(5), || {
        (base..base + 10).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()).then_some(())
    });
    assert!(http::get(base, "/-/healthy").is_err());
}

#[test]
fn busy_port_is_named() {
    let base = port_base();
    let _taken = TcpListener::bind(("127.0.0.1", base)).expect("just seen free");
    let output =
        tocsin().args(["demo", &format!("--port-base={base}")]).output().expect("the binary runs");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&base.to_string()) && text.contains("in use"), "{text}");
}
