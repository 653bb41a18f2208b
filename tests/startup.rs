//! The process: what it says when it starts, and why it does not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use app::config::Build;

const PROGRAM: &str = env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME")));
const PATIENCE: Duration = Duration::from_secs(60);
const ANY_PORT: (&str, &str) = ("BIND_ADDR", "127.0.0.1:0");

/// The program while it runs; killed when the test is done with it.
struct Process {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Process {
    /// Starts the program in an empty working folder with no settings but these.
    fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::start_beside(None, arguments, settings)
    }

    /// Starts the program beside a `.env` with this text.
    fn start_beside(dotenv: Option<&str>, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let folder = working_folder();
        if let Some(text) = dotenv {
            fs::write(folder.join(".env"), text).unwrap();
        }
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            // Windows opens no socket without it.
            .envs(env::var_os("SystemRoot").map(|root| ("SystemRoot", root)))
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    fn line(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("a line in time")
    }

    /// Where the first line says that the app listens.
    fn address(&self) -> SocketAddr {
        let line = self.line();
        let (_, address) = line.split_once("listening on http://").expect(&line);
        address.parse().unwrap()
    }

    /// Waits for the end: the status, standard output and standard error.
    fn end(mut self) -> (ExitStatus, String, String) {
        let (out, err) = (rest(&self.out), rest(&self.err));
        (self.child.wait().unwrap(), out, err)
    }

    /// Waits for the end of a start that must fail, without a word on standard output.
    fn refusal(self) -> String {
        let (status, out, err) = self.end();
        assert_eq!(status.code(), Some(1), "{err}");
        assert_eq!(out, "");
        err
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of the running test, empty.
fn working_folder() -> PathBuf {
    let test = thread::current().name().unwrap().to_owned();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
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

/// Sends a request over a connection of its own; the whole answer.
fn speak(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn generated_key() -> String {
    let (status, out, err) = Process::start(&["generate-key"], &[]).end();
    assert!(status.success(), "{err}");
    assert_eq!((out.lines().count(), err.as_str()), (1, ""));
    out.trim_end().to_owned()
}

#[test]
fn a_fresh_checkout_serves_on_loopback_and_a_release_build_says_what_it_needs() {
    let process = Process::start(&[], &[ANY_PORT]);
    if Build::CURRENT == Build::Release {
        let err = process.refusal();
        assert!(err.contains("\n  SESSION_KEYS: "), "{err}");
        assert!(err.contains("\n  ALLOW_OPEN_LOGIN: "), "{err}");
        return;
    }
    let address = process.address();
    assert!(address.ip().is_loopback() && address.port() != 0);
    let warning = process.line();
    assert!(warning.contains("WARN"), "{warning}");
    assert!(warning.contains("SESSION_KEYS is not set: sessions end with this process"));
    assert!(
        warning.contains("cargo run -q -- generate-key"),
        "{warning}"
    );
    let warning = process.line();
    assert!(
        warning.contains("WARN") && warning.contains("login is open"),
        "{warning}"
    );

    let head = format!("Host: {address}\r\nConnection: close\r\n");
    let answer = speak(address, &format!("GET /healthz HTTP/1.1\r\n{head}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"));

    let answer = speak(
        address,
        &format!(
            "POST /login HTTP/1.1\r\n{head}Content-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: 13\r\n\r\nuser_id=alice"
        ),
    );
    let (_, cookie) = answer.split_once("\r\nset-cookie: ").expect(&answer);
    let (cookie, _) = cookie.split_once(';').unwrap();
    let answer = speak(
        address,
        &format!("GET /me HTTP/1.1\r\n{head}Cookie: {cookie}\r\n\r\n"),
    );
    assert!(answer.ends_with("\r\n\r\nLogged in as alice"), "{answer}");
}

#[test]
fn a_generated_key_is_taken_as_session_keys_without_a_warning() {
    let key = generated_key();
    let settings = [
        ANY_PORT,
        ("SESSION_KEYS", &key),
        ("ALLOW_OPEN_LOGIN", "true"),
    ];
    let process = Process::start(&[], &settings);
    process.address();
    assert!(process.line().contains("login is open"));
}

#[test]
fn the_env_file_of_the_working_folder_is_read_and_the_environment_wins() {
    let dotenv = format!(
        "# a comment\nSESSION_KEYS={}\nALLOW_OPEN_LOGIN=true\nBIND_ADDR=nowhere\nLOG_FORMAT=json\n",
        generated_key()
    );
    let process = Process::start_beside(Some(&dotenv), &[], &[ANY_PORT]);
    let line = process.line();
    assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
    assert!(line.contains("listening on http://127.0.0.1:"), "{line}");
    assert!(process.line().contains("login is open"));
}

#[test]
fn bad_settings_are_named_all_at_once_and_nothing_is_bound() {
    let settings = [
        ("BIND_ADDR", "nowhere"),
        ("SESSION_KEYS", "c2VjcmV0"),
        ("SESSION_IDLE_TIMEOUT", "soon"),
        ("COOKIE_SECURE", "maybe"),
        ("ALLOW_OPEN_LOGIN", "true"),
        ("LOG_FORMAT", "xml"),
    ];
    let err = Process::start(&[], &settings).refusal();
    assert!(
        err.starts_with("error: the app cannot start with these settings:\n"),
        "{err}"
    );
    for problem in [
        "\n  BIND_ADDR = \"nowhere\": ",
        "\n  SESSION_KEYS: key 1 has 6 bytes",
        "\n  SESSION_IDLE_TIMEOUT = \"soon\": ",
        "\n  COOKIE_SECURE = \"maybe\": ",
        "\n  LOG_FORMAT = \"xml\": ",
    ] {
        assert!(err.contains(problem), "{problem} in {err}");
    }
    assert_eq!(err.lines().count(), 6, "{err}");
    assert!(!err.contains("c2VjcmV0"), "{err}");
}

#[test]
fn a_broken_line_of_the_env_file_is_reported_without_showing_it() {
    for line in ["SESSION_KEYS hunter2", "SESSION_KEYS='hunter2", "hunter2"] {
        let dotenv = format!("LOG_FORMAT=text\n{line}\n");
        let err = Process::start_beside(Some(&dotenv), &[], &[ANY_PORT]).refusal();
        assert!(err.contains(".env") && err.contains("NAME=value"), "{err}");
        assert!(!err.contains("hunter2"), "{err}");
    }
}

#[test]
fn an_unknown_argument_is_answered_with_the_usage() {
    for arguments in [&["serve"][..], &["--help"], &["generate-key", "2"]] {
        let err = Process::start(arguments, &[ANY_PORT]).refusal();
        assert!(
            err.contains("usage: ") && err.contains("generate-key"),
            "{err}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_sigterm_stops_it_in_order() {
    let key = generated_key();
    let settings = [
        ANY_PORT,
        ("SESSION_KEYS", &key),
        ("ALLOW_OPEN_LOGIN", "true"),
    ];
    let process = Process::start(&[], &settings);
    let address = process.address();
    let head = format!("Host: {address}\r\nConnection: close\r\n");
    assert!(speak(address, &format!("GET /healthz HTTP/1.1\r\n{head}\r\n")).contains("200 OK"));

    let kill = format!("kill -TERM {}", process.child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    let (status, out, err) = process.end();
    assert!(status.success(), "{err}");
    assert!(out.ends_with("stopped\n"), "{out}");
}
