//! A new configuration under running traffic.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::harness::*;

struct File {
    directory: tempfile::TempDir,
}

impl File {
    fn write(&self, servers: &[(&str, &Fake)], more: &str) -> std::path::PathBuf {
        self.write_with(2, servers, more)
    }

    fn write_with(
        &self,
        threads: usize,
        servers: &[(&str, &Fake)],
        more: &str,
    ) -> std::path::PathBuf {
        let path = self.directory.path().join("lb.yml");
        let line = |(name, fake): &(&str, &Fake)| {
            format!("      - {{name: {name}, address: \"{}\"}}\n", fake.address)
        };
        let servers: String = servers.iter().map(line).collect();
        let socket = self.directory.path().join("s");
        let log = self.directory.path().join("log");
        let text = format!(
            "global: {{threads: {threads}, log: [{{to: {}}}]}}\nadmin_socket: {{path: {}}}\nbackends:\n  \
             - name: b\n    servers:\n{servers}{more}",
            log.display(),
            socket.display()
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    fn say(&self, command: &str) -> String {
        use std::io::{Read, Write};
        let path = self.directory.path().join("s");
        let mut stream =
            eventually("the socket", || std::os::unix::net::UnixStream::connect(&path).ok());
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

#[test]
fn reloads_under_load_fail_no_request_and_keep_what_stays() {
    let file = File { directory: tempfile::tempdir().unwrap() };
    let fakes = [Fake::new(|_| ok("1")), Fake::new(|_| ok("2")), Fake::new(|_| ok("3"))];
    let two = [("a", &fakes[0]), ("b", &fakes[1])];
    let three = [("a", &fakes[0]), ("b", &fakes[1]), ("c", &fakes[2])];
    let lb = Lb::from_file(&file.write(&two, ""));
    file.say("set server b/b state drain");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut talk = lb.connect();
                    while !stop.load(SeqCst) {
                        let reply = talk.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
                        assert_eq!(reply.status, 200);
                        assert_eq!(lb.get("/").status, 200);
                    }
                })
            })
            .collect();
        for round in 0..20 {
            file.write(if round % 2 == 0 { &three } else { &two }, "");
            assert_eq!(file.say("reload"), "Success=1\n\n");
        }
        file.write(&three, "");
        assert_eq!(file.say("reload"), "Success=1\n\n");
        eventually("the new server serves", || (lb.get("/").body == "3").then_some(()));
        stop.store(true, SeqCst);
        clients.into_iter().for_each(|c| c.join().unwrap());
    });
    assert!(lb.field("b", "status").starts_with("DRAIN"));
    assert!(lb.field("a", "stot").parse::<u32>().unwrap() > 20);
    assert!(fakes[1].seen().is_empty());
}

fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn addresses_logs_and_the_socket_change_in_the_running_process() {
    let file = File { directory: tempfile::tempdir().unwrap() };
    let fake = Fake::new(|_| ok("1"));
    let (first, second) = (free_address(), free_address());
    let front = |binds: &str, more: &str| {
        format!(
            "frontends: [{{name: f, bind: [{binds}]}}]\n{more}stats: {{bind: ['127.0.0.1:0']}}\n"
        )
    };
    let lb = Lb::from_file(&file.write(&[("a", &fake)], &front("'127.0.0.1:0'", "")));
    assert_eq!(lb.get("/").status, 200);
    let mut kept = lb.connect();
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    assert_eq!(kept.ask(get).status, 200);
    let reaches = |address| {
        let stream = std::net::TcpStream::connect(address);
        stream.is_ok() && Talk::to(address).ask(get).status == 200
    };
    file.write(&[("a", &fake)], &front(&format!("'{first}', '{second}'"), ""));
    assert_eq!(file.say("reload"), "Success=1\n\n");
    assert!(reaches(first) && reaches(second));
    // Whoever was connected stays so, though the address is gone.
    assert_eq!(kept.ask(get).status, 200);
    eventually("the old address is given up", || (!reaches(lb.address)).then_some(()));
    let text =
        std::fs::read_to_string(file.write(&[("a", &fake)], &front(&format!("'{second}'"), "")));
    let log = file.directory.path().join("log");
    let text = text.unwrap().replace(&log.display().to_string(), &format!("{}2", log.display()));
    let text = text.replace("/s}", "/s2}");
    std::fs::write(file.directory.path().join("lb.yml"), text).unwrap();
    assert_eq!(file.say("reload"), "Success=1\n\n");
    assert!(reaches(second));
    eventually("the first is given up", || (!reaches(first)).then_some(()));
    let moved = file.directory.path().join("s2");
    assert!(say(&moved, "show info").contains("Listeners: 3\n"), "{}", say(&moved, "show info"));
    assert!(!file.directory.path().join("s").exists());
    eventually("the new log is written", || {
        let text = std::fs::read_to_string(format!("{}2", log.display())).unwrap();
        text.contains("GET / HTTP/1.1").then_some(())
    });
}

#[test]
fn a_wrong_file_changes_nothing_and_says_why() {
    let file = File { directory: tempfile::tempdir().unwrap() };
    let fake = Fake::new(|_| ok("1"));
    let lb = Lb::from_file(&file.write(&[("a", &fake)], ""));
    assert_eq!(lb.get("/").status, 200);
    file.write(&[("a", &fake)], "    balence: x\n");
    let answer = file.say("reload");
    assert!(answer.starts_with("Success=0\n--\n") && answer.contains("unknown key"), "{answer}");
    assert_eq!(lb.get("/").status, 200);
    assert!(lb.page("/api/v1/status").body.contains("\"config_last_reload_successful\":false"));
    file.write(&[("a", &fake)], "frontends: [{name: f, bind: ['203.0.113.1:1']}]\n");
    assert!(file.say("reload").contains("cannot listen on 203.0.113.1:1"));
    assert_eq!(lb.get("/").status, 200);
    file.write_with(3, &[("a", &fake)], "");
    assert!(file.say("reload").contains("threads cannot change in a running process"));
}
