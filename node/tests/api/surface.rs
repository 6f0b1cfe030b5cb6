//! What upstream 0.34 answers and 0.25 does not, and what only Tocsin has.

use serde_json::{Value, json};

use crate::{
    client::{Answer, ask, get, post, talk},
    node::{CONFIG, Node},
};

#[track_caller]
fn check(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (status, body), "{answer:?}");
}

#[tokio::test]
async fn posted_alert_is_shown_in_the_shape_of_0_34() {
    let node = Node::plain().await;
    let alert = json!([{
        "labels": {"alertname": "Down", "severity": "critical", "note": "<&>"},
        "annotations": {"summary": "s"},
        "startsAt": "2026-11-22T10:00:00.123456789+02:00",
        "endsAt": "2099-01-01T00:00:00Z",
        "generatorURL": "http://p/g",
    }]);
    let answer = post("/api/v2/alerts", alert).to(node.address).await;
    check(&answer, 200, "");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("tocsin-cluster"), "live=1 known=1");
    assert_eq!(answer.header("vary"), "Origin");

    let answer = get("/api/v2/alerts").to(node.address).await;
    let updated = answer.json()[0]["updatedAt"].as_str().unwrap().to_owned();
    let fingerprint = answer.json()[0]["fingerprint"].as_str().unwrap().to_owned();
    let expected = format!(
        "[{{\"annotations\":{{\"summary\":\"s\"}},\"endsAt\":\"2099-01-01T00:00:00.000Z\",\
         \"fingerprint\":\"{fingerprint}\",\"receivers\":[{{\"name\":\"pager\"}}],\
         \"startsAt\":\"2026-11-22T08:00:00.123Z\",\"status\":{{\"inhibitedBy\":[],\"mutedBy\":[],\
         \"silencedBy\":[],\"state\":\"active\"}},\"updatedAt\":\"{updated}\",\
         \"generatorURL\":\"http://p/g\",\"labels\":{{\"alertname\":\"Down\",\
         \"note\":\"\\u003c\\u0026\\u003e\",\"severity\":\"critical\"}}}}]\n"
    );
    check(&answer, 200, &expected);
    assert_eq!(answer.header("content-type"), "application/json");

    let answer = get("/api/v1/alerts").to(node.address).await;
    let alert = &answer.json()["data"][0];
    assert_eq!(alert["startsAt"], "2026-11-22T08:00:00.123456789Z");
    assert_eq!(alert["receivers"], json!(["pager"]));
    assert_eq!(answer.header("access-control-expose-headers"), "Date");
    node.stop().await;
}

#[tokio::test]
async fn good_alerts_of_a_bad_batch_are_kept() {
    let node = Node::plain().await;
    let batch = json!([
        {"labels": {"alertname": "A"}},
        {"labels": {}},
        {"labels": {"alertname": "B"}, "startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"},
        {"labels": {"alertname": "C"}},
    ]);
    let answer = post("/api/v2/alerts", batch).to(node.address).await;
    let said = "at least one label pair required\\nstart time must be before end time";
    check(&answer, 400, &format!("\"{said}\"\n"));
    let shown = get("/api/v2/alerts").to(node.address).await.json();
    assert_eq!(shown.as_array().unwrap().len(), 2);
    node.stop().await;
}

#[tokio::test]
async fn status_is_that_of_the_guide_and_of_upstream() {
    let node = Node::plain().await;
    let v2 = get("/api/v2/status").to(node.address).await.json();
    assert_eq!(v2["cluster"], json!({"peers": [], "status": "disabled"}));
    assert!(v2["config"]["original"].as_str().unwrap().contains("receiver: default"));
    assert!(v2["versionInfo"]["version"].as_str().unwrap().starts_with("0.34.0+tocsin."));
    let v1 = get("/api/v1/status").to(node.address).await.json();
    assert_eq!(v1["status"], "success");
    assert_eq!(v1["data"]["clusterStatus"], Value::Null);
    assert_eq!(v1["data"]["cluster"]["status"], "disabled");
    assert_eq!(v1["data"]["cluster"]["peers"], json!([]));
    assert_eq!(v1["data"]["configJSON"]["route"]["receiver"], "default");
    node.stop().await;
}

