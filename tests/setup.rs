//! `tocsin-setup` on hosts that are directories: a fake root, and commands that note how they were called.
//! It is killed at every command that it calls, after which the next run must end as if nothing had happened.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Commands that change the host; each call is counted, and one may be the last.
const COUNTED: [&str; 13] = [
    "systemctl",
    "ufw",
    "firewall-cmd",
    "apt-get",
    "dnf",
    "yum",
    "zypper",
    "useradd",
    "chown",
    "mv",
    "cp",
    "mkdir",
    "chmod",
];

/// What every counted command does first: note the call, and, when its number has come, kill the whole run
/// as soon as it has done its work.
const COUNT: &str = r#"#!/bin/bash
name=$(basename "$0")
echo "$name $*" >>"$HOST/calls"
if [ -n "${KILL_AT:-}" ] && [ "$(wc -l <"$HOST/calls")" -eq "$KILL_AT" ]; then trap 'kill -9 0' EXIT; fi
"#;

struct Host {
    directory: tempfile::TempDir,
}

fn setup_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/tocsin-setup")
}

impl Host {
    /// A host with this os-release, package manager and, if one is named, active firewall.
    fn new(release: &str, manager: &str, firewall: &str) -> Self {
        let host = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        for path in ["bin", "root/etc", "root/run/systemd/system", "root/var/lib", "root/usr/bin"] {
            std::fs::create_dir_all(host.path(path)).expect("writable");
        }
        std::fs::write(host.path("root/etc/os-release"), release).expect("writable");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tocsin"), host.path("root/usr/bin/tocsin"))
            .expect("writable");
        let firewalls = [firewall].into_iter().filter(|name| !name.is_empty());
        let tools = ["systemctl", "useradd", "chown", "mv", "cp", "mkdir", "chmod", manager];
        for name in tools.into_iter().chain(firewalls) {
            assert!(COUNTED.contains(&name));
            host.stub(name, &format!("{COUNT}{}", behaviour(name)));
        }
        host.stub("id", "#!/bin/sh\necho 0\n");
        host.stub("uname", "#!/bin/sh\ncase $1 in -m) echo x86_64;; *) echo host1;; esac\n");
        host.stub("getconf", "#!/bin/sh\necho glibc 2.36\n");
        host.stub(
            "getent",
            "#!/bin/sh\ncase $1 in ahosts) echo \"$2 STREAM\";; *) exit 0;; esac\n",
        );
        host.stub(
            "ip",
            "#!/bin/sh\necho '192.0.2.1 via 203.0.113.1 dev eth0 src 203.0.113.10 uid 0'\n",
        );
        host.stub("ss", "#!/bin/sh\ncat \"$HOST/ports\" 2>/dev/null\n");
        host.stub("journalctl", "#!/bin/sh\necho the journal\n");
        host.stub("dpkg-query", "#!/bin/sh\necho 'installed 1.0-1'\n");
        host.stub("rpm", "#!/bin/sh\necho 1.0-1\n");
        host.stub("sync", "#!/bin/sh\n");
        let tools = [
            "sh",
            "bash",
            "cat",
            "sed",
            "grep",
            "tail",
            "head",
            "tr",
            "cut",
            "sort",
            "awk",
            "df",
            "date",
            "dirname",
            "basename",
            "mktemp",
            "cmp",
            "rm",
            "rmdir",
            "sleep",
            "wc",
            "printf",
            "xargs",
            "tar",
            "gzip",
            "hostname",
            "sha256sum",
            "kill",
            "env",
            "timeout",
        ];
        for name in tools {
            for directory in ["/usr/bin", "/bin"] {
                let real = Path::new(directory).join(name);
                if real.exists() && !host.path("bin").join(name).exists() {
                    std::os::unix::fs::symlink(real, host.path("bin").join(name))
                        .expect("writable");
                }
            }
        }
        host.stub("curl", "#!/bin/sh\nexit 0\n");
        host
    }

