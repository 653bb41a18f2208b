//! Sessions on a signed cookie: what the cookie says, who signed it, and whether it still counts.
//!
//! The cookie carries the whole session ([`claims`]), signed with the app's keys ([`keys`]). A
//! request's cookies are read by [`cookie`], judged by [`Sessions`], and reach a handler as [`Session`],
//! where somebody must be logged in, or as [`SessionJar`], to log in and out. Sessions that were ended
//! early are remembered by [`revocation`]. Nothing outside names the cookie or sees a key.

pub mod claims;
pub mod cookie;
mod extract;
pub mod keys;
pub mod revocation;
mod sessions;

pub use self::claims::SessionData;
pub use self::extract::SessionJar;
pub use self::sessions::{Clock, Session, SessionConfig, Sessions, StampOf};
