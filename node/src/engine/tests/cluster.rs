//! Two and three nodes over real connections: who tells, and that nobody else does.

use super::world::{Node, World, hms};
use crate::engine::AlertQuery;

const PLAIN: &str = r#"
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
receivers:
- name: hook
  webhook_configs:
  - url: URL/a
"#;

async fn three(world: &World) -> [Node; 3] {
    world.configure(PLAIN);
    let one = world.member("one", &[]).await;
    let two = world.member("two", &[&one]).await;
    let three = world.member("three", &[&one, &two]).await;
    world.until(&[&one, &two, &three], |node| node.view().live == 3).await;
    [one, two, three]
}

fn names() -> Vec<String> {
    (0..20).map(|number| format!("Alert{number:02}/a")).collect()
}

/// Sorted texts of what was heard.
fn texts(world: &World) -> Vec<String> {
    let mut texts: Vec<_> = world.sink.take().iter().map(super::world::Heard::text).collect();
    texts.sort();
    texts
}

#[tokio::test(start_paused = true)]
async fn each_alert_is_told_once_whoever_took_it() {
    let world = World::new().await;
    let nodes = three(&world).await;
    let all: Vec<_> = nodes.iter().collect();
    let names = names();
    for (number, name) in names.iter().enumerate() {
        nodes[number % 3].fire(&[name]).await;
    }
    world.until(&all, |node| node.handle.find_alerts(&AlertQuery::default()).len() == 20).await;
    world.run(&all, hms(0, 1, 0)).await;
    let expected: Vec<_> = names.iter().map(|name| format!("firing {name}")).collect();
    assert_eq!(texts(&world), expected);
    for (number, name) in names.iter().enumerate() {
        nodes[(number + 1) % 3].resolve(&[name]).await;
    }
    world.run(&all, hms(0, 30, 0)).await;
    let expected: Vec<_> = names.iter().map(|name| format!("resolved {name}!")).collect();
    assert_eq!(texts(&world), expected);
    for node in &nodes {
        assert!(node.shared.dispatch.read(|inner| inner.groups.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_node_took_is_told_by_the_others() {
    let world = World::new().await;
    let [one, two, three] = three(&world).await;
    let names = names();
    for name in &names {
        three.fire(&[name]).await;
    }
    three.kill().await;
    world.until(&[&one, &two], |node| node.view().live == 2).await;
    world.run(&[&one, &two], hms(0, 2, 0)).await;
    let expected: Vec<_> = names.iter().map(|name| format!("firing {name}")).collect();
    assert_eq!(texts(&world), expected);
}

#[tokio::test(start_paused = true)]
async fn a_silence_mutes_on_every_node() {
    let world = World::new().await;
    let nodes = three(&world).await;
    let all: Vec<_> = nodes.iter().collect();
    let id = nodes[0].silence("Down", hms(1, 0, 0)).await;
    for node in &nodes {
        assert!(node.handle.silence(&id).is_some(), "answered once all have it");
    }
    nodes[1].fire(&["Down/a"]).await;
    world.run(&all, hms(0, 10, 0)).await;
    assert_eq!(texts(&world), [""; 0]);
    nodes[2].handle.expire_silence(&id).await.unwrap();
    world.run(&all, hms(0, 10, 0)).await;
    assert_eq!(texts(&world), ["firing Down/a"]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_is_tried_by_one_node_at_a_time() {
    let world = World::new().await;
    let nodes = three(&world).await;
    let all: Vec<_> = nodes.iter().collect();
    world.sink.answer([503, 503, 503, 503]);
    nodes[0].fire(&["Down/a"]).await;
    world.run(&all, hms(0, 4, 0)).await;
    assert_eq!(texts(&world), ["firing Down/a"]);
}

/// The owner gets an error, the next one is heard: nobody waits for the rank's fifteen seconds.
#[tokio::test(start_paused = true)]
async fn when_the_owner_fails_the_next_one_tries() {
    let world = World::new().await;
    let nodes = three(&world).await;
    let all: Vec<_> = nodes.iter().collect();
    world.sink.answer([503]);
    nodes[0].fire(&["Down/a"]).await;
    world.run(&all, hms(0, 0, 36)).await;
    let heard = world.sink.take();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].second <= 32, "{heard:?}");
}
