//! Scripts of what answers HTTP, and is no hive or a very large one.

use hive_test_peers::FakeHive;
use hive_test_peers::hive::answer;
use serde_json::{Value, json};

/// A web server that has nothing to do with hives.
pub(super) async fn web_server() -> FakeHive {
    FakeHive::answering(|_| answer("404 Not Found", "text/html", "<html>nothing here</html>")).await
}

/// What a server that speaks TLS says to a caller that does not.
pub(super) async fn tls_server() -> FakeHive {
    // A fatal alert, `protocol_version` (RFC 8446, section 6).
    FakeHive::answering(|_| b"\x15\x03\x01\x00\x02\x02\x46".to_vec()).await
}

/// A hive of a version without cursors, with this many satellites.
pub(super) async fn crowded(count: usize) -> FakeHive {
    FakeHive::answering(move |path| {
        let number = |name: &str| -> usize {
            let found = path.split(['?', '&']).find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            found.unwrap_or("1").parse().unwrap()
        };
        let (page, per_page) = (number("page"), number("per_page"));
        let numbers = ((page - 1) * per_page..count).take(per_page);
        let satellites: Vec<Value> = numbers.map(satellite).collect();
        let pages = count.div_ceil(per_page);
        let pagination = json!({"page": page, "per_page": per_page, "total": count, "total_pages": pages});
        let body = json!({"success": true, "data": satellites, "pagination": pagination});
        answer("200 OK", "application/json", &body.to_string())
    })
    .await
}

fn satellite(number: usize) -> Value {
    let tags = if number.is_multiple_of(2) { json!(["größe"]) } else { json!(["日本"]) };
    json!({
        "id": format!("sat_{number:026}"), "name": format!("web-server-{number:05}"), "satellite_type": "global",
        "team_id": null, "status": "active", "online": true, "tags": tags, "region": null, "capabilities": [],
        "system": {
            "hostname": "host", "os": "linux", "os_version": "12", "arch": "x86_64", "kernel": "6", "cpu_cores": 2,
            "memory_total_mb": 1, "memory_available_mb": 1,
        },
        "agent_version": null, "satellite_url": null, "last_seen": null,
        "created_at": "2026-02-05T05:42:00Z", "updated_at": "2026-02-05T05:42:00Z",
    })
}
