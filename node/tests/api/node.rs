//! A node in this process.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

use tocsin_node::Options;
use tocsin_service::clock::SystemClock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Two receivers, a route for critical alerts, inhibition and a time interval.
pub(crate) const CONFIG: &str = "
route:
  receiver: default
  group_by: [alertname]
  group_wait: 1h
  routes:
  - matchers: [severity=\"critical\"]
    receiver: pager
    continue: true
  - matchers: [team=\"db\"]
    receiver: pager
inhibit_rules:
- source_matchers: [severity=\"critical\"]
  target_matchers: [severity=\"warning\"]
  equal: [cluster]
receivers:
- name: default
- name: pager
";

pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) folder: tempfile::TempDir,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start(config: &str, change: impl FnOnce(&mut Options, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config_file = folder.path().join("alertmanager.yml");
        std::fs::write(&config_file, config).unwrap();
        let mut options = Options {
            config_file,
            storage_path: folder.path().join("data"),
            storage_sync: false,
            ..Options::default()
        };
        options.cluster.listen_address.clear();
        change(&mut options, folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let run = tocsin_node::run(options, vec![listener], Arc::new(SystemClock), stop.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = run.await {
                panic!("{error}: {:?}", std::error::Error::source(&error));
            }
        });
        let node = Self { address, folder, stop, task };
        while std::net::TcpStream::connect(address).is_err() {
            tokio::task::yield_now().await;
        }
        node
    }

    pub(crate) async fn plain() -> Self {
        Self::start(CONFIG, |_, _| {}).await
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}
