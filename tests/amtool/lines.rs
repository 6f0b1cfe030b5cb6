//! The command lines, in the order in which they are run, and where the tools differ on purpose.

/// One line: words as a shell would split them; `< file` is standard input, a first `-` runs it without a server's
/// address, a first `~name` with the home directory of that name.
pub(super) struct Case {
    words: Vec<String>,
}

impl Case {
    pub(super) fn new(line: &str) -> Self {
        Self { words: split(line) }
    }

    pub(super) fn words(&self) -> Vec<String> {
        let end = self.words.iter().position(|word| word == "<").unwrap_or(self.words.len());
        let marks = self.words.iter().take_while(|word| is_mark(word)).count();
        self.words[marks..end].to_vec()
    }

    pub(super) fn with_server(&self) -> bool {
        self.words.first().is_none_or(|word| word != "-")
    }

    pub(super) fn home(&self) -> &str {
        self.words.first().and_then(|word| word.strip_prefix('~')).unwrap_or("home")
    }

    pub(super) fn stdin(&self) -> Option<&str> {
        let at = self.words.iter().position(|word| word == "<")?;
        self.words.get(at + 1).map(String::as_str)
    }
}

fn is_mark(word: &str) -> bool {
    word == "-" || word.starts_with('~')
}

/// Words between blanks; quotes of both kinds hold blanks together.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Where the tools differ.
pub(super) struct Difference {
    pub(super) line: &'static str,
    /// Whether the exit codes differ; else standard output or standard error alone does.
    code: bool,
    /// Whether standard output differs.
    out: bool,
    /// Whether it is a matter of chance what 0.25 says.
    pub(super) sometimes: bool,
    pub(super) reason: &'static str,
}

impl Difference {
    /// Whether what differs is what was expected to.
    pub(super) fn allows(&self, same_code: bool, same_out: bool) -> bool {
        self.sometimes || self.code != same_code && self.out != same_out
    }
}

const fn error(line: &'static str, reason: &'static str) -> Difference {
    Difference { line, code: false, out: false, sometimes: false, reason }
}

const fn output(line: &'static str, reason: &'static str) -> Difference {
    Difference { line, code: false, out: true, sometimes: false, reason }
}

const fn code(line: &'static str, out: bool, reason: &'static str) -> Difference {
    Difference { line, code: true, out, sometimes: false, reason }
}

const NOTE: &str = "a first word with an operator that becomes an alert's name is told";
const ADDRESS: &str = "upstream prints memory addresses, Tocsin the values";
const DEBIANS_URL: &str =
    "Debian's build has http://localhost:9093 for a default, so a file always overrides a server";
const FILE_WORDS: &str = "Tocsin names the file, the line or the pattern";
const LOST_FAILURES: &str = "0.25 ends well on a file that is no JSON; newer versions do not";
const WRONG_UNIT: &str = "newer versions name the unit, 0.25 the whole text";

/// All of them.
pub(super) const DIFFERENCES: &[Difference] = &[
    error("alert add 'odd=~x'", NOTE),
    error("alert query 'foo=~['", NOTE),
    error("alert add foo --annotation='x=~y'", "0.25 speaks of labels where annotations are wrong"),
    output("config show -o extended", ADDRESS),
    output("config -o extended", ADDRESS),
    output("silence update $1 -q -c quiet", ADDRESS),
    error("- config routes --config.file=am.yml", DEBIANS_URL),
    error("--http.config.file=bad-http.yml alert", FILE_WORDS),
    error("~home-list alert", FILE_WORDS),
    error("silence add foo -c x -d 1x", WRONG_UNIT),
    error("silence import -w x silences.json", "0.25 names the function of Go that it has called"),
    Difference {
        sometimes: true,
        ..error("silence import incomplete.json", "0.25 may end before it has counted the failures")
    },
    code("silence import bad.json", false, LOST_FAILURES),
    error("config routes --config.file=unknown-receiver.yml show", FILE_WORDS),
    error("config routes test --config.file=unknown-key.yml a=b", FILE_WORDS),
    error(
        "- template render --template.glob=none --template.data=bad.json --template.text=x",
        FILE_WORDS,
    ),
    error(
        "- template render --template.glob=none --template.data=wrong.json --template.text=x",
        FILE_WORDS,
    ),
    error("- template render --template.glob='[' --template.text=x", FILE_WORDS),
    error("silence update $1 -d 1x", WRONG_UNIT),
];

