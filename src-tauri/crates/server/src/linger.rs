//! Closing a connection whose client is still sending.
//!
//! A call may be refused before its body was read: it is too large, the token is wrong, nothing is there. If the
//! connection were closed then, the system would answer what still arrives with a reset, and a reset takes the
//! answer away from a client that reads only once it has sent everything. So the answer is followed by the end of
//! our side only, and what arrives is read and forgotten for a while (RFC 9112 §9.6).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::seat::Seat;

/// How many bytes are read and forgotten at most.
const BYTES: usize = 256 << 20;

/// How long nothing may arrive before the client counts as done.
const QUIET: Duration = Duration::from_secs(1);

/// Whether the body of a connection's latest request was given up before its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unread(Arc<AtomicBool>);

impl Unread {
    /// The body of the next request, which is watched from now on. Until its end came the connection counts as
    /// waiting for its client.
    pub(crate) fn watch<B: Body>(&self, body: B, seat: &Arc<Seat>) -> Watched<B> {
        self.0.store(false, Ordering::Relaxed);
        if body.is_end_stream() {
            seat.works();
        }
        Watched {
            body,
            ended: false,
            unread: self.clone(),
            seat: Arc::clone(seat),
        }
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body that tells when it is dropped before its end.
#[derive(Debug)]
pub(crate) struct Watched<B: Body> {
    body: B,
    ended: bool,
    unread: Unread,
    seat: Arc<Seat>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.ended |= frame.is_none();
        if self.ended || self.body.is_end_stream() {
            self.seat.works();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Drop for Watched<B> {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            self.unread.0.store(true, Ordering::Relaxed);
        }
    }
}

/// A connection. Its shutdown ends only once the client is done, or was given enough time, if a body was unread.
pub(crate) struct Lingering {
    state: State,
    unread: Unread,
    seat: Arc<Seat>,
    time: Duration,
}

enum State {
    Open(TcpStream),
    Discarding(Pin<Box<dyn Future<Output = ()> + Send>>),
    Closed,
}

impl Lingering {
    /// `time` is how long a client may go on sending.
    pub(crate) fn new(stream: TcpStream, unread: Unread, seat: Arc<Seat>, time: Duration) -> Self {
        Self {
            state: State::Open(stream),
            unread,
            seat,
            time,
        }
    }

    fn open(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        match &mut self.state {
            State::Open(stream) => Ok(Pin::new(stream)),
            State::Discarding(_) | State::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// Reads and forgets until the client is done, silent for too long, or beyond what it is granted.
async fn discard(mut stream: TcpStream, time: Duration) {
    let mut buffer = vec![0; 64 << 10];
    let reading = async {
        let mut count = 0;
        while count <= BYTES {
            match timeout(QUIET, stream.read(&mut buffer)).await {
                Ok(Ok(more)) if more > 0 => count += more,
                _ => return,
            }
        }
    };
    let _ = timeout(time, reading).await;
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.open()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.open()?.poll_write(context, bytes);
        self.seat.sends(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.open()?.poll_write_vectored(context, pieces);
        self.seat.sends(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Open(stream) => Pin::new(stream).poll_flush(context),
            // Asked for again on the way to the end of a shutdown: everything was sent before.
            State::Discarding(_) | State::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let State::Open(stream) = &mut self.state {
            ready!(Pin::new(stream).poll_shutdown(context))?;
            let (unread, time) = (self.unread.get(), self.time);
            self.state = match std::mem::replace(&mut self.state, State::Closed) {
                State::Open(stream) if unread => State::Discarding(Box::pin(discard(stream, time))),
                done => done,
            };
        }
        if let State::Discarding(discarding) = &mut self.state {
            ready!(discarding.as_mut().poll(context));
            self.state = State::Closed;
        }
        Poll::Ready(Ok(()))
    }
}
