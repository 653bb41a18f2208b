//! Somebody in front of a browser: what they do, and what they see.

use std::{fmt::Debug, path::Path, time::Duration};

use serde_json::{Value, json};
use thirtyfour::{By, Capabilities, WebDriver, WebElement, error::WebDriverResult};
use tokio::time::{Instant, sleep, timeout};

use crate::{Choices, Error, Outcome};

/// How long a page may take to become what is expected.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the browser may go on with a page that is loaded: fetch its icon, report a violation.
const SETTLING: Duration = Duration::from_millis(300);

/// How long the browser may take to open, to answer one command, and to close.
const OPENING: Duration = Duration::from_secs(8);
const COMMAND: Duration = Duration::from_secs(10);
const CLOSING: Duration = Duration::from_secs(3);

pub struct Visitor {
    pub driver: WebDriver,
    pub choices: Choices,
    site: String,
    /// The app again, with `alice` in its users file.
    users_site: String,
    foreign_site: String,
}

impl Visitor {
    pub async fn new(
        chromedriver_port: u16,
        profile: &Path,
        site: String,
        users_site: String,
        foreign_site: String,
        choices: Choices,
    ) -> Result<Self, Error> {
        let profile = format!("--user-data-dir={}", profile.display());
        let capabilities = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                profile,
            ] },
        });
        let Value::Object(capabilities) = capabilities else {
            return Err("capabilities are an object".into());
        };
        let server = format!("http://127.0.0.1:{chromedriver_port}");
        let driver = WebDriver::builder(server, Capabilities::from(capabilities))
            .request_timeout(COMMAND)
            .connect();
        let driver = timeout(OPENING, driver).await;
        let driver = driver.map_err(|_| "the browser did not open")??;
        Ok(Self {
            driver,
            choices,
            site,
            users_site,
            foreign_site,
        })
    }

    /// Closes the browser. If it cannot be asked, it ends with its folder.
    pub async fn leave(self) {
        let last_handle = self.driver.clone();
        if !matches!(timeout(CLOSING, self.driver.quit()).await, Ok(Ok(()))) {
            let _ = last_handle.leak();
        }
    }

    /// Makes the browser one that was never here: no cookie, no page, no message, no emulation.
    pub async fn forget_everything(&self) -> Outcome {
        self.devtools("Network.clearBrowserCookies", json!({}))
            .await?;
        self.allow_scripts(true).await?;
        self.stop_emulating().await?;
        self.driver.goto("about:blank").await?;
        self.console().await?;
        Ok(())
    }

    /// Sends a command of the Chrome DevTools protocol.
    pub async fn devtools(&self, method: &str, parameters: Value) -> WebDriverResult<Value> {
        self.driver.cdp().send_raw(method, parameters).await
    }

    pub async fn allow_scripts(&self, allow: bool) -> Outcome {
        self.devtools(
            "Emulation.setScriptExecutionDisabled",
            json!({ "value": !allow }),
        )
        .await?;
        Ok(())
    }

    /// Gives the browser another screen, with so many pixels in place of one.
    pub async fn set_screen(&self, width: u32, height: u32, scale: u32, phone: bool) -> Outcome {
        let screen = json!({
            "width": width,
            "height": height,
            "deviceScaleFactor": scale,
            "mobile": phone,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", screen)
            .await?;
        Ok(())
    }

    /// Gives the browser its own screen and colour scheme back.
    pub async fn stop_emulating(&self) -> Outcome {
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({}))
            .await?;
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [] }))
            .await?;
        Ok(())
    }

    // What they do.

    pub async fn open(&self, path: &str) -> Outcome {
        Ok(self.driver.goto(format!("{}{path}", self.site)).await?)
    }

    pub async fn open_with_users(&self, path: &str) -> Outcome {
        let address = format!("{}{path}", self.users_site);
        Ok(self.driver.goto(address).await?)
    }

    pub async fn open_foreign_site(&self) -> Outcome {
        Ok(self.driver.goto(self.foreign_site.as_str()).await?)
    }

    pub async fn click(&self, css: &str) -> Outcome {
        Ok(self.find(css).await?.click().await?)
    }

    /// Presses the button that says `words`.
    pub async fn press(&self, words: &str) -> Outcome {
        let button = By::XPath(format!("//button[normalize-space() = '{words}']"));
        Ok(self.driver.find(button).await?.click().await?)
    }

    /// Types a user id into the form of this page and sends it.
    pub async fn submit(&self, user_id: &str) -> Outcome {
        let field = self.find("#user_id").await?;
        field.clear().await?;
        field.send_keys(user_id).await?;
        self.press("Log in").await
    }

    /// The same where users have passwords.
    pub async fn submit_with_password(&self, user_id: &str, password: &str) -> Outcome {
        self.find("#password").await?.send_keys(password).await?;
        self.submit(user_id).await
    }

    /// Logs in from the start page and arrives where login leads.
    pub async fn log_in(&self, user_id: &str) -> Outcome {
        self.open("/").await?;
        self.submit(user_id).await?;
        self.expect_address(&self.choices.login_redirect).await?;
        self.expect_logged_in_as(user_id).await
    }

    /// Presses the button, on the start page where this one is plain text.
    pub async fn log_out(&self) -> Outcome {
        if self.choices.login_redirect == "/me" {
            self.open("/").await?;
        }
        self.press("Log out").await
    }

    /// Waits until the browser has done what it does after a page is loaded.
    pub async fn settle(&self) {
        sleep(SETTLING).await;
    }

    // What they see.

    pub async fn find(&self, css: &str) -> WebDriverResult<WebElement> {
        self.driver.find(By::Css(css)).await
    }

    pub async fn count(&self, css: &str) -> WebDriverResult<usize> {
        Ok(self.driver.find_all(By::Css(css)).await?.len())
    }

    pub async fn text(&self) -> WebDriverResult<String> {
        self.find("body").await?.text().await
    }

    /// What an expression is worth on this page.
    pub async fn evaluate(&self, expression: &str) -> WebDriverResult<Value> {
        let value = self
            .driver
            .execute(format!("return {expression}"), [])
            .await?;
        Ok(value.json().clone())
    }

    pub async fn address(&self) -> WebDriverResult<String> {
        Ok(self.driver.current_url().await?.to_string())
    }

    /// The session cookie as DevTools shows it.
    pub async fn cookie(&self) -> Result<Option<Value>, Error> {
        let urls = json!({ "urls": [self.site] });
        let mut answer = self.devtools("Network.getCookies", urls).await?;
        let Value::Array(mut cookies) = answer["cookies"].take() else {
            return Err(format!("no list of cookies: {answer}").into());
        };
        cookies.retain(|cookie| cookie["name"] == self.choices.cookie_name);
        let cookie = cookies.pop();
        ensure(cookies.is_empty(), || {
            "the session has two cookies".to_owned()
        })?;
        Ok(cookie)
    }

    /// The messages on the console since it was last read.
    pub async fn console(&self) -> WebDriverResult<Vec<String>> {
        let entries = self.driver.browser_log().await?;
        Ok(entries.into_iter().map(|entry| entry.message).collect())
    }

    // What they expect to see, now or soon.

    pub async fn expect_address(&self, path: &str) -> Outcome {
        let expected = format!("{}{path}", self.site);
        eventually("the address", expected, async || self.address().await).await
    }

    /// The login page that knows where its visitor wanted to go.
    pub async fn expect_login_page_for(&self, wanted: &str) -> Outcome {
        let expected = (format!("{}/login", self.site), Some(wanted.to_owned()));
        eventually("the login page and its `next`", expected, async || {
            let mut address = self.driver.current_url().await?;
            let next = address.query_pairs().find(|(name, _)| name == "next");
            let next = next.map(|(_, value)| value.into_owned());
            address.set_query(None);
            Ok((address.to_string(), next))
        })
        .await?;
        self.expect_login_form().await
    }

    pub async fn expect_login_form(&self) -> Outcome {
        eventually("fields for a user id", 1, async || {
            self.count("form #user_id").await
        })
        .await
    }

    pub async fn expect_text(&self, part: &str) -> Outcome {
        eventually(&format!("{part:?} on the page"), true, async || {
            Ok(self.text().await?.contains(part))
        })
        .await
    }

    pub async fn expect_logged_in_as(&self, user_id: &str) -> Outcome {
        self.expect_text(&format!("Logged in as {user_id}")).await
    }

    /// The page as it stands names nobody.
    pub async fn expect_nobody(&self) -> Outcome {
        let text = self.text().await?;
        ensure(!text.contains("Logged in as"), || {
            format!("the page says {text:?}")
        })
    }

    /// The status this page was answered with.
    pub async fn expect_status(&self, status: u16) -> Outcome {
        eventually("the status", json!(status), async || {
            self.evaluate("performance.getEntriesByType('navigation')[0]?.responseStatus")
                .await
        })
        .await
    }

    pub async fn expect_no_cookie(&self) -> Outcome {
        let cookie = self.cookie().await?;
        ensure(cookie.is_none(), || {
            format!("there is a cookie: {cookie:?}")
        })
    }
}

/// Holds when `holds`; otherwise the error says `why`.
pub fn ensure(holds: bool, why: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(why().into()) }
}

/// Looks until `look` sees what is expected, for as long as patience lasts.
async fn eventually<T: PartialEq + Debug>(
    what: &str,
    expected: T,
    look: impl AsyncFn() -> WebDriverResult<T>,
) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = look().await;
        if seen.as_ref().is_ok_and(|seen| *seen == expected) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(format!("{what}: expected {expected:?}, saw {seen:?}").into());
        }
        sleep(Duration::from_millis(50)).await;
    }
}
