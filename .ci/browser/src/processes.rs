//! What the checks need running: the app, `chromedriver`, and a site that is not the app's.

use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{self, Stdio},
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::{Error, Outcome};

/// How long a process may take to say what is waited for.
const START: Duration = Duration::from_secs(5);

/// A folder of this run, gone after it, and with it the browser that uses it.
pub struct WorkDir(PathBuf);

impl WorkDir {
    pub fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("browser-check-{}", process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// A new folder in it.
    pub fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// Where the browser keeps what it knows.
    pub fn profile(&self) -> PathBuf {
        self.0.join("profile")
    }

    /// The id of a browser that still has the profile open: one that chromedriver did not end.
    fn browser_left(&self) -> Option<String> {
        let profile = self.profile();
        // Chromium's lock is a link to `host-process`.
        let lock = fs::read_link(profile.join("SingletonLock")).ok()?;
        let id = lock.to_str()?.rsplit_once('-')?.1.to_owned();
        let command = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).into_owned();
        command.contains(profile.to_str()?).then_some(id)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if let Some(id) = self.browser_left() {
            let _ = process::Command::new("kill").args(["-KILL", &id]).status();
        }
        // The helpers of a browser write for a moment after it has ended.
        for _ in 0..20 {
            if fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The password of `alice`, where users have one.
pub const PASSWORD: &str = "correct horse";

/// The app, on a port of its own, with nothing in its environment but what is said here.
pub struct App(Listening);

impl App {
    /// Starts it in an empty folder, with `alice` in a users file or open to everybody.
    pub async fn start(app: &Path, dir: &Path, with_users: bool) -> Result<Self, Error> {
        let path = fs::canonicalize(app).map_err(|error| format!("{}: {error}", app.display()))?;
        let key = said(&path, &["generate-key"], "").await?;
        let mut command = Command::new(&path);
        command
            .current_dir(dir)
            .env_clear()
            .env("BIND_ADDR", "127.0.0.1:0")
            .env("SESSION_KEYS", key.trim());
        if with_users {
            let users = dir.join("users");
            fs::write(
                &users,
                said(&path, &["hash-password", "alice"], PASSWORD).await?,
            )?;
            command.env("USERS_FILE", users);
        } else {
            command.env("ALLOW_OPEN_LOGIN", "true");
        }
        let app = Listening::start(command, "listening on http://127.0.0.1:");
        Ok(Self(
            app.await.map_err(|error| format!("the app: {error}"))?,
        ))
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    pub async fn stop(self) -> Outcome {
        self.0.stop().await
    }
}

/// What the app says to standard output when it reads this line.
async fn said(app: &Path, arguments: &[&str], line: &str) -> Result<String, Error> {
    let mut command = Command::new(app);
    command.args(arguments).kill_on_drop(true);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.spawn()?;
    let mut stdin = child.stdin.take().ok_or("it has no standard input")?;
    // A command that reads nothing may have ended before.
    let _ = stdin.write_all(format!("{line}\n").as_bytes()).await;
    drop(stdin);
    let output = timeout(START, child.wait_with_output()).await;
    let output = output.map_err(|_| format!("the app did not answer {arguments:?}"))??;
    Ok(String::from_utf8(output.stdout)?)
}

/// What WebDriver commands are sent to.
pub struct Chromedriver(Listening);

impl Chromedriver {
    pub async fn start() -> Result<Self, Error> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let chromedriver = Listening::start(command, "started successfully on port ");
        Ok(Self(
            chromedriver
                .await
                .map_err(|error| format!("chromedriver: {error}"))?,
        ))
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    pub async fn stop(self) -> Outcome {
        self.0.stop().await
    }
}

/// A child process that listens. Dropping it ends it.
struct Listening {
    child: Child,
    port: u16,
    /// Reads what the process says, so that it is never kept waiting by a full pipe.
    _reader: JoinHandle<()>,
}

impl Listening {
    /// Starts `command` and waits for the line in which it names its port after `marker`.
    async fn start(mut command: Command, marker: &str) -> Result<Self, Error> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("it has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let port = timeout(START, async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, rest)) = line.split_once(marker) {
                    let digits = rest.trim_end_matches(|c: char| !c.is_ascii_digit());
                    return Ok::<u16, Error>(digits.parse()?);
                }
            }
            Err("it ended before it listened".into())
        });
        let port = port
            .await
            .map_err(|_| "it did not say where it listens")??;
        let reader =
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            child,
            port,
            _reader: reader,
        })
    }

    /// Ends the process, which has to be running still.
    async fn stop(mut self) -> Outcome {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("a process ended by itself: {status}").into());
        }
        Ok(self.child.kill().await?)
    }
}

/// A page on another site, with forms and links that lead to the app.
pub struct ForeignSite {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl ForeignSite {
    pub async fn start(app_port: u16, login_redirect: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let app = format!("http://localhost:{app_port}");
        let page = format!(
            "<!doctype html><title>scripts off</title><link rel=icon href=data:,>\
             <script>document.title = 'scripts on'</script>\
             <form method=post action={app}/login>\
             <input name=user_id value=mallory><button id=post-login>Win</button></form>\
             <form method=post action={app}/logout><button id=post-logout>Win</button></form>\
             <a id=login href={app}/login?user_id=mallory>Win</a>\
             <a id=logout href={app}/logout>Win</a>\
             <a id=visit href={app}{login_redirect}>Visit</a>"
        );
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{page}",
            page.len()
        );
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    // A browser's request for a page fits; whatever it says, the answer is one.
                    let mut request = [0; 16 * 1024];
                    if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                });
            }
        });
        Ok(Self { address, server })
    }

    pub fn address(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for ForeignSite {
    fn drop(&mut self) {
        self.server.abort();
    }
}
