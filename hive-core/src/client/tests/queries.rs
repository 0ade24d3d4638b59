//! Tests that the server reads each query of the client as it was meant.

use hive_wire::agent::Channel;
use hive_wire::api::{
    AuditQuery, AuditSort, CommandQuery, ExecQuery, JobSort, OutputEncoding, OutputQuery, SatelliteListQuery,
    SatelliteSort, SatelliteStatus, SessionFilter,
};
use hive_wire::query::QueryDeserializer;
use hive_wire::{CommandId, TeamId, Timestamp};
use serde::de::DeserializeOwned;

use super::*;

const SEED: Seed = Seed { unix_millis: 1, random: [1; 10] };

/// Makes a call and returns the parameters that the server received.
async fn sent<T>(call: impl AsyncFnOnce(RemoteHive) -> Result<T, Error>) -> Vec<(String, String)> {
    // The answer does not matter, so it is the same error for all calls.
    let server = canned(&[answer("404 Not Found", "")]).await;
    assert!(call(client_of(&server)).await.is_err());
    let heads = server.heads();
    let path = heads[0].split(' ').nth(1).unwrap();
    let url = reqwest::Url::parse(&format!("http://hive{path}")).unwrap();
    url.query_pairs().into_owned().collect()
}

fn read<T: DeserializeOwned>(pairs: &[(String, String)]) -> T {
    T::deserialize(QueryDeserializer::new(pairs.to_vec())).unwrap()
}

#[tokio::test]
async fn the_filter_and_page_of_satellites() {
    let filter = SatelliteFilter {
        online: Some(false),
        status: Some(SatelliteStatus::Maintenance),
        tags: vec!["a&b=c".into(), "ä ö".into(), "..".into()],
        search: Some("100%+".into()),
        team_id: Some(TeamId::new(SEED)),
        group: Some("web".parse().unwrap()),
    };
    let sort = Some("-last_seen".parse().unwrap());
    let page = PageRequest::<SatelliteSort> { cursor: Some("AQ_-".into()), ..PageRequest::first(7).sorted(sort) };
    let pairs = sent(async |hive| hive.satellites().list(filter.clone(), page.clone()).await).await;
    assert_eq!(SatelliteFilter::from(read::<SatelliteListQuery>(&pairs)), filter);
    assert_eq!(read::<PageRequest<SatelliteSort>>(&pairs), page);
}

#[tokio::test]
async fn the_filter_and_page_of_audit_records() {
    let query = AuditQuery {
        actor: Some("anna & otto".into()),
        action: Some("satellite.exec".into()),
        satellite_id: Some(satellite()),
        since: Some(Timestamp::from_micros(1)),
        until: Some(Timestamp::from_micros(2)),
        seq: Some(7),
    };
    let page = PageRequest::numbered(2, 1);
    let pairs = sent(async |hive| hive.audit().query(query.clone(), page.clone()).await).await;
    assert_eq!((read::<AuditQuery>(&pairs), read::<PageRequest<AuditSort>>(&pairs)), (query, page));
}

#[tokio::test]
async fn the_filter_of_sessions() {
    let filter = SessionFilter { satellite_id: Some(satellite()), ended: true };
    let pairs = sent(async |hive| hive.sessions().list_page(filter.clone(), PageRequest::default()).await).await;
    assert_eq!(read::<SessionFilter>(&pairs), filter);
}

#[tokio::test]
async fn the_page_of_jobs() {
    let page = PageRequest::numbered(9, 1000);
    let pairs = sent(async |hive| hive.jobs().list(page.clone()).await).await;
    assert_eq!(read::<PageRequest<JobSort>>(&pairs), page);
}

#[tokio::test]
async fn the_options_of_commands() {
    let options = || ExecOptions { encoding: OutputEncoding::Base64, ..ExecOptions::default() };
    let waiting =
        sent(async |hive| hive.commands().exec(satellite(), ExecCommand::shell("true"), options()).await).await;
    assert_eq!(read::<ExecQuery>(&waiting), ExecQuery { wait: None, encoding: OutputEncoding::Base64 });
    let queued =
        sent(async |hive| hive.commands().submit(satellite(), ExecCommand::shell("true"), options()).await).await;
    assert_eq!(read::<ExecQuery>(&queued), ExecQuery { wait: Some(false), encoding: OutputEncoding::Base64 });
}

#[tokio::test]
async fn the_parts_of_output() {
    let id = CommandId::new(SEED);
    let whole = sent(async |hive| {
        let found = hive.commands().get(id, OutputEncoding::Base64).await?;
        found.ok_or_else(|| Error::Other("not found".into()))
    });
    assert_eq!(read::<CommandQuery>(&whole.await), CommandQuery { encoding: OutputEncoding::Base64 });
    let part = sent(async |hive| hive.commands().output(id, Channel::Stderr, 5).await).await;
    let OutputQuery { channel, offset, limit } = read(&part);
    assert_eq!((channel, offset), (Channel::Stderr, 5));
    assert!(limit.is_some(), "the size of an answer is limited");
}
