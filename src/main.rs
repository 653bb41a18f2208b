//! The process: settings, log, listener, shutdown. It decides nothing.

use std::{
    env,
    error::Error,
    ffi::OsString,
    io::{self, IsTerminal},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    time::Duration,
};

use app::{
    AppState,
    config::{Build, Config, INSECURE_BEYOND_LOOPBACK},
    logging, password,
    server::{self, Limits, Listener},
    session::{clock::Clock, keys},
};
use listenfd::ListenFd;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Runtime,
    signal,
    sync::oneshot,
};

const USAGE: &str = "usage: without arguments, the app serves; `generate-key` prints a fresh key; \
                     `hash-password NAME` asks for a password and prints a line for USERS_FILE";

/// How many connections wait until they are accepted. Of more that come in one burst, each would try
/// again a second later.
const QUEUE: u32 = 4096;

/// How long the end of the process waits for what is still at work, such as a write to the disk.
const LAST_WORDS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // What is not Unicode is no command, and no name.
    let arguments = env::args_os().skip(1).map(OsString::into_string);
    let arguments: Vec<String> = arguments.map(Result::unwrap_or_default).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [] => serve(),
        ["generate-key"] => generate_key(),
        ["hash-password", name] => hash_password(name),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate_key() -> Result<(), Box<dyn Error>> {
    let key = keys::generate_key().map_err(|_| "the operating system gave no random bytes")?;
    println!("{key}");
    Ok(())
}

/// Prints a user's line. The password comes from the terminal, without an echo, or from a pipe.
fn hash_password(name: &str) -> Result<(), Box<dyn Error>> {
    let password = if io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ")?;
        if rpassword::prompt_password("Once more: ")? != password {
            return Err("the two passwords differ".into());
        }
        password
    } else {
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        line.trim_end_matches(['\n', '\r']).to_owned()
    };
    println!("{}", password::users_line(name, &password)?);
    Ok(())
}

fn serve() -> Result<(), Box<dyn Error>> {
    load_dotenv()?;
    let inherited = inherited_socket().map_err(|error| format!("LISTEN_FDS: {error}"))?;
    let runtime = Runtime::new()?;
    let entered = runtime.enter();
    let config = Config::from_env()?;
    logging::init(config.log_format, config.log_filter.clone());
    let done = runtime.block_on(run(config, inherited));
    drop(entered);
    // What still ran may say its last. A disk that hangs is not waited for.
    runtime.shutdown_timeout(LAST_WORDS);
    logging::flush();
    done
}

async fn run(
    config: Config,
    inherited: Option<std::net::TcpListener>,
) -> Result<(), Box<dyn Error>> {
    // Before anybody can know that the app runs, so that a signal is never missed.
    let mut signals = Signals::new()?;
    let bind_addr = config.bind_addr;
    #[cfg(feature = "metrics")]
    let metrics_addr = config.metrics_addr;
    let delay = config.shutdown_delay;
    let (ephemeral_key, open) = (config.ephemeral_key, config.credentials.is_none());
    let secure = config.session.secure;
    let state = AppState::open(config, Clock::system())?;
    let listener = listen(bind_addr, inherited)?;
    let address = listener.socket.local_addr()?;
    if !secure && Build::CURRENT == Build::Release && !address.ip().is_loopback() {
        return Err(format!("COOKIE_SECURE = \"false\": {INSECURE_BEYOND_LOOPBACK}").into());
    }
    tracing::info!("listening on http://{address}");
    if ephemeral_key {
        tracing::warn!(
            "SESSION_KEYS is not set: sessions end with this process; to keep them, run \
             `echo \"SESSION_KEYS=$(cargo run -q -- generate-key)\" >> .env`"
        );
    }
    if open {
        tracing::warn!("login is open: any user ID gets in without a password");
    }

    #[cfg(feature = "metrics")]
    if let Some(address) = metrics_addr {
        app::metrics::serve(address, &state).await?;
    }
    let draining = state.draining();
    let (stop, stopped) = oneshot::channel();
    let (app, limits) = (app::app(state), Limits::default());
    let served = server::serve(listener, app, limits, draining, delay, async {
        let _ = stopped.await;
    });
    let twice = async {
        signals.next().await;
        tracing::info!("stopping");
        let _ = stop.send(());
        signals.next().await;
    };
    tokio::select! {
        () = served => tracing::info!("stopped"),
        () = twice => tracing::warn!("stopped at once, because it was asked for twice"),
    }
    Ok(())
}

/// The socket that a service manager has opened for us, if it did: what waits there outlives this
/// process. Asked before there are threads, because it takes its variables out of the environment.
fn inherited_socket() -> io::Result<Option<std::net::TcpListener>> {
    let mut sockets = ListenFd::from_env();
    if sockets.len() > 1 {
        return Err(io::Error::other(
            "there are several sockets, and one is served",
        ));
    }
    sockets.take_tcp_listener(0)
}

fn listen(
    address: SocketAddr,
    inherited: Option<std::net::TcpListener>,
) -> Result<Listener, Box<dyn Error>> {
    if let Some(inherited) = inherited {
        inherited.set_nonblocking(true)?;
        let socket = TcpListener::from_std(inherited)?;
        return Ok(Listener {
            socket,
            shared: true,
        });
    }
    let bound = bind(address).map_err(|error| format!("BIND_ADDR = {address}: {error}"))?;
    Ok(bound.into())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for the last connections of before.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

/// Adds the settings of the working folder's `.env`. What the environment already says wins.
fn load_dotenv() -> Result<(), String> {
    match dotenvy::from_path(Path::new(".env")) {
        Err(dotenvy::Error::LineParse(_, _)) => {
            // The line may hold a key: it is not shown.
            Err(".env: a line is not of the form NAME=value".to_owned())
        }
        Err(dotenvy::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!(".env: {error}")),
        Ok(()) => Ok(()),
    }
}

/// What asks the process to stop: Ctrl-C, and the SIGTERM of a service manager.
struct Signals {
    #[cfg(unix)]
    interrupt: signal::unix::Signal,
    #[cfg(unix)]
    terminate: signal::unix::Signal,
    #[cfg(windows)]
    interrupt: signal::windows::CtrlC,
}

impl Signals {
    /// From now on, signals are noticed here and end the process no more by themselves.
    fn new() -> io::Result<Self> {
        #[cfg(unix)]
        use signal::unix::{SignalKind, signal};
        Ok(Self {
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
            #[cfg(windows)]
            interrupt: signal::windows::ctrl_c()?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(windows)]
        self.interrupt.recv().await;
    }
}
