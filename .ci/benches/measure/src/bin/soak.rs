//! Clients log in and out without a pause, while the app crashes, restarts and is left without its store.
//!
//! `soak PROGRAM SECONDS [redis]` does so with the embedded store, or with a `redis-server` of its own. It
//! fails where a request is answered wrongly or, while nothing is broken on purpose, not at all; where a
//! session lives whose logout was answered, or is gone without one; and where memory grows. What a logout
//! did that nobody was answered is left open.
//!
//! Memory is that of a process which lives for half of the time. What warms up grows once and a leak goes on,
//! so the last two thirds of its life are compared, beside 128 bytes for each logout, which the store has to
//! remember: it may not grow by more than 1 MiB in both of them.

use std::{
    env, fs,
    io::{self, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use measure::{
    Result,
    http::{Connection, PATIENCE, Reply, get},
};

const CLIENTS: usize = 32;
/// How long all is well between two faults, and how long the store is away.
const PAUSE: Duration = Duration::from_millis(400);
const AWAY: Duration = Duration::from_millis(200);
/// How much memory may grow in each of two equal times.
const ALLOWED_KIB: i64 = 1024;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (program, seconds, redis) = match arguments[..] {
        [program, seconds] => (program, seconds, false),
        [program, seconds, "redis"] => (program, seconds, true),
        _ => return Err("usage: soak PROGRAM SECONDS [redis]".into()),
    };
    let time = Duration::from_secs(seconds.parse()?);
    let folder = env::temp_dir().join(format!("soak-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let soaked = soak(&fs::canonicalize(program)?, &folder, time, redis);
    fs::remove_dir_all(&folder)?;
    soaked
}

fn soak(program: &Path, folder: &Path, time: Duration, redis: bool) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let watch = Watch::default();
    let mut service = Service::start(program, folder, &listener, redis)?;
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| Client::new(&watch, address, number))
        .collect();
    let grown = thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| {
                while !watch.stop.load(Relaxed) {
                    client.step();
                }
            });
        }
        let conducted = conduct(&watch, &mut service, time);
        watch.stop.store(true, Relaxed);
        conducted
    })?;

    // What counts is what outlives the process.
    watch.broken(|| service.crash())?;
    thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| (0..client.sessions.len()).for_each(|at| client.look(at)));
        }
    });
    let states = || clients.iter().flat_map(|client| &client.sessions);
    let count = |wanted| states().filter(|(_, state)| *state == wanted).count();
    println!(
        "{}: {} requests, {} broken off, {} sent again and {} forged; {} crashes, {} restarts, {} times without the \
         store; sessions: {} live, {} logged out, {} open; memory grew by {} and {} KiB",
        if redis { "redis" } else { "file" },
        watch.requests.load(Relaxed),
        watch.broken_off.load(Relaxed),
        watch.sent_again.load(Relaxed),
        watch.forged.load(Relaxed),
        service.crashes,
        service.restarts,
        service.times_away,
        count(State::Live),
        count(State::Ended),
        count(State::Open),
        grown[0],
        grown[1],
    );
    let mut wrong = watch.wrong.into_inner()?;
    if grown.iter().all(|kib| *kib > ALLOWED_KIB) {
        wrong.push("memory grew".to_owned());
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let examples = &wrong[..wrong.len().min(5)];
    Err(format!("{} went wrong, such as: {examples:#?}", wrong.len()).into())
}

/// Breaks one thing after the other. How many KiB the last process grew by in each of two equal times,
/// without what it has to remember.
fn conduct(watch: &Watch, service: &mut Service, time: Duration) -> Result<[i64; 2]> {
    let since = Instant::now();
    while since.elapsed() < time / 2 {
        thread::sleep(PAUSE);
        watch.broken(|| service.crash())?;
        thread::sleep(PAUSE);
        // Nothing may be noticed of this.
        service.restart()?;
        thread::sleep(PAUSE);
        watch.broken(|| service.lose_its_store())?;
    }
    service.restart()?;
    let mut beyond_logouts = [0; 3];
    for (nth, kib) in (4..).zip(&mut beyond_logouts) {
        while since.elapsed() < time * nth / 6 {
            thread::sleep(PAUSE);
            watch.broken(|| service.lose_its_store())?;
        }
        let remembered = i64::try_from(watch.logouts.load(Relaxed))? * 128 / 1024;
        *kib = service.resident_kib()? - remembered;
    }
    let [warm, between, end] = beyond_logouts;
    Ok([between - warm, end - between])
}

