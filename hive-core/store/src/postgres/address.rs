//! The address of a PostgreSQL database, with user and password. The password is never printed.

use std::fmt;
use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// The parameters of a URL. sqlx ignores others, so that a typo such as `ssl_mode` would go unnoticed.
const PARAMETERS: [&str; 15] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// The address of a PostgreSQL database: `postgres://USER:PASSWORD@HOST:PORT/NAME`.
#[derive(Clone)]
pub struct PostgresAddress(PgConnectOptions);

/// Why a text is not an address. The message contains nothing of the text, which may have a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be postgres://USER:PASSWORD@HOST:PORT/NAME, with letters such as @ and / of a password as %40 and %2F: {0}"
)]
pub struct InvalidAddress(String);

impl PostgresAddress {
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.0
    }
}

impl FromStr for PostgresAddress {
    type Err = InvalidAddress;

    fn from_str(url: &str) -> Result<Self, InvalidAddress> {
        let invalid = |why: &str| InvalidAddress(why.to_owned());
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(invalid("it begins with something else"));
        }
        let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split('=').next().unwrap_or_default();
            if !PARAMETERS.contains(&name) {
                return Err(invalid("a parameter behind the ? is not known"));
            }
        }
        let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| match error {
            // A nested error is about the value of a parameter, and repeats it.
            sqlx::Error::Configuration(why) if !why.is::<sqlx::Error>() => invalid(&why.to_string()),
            _ => invalid("a parameter behind the ? has a value that it cannot have"),
        })?;
        if options.get_database().is_none() {
            return Err(invalid("it names no database"));
        }
        Ok(Self(options.disable_statement_logging()))
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(options) = self;
        let name = options.get_database().unwrap_or_default();
        write!(f, "{name} of {} on ", options.get_username())?;
        match options.get_socket() {
            Some(socket) => write!(f, "{}", socket.display()),
            None => write!(f, "{}:{}", options.get_host(), options.get_port()),
        }
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_printed_without_its_password() {
        let address: PostgresAddress = "postgres://anna:s3cret@db.example:5433/hive?sslmode=require".parse().unwrap();
        assert_eq!(address.to_string(), "hive of anna on db.example:5433");
        assert_eq!(format!("{address:?}"), "PostgresAddress(hive of anna on db.example:5433)");
    }

    #[test]
    fn an_invalid_address_is_not_repeated_in_the_error() {
        let check = |url: &str, why: &str| {
            let error = url.parse::<PostgresAddress>().unwrap_err().to_string();
            assert!(error.contains(why), "{url}: {error}");
            assert!(error.contains("postgres://USER:PASSWORD@HOST:PORT/NAME"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        };
        check("mysql://anna:s3cret@db/hive", "begins with something else");
        check("postgres://anna:s3cret@db:port/hive", "invalid port number");
        check("postgres://anna:s3cret@db/hive?pasword=s3cret", "parameter");
        check("postgres://anna:s3cret@db/hive?sslmode=s3cret", "a value that it cannot have");
        check("postgres://anna:s3cret@db", "names no database");
    }
}
