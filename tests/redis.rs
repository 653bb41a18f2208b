//! `REDIS_URL`: several instances are one service. Against a real `redis-server`, from the `PATH`.

#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use app::{
    config::Build,
    defaults::{COOKIE_NAME, SESSION_MAX_AGE},
};
use common::{
    config,
    process::{ANY_PORT, OPEN, PATIENCE, Process, generated_key, get, login, post, working_folder},
    read,
};
use redis::Commands;

/// A Redis on a free port of loopback, ended with the test. Keeps what it holds in its folder.
struct RedisServer {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl RedisServer {
    fn start(folder: &Path) -> Self {
        let port = free_port();
        let folder = folder.to_owned();
        let child = spawn_redis(port, &folder);
        let server = Self {
            child,
            port,
            folder,
        };
        server.answers();
        server
    }

    fn answers(&self) {
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(since.elapsed() < PATIENCE, "redis-server does not listen");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = spawn_redis(self.port, &self.folder);
        self.answers();
    }

    fn url(&self) -> String {
        format!("redis://:hunter2@127.0.0.1:{}", self.port)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of this test alone, also while its Redis is down: below those that systems give out.
fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).unwrap() + 20_000;
    loop {
        let port = first + TAKEN.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn spawn_redis(port: u16, folder: &Path) -> Child {
    Command::new("redis-server")
        .args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
        ])
        .args([
            "--requirepass",
            "hunter2",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ])
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server, such as Debian's package has it")
}

fn instance(folder: &Path, keys: &str, redis: &str) -> (Process, SocketAddr) {
    let settings = [ANY_PORT, OPEN, ("SESSION_KEYS", keys), ("REDIS_URL", redis)];
    let process = Process::start_in(folder, &[], &settings);
    let address = process.address();
    (process, address)
}

fn status(address: SocketAddr, cookie: &str) -> u16 {
    get(address, "/me", cookie).unwrap().status
}

fn until_ready(address: SocketAddr) {
    let since = Instant::now();
    while get(address, "/@readyz", "").unwrap().status != 200 {
        assert!(since.elapsed() < PATIENCE, "it does not get ready");
    }
}

#[test]
fn instances_with_the_same_keys_and_redis_are_one_service() {
    let (folder, key) = (working_folder(), generated_key());
    let redis = RedisServer::start(&folder);
    let (_first, one) = instance(&folder, &key, &redis.url());
    let (_second, two) = instance(&folder, &key, &redis.url());

    let (alice, again, bob) = (login(one, "alice"), login(one, "alice"), login(two, "bob"));
    for address in [one, two] {
        assert_eq!(
            get(address, "/me", &alice).unwrap().body,
            "Logged in as alice"
        );
        assert_eq!(get(address, "/me", &bob).unwrap().body, "Logged in as bob");
    }
    assert_eq!(post(two, "/logout", &alice, "").unwrap().status, 303);
    assert_eq!((status(one, &alice), status(two, &alice)), (401, 401));
    assert_eq!((status(one, &again), status(two, &again)), (200, 200));

    let third = login(two, "alice");
    assert_eq!(
        post(one, "/logout/everywhere", &again, "").unwrap().status,
        303
    );
    for address in [one, two] {
        assert_eq!(
            (status(address, &again), status(address, &third)),
            (401, 401)
        );
        assert_eq!(status(address, &bob), 200);
    }
    let fourth = login(two, "alice");
    assert_eq!((status(one, &fourth), status(two, &fourth)), (200, 200));
    assert!(!folder.join("revocations.redb").exists());
}

#[test]
fn entries_expire_by_themselves_when_their_sessions_would_have_ended() {
    let (folder, key) = (working_folder(), generated_key());
    let redis = RedisServer::start(&folder);
    let (_process, address) = instance(&folder, &key, &redis.url());
    let (alice, bob) = (login(address, "alice"), login(address, "bob"));
    assert_eq!(post(address, "/logout", &alice, "").unwrap().status, 303);
    assert_eq!(
        post(address, "/logout/everywhere", &bob, "")
            .unwrap()
            .status,
        303
    );

    let mut connection = redis::Client::open(redis.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let mut keys: Vec<String> = connection.keys("*").unwrap();
    keys.sort();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(
        keys[0].starts_with(&format!("{COOKIE_NAME}:ended:session:")),
        "{keys:?}"
    );
    assert_eq!(keys[1], format!("{COOKIE_NAME}:ended:user:bob"));
    let whole = i64::try_from(SESSION_MAX_AGE.as_millis()).unwrap();
    for key in keys {
        let millis: i64 = connection.pttl(&key).unwrap();
        assert!(
            (whole - 10_000..=whole).contains(&millis),
            "{key}: {millis}"
        );
    }
}

#[test]
fn the_store_is_asked_once_about_a_session_however_often_its_cookie_is_sent() {
    let (folder, key) = (working_folder(), generated_key());
    let redis = RedisServer::start(&folder);
    let (_process, address) = instance(&folder, &key, &redis.url());
    let (ended, live) = (login(address, "alice"), login(address, "alice"));
    assert_eq!(post(address, "/logout", &ended, "").unwrap().status, 303);

    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut asked = || -> u32 {
        let stats: String = redis::cmd("INFO")
            .arg("commandstats")
            .query(&mut connection)
            .unwrap();
        let of_mget = stats
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_mget:calls="));
        of_mget
            .and_then(|calls| calls.split(',').next())
            .unwrap()
            .parse()
            .unwrap()
    };
    for (cookie, status) in [(&ended, 401), (&live, 200)] {
        let before = asked();
        let copies = vec![cookie.as_str(); 50].join("; ");
        assert_eq!(get(address, "/me", &copies).unwrap().status, status);
        assert_eq!(asked() - before, 1);
    }
}

#[test]
fn a_session_that_cannot_be_checked_is_refused_with_503_until_the_store_is_back() {
    let (folder, key) = (working_folder(), generated_key());
    let mut redis = RedisServer::start(&folder);
    let (_process, address) = instance(&folder, &key, &redis.url());
    let (live, ended) = (login(address, "alice"), login(address, "alice"));
    assert_eq!(post(address, "/logout", &ended, "").unwrap().status, 303);
    assert_eq!(get(address, "/@readyz", "").unwrap().status, 200);

    redis.end();
    for (method, path, cookie, form) in [
        ("GET", "/me", &*live, ""),
        ("GET", "/me", &*ended, ""),
        ("GET", "/", &*live, ""),
        ("POST", "/logout", &*live, ""),
        ("POST", "/logout/everywhere", &*live, ""),
        ("POST", "/login", "", "user_id=alice"),
        ("GET", "/@readyz", "", ""),
    ] {
        let answer = common::process::send(address, method, path, cookie, form).unwrap();
        assert_eq!(answer.status, 503, "{method} {path}: {}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    // What needs no check is answered as ever.
    assert_eq!(get(address, "/healthz", "").unwrap().status, 200);
    assert_eq!(get(address, "/", "").unwrap().status, 200);
    assert_eq!(get(address, "/me", "").unwrap().status, 401);
    assert_eq!(
        get(address, "/me", &format!("{live}x")).unwrap().status,
        401
    );
    assert_eq!(
        post(address, "/logout", &format!("{live}x"), "")
            .unwrap()
            .status,
        303
    );

    redis.start_again();
    until_ready(address);
    assert_eq!(
        (status(address, &live), status(address, &ended)),
        (200, 401)
    );
    assert_eq!(post(address, "/logout", &live, "").unwrap().status, 303);
    assert_eq!(status(address, &live), 401);
}

#[test]
fn an_instance_may_start_before_its_redis() {
    let (folder, key) = (working_folder(), generated_key());
    let mut redis = RedisServer::start(&folder);
    redis.end();
    let (_process, address) = instance(&folder, &key, &redis.url());
    assert_eq!(get(address, "/@readyz", "").unwrap().status, 503);
    redis.start_again();
    until_ready(address);
    assert_eq!(status(address, &login(address, "alice")), 200);
}

/// The instances that visitors are sent to. One is taken out when nobody waits for its answer.
type Service = RwLock<[SocketAddr; 2]>;

#[test]
fn a_key_rotation_rolls_through_the_instances_without_one_refused_request() {
    let folder = working_folder();
    let redis = RedisServer::start(&folder);
    let (old, new) = (generated_key(), generated_key());
    let start = |keys: &str| {
        let (process, address) = instance(&folder, keys, &redis.url());
        until_ready(address);
        (process, address)
    };
    let (mut running, addresses): (Vec<_>, Vec<_>) = (0..2).map(|_| start(&old)).unzip();
    let service = Service::new([addresses[0], addresses[1]]);
    let stop = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let visitors: Vec<_> = (0..4)
            .map(|number| {
                let (service, stop) = (&service, &stop);
                scope.spawn(move || visit(service, number, stop))
            })
            .collect();
        // All learn the new key before the first signs with it, and the old one goes last.
        for keys in [format!("{old},{new}"), format!("{new},{old}"), new.clone()] {
            for (at, process) in running.iter_mut().enumerate() {
                let (fresh, address) = start(&keys);
                service.write().unwrap()[at] = address;
                *process = fresh;
                thread::sleep(Duration::from_millis(300));
            }
        }
        stop.store(true, Ordering::Relaxed);
        let asked = visitors.into_iter().map(|visitor| visitor.join().unwrap());
        asked.sum::<usize>()
    });
    assert!(asked > 100, "{asked} requests");
}

/// Asks who is logged in, at one instance after the other, with the newest cookie, and logs in again
/// now and then. Every request must be answered as a visitor expects.
fn visit(service: &Service, number: usize, stop: &AtomicBool) -> usize {
    let user_id = format!("visitor-{number}");
    let mut cookie = login(service.read().unwrap()[0], &user_id);
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        let instances = service.read().unwrap();
        let address = instances[(number + asked) % 2];
        let answer = get(address, "/me", &cookie).unwrap();
        let expected = format!("Logged in as {user_id}");
        assert_eq!((answer.status, answer.body.as_str()), (200, &*expected));
        if answer.header("set-cookie").is_some() {
            cookie = answer.cookie();
        }
        if asked % 50 == 49 {
            cookie = login(address, &user_id);
        }
        asked += 1;
    }
    asked
}

#[cfg(unix)]
#[test]
fn a_rolling_restart_loses_no_request_of_who_asks_for_readiness() {
    let (folder, key) = (working_folder(), generated_key());
    let redis = RedisServer::start(&folder);
    let start = |address: &str| {
        let settings = [
            ("BIND_ADDR", address),
            OPEN,
            ("SESSION_KEYS", &*key),
            ("REDIS_URL", &*redis.url()),
            ("SHUTDOWN_DELAY", "1"),
        ];
        let process = Process::start_in(&folder, &[], &settings);
        let address = process.address();
        until_ready(address);
        (process, address)
    };
    let ((mut first, one), (mut second, two)) = (start(ANY_PORT.1), start(ANY_PORT.1));
    let stop = AtomicBool::new(false);
    let rounds = thread::scope(|scope| {
        let visitors: Vec<_> = (0..4)
            .map(|number| {
                let stop = &stop;
                scope.spawn(move || roam([one, two], number, stop))
            })
            .collect();
        for (process, address) in [(&mut first, one), (&mut second, two)] {
            process.signal("TERM");
            common::process::until_refused(address);
            let (fresh, _) = start(&address.to_string());
            let (status, _, err) = std::mem::replace(process, fresh).end();
            assert!(status.success(), "{err}");
        }
        stop.store(true, Ordering::Relaxed);
        let rounds = visitors.into_iter().map(|visitor| visitor.join().unwrap());
        rounds.sum::<usize>()
    });
    assert!(rounds > 20, "{rounds} rounds");
}

/// Logs in and out, each request at the next instance that says it is ready. Every one must be
/// answered as a visitor expects.
#[cfg(unix)]
fn roam(instances: [SocketAddr; 2], number: usize, stop: &AtomicBool) -> usize {
    let mut turns = instances.into_iter().cycle();
    let mut ready = || {
        let is_ready = |address: &SocketAddr| {
            get(*address, "/@readyz", "").is_ok_and(|answer| answer.status == 200)
        };
        turns.by_ref().take(2).find(is_ready).expect("one is ready")
    };
    let user_id = format!("visitor-{number}");
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        let cookie = login(ready(), &user_id);
        let me = get(ready(), "/me", &cookie).unwrap();
        assert_eq!(me.body, format!("Logged in as {user_id}"));
        assert_eq!(post(ready(), "/logout", &cookie, "").unwrap().status, 303);
        assert_eq!(status(ready(), &cookie), 401);
        rounds += 1;
    }
    rounds
}

#[test]
fn the_password_of_redis_is_shown_to_nobody() {
    let url = "redis://:hunter2@127.0.0.1:6379";
    let config = config(Build::Release, &[("REDIS_URL", url)]);
    assert!(!format!("{config:?}").contains("hunter2"));
    for broken in [
        "hunter2",
        "redis://:hunter2@",
        "redis://:hunter2@host:port",
        "http://hunter2",
    ] {
        let problems = read(Build::Debug, &[("REDIS_URL", broken)]).unwrap_err();
        assert!(
            problems.ends_with("\n  REDIS_URL: a URL such as redis://127.0.0.1:6379"),
            "{problems}"
        );
    }
}
