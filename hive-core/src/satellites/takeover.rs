//! Decides whether a registration token may register a name. It does no I/O; `registration` acts on the decision.

use hive_wire::{SatelliteId, TeamId};

use crate::store::NamePolicy;

/// The satellite that has the name now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameHolder {
    pub(crate) id: SatelliteId,
    pub(crate) team_id: Option<TeamId>,
    /// It has a link, or sent a heartbeat a moment ago.
    pub(crate) is_present: bool,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenTerms {
    pub(crate) team_id: Option<TeamId>,
    /// The one satellite that it was made for.
    pub(crate) for_satellite: Option<SatelliteId>,
    pub(crate) is_single_use: bool,
}

/// What becomes of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takeover {
    /// Nobody has it.
    New,
    /// Its satellite gets a new key.
    Replace(SatelliteId),
    /// It stays as it is.
    Refused(Refusal),
}

/// Why a name is not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It belongs to another team, or to the whole hive. The message does not say so: other teams must not learn of it.
    OtherTeam,
    /// Its satellite is online, or was a moment ago.
    Present,
    /// Only new satellites register with a token that registers many.
    MultiUse,
    /// The token is for a satellite that does not have this name.
    OtherSatellite,
}

impl Takeover {
    /// Decides by the satellite that has the name, and by what the token allows.
    pub(crate) fn decide(holder: Option<NameHolder>, token: TokenTerms) -> Self {
        // Also while the satellite is online: whoever made the token meant this satellite.
        if let Some(named) = token.for_satellite {
            return match holder {
                Some(holder) if holder.id == named && holder.team_id == token.team_id => Self::Replace(named),
                _ => Self::Refused(Refusal::OtherSatellite),
            };
        }
        match holder {
            None => Self::New,
            // First, so that the answer does not tell another team whether the satellite is online.
            Some(holder) if holder.team_id != token.team_id => Self::Refused(Refusal::OtherTeam),
            Some(holder) if holder.is_present => Self::Refused(Refusal::Present),
            // A token in the image of many machines must not hand each of them the name of the others.
            Some(_) if !token.is_single_use => Self::Refused(Refusal::MultiUse),
            Some(holder) => Self::Replace(holder.id),
        }
    }

    /// The same for the store, which looks at the name once more.
    pub(crate) fn name_use(self) -> NamePolicy {
        match self {
            Self::New => NamePolicy::New,
            Self::Replace(id) => NamePolicy::Of(id),
            Self::Refused(_) => NamePolicy::None,
        }
    }
}

impl Refusal {
    /// Returns the message for the satellite.
    pub(crate) fn message(self, name: &str) -> String {
        match self {
            Self::OtherTeam => format!("the name {name} is taken"),
            Self::Present => format!("the name {name} is taken by a satellite that is online or was a moment ago"),
            Self::MultiUse => format!("the name {name} is taken, and this token registers new satellites only"),
            Self::OtherSatellite => format!("this registration token is for another satellite than {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Refusal::{MultiUse, OtherSatellite, OtherTeam, Present};
    use hive_wire::id::Seed;

    fn seed(n: u8) -> Seed {
        Seed { unix_millis: 1, random: [n; 10] }
    }

    fn sat(n: u8) -> SatelliteId {
        SatelliteId::new(seed(n))
    }

    #[test]
    fn a_name_is_taken_over_by_its_own_token_or_while_nobody_is_there() {
        let (ops, dev) = (Some(TeamId::new(seed(1))), Some(TeamId::new(seed(2))));
        let holder = |team_id, is_present| Some(NameHolder { id: sat(7), team_id, is_present });
        let plain = |team_id| TokenTerms { team_id, for_satellite: None, is_single_use: true };
        let many = TokenTerms { is_single_use: false, ..plain(ops) };
        let made_for = |n, team_id| TokenTerms { for_satellite: Some(sat(n)), ..plain(team_id) };
        let check =
            |holder, token, expected| assert_eq!(Takeover::decide(holder, token), expected, "{holder:?} {token:?}");
        check(None, plain(ops), Takeover::New);
        check(None, many, Takeover::New);
        check(holder(ops, false), plain(ops), Takeover::Replace(sat(7)));
        check(holder(None, false), plain(None), Takeover::Replace(sat(7)));
        check(holder(ops, true), plain(ops), Takeover::Refused(Present));
        check(holder(ops, false), many, Takeover::Refused(MultiUse));
        for is_present in [true, false] {
            check(holder(ops, is_present), plain(dev), Takeover::Refused(OtherTeam));
            check(holder(ops, is_present), plain(None), Takeover::Refused(OtherTeam));
            check(holder(ops, is_present), made_for(7, ops), Takeover::Replace(sat(7)));
            check(holder(ops, is_present), made_for(8, ops), Takeover::Refused(OtherSatellite));
            check(holder(dev, is_present), made_for(7, ops), Takeover::Refused(OtherSatellite));
        }
        check(None, made_for(7, ops), Takeover::Refused(OtherSatellite));
    }
}
