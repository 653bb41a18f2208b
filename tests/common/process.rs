//! The program as a process, and HTTP with it over real connections.

mod http;

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
};

pub use self::http::*;

pub const PROGRAM: &str = env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME")));
pub const ANY_PORT: (&str, &str) = ("BIND_ADDR", "127.0.0.1:0");

/// What a release build needs to start without users.
pub const OPEN: (&str, &str) = ("ALLOW_OPEN_LOGIN", "true");

/// The program while it runs; killed when the test is done with it.
pub struct Process {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Process {
    /// Starts the program in an empty working folder with no settings but these.
    pub fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::start_in(&working_folder(), arguments, settings)
    }

    /// Starts the program beside a `.env` with this text.
    pub fn start_beside(dotenv: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let folder = working_folder();
        fs::write(folder.join(".env"), dotenv).unwrap();
        Self::start_in(&folder, arguments, settings)
    }

    /// Starts the program in this working folder.
    pub fn start_in(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::start_program(PROGRAM, folder, arguments, settings)
    }

    /// Starts a program that becomes ours.
    pub fn start_program(
        program: &str,
        folder: &Path,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        Self::start_with_input(Stdio::null(), program, folder, arguments, settings)
    }

    /// The same with this as its standard input.
    pub fn start_with_input(
        input: Stdio,
        program: &str,
        folder: &Path,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            // Windows opens no socket without it.
            .envs(env::var_os("SystemRoot").map(|root| ("SystemRoot", root)))
            .envs(settings.iter().copied())
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
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
        let (_, address) = line.split_once("listening on http://").expect(&line);
        address.parse().unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `TERM`.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.unwrap().success());
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

    /// Waits for the end of a start that must fail; standard error.
    pub fn failure(self) -> String {
        let (status, _, err) = self.end();
        assert_eq!(status.code(), Some(1), "{err}");
        err
    }

    /// The same where not even a word may come on standard output.
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

/// A folder of the running test, empty.
pub fn working_folder() -> PathBuf {
    let test = thread::current().name().unwrap().replace("::", "-");
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

pub fn generated_key() -> String {
    let (status, out, err) = Process::start_in(&env::temp_dir(), &["generate-key"], &[]).end();
    assert!(status.success(), "{err}");
    assert_eq!((out.lines().count(), err.as_str()), (1, ""));
    out.trim_end().to_owned()
}
