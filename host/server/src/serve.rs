//! Answers requests until told to stop.

use std::future::Future;
use std::io;

use axum::Router;
use tokio::net::TcpListener;

/// Serves `router` on `listener` until `shutdown` is done, then drains: it accepts nothing new, lets the requests that
/// are under way end, and returns.
///
/// How long draining may take is the caller's to decide: dropping the future closes what is still open.
///
/// # Errors
/// If the listener can not be used. That ends the server: report it and stop.
///
/// # Examples
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let server = stepcell_server::serve(listener, stepcell_server::health(), async move {
///     stopped.await.ok();
/// });
/// # drop(stop);
/// server.await
/// # }
/// ```
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    async fn ask(address: std::net::SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_server_answers_until_it_is_told_to_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, crate::health(), async {
            stopped.await.ok();
        }));

        let answer = ask(address).await;
        stop.send(()).unwrap();
        let end = server.await.unwrap();

        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(end.is_ok());
        assert!(TcpStream::connect(address).await.is_err());
    }
}
