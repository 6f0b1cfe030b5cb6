//! What a notification costs from its group's tick to the log: `cargo bench -p tocsin-node --bench notify`. A node with a
//! disk and a webhook on loopback, 5,000 groups of one alert; prints the CPU of the node's threads.

#![expect(clippy::disallowed_methods, reason = "a bench measures the real time")]
#![expect(clippy::print_stdout, reason = "a bench prints its result")]
#![expect(clippy::unwrap_used, reason = "the inputs are fixed")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tocsin_node::Options;
use tocsin_service::clock::SystemClock;
use tokio_util::sync::CancellationToken;

const GROUPS: usize = 5_000;
/// Of the kernel's clock for `/proc`.
const TICK_US: u64 = 10_000;

fn main() {
    let heard = Arc::new(AtomicUsize::new(0));
    let sink = sink(&heard);
    let directory = tempfile::tempdir().unwrap();
    let config_file = directory.path().join("am.yml");
    std::fs::write(
        &config_file,
        format!(
            "route: {{receiver: sink, group_by: ['...'], group_wait: 1s}}\n\
             receivers: [{{name: sink, webhook_configs: [{{url: 'http://127.0.0.1:{sink}/'}}]}}]\n"
        ),
    )
    .unwrap();
    let storage_path = directory.path().join("data");
    let mut options = Options { config_file, storage_path, ..Options::default() };
    options.cluster.listen_address.clear();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = CancellationToken::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = tocsin_node::run(options, vec![listener], Arc::new(SystemClock), stop.clone());
    let node = std::thread::Builder::new()
        .name("tocsin-http".into())
        .spawn(move || runtime.block_on(run).unwrap())
        .unwrap();
    for from in (0..GROUPS).step_by(500) {
        post(port, &alerts(from, 500));
    }
    let (before, begun) = (cpu_us(), std::time::Instant::now());
    while heard.load(Ordering::Relaxed) < GROUPS {
        std::thread::sleep(Duration::from_millis(20));
        assert!(begun.elapsed() < Duration::from_secs(60), "{heard:?} of {GROUPS}");
    }
    let each = (cpu_us() - before) as f64 / GROUPS as f64;
    println!("{:<50} {each:>9.1} us of CPU each", "notify: 5,000 groups of one to a webhook");
    stop.cancel();
    node.join().unwrap();
}

/// CPU of the node's threads until now, in microseconds.
fn cpu_us() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let stats =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let ours = stats.filter(|stat| stat.contains("(tocsin-"));
    ours.map(|stat| {
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        TICK_US * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
    })
    .sum()
}

/// A webhook that answers 200; its port.
fn sink(heard: &Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::clone(heard);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let heard = Arc::clone(&heard);
            // Ends when the node closes.
            std::thread::spawn(move || drop(serve(stream, &heard)));
        }
    });
    port
}

fn serve(mut stream: TcpStream, heard: &AtomicUsize) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let end = buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let length = end.and_then(|end| {
            let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
            head.lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())
        });
        if let (Some(end), Some(length)) = (end, length)
            && end + length <= buffer.len()
        {
            buffer.drain(..end + length);
            heard.fetch_add(1, Ordering::Relaxed);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            read => buffer.extend_from_slice(&chunk[..read]),
        }
    }
}

fn alerts(from: usize, count: usize) -> String {
    let alert = |number: usize| {
        format!(
            r#"{{"labels":{{"alertname":"Alert{}","cluster":"c{}","instance":"host-{number}.example.com:9100","job":"node","namespace":"ns{}","pod":"pod-{number}","severity":"critical","team":"team{}"}},"annotations":{{"summary":"Something is wrong on host {number}","description":"The value has been above its threshold for 15 minutes; see the runbook for what to do.","runbook_url":"https://runbooks.example.com/alert/{number}"}},"endsAt":"2099-01-01T00:00:00Z","generatorURL":"http://prometheus.example.com/graph?g0.expr=up+%3D%3D+0"}}"#,
            number % 100,
            number / 100 % 10,
            number % 50,
            number % 7,
        )
    };
    let alerts: Vec<_> = (from..from + count).map(alert).collect();
    format!("[{}]", alerts.join(","))
}

fn post(port: u16, body: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "POST /api/v2/alerts HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
