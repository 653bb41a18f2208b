//! Who may log in. [`Users`] can be replaced by a table of your own.

mod address;
mod file;
pub mod hash;
mod password;
pub mod text;

pub use self::address::{ClientAddress, TrustedProxies};
pub use self::file::{SETTING, Users};
pub(crate) use self::password::Refusal;
pub use self::password::{ACCOUNT_BURST, ADDRESS_BURST, HASHES_AT_ONCE, Passwords};
