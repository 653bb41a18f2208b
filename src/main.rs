//! The process: settings, log, listener, shutdown. It decides nothing.

use std::{env, error::Error, io, path::Path, process::ExitCode};

use app::{
    AppState,
    config::Config,
    logging,
    session::{clock::Clock, keys},
};
use tokio::{net::TcpListener, runtime::Runtime, signal};

const USAGE: &str = "usage: the app without arguments serves; `generate-key` prints a fresh key";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [] => serve(),
        ["generate-key"] => generate_key(),
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

fn serve() -> Result<(), Box<dyn Error>> {
    load_dotenv()?;
    let config = Config::from_env()?;
    logging::init(config.log_format, config.log_filter.clone());
    let runtime = Runtime::new()?;
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
        tracing::warn!("login is open: any user ID gets in without a password");

        let state = AppState::new(config, Clock::system());
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