    fn debian() -> Self {
        Self::new(DEBIAN, "apt-get", "ufw")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn stub(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path("bin").join(name);
        let _none_yet = std::fs::remove_file(&path);
        std::fs::write(&path, text).expect("writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
    }

    fn run_killed_at(&self, arguments: &[&str], call: Option<usize>) -> Output {
        let _no_calls_yet = std::fs::remove_file(self.path("calls"));
        let mut command = Command::new("/bin/sh");
        command.arg(setup_script()).args(arguments).env_clear().stdin(Stdio::null());
        command.env("PATH", self.path("bin")).env("HOST", self.directory.path());
        command.env("TOCSIN_SETUP_ROOT", self.path("root"));
        if let Some(call) = call {
            command.env("KILL_AT", call.to_string());
        }
        command.process_group(0).output().expect("a shell")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_killed_at(arguments, None)
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    }

    #[track_caller]
    fn ends_with(&self, arguments: &[&str], code: i32, says: &str) {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(says), "{}", text(&output));
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path("root").join(path)).unwrap_or_default()
    }

    fn calls(&self) -> usize {
        std::fs::read_to_string(self.path("calls")).unwrap_or_default().lines().count()
    }

    /// Everything on the host that the setup may change; neither its own notes nor kept copies.
    fn state(&self) -> String {
        let mut state = String::new();
        for file in ["etc/tocsin/alertmanager.yml", "etc/tocsin/lb.yml", "etc/default/tocsin-node"]
        {
            state.push_str(&format!("{file}: {}\n", self.read(file)));
        }
        for file in ["ufw", "firewalld", "enabled", "active"] {
            let path = self.path(file);
            state.push_str(&format!(
                "{file}: {}\n",
                std::fs::read_to_string(path).unwrap_or_default()
            ));
        }
        state
    }
}

/// What a command does on the fake host, after it was counted.
fn behaviour(name: &str) -> &'static str {
    match name {
        "systemctl" => {
            r#"unit=${!#}
case $1 in
    enable) echo "$unit" >"$HOST/enabled" ;;
    disable) rm -f "$HOST/enabled" ;;
    start | restart) [ ! -e "$HOST/broken" ] || exit 1; echo "$unit" >"$HOST/active" ;;
    stop) rm -f "$HOST/active" ;;
    is-active) grep -qs "$unit" "$HOST/active" ;;
    is-enabled) grep -qs "$unit" "$HOST/enabled" ;;
esac
"#
        }
        "ufw" => {
            r#"touch "$HOST/ufw"
case "$*" in
    status) echo 'Status: active' ;;
    'show added') sed 's/^/ufw allow /' "$HOST/ufw" ;;
    '--force delete allow '*) shift 3; grep -vxF -- "$*" "$HOST/ufw" >"$HOST/ufw.new"; cat "$HOST/ufw.new" >"$HOST/ufw" ;;
    allow*) shift; all="$*"; echo "${all% comment*}" >>"$HOST/ufw" ;;
esac
"#
        }
        "firewall-cmd" => {
            r#"touch "$HOST/firewalld"
rule=$(printf '%s\n' "$@" | grep -e '^--add-' -e '^--query-' -e '^--remove-')
case "$*" in
    --state) echo running ;;
    --get-active-zones) echo public ;;
    *--query-*) grep -qxF -- "${rule#--query-}" "$HOST/firewalld" ;;
    *--permanent*--add-*) echo "${rule#--add-}" >>"$HOST/firewalld" ;;
    *--permanent*--remove-*) grep -vxF -- "${rule#--remove-}" "$HOST/firewalld" >"$HOST/new"; cat "$HOST/new" >"$HOST/firewalld" ;;
esac
"#
        }
        "chown" | "useradd" | "apt-get" | "dnf" | "yum" | "zypper" => "exit 0\n",
        "mv" => "/usr/bin/mv \"$@\"\n",
        "cp" => "/usr/bin/cp \"$@\"\n",
        "mkdir" => "/usr/bin/mkdir \"$@\"\n",
        "chmod" => "/usr/bin/chmod \"$@\"\n",
        other => panic!("no {other} on the host"),
    }
}

const DEBIAN: &str = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n";

fn text(output: &Output) -> String {
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    part(&output.stdout) + &part(&output.stderr)
}

/// The command line of the guide's script, for the second node.
const GUIDE: [&str; 8] = [
    "--node-id",
    "node2",
    "--cluster-peers",
    "203.0.113.11,203.0.113.12",
    "--listen-port",
    "9093",
    "--cluster-port",
    "9094",
];

