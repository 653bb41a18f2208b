//! Pictures of the pages, to be looked at.

use std::{fs, path::Path};

use serde_json::json;

use crate::{Outcome, checks::long_user_id, visitor::Visitor};

/// Name, width, height, and whether it is a phone.
const SCREENS: [(&str, u32, u32, bool); 2] =
    [("1280x800", 1280, 800, false), ("390x844", 390, 844, true)];

/// Writes every page in both colour schemes and on both screens.
pub async fn take(visitor: &Visitor, dir: &Path) -> Outcome {
    fs::create_dir_all(dir)?;
    visitor.forget_everything().await?;
    visitor.open("/").await?;
    shoot(visitor, dir, "login").await?;
    visitor.submit(" ").await?;
    visitor.expect_status(422).await?;
    shoot(visitor, dir, "problem").await?;
    visitor.open("/no-such-page").await?;
    shoot(visitor, dir, "error").await?;
    visitor.log_in("alice").await?;
    shoot(visitor, dir, "dashboard").await?;
    visitor.open("/").await?;
    shoot(visitor, dir, "home").await?;
    visitor.forget_everything().await?;
    visitor.log_in(&long_user_id()).await?;
    shoot(visitor, dir, "long-user-id").await
}

async fn shoot(visitor: &Visitor, dir: &Path, page: &str) -> Outcome {
    for (screen, width, height, phone) in SCREENS {
        visitor.set_screen(width, height, phone).await?;
        for scheme in ["light", "dark"] {
            let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
            visitor
                .devtools(
                    "Emulation.setEmulatedMedia",
                    json!({ "features": features }),
                )
                .await?;
            visitor.settle().await;
            let file = dir.join(format!("{page}-{scheme}-{screen}.png"));
            visitor.driver.screenshot(&file).await?;
        }
    }
    visitor.stop_emulating().await
}