#[tokio::test]
async fn silence_lives_and_ends() {
    let node = Node::plain().await;
    let silence = json!({
        "matchers": [{"name": "alertname", "value": "Down", "isRegex": false}],
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "ann", "comment": "c", "annotations": {"ticket": "T-1"},
    });
    let answer = post("/api/v2/silences", &silence).to(node.address).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = answer.json()["silenceID"].as_str().unwrap().to_owned();
    let one = get(format!("/api/v2/silence/{id}")).to(node.address).await.json();
    assert_eq!(one["status"]["state"], "active");
    assert_eq!(one["annotations"], json!({"ticket": "T-1"}));
    assert_eq!(one["matchers"][0]["isEqual"], true);

    post("/api/v2/alerts", json!([{"labels": {"alertname": "Down"}}])).to(node.address).await;
    let alert = get("/api/v2/alerts").to(node.address).await.json();
    assert_eq!(alert[0]["status"]["silencedBy"], json!([id]));
    assert_eq!(alert[0]["status"]["state"], "suppressed");
    let none = get("/api/v2/alerts?silenced=false").to(node.address).await;
    check(&none, 200, "[]\n");

    let mut other = silence.clone();
    other["id"] = json!("11111111-2222-4333-8444-555555555555");
    let answer = post("/api/v2/silences", other).to(node.address).await;
    check(&answer, 404, "\"silence not found\"\n");

    check(&ask("DELETE", format!("/api/v2/silence/{id}")).to(node.address).await, 200, "");
    check(&ask("DELETE", format!("/api/v2/silence/{id}")).to(node.address).await, 200, "");
    let unknown = "/api/v2/silence/11111111-2222-4333-8444-555555555555";
    check(&ask("DELETE", unknown).to(node.address).await, 404, "");
    check(&get(unknown).to(node.address).await, 404, "");
    let gone = get("/api/v2/silences?expired=false").to(node.address).await;
    check(&gone, 200, "[]\n");
    node.stop().await;
}

#[tokio::test]
async fn health_readiness_reload_and_pages() {
    let node = Node::plain().await;
    check(&get("/-/healthy").to(node.address).await, 200, "OK");
    check(&ask("HEAD", "/-/healthy").to(node.address).await, 200, "");
    let mut ready = get("/-/ready").to(node.address).await;
    while ready.status == 503 {
        assert!(ready.body.starts_with("not ready: "), "{ready:?}");
        ready = get("/-/ready").to(node.address).await;
    }
    check(&ready, 200, "OK");
    check(&ask("POST", "/-/reload").to(node.address).await, 200, "");
    std::fs::write(node.folder.path().join("alertmanager.yml"), "route: {receiver: nope}\n")
        .unwrap();
    let broken = ask("POST", "/-/reload").to(node.address).await;
    assert_eq!(broken.status, 500);
    assert!(broken.body.starts_with("failed to reload config: "), "{broken:?}");
    let status = get("/api/v2/status").to(node.address).await.json();
    assert!(status["config"]["original"].as_str().unwrap().contains("pager"));

    let page = get("/").to(node.address).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.body.contains("No alert is firing."), "{}", page.body);
    for path in loaded_by("/", &page.body) {
        let file = get(path).to(node.address).await;
        assert_eq!(file.status, 200, "{file:?}");
        let kept = if file.header("content-type").starts_with("text/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache, no-store, must-revalidate"
        };
        assert_eq!(file.header("cache-control"), kept, "{file:?}");
    }
    assert_eq!(get("/favicon.ico").to(node.address).await.status, 200);
    check(&get("/nope").to(node.address).await, 404, "404 page not found\n");
    let pprof = get("/debug/pprof/").to(node.address).await;
    assert!(pprof.status == 200 && pprof.body.contains("/debug/pprof/"));
    node.stop().await;
}

/// The paths of style, script and icon that a page names, as a browser makes them from the page's own path.
fn loaded_by(page: &str, html: &str) -> Vec<String> {
    let base = url::Url::parse("http://x").unwrap().join(page).unwrap();
    let named =
        ["rel=\"stylesheet\" href=\"", "<script src=\"", "rel=\"icon\" href=\""].map(|before| {
            let (_, rest) =
                html.split_once(before).unwrap_or_else(|| panic!("no {before} in {html}"));
            base.join(rest.split_once('"').unwrap().0).unwrap().path().to_owned()
        });
    named.into()
}

