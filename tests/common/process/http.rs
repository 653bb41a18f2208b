//! HTTP over real connections.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// How long to wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a request over a real connection was answered.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The session cookie it sets, as the `Cookie` header has it.
    pub fn cookie(&self) -> String {
        let cookie = self.header("set-cookie").expect(&self.head);
        cookie.split_once(';').unwrap().0.to_owned()
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

    /// Sends a request that says `keep-alive` or `close`. Fails where nobody answers it to its end.
    pub fn send(
        &mut self,
        connection: &str,
        method: &str,
        path: &str,
        cookie: &str,
        form: &str,
    ) -> io::Result<Reply> {
        let Self(stream) = self;
        let (address, length) = (stream.get_ref().peer_addr()?, form.len());
        // In one piece: who answers early may close before a second one.
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: {connection}\r\n\
             Cookie: {cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\n\r\n{form}"
        );
        stream.get_mut().write_all(request.as_bytes())?;
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Err(cut());
            }
        }
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let mut reply = Reply {
            status: status.ok_or_else(cut)?,
            head,
            body: String::new(),
        };
        let length = reply
            .header("content-length")
            .and_then(|length| length.parse().ok());
        let mut body = vec![0; length.ok_or_else(cut)?];
        stream.read_exact(&mut body)?;
        reply.body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(reply)
    }
}

/// Sends a request over a connection of its own.
pub fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    cookie: &str,
    form: &str,
) -> io::Result<Reply> {
    Connection::open(address)?.send("close", method, path, cookie, form)
}

pub fn get(address: SocketAddr, path: &str, cookie: &str) -> io::Result<Reply> {
    send(address, "GET", path, cookie, "")
}

pub fn post(address: SocketAddr, path: &str, cookie: &str, form: &str) -> io::Result<Reply> {
    send(address, "POST", path, cookie, form)
}

/// Logs in where login is open; the cookie.
pub fn login(address: SocketAddr, user_id: &str) -> String {
    let answer = post(address, "/login", "", &format!("user_id={user_id}")).unwrap();
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.cookie()
}

/// Waits until nobody listens there any more.
pub fn until_refused(address: SocketAddr) {
    let since = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
            _ => assert!(since.elapsed() < PATIENCE, "it still accepts"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}
