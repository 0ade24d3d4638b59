//! Journals that were cut, damaged, or written by another version.

use super::*;
use hive_wire::id::Seed;
use hive_wire::{CommandId, Timestamp};
use proptest::prelude::*;

fn record(n: u8) -> JournalRecord {
    JournalRecord::Started {
        id: CommandId::new(Seed { unix_millis: 1, random: [n; 10] }),
        expires_at: Timestamp::from_micros(i64::from(n)),
        power: None,
    }
}

fn journal(count: u8) -> (tempfile::TempDir, PathBuf, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    let mut opened = JournalFile::open(&path).unwrap();
    for n in 0..count {
        opened.file.append(&record(n).to_line().unwrap(), false).unwrap();
    }
    (dir, path, opened.file.id)
}

#[test]
fn a_journal_is_found_again() {
    let (_dir, path, id) = journal(3);
    let opened = JournalFile::open(&path).unwrap();
    assert_eq!(opened.file.id, id);
    assert_eq!(opened.records, [record(0), record(1), record(2)]);
}

#[test]
fn a_torn_last_line_is_cut_off() {
    let (_dir, path, id) = journal(2);
    for torn in [&b"{\"record\":\"star"[..], b"\0\0\0\0", b"x"] {
        let mut content = fs::read(&path).unwrap();
        content.extend_from_slice(torn);
        fs::write(&path, content).unwrap();
        let mut opened = JournalFile::open(&path).unwrap();
        assert_eq!((opened.records.len(), &opened.file.id), (2, &id));
        opened.file.append(b"", true).unwrap();
    }
    let mut opened = JournalFile::open(&path).unwrap();
    opened.file.append(&record(2).to_line().unwrap(), true).unwrap();
    assert_eq!(JournalFile::open(&path).unwrap().records.len(), 3);
}

#[test]
fn damage_begins_another_journal() {
    let damage: [fn(&str) -> String; 4] = [
        |content| content.replacen("\"rec", "rec", 1),
        |content| content.replacen("\"cmd_0", "\"cmd_1", 1),
        |content| content.replacen('\t', " ", 2),
        |content| format!("{content}garbage\n"),
    ];
    for damage in damage {
        let (_dir, path, id) = journal(3);
        let content = damage(&fs::read_to_string(&path).unwrap());
        fs::write(&path, &content).unwrap();
        let opened = JournalFile::open(&path).unwrap();
        assert_ne!(opened.file.id, id);
        assert!(opened.records.is_empty());
        assert_eq!(fs::read_to_string(path.with_extension("broken")).unwrap(), content);
    }
}

#[test]
fn a_journal_without_checksums_is_read_and_gets_some() {
    let (_dir, path, _) = journal(0);
    let old = |record: &JournalRecord| serde_json::to_string(record).unwrap() + "\n";
    let content = format!("{{\"journal\":\"0123456789\",\"version\":1}}\n{}{}", old(&record(0)), old(&record(1)));
    fs::write(&path, content).unwrap();
    let mut opened = JournalFile::open(&path).unwrap();
    assert_eq!((&*opened.file.id, &opened.records[..]), ("0123456789", &[record(0), record(1)][..]));
    opened.file.append(&record(2).to_line().unwrap(), false).unwrap();
    let mut opened = JournalFile::open(&path).unwrap();
    assert_eq!(opened.records, [record(0), record(1), record(2)]);
    opened.file.rewrite(&record(2).to_line().unwrap()).unwrap();
    let content = fs::read_to_string(&path).unwrap();
    assert!(content.lines().count() == 2 && content.lines().all(|line| line.contains('\t')), "{content}");
}

#[test]
fn a_line_of_a_newer_version_is_no_damage() {
    let (_dir, path, id) = journal(1);
    let mut opened = JournalFile::open(&path).unwrap();
    let newer = line(&serde_json::json!({"record": "from_the_future", "x": 1})).unwrap();
    opened.file.append(&newer, false).unwrap();
    opened.file.append(&record(1).to_line().unwrap(), false).unwrap();
    let opened = JournalFile::open(&path).unwrap();
    assert_eq!(opened.file.id, id);
    assert_eq!(opened.records, [record(0), JournalRecord::Unknown, record(1)]);
}

#[test]
fn the_position_counts_every_record_ever_appended() {
    let (_dir, path, _) = journal(3);
    let reopened = || JournalFile::open(&path).unwrap().file;
    assert_eq!(reopened().position, 3);
    reopened().rewrite(&record(9).to_line().unwrap()).unwrap();
    assert_eq!(reopened().position, 3, "a rewrite appends nothing");
    reopened().append(&record(10).to_line().unwrap(), true).unwrap();
    reopened().append(b"", true).unwrap();
    assert_eq!(reopened().position, 4);
    reopened().start("process", &[]).unwrap();
    assert_eq!(reopened().position, 4);
    let torn = [fs::read(&path).unwrap(), record(11).to_line().unwrap()[..9].to_vec()].concat();
    fs::write(&path, torn).unwrap();
    assert_eq!(reopened().position, 4, "half a record is none");
}

