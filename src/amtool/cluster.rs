//! `amtool cluster show`: the members as one of them sees them.

use std::net::IpAddr;

use super::cli::{Output, WatchFlags};
use super::context::Context;
use super::failure::Failure;
use super::table::{Style, Table};
use super::watch;
use super::wire::{Cluster, Peer, Status, go_json};

/// Runs it.
pub(super) async fn run(flags: &WatchFlags, context: &Context<'_>) -> Result<(), Failure> {
    watch::show(*flags, context, async || ask(context).await).await
}

async fn ask(context: &Context<'_>) -> Result<String, Failure> {
    #[derive(serde::Deserialize)]
    struct Raw {
        cluster: Box<serde_json::value::RawValue>,
    }
    if context.output() == Output::Json {
        let raw: Raw =
            serde_json::from_slice(&context.raw_status().await?).map_err(Failure::why)?;
        return go_json(&raw.cluster).map_err(Failure::why);
    }
    let Status { cluster, .. } = context.status().await?;
    let mut text = head(&cluster);
    if context.output() == Output::Extended {
        text.push('\n');
        text.push_str(&members(cluster.peers).text(context.console.colour()));
    }
    Ok(text)
}

fn head(cluster: &Cluster) -> String {
    format!("Cluster Status:  {}\nNode Name:       {}\n", cluster.status, cluster.name)
}

fn members(mut peers: Vec<Peer>) -> Table {
    peers.sort_by_cached_key(|peer| sort_key(&peer.address));
    let mut table = Table::new(&["Address"]);
    table.end_head("Name");
    for peer in peers {
        table.row([(peer.address, Style::Plain), (peer.name, Style::Plain)]);
    }
    table
}

/// By address, then port; names of hosts come last, as they stand.
fn sort_key(address: &str) -> (Option<Vec<u8>>, u16, String) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|ip| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    });
    let name = if ip.is_none() { address.to_owned() } else { String::new() };
    (ip.or_else(|| Some(vec![u8::MAX; 17])), port.parse().unwrap_or(0), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_in_the_order_of_numbers() {
        let mut addresses = ["10.0.0.10:1", "10.0.0.9:94", "10.0.0.9:9", "b:1", "[::1]:5"];
        addresses.sort_by_cached_key(|address| sort_key(address));
        assert_eq!(addresses, ["[::1]:5", "10.0.0.9:9", "10.0.0.9:94", "10.0.0.10:1", "b:1"]);
    }
}
