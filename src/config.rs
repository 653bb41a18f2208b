//! The settings: what may differ from one machine to the next, read from the environment once.
//!
//! Every problem is reported in one go, with the variable's name, the rule and, unless it is a
//! secret, the value. `.env.example` lists them all.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum_extra::extract::cookie::SameSite;
use tower_http::csrf::CsrfLayer;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

use crate::{
    client_address::TrustedProxies,
    credentials::{self, Credentials},
    defaults::{COOKIE_NAME, SAME_SITE},
    logging::LogFormat,
    rules,
    session::{
        SessionConfig,
        keys::{self, SessionKeys},
        revocation::StoreConfig,
    },
};

const KEYS_RULE: &str = "base64 of at least 64 random bytes, or several separated by commas, newest \
                         first; make one with `cargo run -q -- generate-key`";

/// Why `COOKIE_SECURE=false` is refused; asked again where another listener than `BIND_ADDR`'s is used.
pub const INSECURE_BEYOND_LOOPBACK: &str =
    "a release build sends insecure cookies from a loopback BIND_ADDR only";

const ADDRESS_RULE: &str = "an IP address and a port, such as 127.0.0.1:3000";

/// The file of ended sessions, below the working folder, beside its `.env`.
const REVOCATION_FILE: &str = "revocations.redb";

/// How the app was built, which decides what it dares to default to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// For a developer's machine: starts with nothing configured.
    Debug,
    /// For the internet: refuses to start without a key, or open to everybody.
    Release,
}

impl Build {
    /// The build this is.
    pub const CURRENT: Self = if cfg!(debug_assertions) {
        Self::Debug
    } else {
        Self::Release
    };
}

/// All settings, checked.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub bind_addr: SocketAddr,
    /// Where to serve metrics, if anywhere.
    #[cfg(feature = "metrics")]
    pub metrics_addr: Option<SocketAddr>,
    /// How long new connections are still taken when the process is told to stop.
    pub shutdown_delay: Duration,
    /// Keys, idle timeout, the `Secure` attribute and the store of sessions.
    pub session: SessionConfig,
    /// Whether the key was made up at start and is gone at the end.
    pub ephemeral_key: bool,
    /// Who may log in; `None` lets everybody in, without a password.
    pub credentials: Option<Credentials>,
    /// What to believe about a client's address.
    pub trusted_proxies: TrustedProxies,
    /// The cross-origin check, with the origins that may post here.
    pub cross_origin: CsrfLayer,
    /// Whether browsers are told to use HTTPS from now on.
    pub hsts: bool,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: Targets,
}

/// Everything that is wrong with the settings: a line for each variable, with its rule and, unless it
/// is a secret, its value.
#[derive(Debug)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the app cannot start with these settings:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for Problems {}

impl Config {
    /// Reads the settings of this process.
    pub fn from_env() -> Result<Self, Problems> {
        Self::read(Build::CURRENT, |name| {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })
    }

    /// Reads the settings from `variable`, which knows the value of a name. An empty value counts
    /// as none.
    pub fn read(
        build: Build,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, Problems> {
        let mut reader = Reader {
            build,
            variable,
            problems: Vec::new(),
        };

        let bind_addr = reader
            .setting("BIND_ADDR", ADDRESS_RULE, |text| text.parse().ok())
            .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)));
        #[cfg(feature = "metrics")]
        let metrics_addr = reader.setting("METRICS_ADDR", ADDRESS_RULE, |text| text.parse().ok());
        #[cfg(not(feature = "metrics"))]
        reader.setting(
            "METRICS_ADDR",
            "this build left metrics out: build with `--features metrics`",
            |_| None::<SocketAddr>,
        );
        let shutdown_delay = reader.setting(
            "SHUTDOWN_DELAY",
            "a whole number of seconds, at most 300",
            |text| text.parse().ok().filter(|seconds| *seconds <= 300),
        );
        let keys = reader.keys();
        let idle_timeout = reader.setting(
            "SESSION_IDLE_TIMEOUT",
            "a whole number and a unit, `m`, `h` or `d`; at least 1 minute, at most 400 days",
            rules::parse_duration,
        );
        let secure = reader.flag("COOKIE_SECURE").unwrap_or(true);
        if !secure {
            reader.check_insecure_cookie(bind_addr);
        }
        let cross_origin = reader.cross_origin();
        let credentials = reader.credentials();
        let trusted_proxies = reader.setting(
            "TRUSTED_PROXIES",
            "a whole number: how many proxies stand between this app and its clients",
            |text| text.parse().ok(),
        );
        let log_format = reader.setting("LOG_FORMAT", "`text` or `json`", |text| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        });
        let log_filter = reader.setting(
            "RUST_LOG",
            "levels for targets, such as `info` or `warn,app=debug`",
            |text| {
                // A bare word that is no level would be a target, and silence all others.
                let known = |item: &str| {
                    let level = !item.is_empty() && item.parse::<LevelFilter>().is_ok();
                    level || item.contains('=')
                };
                text.split(',').all(known).then(|| text.parse().ok())?
            },
        );

        let ephemeral_key = keys.is_none();
        let store = reader.store(ephemeral_key);
        let keys = match keys {
            None if reader.problems.is_empty() => SessionKeys::ephemeral(),
            keys => keys,
        };
        let Some(keys) = keys.filter(|_| reader.problems.is_empty()) else {
            if reader.problems.is_empty() {
                let rule = "the operating system gave no random bytes for a key";
                reader.problem("SESSION_KEYS", None, rule);
            }
            return Err(Problems(reader.problems));
        };
        Ok(Self {
            bind_addr,
            #[cfg(feature = "metrics")]
            metrics_addr,
            shutdown_delay: Duration::from_secs(shutdown_delay.unwrap_or(0)),
            session: SessionConfig {
                keys,
                idle_timeout,
                secure,
                store,
            },
            ephemeral_key,
            credentials,
            trusted_proxies: TrustedProxies(trusted_proxies.unwrap_or(0)),
            cross_origin,
            hsts: build == Build::Release && secure,
            log_format: log_format.unwrap_or(LogFormat::Text),
            log_filter: log_filter.unwrap_or(Targets::new().with_default(Level::INFO)),
        })
    }
}

