//! Lists the living processes from `/proc`.

use std::collections::BTreeMap;
use std::fs;

/// The fields of `/proc/PID/stat` that are needed.
pub(super) struct ProcessStat {
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    pub(super) started: u64,
}

/// All processes except this one, process 1 and zombies.
pub(super) fn processes() -> BTreeMap<i32, ProcessStat> {
    // An agent that was started by a command of another agent inherits the marker of that command.
    let own = nix::unistd::getpid().as_raw();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| pid != own && pid != 1)
        .filter_map(|pid| Some((pid, read(pid)?)))
        .collect()
}

/// Reads one process, unless it has ended.
pub(super) fn read(pid: i32) -> Option<ProcessStat> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name of a process, as the kernel keeps it. Empty if it has ended.
pub(super) fn name(pid: i32) -> String {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    parse_name(&stat).map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default()
}

fn parse_name(stat: &[u8]) -> Option<&[u8]> {
    let start = stat.iter().position(|&byte| byte == b'(')? + 1;
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    stat.get(start..end)
}

/// Parses a line of `/proc/PID/stat`. The name consists of arbitrary bytes, including blanks, brackets and line
/// breaks, and the kernel cuts it at 15 bytes, possibly within a character. The fields behind it are ASCII.
fn parse(stat: &[u8]) -> Option<ProcessStat> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let fields: Vec<_> = fields.split_ascii_whitespace().collect();
    let &[state, parent, group, session, ..] = fields.as_slice() else { return None };
    let is_dead = matches!(state, "Z" | "X");
    // The start time is field 22 in proc(5), where the state is field 3.
    let started = fields.get(22 - 3)?.parse().ok()?;
    let (parent, group, session) = (parent.parse().ok()?, group.parse().ok()?, session.parse().ok()?);
    // A zombie cannot be killed and does nothing; its parent has to reap it.
    (!is_dead).then_some(ProcessStat { parent, group, session, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &[u8], state: &str, is_alive: bool) {
        let rest = format!(") {state} 2 3 4 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99 1 1\n");
        let stat = [b"1 (", name, rest.as_bytes()].concat();
        let found = parse(&stat).map(|it| (it.parent, it.group, it.session, it.started));
        assert_eq!(found, is_alive.then_some((2, 3, 4, 99)), "{name:?}");
        assert_eq!(parse_name(&stat), Some(name));
    }

    #[test]
    fn a_process_is_read_whatever_its_name() {
        check(b"sleep", "S", true);
        check(b") R 1 (x", "D", true);
        check(b"\n", "T", true);
        check(&"v2\u{30d0}\u{30c3}\u{30af}\u{30a2}\u{30c3}".as_bytes()[..15], "S", true);
        check(b"\xff\xfe", "S", true);
        check(b"\xff", "Z", false);
        assert!(parse(b"1 (x").is_none() && parse(b"1 (x) S 2").is_none() && parse(b"").is_none());
        assert!(parse_name(b")(").is_none() && parse_name(b"").is_none());
    }
}
