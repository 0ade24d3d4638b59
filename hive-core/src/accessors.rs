//! The accessors of [`HiveApi`](crate::HiveApi) once more as methods of a type, so that its users need no trait in scope.

macro_rules! accessors {
    ($hive:ty) => {
        impl $hive {
            /// Returns the registry of satellites.
            pub fn satellites(&self) -> std::sync::Arc<dyn $crate::DeviceRegistry> {
                $crate::HiveApi::satellites(self)
            }

            /// Returns the commands of single satellites and of several.
            pub fn commands(&self) -> std::sync::Arc<dyn $crate::CommandRouter> {
                $crate::HiveApi::commands(self)
            }

            /// Returns the jobs.
            pub fn jobs(&self) -> std::sync::Arc<dyn $crate::JobManager> {
                $crate::HiveApi::jobs(self)
            }

            /// Returns the groups of satellites.
            pub fn groups(&self) -> std::sync::Arc<dyn $crate::GroupManager> {
                $crate::HiveApi::groups(self)
            }

            /// Returns the terminal sessions.
            pub fn sessions(&self) -> std::sync::Arc<dyn $crate::SessionManager> {
                $crate::HiveApi::sessions(self)
            }

            /// Returns the audit log.
            pub fn audit(&self) -> std::sync::Arc<dyn $crate::AuditLogger> {
                $crate::HiveApi::audit(self)
            }

            /// Returns users, teams, API keys and registration tokens.
            pub fn identity(&self) -> std::sync::Arc<dyn $crate::Identity> {
                $crate::HiveApi::identity(self)
            }
        }
    };
}
