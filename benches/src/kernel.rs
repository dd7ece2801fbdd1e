//! What the kernel does for each request of a server, and to the processor's caches.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

/// Both ends of a connection on loopback.
pub struct Kernel {
    client: TcpStream,
    server: TcpStream,
}

impl Kernel {
    pub fn new() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
        }
        Ok(Self { client, server })
    }

    /// Sends as many bytes as a request has, and back as many as its response has.
    pub fn pass(&mut self) -> io::Result<()> {
        let (mut request, mut response) = ([b'.'; 60], [b'.'; 130]);
        self.client.write_all(&request)?;
        self.server.read_exact(&mut request)?;
        self.server.write_all(&response)?;
        self.client.read_exact(&mut response)
    }
}
