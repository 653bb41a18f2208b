//! HTTP over real connections.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long to wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a request was answered.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let line = lines.find(|(known, _)| *known == name);
        line.map(|(_, value)| value)
    }

    /// The cookie it sets, as the `Cookie` header has it.
    pub fn cookie(&self) -> String {
        let cookie = self.header("set-cookie").unwrap_or_default();
        cookie.split(';').next().unwrap_or_default().to_owned()
    }
}

/// A connection, for one request after the other.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request that says `keep-alive` or `close`. Fails where nobody answers it to its end; with
    /// `ConnectionReset` where the connection was closed without a word of an answer.
    pub fn send(
        &mut self,
        connection: &str,
        method: &str,
        path: &str,
        cookie: &str,
        form: &str,
    ) -> io::Result<Reply> {
        let Self(stream) = self;
        // In one piece: who answers early may close before a second one.
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\
             Cookie: {cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let closed = || io::Error::from(io::ErrorKind::ConnectionReset);
        let sent = stream.get_mut().write_all(request.as_bytes());
        sent.map_err(|_| closed())?;
        let mut first = stream.fill_buf();
        while first
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
        {
            first = stream.fill_buf();
        }
        if first?.is_empty() {
            return Err(closed());
        }
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Err(cut());
            }
        }
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        let mut reply = Reply {
            status: status.ok_or_else(cut)?,
            head,
            body: String::new(),
        };
        let length = reply.header("content-length");
        let length = length.and_then(|text| text.parse().ok());
        let mut body = vec![0; length.ok_or_else(cut)?];
        stream.read_exact(&mut body)?;
        reply.body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(reply)
    }
}

/// Asks over a connection of its own.
pub fn get(address: SocketAddr, path: &str, cookie: &str) -> io::Result<Reply> {
    Connection::open(address)?.send("close", "GET", path, cookie, "")
}
