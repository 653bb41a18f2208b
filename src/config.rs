//! The settings: what may differ from one machine to the next. `.env.example` lists them all.

use std::{net::SocketAddr, time::Duration};

use axum_extra::extract::cookie::Key;
use tower_http::csrf::CsrfLayer;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::session::{SessionConfig, keys::SessionKeys};
use crate::users::{TrustedProxies, Users};
use crate::{rules, settings::Settings};

/// All settings, checked.
pub struct Config {
    /// Where to listen.
    pub bind_addr: SocketAddr,
    /// How long new connections are still taken when the process is told to stop.
    pub shutdown_delay: Duration,
    /// Keys, idle timeout, the `Secure` attribute and the store of sessions.
    pub session: SessionConfig,
    /// Whether the key was made up at start and is gone at the end.
    pub ephemeral_key: bool,
    /// Who may log in; `None` lets everybody in, without a password.
    pub users: Option<Users>,
    /// How far `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    pub(crate) cross_origin: CsrfLayer,
    /// Whether browsers are told to use HTTPS from now on.
    pub hsts: bool,
    /// Whether log lines are JSON.
    pub log_json: bool,
    /// What is logged.
    pub log_filter: EnvFilter,
}

impl Config {
    /// Reads the settings, of which only a `release` build needs any, from `variable`. Fails with all that
    /// is wrong: a line for each problem, with its rule and, unless it is a secret, its value.
    pub fn read(
        release: bool,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, String> {
        let mut settings = Settings {
            release,
            variable,
            problems: Vec::new(),
        };
        let rule = "an IP address and a port, such as 127.0.0.1:3000";
        let bind_addr = settings.parsed("BIND_ADDR", rule, |text| text.parse().ok());
        let bind_addr = bind_addr.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 3000)));
        let rule = "a whole number of seconds, at most 300";
        let seconds = |text: &str| text.parse().ok().filter(|seconds| *seconds <= 300);
        let shutdown_delay = settings.parsed("SHUTDOWN_DELAY", rule, seconds);
        let keys = settings.keys();
        let rule =
            "a whole number and a unit, `m`, `h` or `d`; at least 1 minute, at most 400 days";
        let parse = rules::parse_duration;
        let idle_timeout = settings.parsed("SESSION_IDLE_TIMEOUT", rule, parse);
        let secure = settings.secure(bind_addr);
        let cross_origin = settings.cross_origin();
        let users = settings.users();
        let rule = "a whole number: how many proxies stand between this app and its clients";
        let trusted_proxies = settings.parsed("TRUSTED_PROXIES", rule, |text| text.parse().ok());
        let is_json = |text: &str| matches!(text, "text" | "json").then_some(text == "json");
        let log_json = settings.parsed("LOG_FORMAT", "`text` or `json`", is_json);
        let rule = "levels for targets, such as `info` or `warn,app=debug`";
        let log_filter = settings.parsed("RUST_LOG", rule, parse_filter);
        // The lines of requests are `debug`: in production a proxy usually has them already.
        let filter = if release { "info" } else { "info,app=debug" };
        let log_filter = log_filter.or_else(|| parse_filter(filter));
        let ephemeral_key = keys.is_none();
        let store = settings.store(ephemeral_key);
        if !settings.problems.is_empty() {
            let problems = settings.problems.join("\n  ");
            let intro = "the app cannot start with these settings:";
            return Err(format!("{intro}\n  {problems}"));
        }
        let keys = keys.or_else(|| SessionKeys::new(Key::try_generate()));
        let keys = keys.ok_or("the operating system gave no random bytes for a key")?;
        Ok(Self {
            bind_addr,
            shutdown_delay: Duration::from_secs(shutdown_delay.unwrap_or(0)),
            session: SessionConfig {
                keys,
                idle_timeout,
                secure,
                store,
            },
            ephemeral_key,
            users,
            trusted_proxies: TrustedProxies(trusted_proxies.unwrap_or(0)),
            cross_origin,
            hsts: release && secure,
            log_json: log_json.unwrap_or(false),
            log_filter: log_filter.unwrap_or_default(),
        })
    }
}

fn parse_filter(text: &str) -> Option<EnvFilter> {
    // A bare word that is no level would be a target, and silence all others.
    let mut items = text.split(',');
    let is_level = |item: &str| !item.is_empty() && item.parse::<LevelFilter>().is_ok();
    let is_known = |item: &str| item.contains('=') || is_level(item);
    items.all(is_known).then(|| text.parse().ok())?
}
