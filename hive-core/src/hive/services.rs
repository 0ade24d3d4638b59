//! The services of a hive. They are built in their order, each with those below it, and observe those below.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::key_check::IdentifiedHive;
use crate::Result;
use crate::allow_lists::AllowLists;
use crate::answers::Answers;
use crate::audit::{AuditHeadFile, AuditLog};
use crate::clock::ClockAndRng;
use crate::commands::Commands;
use crate::context::{DatabaseDisk, ServiceContext};
use crate::events::Events;
use crate::exec::Exec;
use crate::grants::AccessGrants;
use crate::groups::Groups;
use crate::housekeeping::{Concern, Housekeeping, PRUNE_INTERVAL};
use crate::identity::auth_failures::AuthFailures;
use crate::identity::configured_key::ConfiguredKey;
use crate::identity::key_uses::STORE_INTERVAL;
use crate::identity::losses::IdentityObserver;
use crate::identity::service::IdentityService;
use crate::jobs::Jobs;
use crate::keys::Keys;
use crate::link_handler::LinkHandler;
use crate::links::Links;
use crate::live::Live;
use crate::retention::Retention;
use crate::satellites::{SatelliteObserver, Satellites};
use crate::sessions::{Sessions, tick_interval};
use crate::settings::Settings;
use crate::store::{Store, TelemetryStore};
use crate::telemetry::Telemetry;

/// How often it is checked whether commands have ended elsewhere for which callers wait here.
const ABSENT_INTERVAL: Duration = Duration::from_secs(1);

/// All services, the lowest first.
pub(crate) struct Services {
    pub(crate) context: ServiceContext,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) grants: Arc<AccessGrants>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) audit_head: Option<Arc<AuditHeadFile>>,
    pub(crate) auth_failures: Arc<AuthFailures>,
    pub(crate) identity: Arc<IdentityService>,
    pub(crate) links: Arc<Links>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) satellites: Arc<Satellites>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) exec: Arc<Exec>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) link_handler: Arc<LinkHandler>,
    pub(crate) live: Arc<Live>,
    pub(crate) retention: Arc<Retention>,
}

/// What the services are built from.
pub(super) struct ServiceParts {
    pub(super) hive: IdentifiedHive,
    pub(super) store: Arc<dyn Store>,
    pub(super) telemetry: Arc<dyn TelemetryStore>,
    pub(super) keys: Keys,
    pub(super) source: ClockAndRng,
    pub(super) settings: Settings,
    /// Where the database is a file.
    pub(super) disk: Option<DatabaseDisk>,
    /// The admin key of the configuration.
    pub(super) admin_key: Option<ConfiguredKey>,
}

impl Services {
    /// Builds the services. `data_dir` is where the head of the audit log is noted.
    pub(super) async fn build(parts: ServiceParts, data_dir: Option<&Path>) -> Result<Self> {
        let ServiceParts { hive, store, telemetry, keys, source, settings, disk, admin_key } = parts;
        // Before any service: nothing may be written to a database whose audit log is behind its head file.
        let audit_head = match data_dir {
            Some(dir) => Some(Arc::new(AuditHeadFile::open(dir, store.clone(), &keys.audit.public_key()).await?)),
            None => None,
        };
        let context = ServiceContext::new(hive.id, source, settings, disk);
        // Each service gets those above it, so that the order of these lines is the order of the layers.
        let keys = Arc::new(keys);
        let allow_lists = Arc::new(AllowLists::open(store.clone()).await?);
        let grants = Arc::new(AccessGrants::new(store.clone(), allow_lists.clone(), context.clone()));
        let events = Arc::new(Events::new(grants.clone(), context.source()));
        let answers = Arc::new(Answers::new(&store, keys.clone(), context.clone()));
        let audit = Arc::new(AuditLog::new(&store, keys.clone(), grants.clone(), context.clone()));
        let auth_failures = Arc::new(AuthFailures::start(store.clone(), context.clone()));
        let identity = IdentityService::new(
            &store,
            keys.clone(),
            grants.clone(),
            allow_lists,
            auth_failures.clone(),
            admin_key,
            context.clone(),
        );
        let identity = Arc::new(identity);
        let links = Arc::new(Links::default());
        let telemetry = Arc::new(Telemetry::new(telemetry, context.clone()));
        let satellites = Arc::new(Satellites::new(
            &store,
            identity.clone(),
            events.clone(),
            links.clone(),
            telemetry.clone(),
            context.clone(),
        ));
        let groups = Arc::new(Groups::new(&store, identity.clone(), satellites.clone(), context.clone()));
        let commands =
            Commands::new(&store, keys.clone(), events.clone(), auth_failures.clone(), links.clone(), context.clone());
        let commands = Arc::new(commands);
        let jobs = Arc::new(Jobs::new(
            &store,
            keys.clone(),
            grants.clone(),
            links.clone(),
            satellites.clone(),
            commands.clone(),
            context.clone(),
        ));
        let exec = Exec::new(&store, grants.clone(), satellites.clone(), commands.clone(), jobs.clone());
        let exec = Arc::new(exec);
        let sessions = Sessions::new(
            &store,
            keys,
            grants.clone(),
            events.clone(),
            auth_failures.clone(),
            links.clone(),
            context.clone(),
        );
        let sessions = Arc::new(sessions);
        let link_handler = Arc::new(LinkHandler::new(
            events.clone(),
            links.clone(),
            satellites.clone(),
            commands.clone(),
            sessions.clone(),
            context.clone(),
        ));
        let live = Live::new(events, satellites.clone(), grants.clone(), context.clone());
        let retention = Arc::new(Retention::new(store.clone(), audit.clone(), context.clone()));
        let services = Self {
            context,
            store,
            grants,
            answers,
            audit,
            audit_head,
            auth_failures,
            identity,
            links,
            telemetry,
            satellites,
            groups,
            commands,
            jobs,
            exec,
            sessions,
            link_handler,
            live: Arc::new(live),
            retention,
        };
        // Connected before anything runs, so that no event is missed.
        services.connect();
        // Before the first call: the limits of the queues hold from the start.
        services.commands.recount().await?;
        Ok(services)
    }

