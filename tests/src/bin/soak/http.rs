//! A connection of HTTP/1.1 whose every byte is under control.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The head of an answer, and how its body is framed.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    pub closes: bool,
    length: Option<usize>,
    chunked: bool,
}

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    /// False once an answer says that it is the last.
    pub reusable: bool,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), reusable: true })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends the head of a request and what there is of its body.
    pub async fn request(&mut self, head: &str, body: &[u8]) -> Result<()> {
        let mut bytes = format!("{head}\r\nhost: soak\r\n\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes).await
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the connection is closed"));
        }
        Ok(line.trim_end().to_owned())
    }

    /// Reads the head of an answer.
    pub async fn head(&mut self) -> Result<Head> {
        let line = self.line().await?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Error::other(format!("no status: {line}")))?;
        let mut head = Head { status, closes: false, length: None, chunked: false };
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            match line.split_once(": ") {
                None => break,
                Some(("content-length", length)) => head.length = length.parse().ok(),
                Some(("transfer-encoding", "chunked")) => head.chunked = true,
                Some(("connection", "close")) => head.closes = true,
                Some(_) => {}
            }
        }
        self.reusable &= !head.closes;
        Ok(head)
    }

    /// Reads the next piece of a body in chunks; none at its regular end.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let line = self.line().await?;
        let length = usize::from_str_radix(&line, 16);
        let length = length.map_err(|_| Error::other(format!("no chunk: {line}")))?;
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk).await?;
        chunk.truncate(length);
        Ok((length > 0).then_some(chunk))
    }

    /// Reads a body to its end.
    pub async fn body(&mut self, head: &Head) -> Result<String> {
        let mut body = Vec::new();
        if head.chunked {
            while let Some(chunk) = self.chunk().await? {
                body.extend(chunk);
            }
        } else if let Some(length) = head.length {
            body.resize(length, 0);
            self.stream.read_exact(&mut body).await?;
        }
        String::from_utf8(body).map_err(Error::other)
    }

    /// Reads an answer with its whole body.
    pub async fn answer(&mut self) -> Result<Answer> {
        let head = self.head().await?;
        Ok(Answer { status: head.status, body: self.body(&head).await? })
    }

    /// Reads until the server closes the connection.
    pub async fn end(&mut self) -> Result<()> {
        let mut rest = [0; 4_096];
        while self.stream.read(&mut rest).await? > 0 {}
        Ok(())
    }

    /// Closes the connection; with a reset, if `reset`.
    pub fn leave(self, reset: bool) {
        if reset {
            // A connection that is closed already needs no reset.
            let _ = self.stream.get_ref().set_zero_linger();
        }
    }

    /// Returns the socket, for another protocol.
    pub fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }
}
