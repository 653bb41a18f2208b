//! The process: arguments, `.env`, log, listener, signals.

use std::io::{self, IsTerminal};
use std::sync::{Arc, atomic::Ordering};
use std::{env, error::Error, ffi::OsString, path::Path, process::ExitCode, time::Duration};

use app::config::Config;
use app::{AppState, server, session::keys, telemetry, text_file, users::hash};
use listenfd::ListenFd;
use std::net::TcpListener as Inherited;
use time::OffsetDateTime;
use tokio::{net::TcpListener, runtime::Runtime, signal::ctrl_c, time::sleep};
use tokio_util::sync::CancellationToken;

const USAGE: &str = "usage: without arguments, the app serves; `generate-key` prints a fresh key; \
                     `hash-password NAME` asks for a password and prints a line for USERS_FILE";

fn main() -> ExitCode {
    let lossy = |text: OsString| text.to_string_lossy().into_owned();
    let arguments: Vec<String> = env::args_os().skip(1).map(lossy).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => serve(),
        ["generate-key"] => print(keys::generate_key().ok_or("there are no random bytes".into())),
        ["hash-password", name] => print(hash_password(name)),
        _ => Err(USAGE.into()),
    };
    if let Err(error) = done {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn print(text: Result<String, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    println!("{}", text?);
    Ok(())
}

/// A user's line. The password comes from the terminal, without an echo, or from a pipe.
fn hash_password(name: &str) -> Result<String, Box<dyn Error>> {
    let mut password = String::new();
    if io::stdin().is_terminal() {
        password = rpassword::prompt_password("Password: ")?;
        if rpassword::prompt_password("Once more: ")? != password {
            return Err("the two passwords differ".into());
        }
    } else {
        io::stdin().read_line(&mut password)?;
    }
    let password = password.trim_end_matches(['\n', '\r']);
    Ok(hash::users_line(name, password)?)
}

fn serve() -> Result<(), Box<dyn Error>> {
    load_dotenv()?;
    let release = cfg!(not(debug_assertions));
    let variable = |name| Some(env::var_os(name)?.to_string_lossy().into_owned());
    let config = Config::read(release, variable)?;
    let inherited = inherited_socket().map_err(|error| format!("LISTEN_FDS: {error}"))?;
    // Dropped last: what still waits to be logged is written then.
    let _log = telemetry::init(config.log_json, config.log_filter.clone());
    let runtime = Runtime::new()?;
    let done = runtime.block_on(run(config, inherited));
    // A write that hangs in the disk is waited for no longer than this.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn run(config: Config, inherited: Option<Inherited>) -> Result<(), Box<dyn Error>> {
    let (bind_addr, delay) = (config.bind_addr, config.shutdown_delay);
    let (ephemeral_key, open_login) = (config.ephemeral_key, config.users.is_none());
    let bind_problem = |error| format!("BIND_ADDR = {bind_addr}: {error}");
    let listener = match inherited {
        Some(inherited) => TcpListener::from_std(inherited)?,
        None => TcpListener::bind(bind_addr).await.map_err(bind_problem)?,
    };
    let state = AppState::open(config, Arc::new(OffsetDateTime::now_utc))?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    if ephemeral_key {
        tracing::warn!(
            "SESSION_KEYS is not set: sessions end with this process; to keep them, run \
             `echo \"SESSION_KEYS=$(cargo run -q -- generate-key)\" >> .env`"
        );
    }
    if open_login {
        tracing::warn!("login is open: any user ID gets in without a password");
    }
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let stopping = Arc::clone(&state.stopping);
    let served = server::serve(listener, app::app(state), server::MAX_CONNECTIONS, stopped);
    let asked_twice = async {
        asked_to_stop().await?;
        tracing::info!("stopping");
        stopping.store(true, Ordering::Relaxed);
        // Until then connections are taken, so that whoever asks for readiness can notice.
        tokio::spawn(async move {
            sleep(delay).await;
            stop.cancel()
        });
        asked_to_stop().await
    };
    tokio::select! {
        () = served => tracing::info!("stopped"),
        asked = asked_twice => {
            asked?;
            tracing::warn!("stopped at once, because it was asked for twice");
        }
    }
    Ok(())
}

/// The socket that a service manager has opened for us, if it did. Asked before there are threads: this
/// changes the environment.
fn inherited_socket() -> io::Result<Option<Inherited>> {
    let socket = ListenFd::from_env().take_tcp_listener(0)?;
    if let Some(socket) = &socket {
        socket.set_nonblocking(true)?;
    }
    Ok(socket)
}

/// Adds the settings of the working folder's `.env`. What the environment already says wins.
fn load_dotenv() -> Result<(), String> {
    let text = match text_file::read(Path::new(".env")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|error| format!(".env: {error}"))?,
    };
    let text = text + "\n";
    dotenvy::from_read(text.as_bytes()).map_err(|error| match error {
        // The line may hold a key: only its number is shown.
        dotenvy::Error::LineParse(..) => {
            // A value may span lines: the bad line stands behind the longest part that can be read.
            let mut ends = text.rmatch_indices('\n').map(|(at, _)| at + 1);
            let is_good = |end: &usize| dotenvy::from_read(&text.as_bytes()[..*end]).is_ok();
            let good = ends.find(is_good).unwrap_or(0);
            let number = text[..good].matches('\n').count() + 1;
            format!(".env: line {number}: it is not of the form NAME=value")
        }
        error => format!(".env: {error}"),
    })
}

/// Waits for Ctrl-C, or for the SIGTERM of a service manager.
async fn asked_to_stop() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            asked = ctrl_c() => asked,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    ctrl_c().await
}
