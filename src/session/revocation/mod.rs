//! The sessions that were ended before their time.
//!
//! A store keeps numbers under names. That of a session says by being there that the session is ended.
//! That of a user is raised by a logout everywhere or a removal, which ends the sessions of a smaller one.
//!
//! An end is stored before it is answered, in a file of this process or in a Redis that instances share,
//! and a session that cannot be checked is refused with 503: it is not believed.

mod file;
#[cfg(feature = "redis")]
mod redis;
mod store;

pub(super) use self::store::Revocations;
pub use self::store::StoreConfig;
