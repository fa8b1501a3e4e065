//! A client that speaks by hand, so that it can say what no client says.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// What a client takes at most before it reads: as little as the system lets it be.
const DEAF_BUFFER_BYTES: u32 = 4_096;

/// An answer that was read until its connection ended.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status; 0 if the connection was closed without an answer.
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|head| head.get(..3)?.parse().ok()).unwrap_or_default();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whether it is no mistake of the server: those have no room only for a while, and say so.
    pub(super) fn is_sound(&self) -> bool {
        self.status < 500 || (self.status == 503 && self.head.contains("\r\nretry-after: "))
    }
}

/// Somebody with a key.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    key: String,
}

impl Client {
    pub(super) fn new(address: SocketAddr, key: &str) -> Self {
        Self { address, key: key.to_owned() }
    }

    /// The head of a request with the key, which ends with its connection; `more` are further lines.
    pub(super) fn head(&self, method: &str, path: &str, more: &str) -> String {
        let key = &self.key;
        format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {key}\r\nconnection: close\r\n{more}\r\n"
        )
    }

    /// A whole request with a JSON body; `more` are further lines of its head.
    pub(super) fn with_json(&self, path: &str, more: &str, body: &[u8]) -> Vec<u8> {
        let more = format!("content-type: application/json\r\ncontent-length: {}\r\n{more}", body.len());
        let mut request = self.head("POST", path, &more).into_bytes();
        request.extend_from_slice(body);
        request
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.say(self.head("GET", path, "").as_bytes()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.say(&self.with_json(path, "", body.to_string().as_bytes())).await
    }

    /// Sends bytes on a connection of their own, and reads until it ends. Whoever does not want to hear all may say so early.
    pub(super) async fn say(&self, bytes: &[u8]) -> Answer {
        let (mut from, mut to) = self.connect().await.into_split();
        let send = async {
            // Whoever refuses what comes closes the connection while it does.
            let _ = to.write_all(bytes).await;
            to
        };
        let mut read = Vec::new();
        let (_to, _) = tokio::join!(send, from.read_to_end(&mut read));
        Answer::read(&read)
    }

    /// Sends a head, and then the same part again and again until it was sent so often, or nobody takes it any more.
    pub(super) async fn flood(&self, head: &str, part: &[u8], times: usize) -> Answer {
        let (mut from, mut to) = self.connect().await.into_split();
        let send = async {
            if to.write_all(head.as_bytes()).await.is_err() {
                return;
            }
            for _ in 0..times {
                if to.write_all(part).await.is_err() {
                    return;
                }
            }
        };
        let mut read = Vec::new();
        let answered = from.read_to_end(&mut read);
        tokio::pin!(send, answered);
        // An answer ends it, whatever is left to send.
        tokio::select! {
            _ = &mut answered => {}
            () = &mut send => { let _ = answered.await; }
        }
        Answer::read(&read)
    }

    /// A connection that ends at once when it is dropped, without a word.
    pub(super) async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_zero_linger().unwrap();
        stream
    }

    /// Asks, and never reads.
    pub(super) async fn ask_and_never_read(&self, path: &str, more: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(DEAF_BUFFER_BYTES).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        stream.set_zero_linger().unwrap();
        stream.write_all(self.head("GET", path, more).as_bytes()).await.unwrap();
        stream
    }
}