    /// Connects services with those below that report to them. The commands of a satellite end before its sessions, and a job looks
    /// for ended commands after they have ended here.
    fn connect(&self) {
        // Weak, because the observers hold the observed services.
        fn weak<S: SatelliteObserver + 'static>(service: &Arc<S>) -> std::sync::Weak<dyn SatelliteObserver> {
            Arc::downgrade(service) as _
        }
        self.satellites.observe(weak(&self.commands));
        self.satellites.observe(weak(&self.jobs));
        self.satellites.observe(weak(&self.sessions));
        self.commands.observe(Arc::downgrade(&self.jobs) as _);
        let commands: std::sync::Weak<dyn IdentityObserver> = Arc::<Commands>::downgrade(&self.commands);
        self.identity.observe(commands);
    }

    /// Starts what the hive does by itself.
    pub(super) fn start_housekeeping(&self) -> Arc<Housekeeping> {
        let settings = self.context.settings();
        let every = settings.sweep_interval;
        let Self { grants, auth_failures, identity, links, telemetry, satellites, commands, jobs, sessions, .. } = self;
        let (context, disk) = (self.context.clone(), self.context.clone());
        let mut concerns = vec![
            Concern::new("open jobs", every, jobs, |jobs| async move { jobs.resume_open().await }),
            Concern::new("incomplete jobs", PRUNE_INTERVAL, jobs, |jobs| async move { jobs.sweep().await }),
            Concern::new("overdue commands", every, commands, |commands| async move { commands.end_overdue().await }),
            // At least once a second: callers wait for what this finds.
            Concern::new("absent commands", every.min(ABSENT_INTERVAL), commands, |commands| async move {
                commands.check_absent().await
            }),
            Concern::new("open command counts", every, commands, |commands| async move {
                commands.recount_if_stale().await
            }),
            Concern::new("lost sessions", every, sessions, |sessions| async move { sessions.end_lost().await }),
            Concern::new("session timers", tick_interval(settings), sessions, |sessions| async move {
                sessions.tick();
                Ok(())
            }),
            Concern::new("session sizes", tick_interval(settings), sessions, |sessions| async move {
                sessions.store_sizes().await
            }),
            Concern::new("API key uses", STORE_INTERVAL, identity, |identity| async move {
                identity.store_key_uses().await
            })
            .also_at_shutdown(),
            Concern::new("allow lists", every, satellites, |satellites| async move {
                satellites.refresh_allow_lists().await
            }),
            Concern::new("access grants", every, grants, |grants| async move {
                grants.revalidate_all().await;
                Ok(())
            }),
            Concern::new("telemetry", every, telemetry, |telemetry| async move { telemetry.flush().await })
                .also_at_shutdown(),
            Concern::new("satellite descriptions", every, satellites, |satellites| async move {
                satellites.flush_descriptions().await
            })
            .also_at_shutdown(),
            Concern::new("journal positions", every, satellites, |satellites| async move {
                satellites.flush_journal_positions().await
            })
            .also_at_shutdown(),
            Concern::new("replaced satellite keys", PRUNE_INTERVAL, satellites, |satellites| async move {
                satellites.prune_superseded_keys().await
            }),
            Concern::new("unexpected messages", every, links, move |links| {
                let now = context.steady();
                async move {
                    links.log_suppressed_messages(now);
                    Ok(())
                }
            }),
            Concern::new("disk space", every, &self.retention, move |_| {
                let context = disk.clone();
                async move {
                    context.observe_disk_space().await;
                    Ok(())
                }
            }),
            Concern::new("authentication failures", every, auth_failures, |failures| async move {
                failures.summarise().await;
                Ok(())
            })
            .also_at_shutdown(),
        ];
        // One concern for each kind of row, so that one that fails does not keep the others.
        concerns.extend(self.retention.concerns());
        if let Some(head) = &self.audit_head {
            concerns.push(
                Concern::new("audit head", every, head, |head| async move { head.advance().await }).also_at_shutdown(),
            );
        }
        Housekeeping::start(&self.context, concerns)
    }
}
