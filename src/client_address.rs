//! Where a request comes from, as far as that can be believed.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts},
    http::{HeaderMap, HeaderName, request::Parts},
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How many proxies stand between this app and its clients. Each appends the address that it was
/// called from to `X-Forwarded-For`: so many entries from the right are true, and whatever is left
/// of them the client may have made up.
#[derive(Clone, Copy, Debug)]
pub struct TrustedProxies(pub usize);

/// The address of the client; that of the last proxy where the header is not as it should be.
pub struct ClientAddress(pub IpAddr);

impl<S> FromRequestParts<S> for ClientAddress
where
    TrustedProxies: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let TrustedProxies(proxies) = TrustedProxies::from_ref(state);
        let forwarded = proxies
            .checked_sub(1)
            .and_then(|at| forwarded_for(&parts.headers, at));
        let peer = || {
            let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
            peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip())
        };
        Ok(Self(forwarded.unwrap_or_else(peer)))
    }
}

/// The entry `at` places from the right, over all lines of the header.
fn forwarded_for(headers: &HeaderMap, at: usize) -> Option<IpAddr> {
    let lines: Vec<&str> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .map(|line| line.to_str())
        .collect::<Result<_, _>>()
        .ok()?;
    let entry = lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(','))
        .nth(at)?;
    let entry = entry.trim();
    // Some proxies add the port.
    let with_port = || entry.parse().ok().map(|address: SocketAddr| address.ip());
    entry.parse().ok().or_else(with_port)
}
