//! What happens to satellites.

use std::time::SystemTime;

use hive_core::wire::api;

use super::JsonObject;
use super::convert::system_time;

/// Something that happened to a satellite. It may arrive twice: `seq` only grows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum SatelliteEvent {
    /// The satellite has a link.
    Online {
        /// Grows with every event of this hive.
        seq: u64,
        /// The id of the satellite.
        id: String,
        /// The name of the satellite.
        name: String,
    },
    /// The satellite's link is gone.
    Offline {
        /// Grows with every event of this hive.
        seq: u64,
        /// The id of the satellite.
        id: String,
        /// The last sign of life.
        last_seen: Option<SystemTime>,
    },
    /// The satellite's record changed.
    Updated {
        /// Grows with every event of this hive.
        seq: u64,
        /// The id of the satellite.
        id: String,
        /// The new values by field.
        changes: JsonObject,
    },
    /// The satellite has another key, because a registration took over its name. The holder of the former key is locked out.
    KeyReplaced {
        /// Grows with every event of this hive.
        seq: u64,
        /// The id of the satellite.
        id: String,
        /// The name of the satellite.
        name: String,
    },
    /// A second process with the identity of the satellite was refused beside it: most likely a copy of its machine.
    Conflict {
        /// Grows with every event of this hive.
        seq: u64,
        /// The id of the satellite.
        id: String,
        /// The name of the satellite.
        name: String,
    },
    /// The satellite was removed.
    Removed {
        /// Grows with every event of this hive.
        seq: u64,
        /// The id of the satellite.
        id: String,
    },
}

impl SatelliteEvent {
    /// Converts an event; none for a kind that this version does not know.
    pub(crate) fn from_wire(event: api::SatelliteEvent) -> Option<Self> {
        match event {
            api::SatelliteEvent::Online { seq, id, name, .. } => {
                Some(Self::Online { seq, id: id.to_string(), name: name.to_string() })
            }
            api::SatelliteEvent::Offline { seq, id, last_seen } => {
                Some(Self::Offline { seq, id: id.to_string(), last_seen: last_seen.map(system_time) })
            }
            api::SatelliteEvent::Updated { seq, id, changes } => {
                Some(Self::Updated { seq, id: id.to_string(), changes: JsonObject::of(&changes) })
            }
            api::SatelliteEvent::KeyReplaced { seq, id, name } => {
                Some(Self::KeyReplaced { seq, id: id.to_string(), name: name.to_string() })
            }
            api::SatelliteEvent::Conflict { seq, id, name } => {
                Some(Self::Conflict { seq, id: id.to_string(), name: name.to_string() })
            }
            api::SatelliteEvent::Removed { seq, id } => Some(Self::Removed { seq, id: id.to_string() }),
            // The enum is non-exhaustive, so the compiler does not report a new kind here. `tests` checks all of them.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn converted(event: &str, data: serde_json::Value) -> Option<SatelliteEvent> {
        let event = json!({ "event": format!("satellite:{event}"), "data": data });
        SatelliteEvent::from_wire(serde_json::from_value(event).unwrap())
    }

    #[test]
    fn every_kind_of_event_is_passed_on() {
        let id = "sat_01m7z0hc93fb28gmb8d60a6qzj";
        let named = json!({ "seq": 7, "id": id, "name": "web-server-01" });
        let check = |kind: &str, data: &serde_json::Value| {
            assert!(converted(kind, data.clone()).is_some(), "{kind} is dropped");
        };
        check("online", &named);
        check("offline", &json!({ "seq": 7, "id": id, "last_seen": null }));
        check("updated", &json!({ "seq": 7, "id": id, "changes": { "region": "eu" } }));
        check("removed", &json!({ "seq": 7, "id": id }));
        let (seq, id, name) = (7, id.to_owned(), "web-server-01".to_owned());
        let replaced = SatelliteEvent::KeyReplaced { seq, id: id.clone(), name: name.clone() };
        assert_eq!(converted("key_replaced", named.clone()), Some(replaced));
        assert_eq!(converted("conflict", named), Some(SatelliteEvent::Conflict { seq, id, name }));
    }

    #[test]
    fn an_unknown_kind_of_event_is_left_out() {
        assert_eq!(converted("painted", json!({ "colour": "red" })), None);
    }
}
