//! `REDIS_URL`: several instances are one service. Against a real `redis-server`, from the `PATH`.

#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::{env, path::PathBuf, thread};

use common::{process::*, *};
use redis::{Client, FromRedisValue};

/// A Redis on a port of loopback, ended with the test. Keeps what it holds in its folder.
struct RedisServer {
    process: Option<Process>,
    port: u16,
    folder: PathBuf,
}

impl RedisServer {
    fn start() -> Self {
        // A port of this test alone, also while its Redis is down: systems give out higher ones.
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
        let mut server = Self {
            process: None,
            port: first + NEXT.fetch_add(1, Ordering::Relaxed),
            folder: working_folder(),
        };
        server.start_again();
        server
    }

    fn start_again(&mut self) {
        let (port, fixed) = (self.port, "--appendonly yes --appendfsync always");
        let options = format!("--bind 127.0.0.1 --port {port} --requirepass hunter2 {fixed}");
        let options: Vec<&str> = options.split(' ').collect();
        let path = env::var("PATH").unwrap();
        let mut command = command("redis-server", &self.folder, &options, &[("PATH", &path)]);
        self.process = Some(Process::spawn(&mut command));
        until(|| TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn url(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@127.0.0.1:{}", self.port)
    }

    /// Sends a command, such as `CONFIG SET maxmemory 1`, and has its answer.
    fn says<T: FromRedisValue>(&self, command: &str) -> T {
        let client = Client::open(self.url("", "hunter2")).unwrap();
        let mut connection = client.get_connection().unwrap();
        let mut words = command.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        let command = command.arg(words.collect::<Vec<_>>());
        command.query(&mut connection).unwrap()
    }

    /// Starts an instance of the app.
    fn instance(&self, settings: &[(&str, &str)]) -> (Process, SocketAddr) {
        let url = self.url("", "hunter2");
        Process::serving(&self.folder, &[&[("REDIS_URL", &*url)], settings].concat())
    }
}

fn is_ready(address: SocketAddr) -> bool {
    send(address, "GET /@readyz", "Accept: */*", "").is_ok_and(|answer| answer.status == 200)
}

#[test]
fn instances_with_the_same_keys_and_redis_are_one_service() {
    let redis = RedisServer::start();
    let [(_first, one), (_second, two)] = [(); 2].map(|()| redis.instance(&[]));
    let [alice, again, other] = [one, one, two].map(|address| login(address, "alice"));
    let bob = login(two, "bob");
    // What both say about each cookie: 200 or 401 twice.
    let both = |cookie| status(one, cookie) + status(two, cookie);
    let all = || [&alice, &again, &other, &bob].map(|cookie| both(cookie));
    assert_eq!(all(), [400, 400, 400, 400]);
    assert_eq!(logout(two, &alice), 303);
    assert_eq!(all(), [802, 400, 400, 400]);
    assert_eq!(post(one, "/logout/everywhere", &again, "").status, 303);
    assert_eq!(all(), [802, 802, 802, 400]);
    assert_eq!(status(one, &login(two, "alice")), 200);
    assert!(!redis.folder.join("revocations.redb").exists());

    // The entries expire a lifetime after their sessions would have ended.
    let mut keys: Vec<String> = redis.says("KEYS *");
    keys.sort();
    let (claims, prefix) = (opened(&alice), format!("{COOKIE_NAME}:ended:"));
    let session = format!("{prefix}session:{}", claims["jti"].as_str().unwrap());
    assert_eq!(keys, [session, prefix + "user:alice"]);
    for key in keys {
        let passed = 2 * LIFETIME - redis.says::<i64>(&format!("TTL {key}"));
        assert!((0..20).contains(&passed), "{key}: {passed}");
    }
}

#[test]
fn of_two_logouts_everywhere_at_once_the_later_one_stands() {
    let redis = RedisServer::start();
    let [(_first, one), (_second, two)] = [(); 2].map(|()| redis.instance(&[]));
    let key = format!("{COOKIE_NAME}:ended:user:alice");
    let mut last = 0_i64;
    for _ in 0..5 {
        let cookies = [one, two].map(|address| (address, login(address, "alice")));
        thread::scope(|scope| {
            for (address, cookie) in &cookies {
                scope.spawn(|| {
                    post(*address, "/logout/everywhere", cookie, "");
                    assert_eq!(status(*address, cookie), 401);
                });
            }
        });
        let number = redis.says(&format!("GET {key}"));
        assert!(number > last, "{number} after {last}");
        last = number;
    }
    // The clock of another instance was ahead: the number does not go down.
    let ahead = last + 1_000_000;
    let _: String = redis.says(&format!("SET {key} {ahead}"));
    let cookie = login(one, "alice");
    assert_eq!(post(two, "/logout/everywhere", &cookie, "").status, 303);
    assert_eq!(redis.says::<i64>(&format!("GET {key}")), ahead + 1);
    assert_eq!(status(one, &cookie), 401);
}

#[test]
fn a_session_that_cannot_be_checked_is_refused_with_503_until_the_store_is_back() {
    let mut redis = RedisServer::start();
    let (process, address) = redis.instance(&[("RUST_LOG", "info")]);
    let [live, ended] = [(); 2].map(|()| login(address, "alice"));
    assert_eq!(logout(address, &ended), 303);
    redis.process = None;
    let asked = "GET /me,GET /,POST /logout,POST /logout/everywhere,POST /login,GET /@readyz";
    for asked in asked.split(',') {
        for cookie in [&live, &ended] {
            let answer = send(address, asked, &cookie_header(cookie), "user_id=alice").unwrap();
            assert_eq!(answer.status, 503, "{asked}: {}", answer.body);
            assert_eq!(answer.header("retry-after"), Some("5"));
            assert_eq!(answer.header("set-cookie"), None);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
    }
    // What needs no check is answered as ever.
    let forged = format!("{live}x");
    assert_eq!([status(address, ""), status(address, &forged)], [401; 2]);
    assert_eq!(logout(address, &forged), 303);
    while !process.line().contains("event=\"store_away\"") {}
    redis.start_again();
    until(|| is_ready(address));
    assert_eq!(status(address, &ended), 401);
    assert_eq!(status(address, &live), 200);
    assert_eq!([logout(address, &live), status(address, &live)], [303, 401]);
    // An instance may start before its Redis.
    redis.process = None;
    let (_process, address) = redis.instance(&[]);
    assert!(!is_ready(address));
    redis.start_again();
    until(|| is_ready(address));
}

#[test]
fn readiness_is_503_where_redis_answers_and_takes_no_end_of_a_session() {
    let redis = RedisServer::start();
    let _: String = redis.says("ACL SETUSER app >hunter2 on ~* +@all");
    let url = redis.url("app", "hunter2");
    let (_process, address) = redis.instance(&[("REDIS_URL", &url)]);
    let cookie = login(address, "alice");
    for (broken, whole) in [
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("ACL SETUSER app -eval", "ACL SETUSER app +eval"),
        ("ACL SETUSER app -set", "ACL SETUSER app +set"),
    ] {
        let _: String = redis.says(broken);
        assert!(!is_ready(address), "{broken}");
        assert_eq!(logout(address, &cookie), 503, "{broken}");
        let _: String = redis.says(whole);
        assert!(is_ready(address), "{whole}");
    }
    assert_eq!(status(address, &cookie), 200);
}

#[test]
fn a_wrong_password_of_redis_is_named_in_the_log_and_no_password_is_shown() {
    let redis = RedisServer::start();
    let url = redis.url("", "secret");
    let key = key(b'a');
    let settings = [ANY_PORT, OPEN, ("SESSION_KEYS", &*key), ("REDIS_URL", &url)];
    let process = Process::start(&redis.folder, &[], &settings);
    // Redis may refuse before the app says where it listens.
    let (mut address, mut refusal) = (None, None);
    while address.is_none() || refusal.is_none() {
        let line = process.line();
        address = address.or(address_in(&line));
        let event = "ERROR app::session::revocation::redis: event=\"store_refused\"";
        refusal = refusal.or(line.contains(event).then_some(line));
    }
    let line = refusal.unwrap();
    assert!(line.contains("setting=\"REDIS_URL\""), "{line}");
    let hidden = ["deadline", "secret"].map(|word| line.contains(word));
    assert_eq!(hidden, [false; 2], "{line}");
    assert!(!is_ready(address.unwrap()));
    let config = config(RELEASE, &[("REDIS_URL", &url)]);
    assert!(!format!("{:?}", config.session.store).contains("secret"));
    for broken in ["", "redis://:", "redis://host:"] {
        let broken = format!("{broken}secret");
        let problems = read(DEBUG, &[("REDIS_URL", &broken)]).err().unwrap();
        let expected = "\n  REDIS_URL: a URL such as redis://127.0.0.1:6379";
        assert!(problems.ends_with(expected), "{problems}");
    }
}

#[cfg(unix)]
#[test]
fn a_rolling_restart_with_new_keys_loses_no_request_of_who_asks_for_readiness() {
    let redis = RedisServer::start();
    let start = |address: &str, keys: &str| {
        let bind_addr = ("BIND_ADDR", address);
        let settings = [bind_addr, ("SHUTDOWN_DELAY", "1"), ("SESSION_KEYS", keys)];
        let (process, address) = redis.instance(&settings);
        until(|| is_ready(address));
        (process, address)
    };
    let (old, new) = (key(b'a'), key(b'b'));
    let [(mut first, one), (mut second, two)] = [(); 2].map(|()| start(ANY_PORT.1, &old));
    let stop = AtomicBool::new(false);
    // Logs in and out, each request at the next instance that says it is ready.
    let visit = || {
        let mut turns = [one, two].into_iter().cycle();
        let mut ready = || {
            let mut both = turns.by_ref().take(2);
            both.find(|at| is_ready(*at)).expect("one is ready")
        };
        while !stop.load(Ordering::Relaxed) {
            let cookie = login(ready(), "alice");
            assert_eq!(status(ready(), &cookie), 200);
            assert_eq!(logout(ready(), &cookie), 303);
            assert_eq!(status(ready(), &cookie), 401);
        }
    };
    thread::scope(|scope| {
        let _visitors = [(); 3].map(|()| scope.spawn(visit));
        // All learn the new key before the first signs with it, and the old one goes last.
        for keys in [format!("{old},{new}"), format!("{new},{old}")] {
            for (process, address) in [(&mut first, one), (&mut second, two)] {
                process.signal("TERM");
                until_refused(address);
                let (fresh, _) = start(&address.to_string(), &keys);
                assert!(std::mem::replace(process, fresh).end().0.success());
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}
