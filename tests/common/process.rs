//! The program as a process, and HTTP with it over real connections.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// How long to wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const PROGRAM: &str = env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME")));
pub const ANY_PORT: (&str, &str) = ("BIND_ADDR", "127.0.0.1:0");

/// What a release build needs to start without users.
pub const OPEN: (&str, &str) = ("ALLOW_OPEN_LOGIN", "true");

/// The program while it runs; killed when the test is done with it. A line of its output is read when
/// the test asks for it, so the pipe of a test that does not ask is soon full.
pub struct Process {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

/// The names of variables and their values.
type Settings<'a> = &'a [(&'a str, &'a str)];

/// A program in this working folder, with no settings but these.
pub fn command(program: &str, folder: &Path, arguments: &[&str], settings: Settings) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        // Windows opens no socket without it.
        .envs(env::var_os("SystemRoot").map(|root| ("SystemRoot", root)))
        .envs(settings.iter().copied())
        .stdin(Stdio::null());
    command
}

/// Where the app listens, if the line says so.
pub fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once("listening on http://")?;
    // In JSON, more follows.
    address.split('"').next()?.parse().ok()
}

impl Process {
    /// Starts the program in this working folder, with no settings but these.
    pub fn start(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::spawn(&mut command(PROGRAM, folder, arguments, settings))
    }

    /// Starts the program in this working folder, with login open, a port of its own and the usual key
    /// unless the settings say otherwise.
    pub fn serving(folder: &Path, settings: &[(&str, &str)]) -> (Self, SocketAddr) {
        let key = super::key(b'a');
        let needed = [ANY_PORT, OPEN, ("SESSION_KEYS", &*key)];
        let process = Self::start(folder, &[], &[&needed, settings].concat());
        let address = process.address();
        (process, address)
    }

    pub fn spawn(command: &mut Command) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    pub fn line(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("a line in time")
    }

    /// Where the first line says that the app listens.
    pub fn address(&self) -> SocketAddr {
        let line = self.line();
        address_in(&line).expect(&line)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `TERM`.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        shell(&format!("kill -{name} {}", self.id()));
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end: the status, standard output and standard error.
    pub fn end(mut self) -> (ExitStatus, String, String) {
        let (out, err) = (rest(&self.out), rest(&self.err));
        (self.child.wait().unwrap(), out, err)
    }

    /// Waits for the end of a start that must fail, with no word on standard output; standard error.
    pub fn refusal(self) -> String {
        let (status, out, err) = self.end();
        assert_eq!((status.code(), &*out), (Some(1), ""), "{err}");
        err
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that must succeed.
#[cfg(unix)]
pub fn shell(line: &str) {
    let status = Command::new("sh").args(["-c", line]).status();
    assert!(status.unwrap().success(), "{line}");
}

/// A folder of the running test, empty.
pub fn working_folder() -> PathBuf {
    let test = thread::current().name().unwrap().replace("::", "-");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(0);
    thread::spawn(move || {
        let mut lines = BufReader::new(from).lines().map_while(Result::ok);
        lines.try_for_each(|line| sender.send(line))
    });
    receiver
}

fn rest(of: &Receiver<String>) -> String {
    let mut text = String::new();
    loop {
        match of.recv_timeout(PATIENCE) {
            Ok(line) => text = text + &line + "\n",
            Err(RecvTimeoutError::Disconnected) => return text,
            Err(RecvTimeoutError::Timeout) => panic!("still running after: {text}"),
        }
    }
}

/// What a request over a real connection was answered.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(known, value)| (known == name).then_some(value))
    }
}

/// Sends a request such as `GET /`, with a header, over a connection of its own. Fails where nobody answers it to its end.
pub fn send(address: SocketAddr, asked: &str, header: &str, form: &str) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // In one piece: who answers early may close before a second one.
    let request = format!(
        "{asked} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let reply = Reply {
        status: head[9..12].parse().map_err(io::Error::other)?,
        head: head.to_owned(),
        body: body.to_owned(),
    };
    let is_whole = reply.header("content-length") == Some(&*body.len().to_string());
    is_whole.then_some(reply).ok_or_else(cut)
}

pub fn cookie_header(cookie: &str) -> String {
    format!("Cookie: {cookie}")
}

pub fn get(address: SocketAddr, path: &str, cookie: &str) -> Reply {
    send(address, &format!("GET {path}"), &cookie_header(cookie), "").unwrap()
}

pub fn post(address: SocketAddr, path: &str, cookie: &str, form: &str) -> Reply {
    send(
        address,
        &format!("POST {path}"),
        &cookie_header(cookie),
        form,
    )
    .unwrap()
}

/// Logs in where login is open; the cookie, as the `Cookie` header has it.
pub fn login(address: SocketAddr, user_id: &str) -> String {
    let answer = post(address, "/login", "", &format!("user_id={user_id}"));
    assert_eq!(answer.status, 303, "{}", answer.body);
    let cookie = answer.header("set-cookie").expect(&answer.head);
    cookie.split_once(';').unwrap().0.to_owned()
}

/// The status of the logout of this session.
pub fn logout(address: SocketAddr, cookie: &str) -> u16 {
    post(address, "/logout", cookie, "").status
}

/// What `/me` says about this session: 200 while it is live.
pub fn status(address: SocketAddr, cookie: &str) -> u16 {
    get(address, "/me", cookie).status
}

/// Waits until this has happened.
pub fn until(happened: impl Fn() -> bool) {
    let since = Instant::now();
    while !happened() {
        assert!(since.elapsed() < PATIENCE, "it does not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until nobody listens there any more.
pub fn until_refused(address: SocketAddr) {
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    until(|| TcpStream::connect(address).is_err_and(refused));
}

/// What a process holds in memory now (`VmRSS`), or held at most (`VmHWM`), in KiB.
#[cfg(target_os = "linux")]
pub fn memory_kib(process: u32, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let (_, line) = status.split_once(&format!("{what}:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
