//! Which satellites there are.

use async_trait::async_trait;
use hive_wire::SatelliteId;
use hive_wire::api::{
    AllowList, AllowListUpdate, EventCursor, Page, PageRequest, Satellite, SatelliteFilter, SatelliteSort,
    SatelliteUpdate, TagCount, TagFilter, TagSort,
};
use hive_wire::satellite_api::{RegisterRequest, RegisteredSatellite};
use secrecy::SecretString;

use crate::{EventItem, Result, Subscription};

/// The registry of satellites.
#[async_trait]
pub trait DeviceRegistry: Send + Sync {
    /// Registers a satellite, or registers it again under its name.
    ///
    /// The token alone decides type and team. Of all calls with one token at most one succeeds. A name that exists keeps
    /// its id and gets a new key, and the old key is dead at once; a name of another team is refused.
    async fn register(&self, token: SecretString, request: RegisterRequest) -> Result<RegisteredSatellite>;

    /// Ends a satellite's link. The satellite connects again unless it was removed.
    async fn disconnect(&self, id: SatelliteId) -> Result<()>;

    /// Another name of [`disconnect`](Self::disconnect).
    async fn mark_offline(&self, id: SatelliteId) -> Result<()> {
        self.disconnect(id).await
    }

    /// Returns a satellite; `None` where there is none, or it is hidden from the caller.
    async fn get(&self, id: SatelliteId) -> Result<Option<Satellite>>;

    /// Lists satellites, by name unless another order is asked for.
    ///
    /// # Errors
    /// `NotFound` for a group that does not exist, or that is hidden from the caller.
    async fn list(&self, filter: SatelliteFilter, page: PageRequest<SatelliteSort>) -> Result<Page<Satellite>>;

    /// Changes what a person may change of a satellite. Another team ends what is open on it: commands as cancelled, terminals
    /// as killed.
    async fn update(&self, id: SatelliteId, update: SatelliteUpdate) -> Result<Satellite>;

    /// Removes a satellite: its key is dead, its link ended, its open commands are cancelled or of unknown outcome.
    async fn remove(&self, id: SatelliteId) -> Result<()>;

    /// Lists the satellites that carry a tag.
    async fn get_by_tag(&self, tag: &str) -> Result<Vec<Satellite>>;

    /// Lists the tags of satellites that the caller sees, by their text, each with the number of these satellites.
    async fn list_tags(&self, filter: TagFilter, page: PageRequest<TagSort>) -> Result<Page<TagCount>>;

    /// Returns the networks from which a satellite may connect.
    async fn allow_list(&self, id: SatelliteId) -> Result<AllowList>;

    /// Sets them. The link of a satellite that is elsewhere ends at once, and the satellite is refused until the list has its address.
    /// It keeps its key.
    ///
    /// # Errors
    /// `InvalidInput` for what is no network, and for a list without the address of the satellite's link, unless the change is forced.
    async fn allow_list_set(&self, id: SatelliteId, update: AllowListUpdate) -> Result<AllowList>;

    /// Subscribes to what happens to satellites the caller may see: from now on, or behind the position of an item that the
    /// caller got before. A satellite that goes to a team the caller is not in is reported as removed.
    ///
    /// A subscriber gets every event once and in order. Where it does not, because it was too slow, came back too late or came
    /// back to another process, it gets an [`EventItem::Resync`], and never has to look for gaps.
    ///
    /// ```no_run
    /// # use hive_core::{DeviceRegistry, EventItem, Result, wire::api::{PageRequest, SatelliteFilter}};
    /// # async fn follow(satellites: &dyn DeviceRegistry) -> Result<()> {
    /// let mut after = None;
    /// loop {
    ///     let mut events = satellites.subscribe(after).await?;
    ///     while let Some(item) = events.next().await {
    ///         match &item {
    ///             EventItem::Event(published) => println!("{:?}", published.event()),
    ///             EventItem::Resync(_) => {
    ///                 let page = satellites.list(SatelliteFilter::default(), PageRequest::default()).await?;
    ///                 println!("{} satellites", page.total);
    ///             }
    ///             _ => {}
    ///         }
    ///         after = Some(item.cursor());
    ///     }
    /// }
    /// # }
    /// ```
    async fn subscribe(&self, after: Option<EventCursor>) -> Result<Subscription<EventItem>>;
}
