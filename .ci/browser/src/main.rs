//! Uses the app in a real Chromium and says what does not hold.
//!
//! `browser-check APP` starts the app, `chromedriver` and Chromium, and ends them again. With
//! `--screenshots DIR` it only takes pictures. The choices the app was generated with are read from the environment, where they
//! differ from the template's defaults: `COOKIE_NAME`, `SAME_SITE`, `LOGIN_REDIRECT`,
//! `LOGOUT_REDIRECT`, `MAX_AGE_SECONDS`.

mod checks;
mod processes;
mod screenshots;
mod visitor;

use std::{
    env, error,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use processes::{App, Chromedriver, ForeignSite, WorkDir};
use visitor::Visitor;

const USAGE: &str = "usage: browser-check APP [--screenshots DIR]";

/// How long all checks together may take, and how long one of them may.
const ALL_CHECKS: Duration = Duration::from_secs(60);
const ONE_CHECK: Duration = Duration::from_secs(15);

type Error = Box<dyn error::Error>;
type Outcome = Result<(), Error>;

/// What the app was generated with.
pub struct Choices {
    pub cookie_name: String,
    pub same_site: String,
    pub login_redirect: String,
    pub logout_redirect: String,
    pub max_age: Duration,
}

impl Choices {
    fn from_env() -> Result<Self, Error> {
        let choice = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        let max_age = choice("MAX_AGE_SECONDS", "604800");
        Ok(Self {
            cookie_name: choice("COOKIE_NAME", "session_user"),
            same_site: choice("SAME_SITE", "Lax"),
            login_redirect: choice("LOGIN_REDIRECT", "/dashboard"),
            logout_redirect: choice("LOGOUT_REDIRECT", "/"),
            max_age: Duration::from_secs(
                max_age
                    .parse()
                    .map_err(|_| format!("MAX_AGE_SECONDS = {max_age}: no number of seconds"))?,
            ),
        })
    }

    /// Whether login leads to a page of its own: the start page and `/me` are there anyway.
    pub fn has_dashboard(&self) -> bool {
        !matches!(self.login_redirect.as_str(), "/" | "/me")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut report = Report::new();
    if let Err(error) = run(&mut report).await {
        report.add("the checks could be run", &Err(error));
    }
    println!("{} passed, {} failed", report.passed, report.failed);
    ExitCode::from(u8::from(report.failed > 0))
}

async fn run(report: &mut Report) -> Outcome {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (app, screenshots) = match arguments.as_slice() {
        [app] => (app, None),
        [app, option, dir] if option == "--screenshots" => (app, Some(PathBuf::from(dir))),
        _ => return Err(USAGE.into()),
    };
    let choices = Choices::from_env()?;

    // Dropped in the reverse order, which ends every process before its folder goes.
    let work_dir = WorkDir::new()?;
    let app = Path::new(app);
    let with_users = App::start(app, &work_dir.folder("users")?, true).await?;
    let app = App::start(app, &work_dir.folder("open")?, false).await?;
    let foreign_site = ForeignSite::start(app.port(), &choices.login_redirect).await?;
    let chromedriver = Chromedriver::start().await?;

    let visitor = Visitor::new(
        chromedriver.port(),
        &work_dir.profile(),
        format!("http://localhost:{}", app.port()),
        format!("http://localhost:{}", with_users.port()),
        foreign_site.address(),
        choices,
    )
    .await?;
    if let Some(dir) = screenshots {
        report
            .check("the screenshots are written", &visitor, async |visitor| {
                screenshots::take(visitor, &dir).await
            })
            .await;
    } else {
        checks::all(report, &visitor).await;
    }
    visitor.leave().await;
    chromedriver.stop().await?;
    with_users.stop().await?;
    app.stop().await
}

/// What the checks came to so far.
pub struct Report {
    started: Instant,
    passed: usize,
    failed: usize,
}

impl Report {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            passed: 0,
            failed: 0,
        }
    }

    /// Does one check, by a visitor who was never here before.
    pub async fn check(
        &mut self,
        claim: &str,
        visitor: &Visitor,
        check: impl AsyncFn(&Visitor) -> Outcome,
    ) {
        let time_left = ALL_CHECKS.saturating_sub(self.started.elapsed());
        let outcome = timeout(time_left.min(ONE_CHECK), async {
            visitor.forget_everything().await?;
            check(visitor).await
        });
        let outcome = outcome
            .await
            .unwrap_or_else(|_| Err("took too long".into()));
        self.add(claim, &outcome);
    }

    fn add(&mut self, claim: &str, outcome: &Outcome) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok    {claim}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL  {claim}: {error}");
            }
        }
    }
}
