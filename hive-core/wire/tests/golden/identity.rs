//! Bodies of REST: users, teams, keys, tokens.

use hive_wire::api;
use hive_wire::credential::Secret;
use hive_wire::{ApiKeyId, RegistrationTokenId, SatelliteId, TeamId, UserId};

use super::{Golden, SEED, now};

fn secret() -> Secret {
    Secret("EXAMPLE".into())
}

#[test]
fn identities_over_rest() {
    let mut golden = Golden::open("api_identity");
    let user = api::User {
        id: UserId::new(SEED),
        username: "admin".into(),
        role: api::PlatformRole::GlobalAdmin,
        created_at: now(),
        disabled_at: Some(now()),
    };
    golden.check("user", &user);
    let create = api::UserCreate { username: "olga".into(), role: api::PlatformRole::GlobalUser };
    golden.check("user_create", &create);
    golden.check("user_new", &api::NewUser { user: user.clone(), password: secret() });
    let update = api::UserUpdate { role: Some(api::PlatformRole::GlobalUser), disabled: Some(true) };
    golden.check("user_update", &update);
    golden.check("password_new", &api::NewPassword { password: secret() });
    golden.check("password_change", &api::PasswordChange { current: secret(), new: secret() });
    let login = api::LoginRequest { username: "admin".into(), password: "EXAMPLE".into() };
    golden.check("login_request", &login);
    let logged_in = api::LoginResponse { token: "EXAMPLE".into(), expires_at: now(), user: user.clone() };
    golden.check("login_response", &logged_in);
    let me = api::Me { user, api_key_id: Some(ApiKeyId::new(SEED)) };
    golden.check("me", &me);
    let team = api::Team { id: TeamId::new(SEED), slug: "ops".into(), created_at: now(), team_user: api::Role::Viewer };
    golden.check("team", &team);
    golden.check("team_create", &api::TeamCreate { slug: "ops".into() });
    let member = api::TeamMember {
        user_id: UserId::new(SEED),
        username: "olga".into(),
        role: api::Role::Operator,
        follows_team: false,
    };
    golden.check("team_member", &member);
    golden.check("team_member_put", &api::TeamMemberPut { username: "olga".into(), role: api::Role::Viewer });
    let key_create =
        api::ApiKeyCreate { name: "ci".into(), expires_in_hours: Some(24), ..api::ApiKeyCreate::default() };
    golden.check("api_key_create", &key_create);
    let key = api::NewApiKey {
        api_key: "hive_key_EXAMPLE".into(),
        info: api::ApiKeyInfo {
            id: ApiKeyId::new(SEED),
            name: "ci".into(),
            user_id: UserId::new(SEED),
            created_at: now(),
            expires_at: Some(now()),
            revoked_at: None,
            last_used_at: None,
            scopes: None,
            satellites: None,
            addresses: None,
            rate_per_minute: None,
            parent_id: None,
            overlap_until: None,
        },
    };
    golden.check("api_key_new", &key);
    let token_create = api::RegistrationTokenCreate {
        scope: api::TokenScope::Team,
        team_id: Some(TeamId::new(SEED)),
        expires_in_hours: Some(24),
        description: Some("new rack".into()),
        for_satellite: Some(SatelliteId::new(SEED)),
        tags: vec!["web".into()],
        allowed_tags: vec!["dc:*".into()],
    };
    golden.check("registration_token_create", &token_create);
    let token = api::NewRegistrationToken {
        token: "hive_satellite_team_EXAMPLE".into(),
        token_id: RegistrationTokenId::new(SEED),
        expires_at: now(),
        scope: api::TokenScope::Team,
    };
    golden.check("registration_token_new", &token);
    let info = api::RegistrationTokenInfo {
        token_id: RegistrationTokenId::new(SEED),
        scope: api::TokenScope::Global,
        team_id: None,
        description: None,
        created_by: "admin".into(),
        created_at: now(),
        expires_at: now(),
        used_at: Some(now()),
        revoked_at: None,
        tags: vec!["web".into()],
        allowed_tags: vec!["dc:*".into()],
        for_satellite: Some(SatelliteId::new(SEED)),
    };
    golden.check("registration_token_info", &info);
    golden.close();
}
