//! The stats listener: CSV by position, the page, health of the balancer itself, metrics.

use crate::harness::*;

#[test]
fn csv_has_haproxys_columns_and_counts() {
    let fake = Fake::new(|_| ok("0123456789"));
    let lb = Lb::over(&[&fake]);
    (0..5).for_each(|_| assert_eq!(lb.get("/").status, 200));
    eventually("all are counted", || (lb.field("n1", "hrsp_2xx") == "5").then_some(()));
    let reply = lb.page("/stats;csv");
    let rows: Vec<Vec<&str>> = reply.body.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!(rows[0][..5], ["# pxname", "svname", "qcur", "qmax", "scur"]);
    assert!(rows.iter().all(|r| r.len() == rows[0].len() && r.last() == Some(&"")));
    let names: Vec<_> = rows[1..].iter().map(|r| (r[0], r[1], r[32])).collect();
    assert_eq!(
        names,
        [
            ("alertmanager_frontend", "FRONTEND", "0"),
            ("alertmanager_backend", "n1", "2"),
            ("alertmanager_backend", "BACKEND", "1"),
            ("stats", "FRONTEND", "0"),
        ]
    );
    assert_eq!((rows[1][7], rows[1][48], rows[1][40]), ("5", "5", "5"));
    assert_eq!((rows[2][7], rows[2][40], rows[2][67], rows[2][68]), ("5", "5", "2", "3"));
    assert_eq!((rows[3][6], rows[3][17], rows[3][19]), ("300", "UP", "1"));
    assert_eq!(rows[2][103], "-");
    assert!(rows[1][9].parse::<u64>().unwrap() >= 5 * 40);
    assert_eq!(rows[1][8], rows[2][8]);
}

#[test]
fn the_page_and_its_neighbours_answer() {
    let fake = Fake::new(|_| ok("x"));
    let lb = Lb::over(&[&fake]);
    let page = lb.page("/stats");
    assert_eq!((page.status, page.value("refresh")), (200, Some("30")));
    assert!(page.body.contains("1 of 1 nodes up") || page.body.contains("0 of 1 nodes up"));
    assert!(page.value("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!(lb.page("/stats;norefresh").value("refresh"), None);
    assert_eq!(lb.page("/").value("location"), Some("/stats"));
    assert_eq!(lb.page("/nothing").status, 404);
    assert_eq!(lb.page("/-/healthy").status, 200);
    assert_eq!(lb.page("/-/ready").status, 200);
    let head = Talk::to(lb.stats).ask("HEAD /stats HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(lb.page("/stats?scope=nothing").body.contains("0 of 0"));
    let style = page.body.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(lb.page(style).value("content-type"), Some("text/css; charset=utf-8"));
}

#[test]
fn metrics_have_the_exporters_names() {
    let fake = Fake::new(|_| ok("x"));
    let lb = Lb::over(&[&fake]);
    assert_eq!(lb.get("/").status, 200);
    // It is counted once it is answered.
    let counted = |text: &String| text.contains("server=\"n1\",code=\"2xx\"} 1\n");
    let text = eventually("it is counted", || Some(lb.page("/metrics").body).filter(counted));
    for line in [
        "haproxy_frontend_http_requests_total{proxy=\"alertmanager_frontend\"} 1",
        "haproxy_server_http_responses_total{proxy=\"alertmanager_backend\",server=\"n1\",code=\"2xx\"} 1",
        "haproxy_server_status{proxy=\"alertmanager_backend\",server=\"n1\",state=\"UP\"} 1",
        "haproxy_backend_active_servers{proxy=\"alertmanager_backend\"} 1",
        "# TYPE haproxy_server_sessions_total counter",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
    }
}
