//! Where satellites may connect from.

use hive_wire::SatelliteId;
use hive_wire::api::{AllowList, AllowListUpdate};
use serde_json::json;

use super::Satellites;
use crate::access::{Permission, Principal};
use crate::allow_lists::checked;
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, record};
use crate::store::AllowListSubject;
use crate::{Error, Result};

/// Why a link is closed.
const NOT_FROM_THERE: &str = "the satellite may not connect from its address any more";

impl Satellites {
    /// Returns the networks from which a satellite may connect.
    pub(super) async fn allow_list(&self, principal: &Principal, id: SatelliteId) -> Result<AllowList> {
        self.row_for(principal, id, &Permission::SatellitesManage).await?;
        Ok(self.identity.allow_lists().get(AllowListSubject::Satellite(id)))
    }

    /// Sets them, and closes the link of a satellite that is elsewhere.
    pub(super) async fn set_allow_list(
        &self,
        principal: &Principal,
        id: SatelliteId,
        update: AllowListUpdate,
    ) -> Result<AllowList> {
        let row = self.row_for(principal, id, &Permission::SatellitesManage).await?;
        let lists = self.identity.allow_lists();
        let list = AllowListSubject::Satellite(id);
        let online_from = self.links.get(id).and_then(|link| link.ip);
        let networks = checked(&update, online_from.as_deref().map(|ip| (ip, "the satellite's link")))?;
        let details = json!({ "before": lists.get(list).addresses, "addresses": update.addresses });
        let subject = Subject::satellite(&row);
        let record = record(&self.context, principal, AuditAction::SatelliteAddressesSet, subject, details);
        if !lists.set(list, networks, record).await? {
            return Err(Error::SatelliteNotFound(id.to_string()));
        }
        self.close_refused_links();
        Ok(lists.get(list))
    }

    /// Reads the allow lists again, for changes that another process made to the same database, and ends what they do not allow.
    pub(crate) async fn refresh_allow_lists(&self) -> Result<()> {
        if self.identity.allow_lists().refresh().await? {
            self.identity.revalidate_addresses();
            self.close_refused_links();
        }
        Ok(())
    }

    /// Checks that a satellite may connect from an address.
    pub(super) fn check_address(&self, id: SatelliteId, ip: Option<&str>) -> Result<()> {
        if self.identity.allow_lists().allows(AllowListSubject::Satellite(id), ip) {
            return Ok(());
        }
        let ip = ip.unwrap_or("an unknown address");
        Err(Error::Forbidden(format!("the satellite may not connect from {ip}")))
    }

    fn close_refused_links(&self) {
        let is_allowed = |id, ip: Option<&str>| self.identity.allow_lists().allows(AllowListSubject::Satellite(id), ip);
        self.links.close_refused(is_allowed, NOT_FROM_THERE);
    }
}
