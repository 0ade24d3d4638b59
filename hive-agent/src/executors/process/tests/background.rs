//! Background children that outlive their command.

use super::*;

#[tokio::test]
async fn a_background_child_is_left_alone_and_waited_for_no_longer_than_a_moment() {
    let bench = bench();
    let begun = Instant::now();
    let outcome = bench.run(&shell("echo early; (sleep 20; true) & echo $! > pid")).await;
    assert_eq!(outcome.status, CommandStatus::Succeeded);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(bench.output(Channel::Stdout), "early\n");
    let pid: i32 = bench.file("pid").trim().parse().unwrap();
    assert!(is_alive(pid));
    let marker = format!("HIVE_COMMAND_ID={}", bench.id);
    process_tree::end(process_tree::TreeRoot { pid: pid.cast_unsigned(), marker }).await;
}

#[tokio::test]
async fn a_background_child_goes_on_writing_when_its_command_has_ended() {
    let bench = bench();
    let line = "(while :; do head -c 100000 /dev/zero; echo x >> alive; sleep 0.01; done) & echo $! > pid";
    assert_eq!(bench.run(&shell(line)).await.status, CommandStatus::Succeeded);
    let count = bench.file("alive").lines().count();
    while bench.file("alive").lines().count() < count + 5 {
        assert!(is_alive(bench.file("pid").trim().parse().unwrap()));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(bench.drain.count(), 2);
    let marker = format!("HIVE_COMMAND_ID={}", bench.id);
    process_tree::end(process_tree::TreeRoot { pid: bench.file("pid").trim().parse().unwrap(), marker }).await;
    while bench.drain.count() > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_command_that_leaves_nothing_behind_holds_no_pipe() {
    let bench = bench();
    bench.run(&shell("echo done")).await;
    assert_eq!(bench.drain.count(), 0);
}