/// All of them.
pub(super) const LINES: &[&str] = &[
    // Flags and commands.
    "nosuch",
    "template",
    "- -x",
    "- --nosuch alert",
    "- alert --output=xml",
    "- -o",
    "- --timeout=1x alert",
    "- --timeout=1d alert",
    "- -o json -o json alert",
    "cluster show extra",
    "config routes nosuch",
    "- --alertmanager.url=http://127.0.0.1:1 alert",
    "- --alertmanager.url=http://127.0.0.1:1 silence",
    "- --alertmanager.url=http://127.0.0.1:1 silence add a=b -c x",
    "- --alertmanager.url=http://127.0.0.1:1 config show",
    "- --alertmanager.url=http://127.0.0.1:1 cluster",
    "- --alertmanager.url=http://127.0.0.1:$PORT/nosuch alert",
    "--http.config.file=nosuch.yml alert",
    "--http.config.file=bad-http.yml alert",
    // Alerts: none yet.
    "alert",
    "alert -o extended",
    "alert -o json",
    // alert add
    "alert add foo node=bar severity=critical --annotation=summary='disk is full' --generator-url=http://p.example/g",
    "alert add alertname=HostDown node=n1 severity=warning --annotation=summary='host <n1> down' --annotation=runbook=http://r.example/x",
    "alert add Late --start=2001-02-03T04:05:06Z --end=2099-01-01T00:00:00Z",
    "alert add Zoned --start=2001-02-04T04:05:06+02:00 --end=2099-01-01T00:00:00+02:00 --annotation=summary=zone",
    "alert add Ended --start=2001-02-03T04:05:06Z --end=2001-02-04T04:05:06Z",
    "alert add 'Long Name' 'quoted=\"a b\"' empty=",
    "alert add 'odd=~x'",
    "alert add owner=team-X job=db",
    "alert add",
    "alert add foo bar",
    "alert add foo a!=b",
    "alert add foo --annotation=x",
    "alert add foo --annotation='x=~y'",
    "alert add foo --start=bad",
    "alert add foo --end=2026-11-22",
    "alert add foo --generator-url=relative",
    "alert add --annotation",
    // alert query
    "alert",
    "alert query",
    "alert -o extended",
    "alert query -o extended foo",
    "-o json alert",
    "alert query foo",
    "alert query alertname=foo node=bar",
    "alert query foo node=nosuch",
    "alert query 'alertname=~\"H.*|foo\"'",
    "alert query 'node!=bar'",
    "alert query 'node!~b.+' severity=warning -i",
    "alert query 'Long Name'",
    "alert query 'foo=~['",
    "alert query foo bar",
    "alert query foo 'a=~['",
    "alert query -r '['",
    "alert query -r pager",
    "alert --receiver=pager|teams",
    "alert query --receiver nosuch",
    "alert -i",
    "alert -asiu",
    "alert query -a -o json Late",
    "alert query --silenced",
    "alert query --unprocessed",
    "alert query --no-active",
    "alert query -- foo",
    "alert -aa",
    "@arguments",
    "--date.format=2006 alert",
    "--date.format='Mon Jan _2 15:04 2006 -0700' alert Zoned",
    "-v alert foo",
    "--no-version-check alert foo",
    "--http.config.file=http.yml alert foo",
    "~home-json alert foo",
    "~home-json -o simple alert foo",
    "~home-dates alert Late",
    "~home-wrong alert",
    "~home-list alert",
    // Silences: none yet.
    "silence",
    "silence -o extended",
    "silence -o json",
    // silence add
    "silence add foo -c maintenance -a alice",
    "silence add 'node=~n.+' env!=dev -a bob -c 'rolling restart' -d 2d",
    "silence add alertname=foo --author=alice --comment='a <b>' --duration 2h30m",
    "silence add foo node!~x -c later -a carol --start=2098-01-01T00:00:00Z --end=2098-02-01T00:00:00+01:00",
    "silence add foo -c later -a carol --start=2097-01-01T00:00:00Z -d 1w",
    "silence add nocomment -a dan -d 3h --no-require-comment",
    "~home-json silence add fromfile -d 4h",
    "silence add 'Long Name' 'a=\"b c\"' -c x -a y -d 5h",
    "silence add",
    "silence add foo",
    "silence add foo --require-comment",
    "silence add foo -c x -d 0s",
    "silence add foo -c x -d 1x",
    "silence add foo -c x -d ''",
    "silence add foo -c x -d -1h",
    "silence add foo -c x --start=2020",
    "silence add foo -c x --end=tomorrow",
    "silence add foo -c x --end=2001-01-01T00:00:00Z",
    "silence add foo bar -c x",
    "silence add foo 'a=~[' -c x",
    "silence add 'a=~.*' -c x",
    "silence add '' -c x",
    // silence query
    "silence",
    "silence query",
    "silence query -o extended",
    "silence query foo",
    "silence query alertname=foo",
    "silence query 'node=~\"n.+\"'",
    "silence query node=n1",
    "silence query env!=dev",
    "silence query foo bar",
    "silence query foo 'x=~['",
    "silence query -q",
    "silence query --quiet foo",
    "silence query --within=2h",
    "silence --within 3h -q",
    "silence query --within=1d",
    "silence query --within=soon",
    "silence query --created-by=bob",
    "silence query --created-by=nobody -o json",
    "silence query --created-by=bob -o json",
    "silence query --expired",
    "silence query --expired --within=1h",
    "silence query --nosuch",
    "--date.format=02.01.2006 silence",
    "~home-dates silence --created-by=carol",
    "alert -s",
    "alert -s -o extended",
    // silence update
    "silence update $1 -c changed",
    "silence update $1 -d 6h",
    "silence update $2 $3 --duration=1w -o extended",
    "silence update $5 --start=2097-02-01T00:00:00Z --end=2097-03-01T00:00:00Z",
    "silence update $1 -q -c quiet",
    "silence update $2 --comment=json -o json",
    "silence update",
    "silence update notanid",
    "silence update 00000000-0000-4000-8000-000000000000 -c x",
    "silence update $1 -d 0s",
    "silence update $1 -d 1x",
    "silence update $1 --start=bad",
    "silence update $1 --end=2001-01-01T00:00:00Z",
    "silence",
    // silence expire
    "silence expire $1",
    "silence expire $1",
    "silence expire $2 $3",
    "silence expire",
    "silence expire notanid",
    "silence expire 00000000-0000-4000-8000-000000000000",
    "silence expire $1 notanid $4",
    "silence query -q",
    "silence query --expired -q",
    "silence query --expired --within=10m -q",
    // silence import
    "silence import silences.json",
    "silence import -f silences.json",
    "silence import --worker=1 silences.json",
    "silence import < silences.json",
    "silence import none.json",
    "silence query imported=2",
    "silence import nosuch.json",
    "silence import -w x silences.json",
    "silence import incomplete.json",
    "silence import bad.json",
    "silence import silences.json more.json",
    // check-config
    "- check-config am.yml",
    "- check-config flat.yml am.yml",
    "- check-config templates.yml",
    "- check-config < am.yml",
    "- check-config badtemplates.yml",
    "- check-config unknown-receiver.yml",
    "- check-config unknown-key.yml flat.yml",
    "- check-config no-yaml.yml",
    "- check-config empty.yml",
    "- check-config nosuch.yml am.yml",
    "- check-config < no-yaml.yml",
    "- check-config t",
    // config show
    "config",
    "config show",
    "config show -o json",
    "config show -o extended",
    "config -o extended",
    "--output json config",
    "config show extra",
    "config show --nosuch",
    // config routes
    "config routes",
    "config routes show",
    "config routes show -o json",
    "- config routes --config.file=am.yml",
    "config routes --config.file=am.yml",
    "config routes show --config.file=flat.yml",
    "config routes --config.file=nosuch.yml",
    "config routes --config.file=unknown-receiver.yml show",
    "- --alertmanager.url=http://127.0.0.1:1 config routes",
    // config routes test
    "config routes test",
    "config routes test severity=critical",
    "config routes test severity=critical team=db",
    "config routes test --tree severity=critical team=db",
    "config routes test --tree service=foo1",
    "config routes test --tree",
    "config routes test owner=team-X --tree",
    "config routes test --tree owner=team-X severity=critical service=baz",
    "config routes test --config.file=flat.yml a=b",
    "config routes --config.file=am.yml test a=b --verify.receivers=default",
    "config routes test --verify.receivers=pager,web.hook severity=critical service=foo1",
    "config routes test --verify.receivers=nosuch a=b",
    "config routes test --verify.receivers=nosuch --tree a=b",
    "config routes test a!=b",
    "config routes test nolabel",
    "config routes test ''",
    "config routes test --config.file=unknown-key.yml a=b",
    // cluster show
    "cluster",
    "cluster show",
    "cluster -o extended",
    "cluster show -o extended",
    "cluster -o json",
    "cluster nosuch",
    "cluster show --nosuch",
    // template render
    "- template render --template.glob='t/*.tmpl' --template.text='{{ template \"my.text\" . }}'",
    "- template render --template.glob=t/a.tmpl --template.glob=t/b.tmpl --template.data=data.json --template.text='{{ template \"my.list\" . }}'",
    "- template render --template.glob=none --template.text='{{ .Receiver | toUpper }} {{ .ExternalURL }} {{ len .Alerts }}'",
    "- template render --template.glob=none --template.text='{{ .GroupLabels.SortedPairs.Values | join \" \" }}'",
    "- template render --template.glob=none --template.data=data.json --template.text='{{ .Status }} {{ len .Alerts.Firing }} {{ (index .Alerts 0).StartsAt }} {{ .CommonAnnotations.summary }}'",
    "- template render --template.glob=none --template.type=html --template.data=data.json --template.text='<p>{{ (index .Alerts 0).Labels.b }}</p>'",
    "- template render --template.glob=none --template.type=text --template.data=data.json --template.text='<p>{{ (index .Alerts 0).Labels.b }}</p>'",
    "- template render --template.glob=none --template.text=plain",
    "- template render --template.glob=none --template.text=''",
    "- template render --template.glob=none",
    "- template render --template.text=x",
    "- template render --template.glob=none --template.text='{{ template \"nosuch\" . }}'",
    "- template render --template.glob=none --template.text='{{ .Nosuch }}'",
    "- template render --template.glob=none --template.text='{{ if }}'",
    "- template render --template.glob='[' --template.text=x",
    "- template render --template.glob='bad/*' --template.text=x",
    "- template render --template.glob=none --template.data=nosuch.json --template.text=x",
    "- template render --template.glob=none --template.data=bad.json --template.text=x",
    "- template render --template.glob=none --template.data=wrong.json --template.text=x",
    "- template render --template.glob=none --template.type=xml --template.text=x",
];
