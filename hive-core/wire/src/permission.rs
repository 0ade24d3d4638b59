//! The permissions: what a role includes, a scope of an API key names and an operation of the API needs.

use crate::open_enum;

open_enum! {
    /// A permission.
    #[derive(PartialOrd, Ord)]
    pub enum Permission {
        /// Read satellites and their state.
        SatellitesRead = "satellites.read",
        /// Read the metrics of satellites.
        MetricsRead = "metrics.read",
        /// Run commands.
        SatellitesExec = "satellites.exec",
        /// Read what commands do and print: lines, arguments, errors and output.
        CommandsRead = "commands.read",
        /// Start and cancel jobs.
        JobsRun = "jobs.run",
        /// Open terminal sessions.
        SessionsOpen = "sessions.open",
        /// Read files of satellites.
        FilesRead = "files.read",
        /// Write files of satellites.
        FilesWrite = "files.write",
        /// Forward ports of satellites.
        ForwardOpen = "forward.open",
        /// Change the name and the tags of satellites.
        SatellitesTag = "satellites.tag",
        /// Shut down and reboot satellites.
        SatellitesPower = "satellites.power",
        /// Remove satellites.
        SatellitesDelete = "satellites.delete",
        /// Set the status and the region of satellites.
        SatellitesManage = "satellites.manage",
        /// Make installers of agents.
        ProvisionManage = "provision.manage",
        /// Read the audit log.
        AuditRead = "audit.read",
        /// Create, list and revoke registration tokens.
        TokensManage = "tokens.manage",
        /// Create and change groups of satellites.
        GroupsManage = "groups.manage",
        /// Create and change users.
        UsersManage = "users.manage",
        /// Create teams and change their members.
        TeamsManage = "teams.manage",
        /// Create, list and revoke one's own API keys.
        ApiKeysOwn = "api_keys.own",
        /// List and revoke the API keys of others.
        ApiKeysAny = "api_keys.any",
        /// Read and change the settings of the hive.
        SettingsManage = "settings.manage",
        /// Read what was used.
        UsageRead = "usage.read",
        /// Read alerts and their rules.
        AlertsRead = "alerts.read",
        /// Acknowledge alerts.
        AlertsAck = "alerts.ack",
        /// Create and change the rules of alerts, and webhooks.
        AlertsManage = "alerts.manage",
        /// Use MCP servers.
        McpUse = "mcp.use",
        /// Install and configure MCP servers.
        McpInstall = "mcp.install",
    }
}
