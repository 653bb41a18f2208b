//! Reads settings one by one and gathers what is wrong with them.

use std::{fmt::Display, net::SocketAddr};

use axum_extra::extract::cookie::SameSite;
use tower_http::csrf::CsrfLayer;

use crate::defaults::{COOKIE_NAME, SAME_SITE};
use crate::session::keys::{self, SessionKeys};
use crate::session::revocation::StoreConfig;
use crate::users::{self, Users};

const KEYS_RULE: &str = "base64 of at least 64 random bytes, or several separated by commas, newest \
                         first; make one with `cargo run -q -- generate-key`";
const OPEN_RULE: &str = "say who may log in with USERS_FILE, or set this to `true` to let everybody in without \
                         a password; it is `true` or `false`";
const ORIGINS_RULE: &str = "an origin as browsers send it, such as https://app.example, or several \
                            separated by commas";
const SECURE_RULE: &str = "`true` or `false`; browsers refuse `false` with a name that begins with `__` and with \
     SameSite=None, and a release build refuses it on an address other than loopback";

pub(crate) struct Settings<V> {
    /// Whether this is a release build, whose defaults are the strict ones.
    pub release: bool,
    pub variable: V,
    /// What is wrong so far: a line for each problem.
    pub problems: Vec<String>,
}

impl<V: Fn(&'static str) -> Option<String>> Settings<V> {
    fn problem(&mut self, name: &'static str, value: Option<&str>, rule: impl Display) {
        let value = value.map_or(String::new(), |value| format!(" = {value:?}"));
        self.problems.push(format!("{name}{value}: {rule}"));
    }

    /// The text of a setting; `None` where it is not set or empty. For three of them empty is a problem.
    fn text(&mut self, name: &'static str) -> Option<String> {
        let text = (self.variable)(name)?;
        if !text.trim().is_empty() {
            return Some(text);
        }
        if matches!(name, "SESSION_KEYS" | users::SETTING | "REDIS_URL") {
            self.problem(name, None, "is set but empty: give it a value or unset it");
        }
        None
    }

    /// The value of a setting; `None` where it is not set, and after a problem.
    pub fn parsed<T>(
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

    /// Who may log in; `None` for everybody, and after a problem.
    pub fn users(&mut self) -> Option<Users> {
        let has_users = (self.variable)(users::SETTING).is_some();
        let open = self.text("ALLOW_OPEN_LOGIN");
        let default = if self.release { "false" } else { "true" };
        let value = open.as_deref().unwrap_or(default);
        if value != "true" && !(has_users && value == "false") {
            self.problem("ALLOW_OPEN_LOGIN", open.as_deref(), OPEN_RULE);
        }
        let text = self.text(users::SETTING)?;
        let opened = Users::open(&text);
        for problem in opened.as_ref().err().into_iter().flatten() {
            self.problem(users::SETTING, Some(&text), problem);
        }
        opened.ok()
    }

    pub fn store(&mut self, ephemeral_key: bool) -> StoreConfig {
        if let Some(_url) = self.text("REDIS_URL") {
            #[cfg(feature = "redis")]
            match redis::Client::open(_url) {
                Ok(client) => return StoreConfig::Redis(client),
                // The value may hold a password.
                Err(_) => self.problem("REDIS_URL", None, "a URL such as redis://127.0.0.1:6379"),
            }
            #[cfg(not(feature = "redis"))]
            self.problem("REDIS_URL", None, "takes a build with `--features redis`");
        }
        match self.text("REVOCATION_FILE") {
            Some(path) => StoreConfig::File(path.into()),
            // Sessions that end with the process need no file.
            None if ephemeral_key => StoreConfig::Memory,
            None => StoreConfig::File("revocations.redb".into()),
        }
    }

    /// The keys; `None` where a debug build makes one up, and after a problem.
    pub fn keys(&mut self) -> Option<SessionKeys> {
        let name = "SESSION_KEYS";
        if self.release && (self.variable)(name).is_none() {
            self.problem(name, None, format!("is not set: {KEYS_RULE}"));
        }
        let text = self.text(name)?;
        let mut keys = Vec::new();
        for (key, number) in text.split(',').zip(1..) {
            let parsed = keys::parse_key(key.trim());
            let parsed = parsed.map_err(|fault| format!("key {number} {fault}: {KEYS_RULE}"));
            match parsed {
                Ok(key) => keys.push(key),
                Err(problem) => self.problem(name, None, problem),
            }
        }
        SessionKeys::new(keys)
    }

    pub fn secure(&mut self, bind_addr: SocketAddr) -> bool {
        // A socket that a service manager hands over may listen anywhere.
        let is_handed_over = (self.variable)("LISTEN_FDS").is_some();
        let beyond_loopback = self.release && (is_handed_over || !bind_addr.ip().is_loopback());
        let needed = COOKIE_NAME.starts_with("__") || SAME_SITE == SameSite::None;
        let allowed = |secure: &bool| *secure || !(needed || beyond_loopback);
        let parse = |text: &str| text.parse().ok().filter(allowed);
        let secure = self.parsed("COOKIE_SECURE", SECURE_RULE, parse);
        secure.unwrap_or(true)
    }

    /// The cross-origin check, with the origins that may post here.
    pub fn cross_origin(&mut self) -> CsrfLayer {
        let mut layer = CsrfLayer::new();
        let text = self.text("TRUSTED_ORIGINS").unwrap_or_default();
        for origin in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
            let is_https = origin.starts_with("https");
            let default_port = if is_https { ":443" } else { ":80" };
            let as_sent = origin.to_ascii_lowercase() == origin && !origin.ends_with(default_port);
            match layer.clone().add_trusted_origin(origin) {
                Ok(with_origin) if as_sent => layer = with_origin,
                _ => self.problem("TRUSTED_ORIGINS", Some(origin), ORIGINS_RULE),
            }
        }
        layer
    }
}
