//! The node's pages in a real browser.

use serde_json::json;

use crate::harness::browser::browse;
use crate::harness::tocsin::Topology;

const CONFIG: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

#[test]
fn start_page_opens_and_nothing_leaves_the_server() {
    let topology = Topology::start(CONFIG, &[], "1s");
    browse("opens", &json!({"base": format!("http://127.0.0.1:{}", topology.nodes[0].port)}));
}
