//! The files that the command lines name.

use tempfile::TempDir;

const FILES: &[(&str, &str)] = &[
    (
        "am.yml",
        r#"global: {resolve_timeout: 30m, smtp_smarthost: 'localhost:25', smtp_from: a@b.example}
route:
  receiver: default
  group_by: [alertname]
  group_wait: 1h
  routes:
  - matchers: ['severity="critical"']
    continue: true
    receiver: pager
    routes:
    - matchers: ['env!="dev"', 'team=~"db|cache"']
      receiver: db-pager
  - match_re: {service: '^(foo1|foo2|baz)$'}
    receiver: web.hook
  - match: {owner: team-X}
    receiver: pager
    continue: true
  - matchers: ['owner=~"team-.*"']
    receiver: 'teams'
receivers: [{name: default}, {name: pager}, {name: db-pager}, {name: web.hook}, {name: teams}]
inhibit_rules:
- {source_matchers: [severity=critical], target_matchers: [severity=warning], equal: [cluster]}
"#,
    ),
    ("flat.yml", "route: {receiver: only}\nreceivers: [{name: only}]\n"),
    (
        "templates.yml",
        "route: {receiver: r}\nreceivers: [{name: r}]\ntemplates: ['t/*.tmpl', 'none/*.tmpl']\n",
    ),
    (
        "badtemplates.yml",
        "route: {receiver: r}\nreceivers: [{name: r}]\ntemplates: ['bad/*.tmpl']\n",
    ),
    ("unknown-receiver.yml", "route: {receiver: nosuch}\nreceivers: [{name: r}]\n"),
    ("unknown-key.yml", "route: {reciever: r}\nreceivers: [{name: r}]\n"),
    ("no-yaml.yml", "route: [\n"),
    ("empty.yml", ""),
    ("t/a.tmpl", "{{ define \"my.text\" }}Hello {{ .Status }} of {{ .Receiver }}{{ end }}"),
    ("t/b.tmpl", "{{ define \"my.list\" }}{{ range .Alerts }}<{{ .Labels.a }}>{{ end }}{{ end }}"),
    ("bad/a.tmpl", "{{ if }}"),
    (
        "data.json",
        r#"{"receiver":"r1","status":"firing","externalURL":"http://x.example","more":1,
"alerts":[{"status":"firing","labels":{"a":"1","b":"<x>"},"startsAt":"2001-02-03T04:05:06Z"},{"status":"resolved","labels":{"a":"2"}}],
"groupLabels":{"a":"1"},"commonLabels":null,"commonAnnotations":{"summary":"s"}}"#,
    ),
    ("bad.json", "{"),
    ("wrong.json", r#"{"alerts":3}"#),
    (
        "silences.json",
        r#"[{"id":"11111111-1111-4111-8111-111111111111","status":{"state":"active"},"updatedAt":"2001-01-01T00:00:00.000Z",
"comment":"imported","createdBy":"carol","endsAt":"2097-01-01T00:00:00.000Z","startsAt":"2096-01-01T00:00:00.000Z",
"matchers":[{"name":"imported","value":"1","isRegex":false,"isEqual":true}]}]"#,
    ),
    ("none.json", "[]"),
    ("incomplete.json", r#"[{"comment":"x"}]"#),
    ("arguments", "alert\nquery\nfoo\n"),
    ("http.yml", "basic_auth: {username: u, password: p}\n"),
    ("bad-http.yml", "nosuch: 1\n"),
    ("home/nothing", ""),
    (
        "home-json/.config/prometheus/amtool.yml",
        "output: json\nauthor: dora\ncomment_required: false\nnosuch: 1\n",
    ),
    ("home-dates/.config/prometheus/amtool.yml", "date.format: 'Jan _2 2006'\noutput: extended\n"),
    ("home-wrong/.config/prometheus/amtool.yml", "output: xml\n"),
    ("home-list/.config/prometheus/amtool.yml", "- output\n"),
];

/// A directory with all of them.
pub(super) fn directory() -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    for (name, text) in FILES {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below the directory")).expect("writable");
        std::fs::write(path, text).expect("writable");
    }
    directory
}