/// What all clients share.
#[derive(Default)]
struct Watch {
    stop: AtomicBool,
    /// Odd while something is broken on purpose.
    faults: AtomicUsize,
    requests: AtomicUsize,
    logouts: AtomicUsize,
    broken_off: AtomicUsize,
    sent_again: AtomicUsize,
    forged: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Watch {
    /// While this runs, requests may fail.
    fn broken<T>(&self, run: impl FnOnce() -> T) -> T {
        self.faults.fetch_add(1, Relaxed);
        let done = run();
        self.faults.fetch_add(1, Relaxed);
        done
    }

    fn wrong(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.push(what);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Live,
    Ended,
    /// It was to end, and nobody was answered.
    Open,
}

/// A user, who alone knows these sessions.
struct Client<'a> {
    watch: &'a Watch,
    address: SocketAddr,
    user_id: String,
    random: usize,
    /// Whether it keeps a connection for the next request.
    keeps: bool,
    kept: Option<(usize, Connection)>,
    sessions: Vec<(String, State)>,
}

impl<'a> Client<'a> {
    fn new(watch: &'a Watch, address: SocketAddr, number: usize) -> Self {
        Self {
            watch,
            address,
            user_id: format!("user-{number}"),
            random: number + 1,
            keeps: number.is_multiple_of(2),
            kept: None,
            sessions: Vec::new(),
        }
    }

    /// A number below `end`.
    fn pick(&mut self, end: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 33) % end
    }

    fn step(&mut self) {
        let Some(live) = self
            .sessions
            .iter()
            .rposition(|(_, state)| *state == State::Live)
        else {
            return self.log_in("");
        };
        let cookie = self.sessions[live].0.clone();
        match self.pick(1000) {
            0..250 => self.log_in(""),
            250..600 => {
                let any = self.pick(self.sessions.len());
                self.look(any);
            }
            600..750 => {
                let answered = self.ask_for_303("/logout", &cookie, "").is_some();
                self.ended(&cookie, answered);
            }
            750..800 => self.log_in(&cookie),
            800..900 => self.forge(&cookie),
            900..999 => self.break_off(&cookie),
            _ => self.log_out_everywhere(&cookie),
        }
    }

    /// Sends a request. `None` where it failed, as it may while something is broken.
    fn ask(&mut self, method: &str, path: &str, cookie: &str, form: &str) -> Option<Reply> {
        let before = self.watch.faults.load(Relaxed);
        let answer = self.exchange(before, method, path, cookie, form);
        self.watch.requests.fetch_add(1, Relaxed);
        let broken = before % 2 == 1 || self.watch.faults.load(Relaxed) != before;
        match answer {
            Ok(answer) if answer.status != 503 => return Some(answer),
            _ if broken => {}
            Ok(answer) => self.watch.wrong(format!("{path}: {}", answer.body)),
            Err(error) => self.watch.wrong(format!("{path}: {error}")),
        }
        None
    }

    /// Sends a request over the connection kept, unless the process that had it may have crashed since.
    fn exchange(
        &mut self,
        faults: usize,
        method: &str,
        path: &str,
        cookie: &str,
        form: &str,
    ) -> io::Result<Reply> {
        let says = if self.keeps { "keep-alive" } else { "close" };
        let kept = self.kept.take().filter(|(since, _)| *since == faults);
        let is_kept = kept.is_some();
        let mut connection = match kept {
            Some((_, connection)) => connection,
            None => Connection::open(self.address)?,
        };
        let mut answer = connection.send(says, method, path, cookie, form);
        // A kept connection may be closed at the very moment of the next request, which is then sent again
        // (RFC 9112, section 9.3.1).
        let closed = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
        if is_kept && answer.as_ref().is_err_and(closed) {
            self.watch.sent_again.fetch_add(1, Relaxed);
            connection = Connection::open(self.address)?;
            answer = connection.send(says, method, path, cookie, form);
        }
        let answer = answer?;
        if self.keeps && answer.header("connection") != Some("close") {
            self.kept = Some((faults, connection));
        }
        Ok(answer)
    }

