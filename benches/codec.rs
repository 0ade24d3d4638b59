//! What it costs to write and to read what travels over a link: frames and control messages.
//!
//! Beside a frame stands the copy of its bytes alone, which no writer of frames can do without.

mod support {
    pub(crate) mod figure;
    pub(crate) mod measured;
    pub(crate) mod samples;
}

use std::hint::black_box;

use bytes::Bytes;
use hive_core::wire::agent::{Command, ExecSpec, Metrics, Payload, Received, ToAgent, ToServer};
use hive_core::wire::frame::{Frame, MAX_PAYLOAD, StreamId};
use hive_core::wire::id::Seed;
use hive_core::wire::{CommandId, Timestamp};
use support::figure::is_asked_for;
use support::measured::{Unit, criterion, report};

const SMALL: usize = 64;
const NANOSECONDS: Unit = ("ns", 1.0);

fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    measure();
    for (name, peer, command) in [
        ("frame_write_64", "copy_64", "Frame::encode of 64 bytes, a keystroke's echo"),
        ("frame_write_64k", "copy_64k", "Frame::encode of 64 KiB, the largest"),
    ] {
        report("codec", name, Some(peer), NANOSECONDS, command)?;
    }
    for (name, command) in [
        ("frame_read_64k", "Frame::decode of 64 KiB; the payload shares the message's memory"),
        ("command_write", "ToAgent::Command as JSON, a line for the shell"),
        ("command_read", "ToAgent::Command from JSON"),
        ("heartbeat_write", "ToServer::HeartbeatPong as JSON, with metrics"),
        ("heartbeat_read", "ToServer::HeartbeatPong from JSON"),
    ] {
        report("codec", name, None, NANOSECONDS, command)?;
    }
    Ok(())
}

fn measure() {
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("codec");
    for (name, copy, len) in [("frame_write_64", "copy_64", SMALL), ("frame_write_64k", "copy_64k", MAX_PAYLOAD)] {
        let payload = Bytes::from(vec![b'x'; len]);
        let frame = Frame::data(StreamId(1), 4096, payload.clone(), false);
        group.bench_function(name, |bencher| bencher.iter(|| black_box(&frame).encode()));
        group.bench_function(copy, |bencher| bencher.iter(|| Bytes::copy_from_slice(black_box(&payload))));
    }
    let message = Frame::data(StreamId(1), 4096, vec![b'x'; MAX_PAYLOAD].into(), false).encode();
    // A clone of `Bytes` counts a reference and copies nothing.
    group.bench_function("frame_read_64k", |bencher| bencher.iter(|| Frame::decode(black_box(&message).clone())));

    let command = ToAgent::Command(Box::new(command()));
    let text = serde_json::to_string(&command).expect("control messages are plain data");
    group.bench_function("command_write", |bencher| bencher.iter(|| serde_json::to_vec(black_box(&command))));
    group.bench_function("command_read", |bencher| {
        bencher.iter(|| serde_json::from_str::<ToAgent>(black_box(&text)));
    });
    let heartbeat = heartbeat();
    let text = serde_json::to_string(&heartbeat).expect("control messages are plain data");
    group.bench_function("heartbeat_write", |bencher| bencher.iter(|| serde_json::to_vec(black_box(&heartbeat))));
    group.bench_function("heartbeat_read", |bencher| {
        bencher.iter(|| serde_json::from_str::<ToServer>(black_box(&text)));
    });
    group.finish();
}

fn command() -> Command {
    let spec = ExecSpec { command: "uptime; df -h /".into(), timeout_seconds: 60, ..ExecSpec::default() };
    Command {
        id: CommandId::new(Seed { unix_millis: 1_700_000_000_000, random: [7; 10] }),
        expires_in_ms: 300_000,
        sent_at: None,
        received: Received::default(),
        started: false,
        payload: Payload::Exec(spec),
    }
}

fn heartbeat() -> ToServer {
    let metrics = Metrics {
        cpu_percent: 12.5,
        memory_percent: 48.1,
        disk_percent: 71.3,
        load_average: [0.42, 0.31, 0.2],
        network_rx_bytes: 123_456_789,
        network_tx_bytes: 987_654_321,
        active_sessions: 3,
        problems: Vec::new(),
    };
    ToServer::HeartbeatPong {
        timestamp: Timestamp::from_micros(1_700_000_000_000_000),
        metrics: Some(metrics),
        capacity: None,
    }
}
