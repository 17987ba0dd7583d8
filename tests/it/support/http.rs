//! An HTTP/1.1 client that sends what it is told to send, also what no client should.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Lower-case names, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `message` of an error body.
    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The reply itself, if it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16, why: &str) -> Self {
        assert_eq!(self.status, status, "{why}: {}", self.text());
        self
    }
}

/// One connection, kept open from request to request.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    pub(crate) fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: address.to_owned(),
        })
    }

    /// Sends a request and reads the answer. `Host` and `Content-Length` are added unless they are given.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> io::Result<Reply> {
        let given = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !given("host") {
            head.push_str(&format!("host: {}\r\n", self.host));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body.filter(|_| !given("content-length") && !given("transfer-encoding")) {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        // A server may answer before it has read everything; that answer counts, not the broken pipe.
        let sent = stream
            .write_all(body.unwrap_or_default())
            .and_then(|()| stream.flush());
        match self.read(method == "HEAD") {
            Ok(reply) => Ok(reply),
            Err(error) => sent.and(Err(error)),
        }
    }

    /// Sends bytes as they are and reads the answer.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<Reply> {
        self.stream.get_mut().write_all(bytes)?;
        self.read(false)
    }

    /// One line without its end, for streams of events.
    pub(crate) fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Sends a request and reads the head of the answer only.
    pub(crate) fn open_stream(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Reply> {
        let mut head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.read_head()
    }

    fn read_head(&mut self) -> io::Result<Reply> {
        let odd = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let status_line = self.read_line()?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| odd(&format!("no status in {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(Reply {
                    status,
                    headers,
                    body: Vec::new(),
                });
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| odd("a header without a colon"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn read(&mut self, head_only: bool) -> io::Result<Reply> {
        let mut reply = self.read_head()?;
        while reply.status == 100 {
            reply = self.read_head()?;
        }
        if head_only || matches!(reply.status, 204 | 304) {
            return Ok(reply);
        }
        if reply
            .header("transfer-encoding")
            .is_some_and(|coding| coding.contains("chunked"))
        {
            loop {
                let size = self.read_line()?;
                let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
                    .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a chunk without a size"))?;
                let mut chunk = vec![0; size];
                self.stream.read_exact(&mut chunk)?;
                reply.body.extend(chunk);
                self.read_line()?;
                if size == 0 {
                    return Ok(reply);
                }
            }
        }
        match reply
            .header("content-length")
            .and_then(|length| length.parse().ok())
        {
            Some(length) => {
                reply.body = vec![0; length];
                self.stream.read_exact(&mut reply.body)?;
            }
            None => {
                self.stream.read_to_end(&mut reply.body)?;
            }
        }
        Ok(reply)
    }
}