const FLAGS: &str = "ARGS=\"--web.listen-address=0.0.0.0:9093 --cluster.listen-address=0.0.0.0:9094 \
--cluster.advertise-address=203.0.113.10:9094 --cluster.peer-name=node2 --cluster.peer=203.0.113.11:9094 \
--cluster.peer=203.0.113.12:9094\"";

#[test]
fn guide_options_set_up_a_node_in_eight_steps() {
    let host = Host::debian();
    let said = host.succeeds(&GUIDE);
    for step in 1..=8 {
        assert!(said.contains(&format!("[{step}/8] ")), "{said}");
    }
    assert_eq!(host.read("etc/default/tocsin-node").trim(), FLAGS);
    let rules = std::fs::read_to_string(host.path("ufw")).expect("rules");
    assert_eq!(
        rules,
        "9093/tcp\nfrom 203.0.113.11 to any port 9094 proto tcp\nfrom 203.0.113.12 to any port 9094 proto tcp\n"
    );
    assert!(host.path("active").exists() && host.path("enabled").exists());
}

#[test]
fn second_run_changes_nothing_and_says_so() {
    let host = Host::debian();
    host.succeeds(&GUIDE);
    let before = (host.state(), host.read("var/lib/tocsin-setup/log").lines().count());
    let said = host.succeeds(&GUIDE);
    assert!(said.contains("Nothing to change"), "{said}");
    assert_eq!(host.state(), before.0);
}

#[test]
fn flags_and_lines_of_the_administrator_stay() {
    let host = Host::debian();
    std::fs::create_dir_all(host.path("root/etc/default")).expect("writable");
    let file = "# Mine.\nOTHER=1\nARGS=\"--log.level=debug \\\n--cluster.peer=old:1\"\n";
    std::fs::write(host.path("root/etc/default/tocsin-node"), file).expect("writable");
    host.succeeds(&GUIDE);
    let now = host.read("etc/default/tocsin-node");
    assert!(now.starts_with("# Mine.\nOTHER=1\nARGS=\"--web.listen"), "{now}");
    assert!(now.ends_with(" --log.level=debug\"\n") && !now.contains("old:1"), "{now}");
}

#[test]
fn balancer_gets_a_file_that_loads() {
    let host = Host::debian();
    std::fs::create_dir_all(host.path("root/etc/tocsin")).expect("writable");
    host.stub("curl", "#!/bin/sh\ncase $* in *';csv'*) echo '# pxname'; echo b,n1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,UP,;; esac\n");
    let said = host.succeeds(&["lb", "--peers", "203.0.113.10,n2:9193,[2001:db8::1]:9093"]);
    assert!(said.contains("all nodes are up"), "{said}");
    let file = host.read("etc/tocsin/lb.yml");
    for address in ["203.0.113.10:9093", "n2:9193", "[2001:db8::1]:9093"] {
        assert!(file.contains(&format!("address: \"{address}\"")), "{file}");
    }
    assert!(std::fs::read_to_string(host.path("ufw")).expect("rules").contains("8404/tcp"));
}

#[test]
fn failed_start_is_undone() {
    let host = Host::debian();
    let before = host.state();
    std::fs::write(host.path("broken"), "").expect("writable");
    host.ends_with(&GUIDE, 1, "the journal");
    assert_eq!(host.state().replace("ufw: \n", ""), before.replace("ufw: \n", ""));
}

#[test]
fn uninstall_goes_back_to_the_start() {
    let host = Host::debian();
    let before = host.state();
    host.succeeds(&GUIDE);
    host.succeeds(&["--uninstall"]);
    assert_eq!(host.state(), before);
}

#[test]
fn wrong_configuration_changes_nothing() {
    let host = Host::debian();
    let file = host.path("bad.yml");
    std::fs::write(&file, "route: {receiver: nobody}\n").expect("writable");
    let arguments = ["--config", file.to_str().expect("text")];
    host.ends_with(&arguments, 1, "not a good configuration");
    assert_eq!(host.read("etc/tocsin/alertmanager.yml"), "");
}

#[test]
fn dry_run_writes_nothing() {
    let host = Host::debian();
    let said = host.succeeds(&[&GUIDE[..], &["--dry-run"]].concat());
    assert!(said.contains("would: "), "{said}");
    assert_eq!(host.state(), Host::debian().state());
    assert!(!host.path("root/var/lib/tocsin-setup").exists());
}

