//! The store of several instances: a Redis or Valkey that they share. Entries expire by themselves.
//! Redis must not evict them (`maxmemory-policy noeviction`), and has to keep them across its own
//! restart (`appendonly yes`, `appendfsync always`): a session whose end it forgets lives again.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{AsyncCommands, Client, ErrorKind, RedisResult};
use tokio::time::timeout;

use crate::defaults::COOKIE_NAME;
use crate::error::{Error, Result};

/// How long a request waits for Redis, also while the connection is made anew.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sets a number, or one more than there is: of two instances that end a user's sessions, the later
/// one stands.
const RAISE: &str = "
    local known = tonumber(redis.call('GET', KEYS[1]) or 0)
    return redis.call('SET', KEYS[1], math.max(known + 1, tonumber(ARGV[1])), 'EX', ARGV[2])";

/// One connection, which all requests share without waiting for each other's answers.
pub(in crate::session) struct RedisStore(ConnectionManager);

impl RedisStore {
    /// Connects when first asked: an instance may start before its Redis. Needs a Tokio runtime.
    pub fn open(client: Client) -> Result<Self, String> {
        tokio::spawn(report_refusal(client.clone()));
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_max_delay(PATIENCE / 2)
            .set_number_of_retries(usize::MAX);
        // Without it the system waits for many minutes for a host that vanished.
        let tcp = TcpSettings::default().set_nodelay(true);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(5 * PATIENCE);
        let address = client.get_connection_info().clone().set_tcp_settings(tcp);
        let client = Client::open(address).map_err(|error| error.to_string())?;
        let connection = ConnectionManager::new_lazy_with_config(client, config);
        connection.map(Self).map_err(|error| error.to_string())
    }

    pub async fn get<const N: usize>(&self, names: &[String; N]) -> Result<[Option<i64>; N]> {
        let keys = names.each_ref().map(|name| key(name));
        let found: Vec<Option<i64>> = answer(self.0.clone().mget(&keys)).await?;
        Ok(std::array::from_fn(|at| found.get(at).copied().flatten()))
    }

    pub async fn raise(&self, name: &str, number: i64, seconds: i64) -> Result<()> {
        let mut script = redis::cmd("EVAL");
        script.arg(RAISE).arg(1).arg(key(name)).arg(number);
        // An expiry of zero is an error to Redis.
        script.arg(seconds.max(1));
        answer(script.query_async(&mut self.0.clone())).await
    }
}

/// Two apps can share a Redis as long as their cookies have different names.
fn key(name: &str) -> String {
    format!("{COOKIE_NAME}:ended:{name}")
}

async fn answer<T>(asked: impl Future<Output = RedisResult<T>>) -> Result<T> {
    let answer = timeout(PATIENCE, asked).await.map_err(Error::store_away)?;
    answer.map_err(Error::store_away)
}

/// Says at start what the retries of the connection would hide: that Redis refuses the password.
async fn report_refusal(client: Client) {
    let connected = timeout(PATIENCE, client.get_multiplexed_async_connection()).await;
    if let Ok(Err(error)) = connected
        && error.kind() == ErrorKind::AuthenticationFailed
    {
        tracing::error!(event = "store_refused", setting = "REDIS_URL", %error);
    }
}
