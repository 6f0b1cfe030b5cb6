//! What an operator does by the admin socket and by the stats page.

use std::io::Read;

use super::stage::{get, served};
use super::{Stage, play, scenario};
use crate::harness::*;

/// Says a command if it is the scenario's cause, and notes its answer.
fn told(stage: &Stage, command: &str) {
    if stage.fault {
        stage.fact(format!("{command}: {:?}", stage.say(command)));
    }
}

fn share(stage: &Stage) {
    (0..12).for_each(|_| drop(stage.quiet("/")));
    stage.note_counts();
    stage.note_fields("alertmanager1", &["status", "weight", "uweight", "act", "bck"]);
    stage.note_fields("BACKEND", &["status", "weight", "act", "bck"]);
}

const B1: &str = "alertmanager_backend/alertmanager1";

#[test]
fn operators_find_haproxys_commands() {
    play(&[
        scenario("drain takes no new requests", |stage| {
            told(stage, &format!("set server {B1} state drain"));
            share(stage);
        })
        .servers(2),
        scenario("maintenance takes no requests", |stage| {
            told(stage, &format!("set server {B1} state maint"));
            share(stage);
        })
        .servers(2),
        scenario("disable and enable server", |stage| {
            told(stage, &format!("disable server {B1}"));
            share(stage);
            told(stage, &format!("enable server {B1}"));
            stage.wait_field("alertmanager1", "status", "UP");
            share(stage);
        })
        .servers(2),
        scenario("ready ends maintenance", |stage| {
            stage.say(&format!("set server {B1} state maint"));
            stage.wait_field("alertmanager1", "status", "MAINT");
            told(stage, &format!("set server {B1} state ready"));
            (0..8).for_each(|_| drop(stage.quiet("/")));
            stage.note_counts();
        })
        .servers(2),
        scenario("all in maintenance is 503", |stage| {
            told(stage, &format!("set server {B1} state maint"));
            stage.get("/");
            stage.note_log(1);
        }),
        scenario("a drained server alone is 503", |stage| {
            told(stage, &format!("set server {B1} state drain"));
            stage.get("/");
            stage.note_log(1);
        }),
        scenario("weights change while it runs", |stage| {
            told(stage, &format!("set weight {B1} 3"));
            told(stage, &format!("get weight {B1}"));
            share(stage);
        })
        .servers(2),
        scenario("weight 0 is up without requests", |stage| {
            told(stage, &format!("set server {B1} weight 0"));
            share(stage);
        })
        .servers(2),
        scenario("weights in percent of the first", |stage| {
            told(stage, &format!("set weight {B1} 50%"));
            told(stage, &format!("get weight {B1}"));
            share(stage);
        })
        .servers(2)
        .file(&[("203.0.113.10:9093 check", "203.0.113.10:9093 weight 20 check"),
                ("203.0.113.11:9093 check", "203.0.113.11:9093 weight 10 check")]),
        scenario("unknown names are told", |stage| {
            told(stage, "set server alertmanager_backend/nobody state maint");
            told(stage, "set server nowhere/alertmanager1 state maint");
            told(stage, "disable server alertmanager_backend/nobody");
            told(stage, "get weight alertmanager_backend/nobody");
            told(stage, &format!("set server {B1} state sideways"));
            share(stage);
        })
        .servers(2),
        scenario("health can be forced", |stage| {
            told(stage, &format!("set server {B1} health down"));
            share(stage);
        })
        .servers(2),
        scenario("health forced to stopping takes nothing new", |stage| {
            told(stage, &format!("set server {B1} health stopping"));
            share(stage);
        })
        .servers(2),
        scenario("checks can be stopped", |stage| {
            told(stage, &format!("disable health {B1}"));
            stage.servers[0].healthy.store(false, std::sync::atomic::Ordering::SeqCst);
            stage.servers[1].healthy.store(false, std::sync::atomic::Ordering::SeqCst);
            stage.wait_field("alertmanager2", "status", "DOWN");
            if !stage.fault {
                stage.wait_field("alertmanager1", "status", "DOWN");
            }
            stage.fact(stage.field("alertmanager1", "status"));
        })
        .servers(2)
        .file(&[("inter 10s", "inter 150ms")]),
        scenario("sessions of a server can be ended", |stage| {
            stage.act(1, |_| Act::Stall(b"HTTP/1.1 200 OK\r\nX-By: s\r\nContent-Length: 9\r\n\r\nabc".to_vec()));
            if !stage.fault {
                stage.act(1, |_| served(200, "whole"));
            }
            let mut talk = stage.connect();
            talk.send(&get("/"));
            if stage.fault {
                talk.stream.read_exact(&mut [0; 20]).unwrap();
                stage.fact(format!("{:?}", stage.say(&format!("shutdown sessions server {B1}"))));
                stage.fact(format!("closed: {}", talk.is_closed()));
            } else {
                stage.fact(talk.reply(false).body);
            }
            stage.note_log(1);
        }),
        scenario("an address changes while it runs", |stage| {
            let other = &stage.servers[1].address;
            stage.say("set server alertmanager_backend/alertmanager2 state maint");
            if stage.fault {
                let port = other.port();
                let answer = stage.say(&format!("set server {B1} addr 127.0.0.1 port {port}"));
                stage.fact(answer.replace(|c: char| c.is_ascii_digit(), "N").replace("NNNNN", "N"));
            }
            stage.fact(stage.quiet("/").body);
        })
        .servers(2),
        scenario("a frontend can be stopped for a while", |stage| {
            told(stage, "disable frontend alertmanager_frontend");
            stage.note_fields("FRONTEND", &["status"]);
            told(stage, "enable frontend alertmanager_frontend");
            stage.get("/");
            stage.note_fields("FRONTEND", &["status"]);
        }),
        scenario("several commands in a line, and none", |stage| {
            told(stage, &format!("get weight {B1};set weight {B1} 2;get weight {B1}"));
            stage.note_fields("alertmanager1", &["weight"]);
        }),
        scenario("the page changes state with admin if TRUE", |stage| {
            let body = "s=alertmanager1&action=maint&b=alertmanager_backend";
            let mut talk = Talk::to(stage.stats);
            let reply = talk.ask(&format!(
                "POST /stats HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: {}\r\n\r\n{body}", body.len()
            ));
            stage.fact(format!("{} {:?}", reply.status, reply.value("location")));
            share(stage);
        })
        .servers(2)
        .twin(&[("    stats admin if TRUE\n", "")]),
        scenario("the page names what it could not do", |stage| {
            for body in [
                "s=nobody&action=maint&b=alertmanager_backend",
                "s=alertmanager1&action=maint&b=nowhere",
                "s=alertmanager1&action=fly&b=alertmanager_backend",
                "s=alertmanager1&s=nobody&action=drain&b=alertmanager_backend",
                "action=ready&b=alertmanager_backend",
            ] {
                let reply = Talk::to(stage.stats).ask(&format!(
                    "POST /stats HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                     Content-Length: {}\r\n\r\n{body}", body.len()
                ));
                stage.fact(format!("{body}: {} {:?}", reply.status, reply.value("location")));
            }
        })
        .servers(2)
        .twin(&[("    stats admin if TRUE\n", "")]),
        scenario("a server that is taken down can take its streams along", |stage| {
            stage.act(1, |_| Act::Stall(b"HTTP/1.1 200 OK\r\nX-By: s\r\nContent-Length: 9\r\n\r\nabc".to_vec()));
            let mut talk = stage.connect();
            talk.send(&get("/"));
            talk.stream.read_exact(&mut [0; 20]).unwrap();
            told(stage, &format!("set server {B1} state maint"));
            // The stream goes on; a maintenance alone ends nothing.
            stage.note_fields("alertmanager1", &["status", "scur"]);
        }),
    ]);
}
