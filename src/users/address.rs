//! Where a request comes from, as far as that can be believed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::{convert::Infallible, num::NonZeroU32, sync::LazyLock};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::{HeaderMap, request::Parts};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// How many proxies stand between this app and its clients. Each appends the address that it was
/// called from to `X-Forwarded-For`: what stands left of these entries the client may have made up.
#[derive(Clone, Copy, Debug)]
pub struct TrustedProxies(pub usize);

/// The address of the client; that of the last proxy where the header is not as it should be.
pub struct ClientAddress(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress
where
    TrustedProxies: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip());
        let TrustedProxies(proxies) = TrustedProxies::from_ref(state);
        if proxies == 0 {
            return Ok(Self(peer));
        }
        let forwarded = forwarded_for(&parts.headers, proxies);
        // At most once a minute: whoever sends such a header could fill the log.
        if forwarded.is_none() && REPORTS.check().is_ok() {
            tracing::warn!(event = "forwarded_for_unreadable", %peer, setting = "TRUSTED_PROXIES");
        }
        Ok(Self(forwarded.unwrap_or(peer)))
    }
}

static REPORTS: LazyLock<DefaultDirectRateLimiter> =
    LazyLock::new(|| RateLimiter::direct(Quota::per_minute(NonZeroU32::MIN)));

/// The entry so many places from the right. Empty entries do not count (RFC 9110, section 5.6.1).
fn forwarded_for(headers: &HeaderMap, place: usize) -> Option<IpAddr> {
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let mut entries = lines
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        .map(|entry| entry.trim_ascii())
        .filter(|entry| !entry.is_empty());
    let entry = std::str::from_utf8(entries.nth(place - 1)?).ok()?;
    // Some proxies add the port, and some write the brackets of an IPv6 address without one.
    let with_port = || entry.parse().ok().map(|address: SocketAddr| address.ip());
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(with_port)
}
