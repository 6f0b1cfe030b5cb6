//! The node's pages in a real browser: what a newcomer wants to do, in both themes, with and without JavaScript, on a
//! phone, behind the balancer, while nodes die. The scripts are in tests/browser.

use serde_json::json;

use crate::harness::browser::browse;
use crate::harness::tocsin::Topology;

fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

#[test]
fn start_page_opens_and_nothing_leaves_the_server() {
    let topology =
        Topology::start("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n", &[], "1s");
    browse("opens", &json!({"base": address(topology.nodes[0].port)}));
}
