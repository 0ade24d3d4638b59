//! Power commands, before and after a boot.

use super::*;

#[tokio::test]
async fn power_goes_through_the_helper() {
    let machine = machine().with_helper("echo \"$@\" >> power");
    let agent = machine.start();
    let spec = PowerSpec { action: PowerAction::Shutdown, delay_seconds: 7, message: Some("bye all".into()) };
    let result = agent.run(command(1, Payload::Power(spec))).await;
    assert_eq!(result.status, CommandStatus::Succeeded);
    assert_eq!(machine.file("power"), "shutdown 7 bye all\n");
}

#[tokio::test]
async fn a_reboot_is_not_issued_again_after_the_boot() {
    let machine = machine().with_helper("echo \"$1\" >> power; sleep 60");
    let agent = machine.start();
    agent.deliver(reboot(1));
    while machine.file("power").is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The reboot stops the agent while the helper still runs.
    agent.dispatcher.stop().await;
    drop(agent);

    let agent = machine.start_in_boot("boot-2");
    assert_eq!(agent.run(reboot(1)).await.status, CommandStatus::Succeeded);
    drop(agent);
    let agent = machine.start_in_boot("boot-1");
    assert_eq!(agent.run(reboot(1)).await.status, CommandStatus::OutcomeUnknown);
    assert_eq!(machine.file("power"), "reboot\n");
}