    fn ask_for_303(&mut self, path: &str, cookie: &str, form: &str) -> Option<Reply> {
        let answer = self.ask("POST", path, cookie, form)?;
        if answer.status != 303 {
            self.watch.wrong(format!("{path}: {}", answer.status));
        }
        Some(answer)
    }

    /// Logs in, in place of the session that comes along.
    fn log_in(&mut self, cookie: &str) {
        let form = format!("user_id={}", self.user_id);
        let answer = self.ask_for_303("/login", cookie, &form);
        self.ended(cookie, answer.is_some());
        if let Some(answer) = answer {
            self.sessions.push((answer.cookie(), State::Live));
        }
    }

    /// Asks who is logged in.
    fn look(&mut self, at: usize) {
        let (cookie, state) = self.sessions[at].clone();
        let Some(answer) = self.ask("GET", "/me", &cookie, "") else {
            return;
        };
        match (answer.status, state) {
            (200, State::Live | State::Open) if answer.body.ends_with(&self.user_id) => {}
            (401, State::Ended | State::Open) => {}
            (200, State::Ended) => self
                .watch
                .wrong("a session lives after its logout".to_owned()),
            (401, State::Live) => self
                .watch
                .wrong("a session is gone without a logout".to_owned()),
            (status, _) => self.watch.wrong(format!("/me: {status} {}", answer.body)),
        }
    }

    fn log_out_everywhere(&mut self, cookie: &str) {
        let answered = self.ask_for_303("/logout/everywhere", cookie, "").is_some();
        for (_, state) in &mut self.sessions {
            if answered {
                *state = State::Ended;
            } else if *state == State::Live {
                *state = State::Open;
            }
        }
    }

    fn forge(&mut self, cookie: &str) {
        let (name, value) = cookie.split_once('=').unwrap_or_default();
        let other = if value.starts_with('A') { 'B' } else { 'A' };
        let forged = format!("{name}={other}{}", &value[1..]);
        self.watch.forged.fetch_add(1, Relaxed);
        if let Some(answer) = self.ask("GET", "/me", &forged, "")
            && answer.status != 401
        {
            self.watch.wrong(format!("forged: {}", answer.status));
        }
    }

    /// Sends a part of a request and goes; or all of it, without waiting for the answer.
    fn break_off(&mut self, cookie: &str) {
        let whole = format!("POST /logout HTTP/1.1\r\nHost: soak\r\nCookie: {cookie}\r\n\r\n");
        let body = "POST /login HTTP/1.1\r\nHost: soak\r\nContent-Length: 99\r\n\
                    Content-Type: application/x-www-form-urlencoded\r\n\r\nuser_id=";
        let part = match self.pick(3) {
            0 => &whole[..whole.len() - 2],
            1 => body,
            _ => {
                self.ended(cookie, false);
                &whole
            }
        };
        self.watch.broken_off.fetch_add(1, Relaxed);
        let stream = TcpStream::connect(self.address);
        let _ = stream.and_then(|mut stream| stream.write_all(part.as_bytes()));
    }

    fn ended(&mut self, cookie: &str, answered: bool) {
        for (known, state) in &mut self.sessions {
            if known == cookie {
                *state = if answered { State::Ended } else { State::Open };
                self.watch.logouts.fetch_add(1, Relaxed);
            }
        }
    }
}

/// The app behind a socket that stays, and its store.
struct Service<'a> {
    program: &'a Path,
    folder: &'a Path,
    listener: &'a TcpListener,
    key: String,
    redis: Option<Child>,
    app: Child,
    crashes: usize,
    restarts: usize,
    times_away: usize,
}

