//! Keys that the hive rejects or replaces.

use super::*;

#[tokio::test]
async fn only_a_401_costs_the_key() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    for code in [close::REPLACED, close::IDENTITY_CONFLICT, close::OVERLOADED, close::GOING_AWAY, close::PROTOCOL_ERROR]
    {
        link.close(code).await;
        link = rig.hive.link().await;
    }
    drop(link);
    rig.hive.answer_once("/ws/agent", 403, "");
    rig.hive.answer_once("/ws/agent", 500, "");
    let link = rig.hive.link().await;
    assert!(rig.stored_key());
    assert_eq!(rig.hive.count("/register"), 1);
    // The link is refused with 401, and so is the heartbeat that verifies the key: the token is used.
    rig.hive.reject_once("/heartbeat", RejectionClass::UnknownKey);
    link.close(close::AUTH_FAILED).await;
    let _link = rig.hive.link().await;
    assert_eq!(rig.hive.count("/register"), 2);
    assert!(rig.stored_key());
    agent.stop().await;
}

#[tokio::test]
async fn a_new_key_replaces_the_old_one_when_it_was_accepted() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let file = |rig: &AgentRig| serde_json::from_str::<serde_json::Value>(&rig.file("data/backend.key.json")).unwrap();
    link.send_control(ToAgent::RotateKey { api_key: Secret("hive_satellite_api_global_hunter3".into()) }).await;
    let (mut link, _) = rig.hive.raw_link().await;
    assert_eq!(rig.hive.requests().last().unwrap(), "GET /ws/agent hive_satellite_api_global_hunter3");
    assert_eq!(rig.hive.hive_id_headers().last().unwrap(), &hive_id().to_string());
    let before = file(&rig);
    assert_eq!((&before["api_key"], &before["keys"][0]["api_key"]), (&KEY.into(), &KEY.into()), "it may still be lost");
    assert_eq!(before["candidate"]["api_key"], "hive_satellite_api_global_hunter3");
    link.accept(3600).await;
    link.send_control(shell(1, "true", 0)).await;
    link.result().await;
    let after = file(&rig);
    assert_eq!(after["api_key"], "hive_satellite_api_global_hunter3");
    assert_eq!(after["keys"][1]["api_key"], KEY);
    assert!(after.get("candidate").is_none());
    agent.stop().await;
}

#[tokio::test]
async fn a_key_the_hive_does_not_know_and_no_token_end_an_agent_that_is_to_give_up() {
    let mut rig = rig().await;
    let (agent, _link) = rig.start_and_link().await;
    agent.stop().await;
    rig.config.registration_token = None;
    rig.hive.answer_once("/ws/agent", 401, "");
    rig.hive.answer_once("/heartbeat", 200, "{}");
    rig.hive.reject_once("/heartbeat", RejectionClass::UnknownKey);
    rig.config.key_rejection = KeyRejectionPolicy::Exit;
    let agent = rig.start();
    let error = agent.ended.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::KeyRejected), "{error}");
    assert_eq!(error.exit_code(), 3);
    assert!(!rig.stored_key());
}
