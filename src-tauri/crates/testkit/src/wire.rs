//! HTTP/1.1 messages as bytes: what client and receiver have in common.

use std::io::{self, BufRead};

/// The first line and the headers: names in lower case and values, in order.
pub(crate) struct Head {
    /// The request line or the status line.
    pub(crate) line: String,
    /// The headers.
    pub(crate) headers: Vec<(String, String)>,
}

/// The first header of this name.
pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Where a message without a length ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// It has no body: a request.
    Empty,
    /// With the connection: an answer.
    ToTheEnd,
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// One line without its end.
pub(crate) fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let text = String::from_utf8_lossy(&line);
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads up to the empty line.
pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Head> {
    let line = read_line(reader)?;
    let mut headers = Vec::new();
    loop {
        let header = read_line(reader)?;
        if header.is_empty() {
            return Ok(Head { line, headers });
        }
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| odd("a header without a colon"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// Reads the body that these headers announce.
pub(crate) fn read_body(
    reader: &mut impl BufRead,
    headers: &[(String, String)],
    otherwise: Otherwise,
) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if header(headers, "transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        loop {
            let size = read_line(reader)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| odd("a chunk without a size"))?;
            let mut chunk = vec![0; size];
            reader.read_exact(&mut chunk)?;
            body.extend(chunk);
            read_line(reader)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match header(headers, "content-length").and_then(|length| length.parse().ok()) {
        Some(length) => {
            body = vec![0; length];
            reader.read_exact(&mut body)?;
        }
        None if otherwise == Otherwise::ToTheEnd => {
            reader.read_to_end(&mut body)?;
        }
        None => {}
    }
    Ok(body)
}