impl<'a> Service<'a> {
    fn start(
        program: &'a Path,
        folder: &'a Path,
        listener: &'a TcpListener,
        redis: bool,
    ) -> Result<Self> {
        let key = Command::new(program).arg("generate-key").output()?.stdout;
        let key = String::from_utf8(key)?.trim_end().to_owned();
        let redis = redis.then(|| start_redis(folder)).transpose()?;
        let app = start_app(program, folder, listener, &key, redis.is_some())?;
        let service = Self {
            program,
            folder,
            listener,
            key,
            redis,
            app,
            crashes: 0,
            restarts: 0,
            times_away: 0,
        };
        service.until_ready()?;
        Ok(service)
    }

    fn crash(&mut self) -> Result<()> {
        self.crashes += 1;
        self.app.kill()?;
        self.app.wait()?;
        self.start_app()
    }

    fn restart(&mut self) -> Result<()> {
        self.restarts += 1;
        let app = self.app.id().to_string();
        run("kill", &["-TERM", &app])?;
        let status = self.app.wait()?;
        if !status.success() {
            return Err(format!("it did not stop in order: {status}").into());
        }
        self.start_app()
    }

    /// Fills its disk, or crashes its Redis.
    fn lose_its_store(&mut self) -> Result<()> {
        self.times_away += 1;
        let app = format!("--pid={}", self.app.id());
        match &mut self.redis {
            None => {
                run("prlimit", &[&app, "--fsize=0:unlimited"])?;
                thread::sleep(AWAY);
                run("prlimit", &[&app, "--fsize=unlimited"])?;
            }
            Some(redis) => {
                redis.kill()?;
                redis.wait()?;
                thread::sleep(AWAY);
                *redis = start_redis(self.folder)?;
            }
        }
        self.until_ready()
    }

    fn start_app(&mut self) -> Result<()> {
        let redis = self.redis.is_some();
        self.app = start_app(self.program, self.folder, self.listener, &self.key, redis)?;
        self.until_ready()
    }

    fn until_ready(&self) -> Result<()> {
        let (since, address) = (Instant::now(), self.listener.local_addr()?);
        while get(address, "/@readyz", "")?.status != 200 {
            if since.elapsed() > PATIENCE {
                return Err("it does not get ready".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn resident_kib(&self) -> Result<i64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.app.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.ok_or("no VmRSS")?.trim().trim_end_matches(" kB");
        Ok(kib.parse()?)
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        for child in [Some(&mut self.app), self.redis.as_mut()]
            .into_iter()
            .flatten()
        {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start_app(
    program: &Path,
    folder: &Path,
    listener: &TcpListener,
    key: &str,
    redis: bool,
) -> Result<Child> {
    // Without the trap the first write too many would end it, which a full disk does not.
    let hand_over =
        "trap '' XFSZ; exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\"";
    let url = format!("unix://{}", folder.join("redis").display());
    Ok(Command::new("sh")
        .args(["-c", hand_over])
        .arg(program)
        .current_dir(folder)
        .env_clear()
        .envs([("SESSION_KEYS", key), ("ALLOW_OPEN_LOGIN", "true")])
        // What is freed would otherwise stay for each thread apart, and look like a leak for a minute.
        .env("MALLOC_ARENA_MAX", "1")
        .envs(redis.then_some(("REDIS_URL", url)))
        .stdin(OwnedFd::from(listener.try_clone()?))
        .stdout(Stdio::null())
        .spawn()?)
}

/// A Redis that forgets nothing, on a socket in this folder.
fn start_redis(folder: &Path) -> Result<Child> {
    let settings = "--port 0 --unixsocket redis --appendonly yes --appendfsync always";
    Ok(Command::new("redis-server")
        .args(settings.split(' '))
        .args(["--save", ""])
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()?)
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program).args(arguments).status()?;
    let failed = || format!("{program} {arguments:?}: {status}").into();
    status.success().then_some(()).ok_or_else(failed)
}