#[tokio::test]
async fn hostile_labels_stay_text_on_every_page() {
    let node = Node::plain().await;
    let alert = json!([{
        "labels": {"alertname": "<script>alert(1)</script>", "x\"><u>": "\"'><img src=x>"},
        "annotations": {"summary": "<u>", "runbook_url": "javascript:alert(2)", "note": "</li><u>"},
        "generatorURL": "javascript:alert(1)",
    }]);
    check(&post("/api/v2/alerts", alert).to(node.address).await, 200, "");
    let shown = get("/api/v2/alerts").to(node.address).await.json();
    let fingerprint = shown[0]["fingerprint"].as_str().unwrap();
    let one = format!("/alerts/{fingerprint}");
    let form = format!("/silences/new?alert={fingerprint}");
    // Which texts of the alert a page must show.
    let pages: [(&str, &[&str]); 6] = [
        ("/", &["alert(1)", "img src=x", "u&#62;"]),
        ("/?filter=%7B%3Cu%3E", &["left out: <code>{&#60;u&#62;</code>"]),
        ("/?filter=%3Cu%3E", &["&#60;u&#62;"]),
        (&one, &["alert(1)", "img src=x"]),
        (&form, &["alert(1)", "img src=x"]),
        ("/groups", &["alert(1)"]),
    ];
    for (path, texts) in pages {
        let page = get(path).to(node.address).await;
        assert_eq!(page.status, 200, "{path}: {page:?}");
        for text in texts {
            assert!(page.body.contains(text), "{path}: no {text} in {}", page.body);
        }
        // The page's own script is the only one.
        assert_eq!(page.body.matches("<script").count(), 1, "{path}: {}", page.body);
        for wrong in
            ["<script>", "</script>alert", "<img", "<u>", "href=\"javascript:", "x\"><u", "\"'>"]
        {
            assert!(!page.body.contains(wrong), "{path}: {wrong} in {}", page.body);
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn pages_of_other_sites_may_read_and_not_write() {
    let node = Node::plain().await;
    let own = format!("http://{}", node.address);
    let status = async |origin: &str, site: Option<&str>| {
        let mut ask = post("/api/v2/alerts", "[]").header("Origin", origin);
        if let Some(site) = site {
            ask = ask.header("Sec-Fetch-Site", site);
        }
        ask.to(node.address).await.status
    };
    assert_eq!(status("http://evil.example", None).await, 403);
    assert_eq!(status("http://evil.example", Some("cross-site")).await, 403);
    assert_eq!(status("null", None).await, 403);
    assert_eq!(status(&own, None).await, 200);
    assert_eq!(status(&own, Some("same-origin")).await, 200);
    assert_eq!(status("https://behind.a.proxy", Some("same-origin")).await, 200);
    let read = get("/api/v2/alerts").header("Origin", "http://evil.example").to(node.address).await;
    assert_eq!(read.header("access-control-allow-origin"), "*");
    let preflight = ask("OPTIONS", "/api/v2/silences")
        .header("Origin", "http://x")
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "content-type")
        .to(node.address)
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-methods"), "POST");
    node.stop().await;

    let node = Node::start(CONFIG, |options, _| {
        options.web.cors_origin = Some("https://grafana\\.example".to_owned());
        options.web.allowed_hosts = vec!["am.example".to_owned()];
    })
    .await;
    let asked = |origin: &str, host: &str| {
        post("/api/v2/alerts", "[]").header("Origin", origin).header("Host", host)
    };
    assert_eq!(
        asked("https://grafana.example", "am.example:9093").to(node.address).await.status,
        200
    );
    assert_eq!(asked("https://evil.example", "am.example").to(node.address).await.status, 403);
    assert_eq!(asked("https://grafana.example", "rebound").to(node.address).await.status, 421);
    node.stop().await;
}

#[tokio::test]
async fn prefix_moves_everything() {
    let node = Node::start(CONFIG, |options, _| {
        options.web.external_url = "https://example.org/am/".to_owned();
    })
    .await;
    assert_eq!(get("/am/-/healthy").to(node.address).await.status, 200);
    assert_eq!(get("/am/api/v2/alerts").to(node.address).await.status, 200);
    assert_eq!(get("/api/v2/alerts").to(node.address).await.status, 404);
    assert_eq!(get("/metrics").to(node.address).await.status, 404);
    let root = get("/").to(node.address).await;
    assert_eq!((root.status, root.header("location")), (302, "/am"));
    let bare = get("/am?x=1").to(node.address).await;
    assert_eq!((bare.status, bare.header("location")), (301, "/am/?x=1"));
    let page = get("/am/").to(node.address).await;
    for path in loaded_by("/am/", &page.body) {
        assert!(path.starts_with("/am/"), "{path}");
        assert_eq!(get(&path).to(node.address).await.status, 200, "{path}");
        let bare = path.strip_prefix("/am").unwrap();
        assert_eq!(get(bare).to(node.address).await.status, 404, "{bare}");
    }
    let slash = get("/am/-/ready/").to(node.address).await;
    assert_eq!((slash.status, slash.header("location")), (301, "/am/-/ready"));
    node.stop().await;
}

#[tokio::test]
async fn gets_are_limited_and_probes_are_not() {
    let node = Node::start(CONFIG, |options, _| options.web.get_concurrency = 1).await;
    let alerts: Vec<Value> = (0..20_000)
        .map(|index| json!({"labels": {"alertname": "Load", "instance": format!("host-{index:06}"), "text": "x".repeat(400)}}))
        .collect();
    check(&post("/api/v2/alerts", Value::from(alerts)).to(node.address).await, 200, "");
    // A client that reads nothing holds the one place.
    let mut slow = tokio::net::TcpStream::connect(node.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(
        &mut slow,
        b"GET /api/v2/alerts HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await
    .unwrap();
    let mut first = [0; 1];
    tokio::io::AsyncReadExt::read_exact(&mut slow, &mut first).await.unwrap();
    let second = get("/api/v2/alerts").to(node.address).await;
    let said = "Limit of concurrent GET requests reached (1), try again later.\n\n";
    check(&second, 503, said);
    assert_eq!(get("/-/healthy").to(node.address).await.status, 200);
    assert_eq!(post("/api/v2/alerts", "[]").to(node.address).await.status, 200);
    drop(slow);
    let mut third = get("/metrics").to(node.address).await;
    while third.status == 503 {
        third = get("/metrics").to(node.address).await;
    }
    assert!(
        third
            .body
            .contains("\nalertmanager_http_concurrency_limit_exceeded_total{method=\"get\"} ")
    );
    assert!(third.body.contains(
        "\nalertmanager_alerts_received_total{status=\"firing\",version=\"v2\"} 20000\n"
    ));
    node.stop().await;
}

#[tokio::test]
async fn large_list_is_whole_json() {
    let node = Node::plain().await;
    let alerts: Vec<Value> = (0..3_000)
        .map(|index| json!({"labels": {"alertname": format!("A{}", index % 7), "instance": format!("host-{index:06}")}}))
        .collect();
    check(&post("/api/v2/alerts", Value::from(alerts)).to(node.address).await, 200, "");
    let shown = get("/api/v2/alerts").to(node.address).await.json();
    let shown = shown.as_array().unwrap();
    assert_eq!(shown.len(), 3_000);
    let fingerprints: Vec<&str> =
        shown.iter().map(|alert| alert["fingerprint"].as_str().unwrap()).collect();
    assert!(fingerprints.is_sorted());
    let some = get(
        "/api/v2/alerts?filter=alertname%3D~%22A%5B12%5D%22&filter=instance!%3D%22host-000001%22",
    );
    assert_eq!(some.to(node.address).await.json().as_array().unwrap().len(), 857);
    let v1 = get("/api/v1/alerts").to(node.address).await.json();
    assert_eq!(v1["data"].as_array().unwrap().len(), 3_000);
    node.stop().await;
}

#[tokio::test]
async fn metrics_are_zipped_when_asked_for() {
    let node = Node::plain().await;
    let plain = get("/metrics").to(node.address).await;
    assert_eq!(plain.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\
        Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\nConnection: close\r\n\r\n";
    let bytes = talk(node.address, request.as_bytes()).await;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(head.contains("content-type: application/openmetrics-text"), "{head}");
    let mut text = String::new();
    let mut zipped = flate2::read::GzDecoder::new(&bytes[end + 4..]);
    std::io::Read::read_to_string(&mut zipped, &mut text).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    node.stop().await;
}

#[tokio::test]
async fn receivers_are_tested_only_where_that_is_switched_on() {
    let path = "/api/v2/receivers/default/test";
    let node = Node::plain().await;
    assert_eq!(post(path, "").to(node.address).await.status, 404);
    node.stop().await;
    let config = "route: {receiver: default}\nreceivers: [{name: default, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}]\n";
    let node = Node::start(config, |options, _| options.web.enable_receiver_test = true).await;
    let answer = post(path, "").to(node.address).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()[0]["integration"], "default/webhook[0]");
    assert_ne!(answer.json()[0]["error"], "");
    let nobody = post("/api/v2/receivers/nobody/test", "").to(node.address).await;
    assert_eq!(nobody.status, 404);
    node.stop().await;
}

#[tokio::test]
async fn v1_can_be_switched_off() {
    let node = Node::start(CONFIG, |options, _| options.web.api_v1 = false).await;
    let answer = get("/api/v1/status").to(node.address).await;
    assert_eq!(answer.status, 410);
    assert_eq!(answer.json()["status"], "deprecated");
    assert_eq!(get("/api/v1/nope").to(node.address).await.status, 410);
    node.stop().await;
}

/// A node that waits for a peer which does not answer.
async fn settling(timeout_ms: u64) -> Node {
    Node::start(CONFIG, |options, _| {
        options.cluster.listen_address = "127.0.0.1:0".to_owned();
        options.cluster.peers = vec!["127.0.0.1:1".to_owned()];
        options.web.timeout = std::time::Duration::from_millis(timeout_ms);
    })
    .await
}

#[tokio::test]
async fn before_ready_alerts_are_taken_and_shown() {
    let node = settling(0).await;
    let ready = get("/-/ready").to(node.address).await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.body.starts_with("not ready: "), "{ready:?}");
    assert_eq!(get("/-/healthy").to(node.address).await.status, 200);
    check(&post("/api/v2/alerts", json!([{"labels": {"a": "b"}}])).to(node.address).await, 200, "");
    assert_eq!(get("/api/v2/alerts").to(node.address).await.json()[0]["labels"]["a"], "b");
    let status = get("/api/v2/status").to(node.address).await.json();
    assert_eq!(status["cluster"]["status"], "settling");
    let own = &status["cluster"]["peers"][0];
    assert_eq!(own["name"], status["cluster"]["name"]);
    let port = own["address"].as_str().unwrap().rsplit_once(':').unwrap().1;
    assert_ne!(port, "0");
    let ha = get("/api/v2/status/ha").to(node.address).await.json();
    assert_eq!((&ha["ready"], &ha["members"][0]["self"]), (&json!(false), &json!(true)));
    node.stop().await;
}

#[tokio::test]
async fn request_that_takes_too_long_is_given_up() {
    let node = settling(100).await;
    // Groups are not made before the node is ready.
    let groups = get("/api/v2/alerts/groups").to(node.address).await;
    check(&groups, 503, "Exceeded configured timeout of 100ms.\n");
    node.stop().await;
}

#[tokio::test]
async fn users_of_the_web_configuration_are_asked_for() {
    let node = Node::start(CONFIG, |options, folder| {
        let file = folder.join("web.yml");
        let hash = "$2b$04$EuYWkSc3zHrNVgvPQsyUj.bV.n0UFIiERoHi7KpHx4f6LX52lvh2.";
        std::fs::write(&file, format!("basic_auth_users: {{ann: {hash}}}\n")).unwrap();
        options.web.config_file = Some(file);
    })
    .await;
    for path in ["/", "/-/healthy", "/metrics", "/api/v2/alerts"] {
        let answer = get(path).to(node.address).await;
        check(&answer, 401, "Unauthorized\n");
        assert_eq!(answer.header("www-authenticate"), "Basic");
    }
    // ann:secret
    let known = get("/-/healthy").header("Authorization", "Basic YW5uOnNlY3JldA==");
    check(&known.to(node.address).await, 200, "OK");
    node.stop().await;
}

#[tokio::test]
async fn read_only_users_see_everything_and_change_nothing() {
    // Both passwords are "secret".
    const USERS: &str = "
basic_auth_users:
  ann: $2b$04$EuYWkSc3zHrNVgvPQsyUj.bV.n0UFIiERoHi7KpHx4f6LX52lvh2.
  eve: $2b$04$EuYWkSc3zHrNVgvPQsyUj.bV.n0UFIiERoHi7KpHx4f6LX52lvh2.
read_only_users: [eve]
http_server_config: {headers: {X-Frame-Options: deny}}
";
    const ANN: (&str, &str) = ("Authorization", "Basic YW5uOnNlY3JldA==");
    const EVE: (&str, &str) = ("Authorization", "Basic ZXZlOnNlY3JldA==");
    let node = Node::start(CONFIG, |options, folder| {
        std::fs::write(folder.join("web.yml"), USERS).unwrap();
        options.web.config_file = Some(folder.join("web.yml"));
    })
    .await;
    let silence = json!({
        "matchers": [{"name": "a", "value": "b", "isRegex": false}],
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "ann", "comment": "c",
    });
    let made = post("/api/v2/silences", &silence).header(ANN.0, ANN.1).to(node.address).await;
    let id = made.json()["silenceID"].as_str().unwrap().to_owned();
    let one = format!("/api/v2/silence/{id}");

    for path in
        ["/", "/silences/new", "/metrics", "/api/v2/silences", "/api/v1/alerts", &one, "/-/healthy"]
    {
        let answer = get(path).header(EVE.0, EVE.1).to(node.address).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let writes = [
        post("/api/v2/alerts", json!([{"labels": {"a": "b"}}])),
        post("/api/v1/alerts", json!([{"labels": {"a": "b"}}])),
        post("/api/v2/silences", &silence),
        ask("DELETE", &one),
        ask("DELETE", format!("/api/v1/silence/{id}")),
        post(format!("/silences/{id}"), ""),
        post("/silences/new", ""),
        ask("POST", "/-/reload"),
        ask("PUT", "/api/v2/silences"),
        post("/api/v2/alerts", "x".repeat(3 << 20)),
    ];
    let said = "Forbidden: user \"eve\" may only read (read_only_users of web.yml)\n";
    for write in writes {
        let answer = write.header(EVE.0, EVE.1).to(node.address).await;
        check(&answer, 403, said);
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("x-frame-options"), "deny");
    }
    let alerts = get("/api/v2/alerts").header(EVE.0, EVE.1).to(node.address).await;
    check(&alerts, 200, "[]\n");
    let left = get(&one).header(EVE.0, EVE.1).to(node.address).await.json();
    assert_eq!(left["status"]["state"], "active");
    let ended = ask("DELETE", &one).header(ANN.0, ANN.1).to(node.address).await;
    check(&ended, 200, "");
    node.stop().await;
}

#[tokio::test]
async fn history_tells_who_was_told_and_why_not() {
    const LOST: &str = "
route: {receiver: lost, group_by: [alertname], group_wait: 0s}
receivers:
- {name: lost, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}
";
    let node = Node::start(LOST, |_, _| {}).await;
    check(&get("/api/v2/history").to(node.address).await, 200, "[]\n");
    let alert = json!([{"labels": {"alertname": "Down", "instance": "a"}}]);
    check(&post("/api/v2/alerts", alert).to(node.address).await, 200, "");
    let wanted = "/api/v2/history?filter=alertname%3DDown";
    let mut shown = get(wanted).to(node.address).await.json();
    while shown[0].is_null() {
        tokio::task::yield_now().await;
        shown = get(wanted).to(node.address).await.json();
    }
    let (row, attempt) = (&shown[0], &shown[0]["attempts"][0]);
    assert_eq!(row["groupKey"], "{}:{alertname=\"Down\"}");
    assert_eq!(row["labels"], json!({"alertname": "Down"}));
    assert_eq!((&row["receiver"], &row["integration"]), (&json!("lost"), &json!("webhook")));
    assert_eq!((&row["index"], &attempt["firing"]), (&json!(0), &json!(1)));
    assert_eq!(
        (&attempt["reason"], &attempt["resolved"]),
        (&json!("first notification"), &json!(0))
    );
    assert_eq!(attempt["result"], "retried");
    assert!(attempt["text"].as_str().unwrap().contains("refused"), "{attempt}");
    assert!(attempt["at"].as_str().unwrap().ends_with('Z'), "{attempt}");
    assert!(attempt["node"].is_string());
    let others = get("/api/v2/history?filter=alertname%3DUp").to(node.address).await;
    check(&others, 200, "[]\n");
    assert_eq!(get("/api/v2/history?filter=%3D").to(node.address).await.status, 400);
    node.stop().await;
}
