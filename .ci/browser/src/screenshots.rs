//! Pictures of the login page and the dashboard, for the README.

use std::{fs, path::Path};

use serde_json::json;

use crate::{Outcome, processes::PASSWORD, visitor::Visitor};

/// Writes both in both colour schemes.
pub async fn take(visitor: &Visitor, dir: &Path) -> Outcome {
    fs::create_dir_all(dir)?;
    visitor.set_screen(520, 440, 2, false).await?;
    visitor.open_with_users("/login").await?;
    visitor.expect_login_form().await?;
    shoot(visitor, dir, "login").await?;
    visitor.submit_with_password("alice", PASSWORD).await?;
    visitor.expect_logged_in_as("alice").await?;
    shoot(visitor, dir, "dashboard").await
}

async fn shoot(visitor: &Visitor, dir: &Path, page: &str) -> Outcome {
    for scheme in ["light", "dark"] {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let media = json!({ "features": features });
        visitor
            .devtools("Emulation.setEmulatedMedia", media)
            .await?;
        visitor.settle().await;
        let file = dir.join(format!("{page}-{scheme}.png"));
        visitor.driver.screenshot(&file).await?;
    }
    Ok(())
}