#[test]
fn the_latest_processes_are_remembered() {
    let (_dir, path, _) = journal(1);
    for n in 0..MAX_STARTS + 2 {
        JournalFile::open(&path).unwrap().file.start(&format!("process-{n}"), &[]).unwrap();
    }
    let file = JournalFile::open(&path).unwrap().file;
    assert_eq!((file.starts.len(), &*file.starts[0]), (MAX_STARTS, "process-2"));
    assert_eq!(file.starts.last().unwrap(), &format!("process-{}", MAX_STARTS + 1));
}

#[test]
fn a_rewritten_journal_keeps_its_id() {
    let (_dir, path, id) = journal(3);
    let mut opened = JournalFile::open(&path).unwrap();
    opened.file.rewrite(&record(9).to_line().unwrap()).unwrap();
    opened.file.append(&record(10).to_line().unwrap(), true).unwrap();
    let opened = JournalFile::open(&path).unwrap();
    assert_eq!(opened.file.id, id);
    assert_eq!(opened.records, [record(9), record(10)]);
}

#[test]
fn zeros_that_were_written_ahead_end_the_journal() {
    let (_dir, path, id) = journal(1);
    let mut file = JournalFile::open(&path).unwrap().file;
    file.allocate_ahead();
    let allocated = fs::metadata(&path).unwrap().len();
    assert_eq!(allocated, file.size + SEGMENT as u64);
    file.append(&record(1).to_line().unwrap(), true).unwrap();
    file.allocate_ahead();
    assert_eq!(fs::metadata(&path).unwrap().len(), allocated, "a record overwrites zeros");
    let mut opened = JournalFile::open(&path).unwrap();
    assert_eq!((&opened.file.id, &opened.records[..]), (&id, &[record(0), record(1)][..]));
    assert_eq!(fs::metadata(&path).unwrap().len(), opened.file.size);
    for n in 2..250 {
        opened.file.append(&record(n).to_line().unwrap(), false).unwrap();
        opened.file.allocate_ahead();
        assert!(opened.file.allocated - opened.file.size >= MIN_AHEAD);
    }
    opened.file.cut_to_size();
    assert!(!fs::read(&path).unwrap().contains(&0));
    assert_eq!(JournalFile::open(&path).unwrap().records, (0..250).map(record).collect::<Vec<_>>());
}

#[test]
fn a_record_that_lost_only_its_end_to_zeros_is_kept() {
    let (_dir, path, _) = journal(2);
    let mut content = fs::read(&path).unwrap();
    content.pop();
    content.extend([0; 4096]);
    fs::write(&path, content).unwrap();
    assert_eq!(JournalFile::open(&path).unwrap().records, [record(0), record(1)]);
    let content = fs::read(&path).unwrap();
    assert!(content.ends_with(b"\n") && !content.contains(&0), "it is written again, with its end");
}

#[test]
fn a_last_write_of_which_only_later_pages_arrived_is_cut_off() {
    let (_dir, path, id) = journal(1);
    let whole = fs::read(&path).unwrap();
    let line = record(1).to_line().unwrap();
    let torn = |end: &[u8]| [&whole[..], &[0; 40][..], &line[40..], end, &[0; 4096][..]].concat();
    fs::write(&path, torn(b"")).unwrap();
    let opened = JournalFile::open(&path).unwrap();
    assert_eq!((&opened.file.id, &opened.records[..]), (&id, &[record(0)][..]));
    assert_eq!(fs::read(&path).unwrap(), whole);
    // A whole record behind it may be of a later write, which was made after this one had arrived.
    fs::write(&path, torn(&record(2).to_line().unwrap())).unwrap();
    assert_ne!(JournalFile::open(&path).unwrap().file.id, id);
}

proptest! {
    #[test]
    fn a_journal_cut_anywhere_behind_its_first_line_loses_only_the_end(cut in 0usize..2000) {
        let (_dir, path, id) = journal(10);
        let content = fs::read(&path).unwrap();
        let first_line = content.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let cut = first_line + cut % (content.len() - first_line + 1);
        fs::write(&path, &content[..cut]).unwrap();
        let opened = JournalFile::open(&path).unwrap();
        let whole: Vec<_> = (0..10).map(record).take(opened.records.len()).collect();
        prop_assert_eq!(&opened.file.id, &id);
        prop_assert_eq!(opened.records, whole);
    }

    #[test]
    fn a_changed_byte_is_no_other_journal(place in any::<usize>(), flip in 1u8..) {
        let (_dir, path, id) = journal(5);
        let mut content = fs::read(&path).unwrap();
        let place = place % content.len();
        content[place] ^= flip;
        fs::write(&path, &content).unwrap();
        let opened = JournalFile::open(&path).unwrap();
        let all: Vec<_> = (0..5).map(record).collect();
        let is_whole = opened.file.id == id && opened.records == all;
        let is_new = opened.file.id != id && opened.records.is_empty();
        prop_assert!(is_whole || is_new, "{:?}", opened.records);
    }
}
