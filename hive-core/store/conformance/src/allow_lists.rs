use hive_store::{AllowListRow, AllowListSubject};
use hive_wire::SatelliteId;

use crate::fixture::Fixture;

impl Fixture {
    /// The list of a team or a satellite.
    async fn allow_list(&self, subject: AllowListSubject) -> Option<Vec<String>> {
        let all = self.store.allow_list_all().await.unwrap();
        let mut found = all.into_iter().filter(|row| row.subject == subject);
        let list = found.next().map(|AllowListRow { networks, .. }| networks);
        assert!(found.next().is_none(), "there is one list of each");
        list
    }
}

pub(crate) async fn an_allow_list_is_replaced_and_lifted(on: &Fixture) {
    let team = on.team().await;
    let satellite = on.register(&on.name(), Some(team)).await.id;
    for subject in [AllowListSubject::Team(team), AllowListSubject::Satellite(satellite)] {
        assert_eq!(on.allow_list(subject).await, None);
        for networks in
            [vec!["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()], vec!["198.51.100.7/32".to_owned()]]
        {
            assert!(on.store.allow_list_set(subject, Some(networks.clone()), on.draft()).await.unwrap());
            assert_eq!(on.allow_list(subject).await, Some(networks));
        }
        assert!(on.store.allow_list_set(subject, None, on.draft()).await.unwrap());
        assert_eq!(on.allow_list(subject).await, None);
    }
}

pub(crate) async fn a_removed_satellite_has_no_allow_list(on: &Fixture) {
    let satellite = on.register(&on.name(), None).await.id;
    let (subject, list) = (AllowListSubject::Satellite(satellite), Some(vec!["192.0.2.0/24".to_owned()]));
    assert!(on.store.allow_list_set(subject, list.clone(), on.draft()).await.unwrap());
    assert!(on.store.satellite_remove(satellite, on.now(), on.draft()).await.unwrap());
    assert_eq!(on.allow_list(subject).await, None);
    let unknown = AllowListSubject::Satellite(SatelliteId::new(on.seed()));
    for subject in [subject, unknown] {
        assert!(!on.store.allow_list_set(subject, list.clone(), on.draft()).await.unwrap());
    }
}
