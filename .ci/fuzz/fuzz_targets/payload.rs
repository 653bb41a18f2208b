//! The payload of the session cookie: one spelling for each, and every one can be read back.

#![no_main]

use app::session::{
    clock::Timestamp,
    payload::{Payload, SessionId},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(payload) = Payload::parse(text) {
        assert_eq!(payload.to_string(), text, "two spellings of one payload");
    }

    let mut bytes = text.bytes();
    let mut byte = || bytes.next().unwrap_or_default();
    let payload = Payload {
        id: SessionId(std::array::from_fn(|_| byte())),
        issued: time(&mut byte),
        ends: time(&mut byte),
        active: time(&mut byte),
        user_id: text.to_owned(),
    };
    assert_eq!(Payload::parse(&payload.to_string()), Some(payload));
});

/// A moment of any number of digits.
fn time(byte: &mut impl FnMut() -> u8) -> Timestamp {
    let bits = u64::from_le_bytes(std::array::from_fn(|_| byte()));
    Timestamp(bits >> (byte() % 64))
}
