//! The environment of commands and sessions.

/// The account under which commands and sessions run. They get it as `PATH HOME USER SHELL LANG`, and nothing else of
/// the agent's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The directories in which programs are found.
    pub path: String,
    /// The home directory, which is the default working directory.
    pub home: String,
    /// The user's name.
    pub user: String,
    /// The login shell.
    pub shell: String,
    /// The locale.
    pub lang: String,
    /// Variables that the machine's owner adds to every command and session.
    pub extra: Vec<(String, String)>,
}

impl Account {
    /// The user of this process, from the user database.
    pub fn of_this_user() -> Self {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        let home = user.as_ref().map(|user| user.dir.to_string_lossy().into_owned());
        let shell = user.as_ref().map(|user| user.shell.to_string_lossy().into_owned());
        Self {
            // Fixed, because a library does not read the environment of the program that embeds it.
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            home: home.filter(|home| !home.is_empty()).unwrap_or_else(|| "/".into()),
            user: user.map_or_else(|| nix::unistd::geteuid().to_string(), |user| user.name),
            shell: shell.filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into()),
            // The one locale with UTF-8 that needs no installed package.
            lang: "C.UTF-8".into(),
            extra: Vec::new(),
        }
    }
}
