//! No bytes sent to any endpoint take the node down.

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use crate::{
    client::{get, talk},
    node::Node,
};

fn path() -> impl Strategy<Value = String> {
    let known = prop_oneof![
        Just("/api/v2/alerts"),
        Just("/api/v2/alerts/groups"),
        Just("/api/v2/silences"),
        Just("/api/v2/silence/"),
        Just("/api/v2/receivers"),
        Just("/api/v2/status"),
        Just("/api/v1/alerts"),
        Just("/api/v1/silences"),
        Just("/api/v1/silence/x"),
        Just("/api/v1/status"),
        Just("/"),
        Just("/metrics"),
        Just("/-/ready"),
        Just("/assets/x"),
        Just("/debug/pprof/heap"),
        Just("*"),
        Just("//a/../%2e%2e/%00"),
    ];
    let names = prop_oneof![
        Just("filter"),
        Just("receiver"),
        Just("receiver_matchers"),
        Just("active"),
        Just("muted"),
    ];
    let value = prop_oneof!["[!-~]{0,12}", "(%[0-9a-f]{2}){0,6}", Just("a=~%22(%22".to_owned())];
    let query = prop::collection::vec((names, value), 0..3);
    (known, "[a-z0-9/%.]{0,6}", query).prop_map(|(path, tail, query)| {
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{path}{tail}?{}", query.join("&"))
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(","),
        Just(":"),
        Just("null"),
        Just("true"),
        Just("-1e9"),
        Just("\"labels\""),
        Just("\"a\""),
        Just("\"startsAt\""),
        Just("\"endsAt\""),
        Just("\"2026-11-22T10:00:00Z\""),
        Just("\"9999-12-31T23:59:59-23:59\""),
        Just("\"\\ud800\""),
        Just("\"matchers\""),
        Just("\"isRegex\""),
        Just("\"name\""),
        Just("\"value\""),
        Just("\"(\""),
        Just("\"comment\""),
        Just("\"createdBy\""),
        Just("\"generatorURL\""),
        Just("\"annotations\""),
        Just("\u{fffd}"),
        Just(" "),
    ];
    prop_oneof![
        prop::collection::vec(word, 0..24).prop_map(|words| words.concat().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40),
        Just(br#"[{"labels":{"a":"b"},"startsAt":"9999-12-31T23:59:59-23:59"}]"#.to_vec()),
        Just(br#"[{"labels":{"a":"b"},"endsAt":"0000-01-01T00:00:00+23:59"}]"#.to_vec()),
    ]
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![
        Just("GET"),
        Just("POST"),
        Just("DELETE"),
        Just("OPTIONS"),
        Just("HEAD"),
        Just("PUT"),
        Just("CONNECT"),
        Just("X"),
    ];
    let header = prop_oneof![
        Just("Content-Type: application/json\r\n"),
        Just("Content-Type: text/plain\r\n"),
        Just("Accept: text/html\r\n"),
        Just("Accept-Encoding: gzip\r\n"),
        Just("Origin: http://x\r\n"),
        Just("Sec-Fetch-Site: cross-site\r\n"),
        Just("Access-Control-Request-Method: DELETE\r\n"),
        Just("Host: \r\n"),
    ];
    (method, path(), prop::collection::vec(header, 0..4), body()).prop_map(
        |(method, path, headers, body)| {
            let mut bytes = format!(
                "{method} {path} HTTP/1.1\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n",
                headers.concat(),
                body.len()
            )
            .into_bytes();
            bytes.extend_from_slice(&body);
            bytes
        },
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_request_is_answered_by_a_defect() {
    let node = Node::plain().await;
    let mut runner = TestRunner::deterministic();
    let request = request();
    for _ in 0..2_000 {
        let bytes = request.new_tree(&mut runner).unwrap().current();
        let answer = talk(node.address, &bytes).await;
        let answer = String::from_utf8_lossy(&answer);
        let shown = String::from_utf8_lossy(&bytes);
        let status = answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer to {shown:?}"));
        // On a machine that stands still, a sender that closes its half counts as gone.
        let gone = answer.ends_with("the sender has gone\n");
        let fine = !status.starts_with('5') || status == "501" || gone;
        assert!(fine, "{answer}\nto {shown:?}");
    }
    assert_eq!(get("/-/healthy").to(node.address).await.body, "OK");
    node.stop().await;
}
