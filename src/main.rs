//! The process: settings, log, listener, shutdown. It decides nothing.

use std::{
    env,
    error::Error,
    io::{self, IsTerminal},
    path::Path,
    process::ExitCode,
};

use app::{
    AppState,
    config::Config,
    logging, password,
    session::{clock::Clock, keys},
};
use tokio::{net::TcpListener, runtime::Runtime, signal};

const USAGE: &str = "usage: without arguments, the app serves; `generate-key` prints a fresh key; \
                     `hash-password NAME` asks for a password and prints a line for USERS_FILE";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
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
    let runtime = Runtime::new()?;
    let _entered = runtime.enter();
    let config = Config::from_env()?;
    logging::init(config.log_format, config.log_filter.clone());
    runtime.block_on(async {
        let listener = TcpListener::bind(config.bind_addr)
            .await
            .map_err(|error| format!("BIND_ADDR = {}: {error}", config.bind_addr))?;
        tracing::info!("listening on http://{}", listener.local_addr()?);
        if config.ephemeral_key {
            tracing::warn!(
                "SESSION_KEYS is not set: sessions end with this process; to keep them, run \
                 `echo \"SESSION_KEYS=$(cargo run -q -- generate-key)\" >> .env`"
            );
        }
        if config.credentials.is_none() {
            tracing::warn!("login is open: any user ID gets in without a password");
        }

        #[cfg(feature = "metrics")]
        let metrics_addr = config.metrics_addr;
        let state = AppState::open(config, Clock::system())?;
        #[cfg(feature = "metrics")]
        if let Some(address) = metrics_addr {
            app::metrics::serve(address, &state).await?;
        }
        app::serve(listener, app::app(state), shutdown_signal()).await?;
        tracing::info!("stopped");
        Ok(())
    })
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

/// Ready at Ctrl-C, or at the SIGTERM of a service manager.
async fn shutdown_signal() {
    #[cfg(unix)]
    {
        let mut terminate = match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(terminate) => terminate,
            Err(error) => return tracing::error!(%error, "cannot wait for SIGTERM"),
        };
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    if let Err(error) = signal::ctrl_c().await {
        tracing::error!(%error, "cannot wait for Ctrl-C");
    }
}