#[test]
fn wrong_words_and_hosts_are_refused_by_code() {
    let host = Host::debian();
    host.ends_with(&["--listen-port", "70000"], 2, "not a port");
    host.ends_with(&["--node-id", "a\"; rm"], 2, "characters");
    host.ends_with(&["--nonsense"], 2, "unknown option");
    host.ends_with(&["lb"], 2, "needs --peers");
    let taken = "LISTEN 0 128 0.0.0.0:9093 0.0.0.0:* users:((\"alertmanager\",pid=77,fd=3))\n";
    std::fs::write(host.path("ports"), taken).expect("writable");
    host.ends_with(&GUIDE, 1, "port 9093 is taken by alertmanager (process 77)");
    host.stub("id", "#!/bin/sh\necho 1000\n");
    host.ends_with(&GUIDE, 5, "root");
}

/// Every system of the list, by the words of its os-release; `manager` empty where it is refused.
#[test]
fn systems_are_told_apart() {
    let cases = [
        ("debian", "", "12", "apt-get"),
        ("debian", "", "11", ""),
        ("ubuntu", "debian", "22.04", "apt-get"),
        ("ubuntu", "debian", "20.04", ""),
        ("ubuntu", "debian", "24.04", "apt-get"),
        ("rhel", "fedora", "9.4", "dnf"),
        ("almalinux", "rhel centos fedora", "9.3", "dnf"),
        ("rocky", "rhel centos fedora", "8.9", ""),
        ("rocky", "rhel centos fedora", "9.0", "dnf"),
        ("ol", "fedora", "9.2", "dnf"),
        ("centos", "rhel fedora", "7", ""),
        ("fedora", "", "39", "dnf"),
        ("fedora", "", "38", ""),
        ("amzn", "fedora", "2023", "yum"),
        ("amzn", "fedora", "2", ""),
        ("opensuse-leap", "suse opensuse", "15.6", "zypper"),
        ("linuxmint", "ubuntu debian", "21", "apt-get"),
        ("arch", "", "", ""),
    ];
    for (id, like, version, manager) in cases {
        let release = format!("ID={id}\nID_LIKE=\"{like}\"\nVERSION_ID=\"{version}\"\n");
        let tool = if manager.is_empty() { "dnf" } else { manager };
        let host = Host::new(&release, tool, if tool == "apt-get" { "" } else { "firewall-cmd" });
        let output = host.run(&GUIDE);
        let expected = if manager.is_empty() { 3 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{id} {version}: {}", text(&output));
        if expected == 0 && tool != "apt-get" {
            assert!(host.read("etc/sysconfig/tocsin-node").contains(FLAGS), "{id}");
            let rules = std::fs::read_to_string(host.path("firewalld")).expect("rules");
            assert!(
                rules.starts_with("port=9093/tcp\nrich-rule=rule family=\"ipv4\" source"),
                "{rules}"
            );
        }
    }
}

#[test]
fn old_c_library_is_refused() {
    let host = Host::debian();
    host.stub("getconf", "#!/bin/sh\necho glibc 2.31\n");
    host.ends_with(&GUIDE, 3, "glibc 2.34");
}

/// Killed after any command that it calls, a run is completed by the next one, or undone by `--uninstall`.
#[test]
fn run_killed_anywhere_is_mended_by_the_next() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/etc/alertmanager.yml");
    let arguments = [&GUIDE[..], &["--config", config]].concat();
    let bare = |host: &Host| host.state().replace("ufw: \n", "");
    let whole = Host::debian();
    let untouched = bare(&whole);
    whole.succeeds(&arguments);
    let (calls, wanted) = (whole.calls(), whole.state());
    assert!(calls > 20, "{calls} calls");
    for call in 1..=calls {
        let host = Host::debian();
        let killed = host.run_killed_at(&arguments, Some(call));
        assert!(!killed.status.success(), "call {call}: {}", text(&killed));
        if call % 2 == 0 {
            host.succeeds(&arguments);
            assert_eq!(host.state(), wanted, "killed at call {call}");
        }
        host.succeeds(&["--uninstall"]);
        assert_eq!(bare(&host), untouched, "killed at call {call}");
    }
}