/// Reads settings one by one and gathers what is wrong with them.
struct Reader<V> {
    build: Build,
    variable: V,
    problems: Vec<String>,
}

impl<V: Fn(&'static str) -> Option<String>> Reader<V> {
    fn text(&self, name: &'static str) -> Option<String> {
        (self.variable)(name).filter(|text| !text.is_empty())
    }

    fn problem(&mut self, name: &'static str, value: Option<&str>, rule: impl fmt::Display) {
        self.problems.push(match value {
            Some(value) => format!("{name} = {value:?}: {rule}"),
            None => format!("{name}: {rule}"),
        });
    }

    /// The value of a setting; `None` where it is not set, and after a problem.
    fn setting<T>(
        &mut self,
        name: &'static str,
        rule: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.problem(name, Some(&text), rule);
        }
        value
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.setting(name, "`true` or `false`", |text| text.parse().ok())
    }

    fn credentials(&mut self) -> Option<Credentials> {
        let Some(text) = self.text(credentials::SETTING) else {
            self.check_open_login();
            return None;
        };
        let opened = Credentials::open(&text);
        let problems = opened.as_ref().err().cloned();
        for problem in problems.unwrap_or_default() {
            self.problem(credentials::SETTING, Some(&text), problem);
        }
        opened.ok()
    }

    fn check_open_login(&mut self) {
        let name = "ALLOW_OPEN_LOGIN";
        let text = self.text(name);
        let rule = match text.as_deref() {
            Some("true") => return,
            None if self.build == Build::Debug => return,
            None | Some("false") => format!(
                "login takes any user ID without a password: say who may log in with {}, or set \
                 this to `true` to let everybody in",
                credentials::SETTING
            ),
            Some(_) => "`true` or `false`".to_owned(),
        };
        self.problem(name, text.as_deref(), rule);
    }

    fn store(&mut self, ephemeral_key: bool) -> StoreConfig {
        if let Some(url) = self.text("REDIS_URL") {
            #[cfg(feature = "redis")]
            match redis::Client::open(url) {
                Ok(client) => return StoreConfig::Redis(client),
                // The value may hold a password.
                Err(_) => self.problem("REDIS_URL", None, "a URL such as redis://127.0.0.1:6379"),
            }
            #[cfg(not(feature = "redis"))]
            {
                drop(url);
                let rule = "this build left Redis out: build with `--features redis`";
                self.problem("REDIS_URL", None, rule);
            }
        }
        match self.text("REVOCATION_FILE") {
            Some(path) => StoreConfig::File(path.into()),
            // Sessions that end with the process need no file.
            None if ephemeral_key => StoreConfig::Memory,
            None => StoreConfig::File(REVOCATION_FILE.into()),
        }
    }

    fn keys(&mut self) -> Option<SessionKeys> {
        let release = self.build == Build::Release;
        let Some(text) = self.text("SESSION_KEYS") else {
            if release {
                self.problem("SESSION_KEYS", None, format!("is not set: {KEYS_RULE}"));
            }
            return None;
        };
        let mut keys = Vec::new();
        for (at, text) in text.split(',').enumerate() {
            match keys::parse_key(text.trim(), release) {
                Ok(key) => keys.push(key),
                Err(fault) => {
                    let rule = format!("key {} {fault}: {KEYS_RULE}", at + 1);
                    self.problem("SESSION_KEYS", None, rule);
                }
            }
        }
        SessionKeys::new(keys)
    }

    fn check_insecure_cookie(&mut self, bind_addr: SocketAddr) {
        let reasons = [
            (
                COOKIE_NAME.starts_with("__"),
                "browsers refuse a cookie with a name like this app's that is not Secure",
            ),
            (
                SAME_SITE == SameSite::None,
                "browsers refuse a SameSite=None cookie that is not Secure",
            ),
            (
                self.build == Build::Release && !bind_addr.ip().is_loopback(),
                INSECURE_BEYOND_LOOPBACK,
            ),
        ];
        for (_, reason) in reasons.iter().filter(|(applies, _)| *applies) {
            self.problem("COOKIE_SECURE", Some("false"), *reason);
        }
    }

    fn cross_origin(&mut self) -> CsrfLayer {
        let mut layer = CsrfLayer::new();
        let Some(text) = self.text("TRUSTED_ORIGINS") else {
            return layer;
        };
        for origin in text.split(',').map(str::trim) {
            // The check compares bytes: another spelling than a browser's would never match.
            let as_sent = Url::parse(origin).is_ok_and(|url| {
                url.origin().is_tuple() && url.origin().ascii_serialization() == origin
            });
            match layer.clone().add_trusted_origin(origin) {
                Ok(with_origin) if as_sent => layer = with_origin,
                _ => {
                    let rule = "an origin as browsers send it, such as https://app.example, or \
                                several separated by commas";
                    self.problem("TRUSTED_ORIGINS", Some(origin), rule);
                }
            }
        }
        layer
    }
}
