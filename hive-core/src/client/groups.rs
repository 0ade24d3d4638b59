//! [`GroupManager`] over REST.

use async_trait::async_trait;
use hive_wire::GroupId;
use hive_wire::api::{
    Group, GroupCreate, GroupDetails, GroupFilter, GroupSort, GroupUpdate, Page, PageRequest, Satellite, SatelliteSort,
};
use reqwest::Method;

use super::Client;
use super::registry::present;
use super::transport::with_query;
use crate::Result;
use crate::groups::GroupManager;

#[async_trait]
impl GroupManager for Client {
    async fn create(&self, group: GroupCreate) -> Result<GroupDetails> {
        self.transport.fetch(self.transport.post(&["api", "v1", "groups"]).json(&group)).await
    }

    async fn get(&self, id: GroupId) -> Result<Option<GroupDetails>> {
        present(self.transport.fetch(self.transport.get(&["api", "v1", "groups", &id.to_string()])).await)
    }

    async fn list(&self, filter: GroupFilter, page: PageRequest<GroupSort>) -> Result<Page<Group>> {
        let call = with_query(self.transport.get(&["api", "v1", "groups"]), &filter)?;
        self.transport.fetch_page(with_query(call, &page)?).await
    }

    async fn update(&self, id: GroupId, update: GroupUpdate) -> Result<GroupDetails> {
        let path = ["api", "v1", "groups", &id.to_string()];
        self.transport.fetch(self.transport.request(Method::PUT, &path).json(&update)).await
    }

    async fn remove(&self, id: GroupId) -> Result<()> {
        let path = ["api", "v1", "groups", &id.to_string()];
        self.transport.call(self.transport.request(Method::DELETE, &path)).await
    }

    async fn list_satellites(&self, id: GroupId, page: PageRequest<SatelliteSort>) -> Result<Page<Satellite>> {
        let call = self.transport.get(&["api", "v1", "groups", &id.to_string(), "satellites"]);
        self.transport.fetch_page(with_query(call, &page)?).await
    }
}
