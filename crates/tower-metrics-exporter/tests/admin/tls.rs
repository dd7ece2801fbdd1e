//! With a provider that the test chooses: the crate has none.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
        server::WebPkiClientVerifier,
    },
};

use crate::common::{Served, guarded, listen, request, send};

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (vec![certificate.der().clone()], key.into())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server(authority: &Authority, clients: Option<&Authority>) -> ServerConfig {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(clients.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let (chain, key) = authority.identity("localhost");
    let mut config = config.with_single_cert(chain, key).unwrap();
    // As one that is meant for another server, too.
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

fn client(trusts: &Authority, identity: Option<Identity>) -> ClientConfig {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trusts.roots());
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// What a client gets, or why it gets nothing.
async fn ask(address: SocketAddr, config: ClientConfig, name: &str) -> Result<String, String> {
    let connection = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let text = |error: std::io::Error| error.to_string();
    let connector = TlsConnector::from(Arc::new(config));
    let mut connection = connector.connect(name, connection).await.map_err(text)?;
    assert_eq!(
        connection.get_ref().1.alpn_protocol(),
        Some(&b"http/1.1"[..])
    );
    let asked = request("/readyz", "");
    connection.write_all(asked.as_bytes()).await.map_err(text)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.map_err(text)?;
    Ok(answer)
}

#[tokio::test]
async fn who_trusts_its_certificate_is_served_and_who_does_not_does_not_ask() {
    let (ours, others) = (Authority::new(), Authority::new());
    let (admin, ..) = guarded();
    let running = Served::start(listen().await.tls(server(&ours, None)), admin);
    let address = running.address;
    let answer = ask(address, client(&ours, None), "localhost")
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let error = ask(address, client(&others, None), "localhost")
        .await
        .unwrap_err();
    assert!(error.contains("invalid peer certificate"), "{error}");
    let error = ask(address, client(&ours, None), "example.com")
        .await
        .unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
    // Without TLS there is an alert, and no answer.
    let mut plain = send(address, &request("/readyz", "")).await;
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_client_without_the_right_certificate_gets_nothing() {
    let (ours, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let (admin, ..) = guarded();
    let running = Served::start(listen().await.tls(server(&ours, Some(&clients))), admin);
    let ask = |identity| ask(running.address, client(&ours, identity), "localhost");
    let answer = ask(Some(clients.identity("prometheus"))).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for identity in [None, Some(others.identity("prometheus"))] {
        let answer = ask(identity).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn who_never_ends_a_handshake_is_put_out_and_holds_up_no_shutdown() {
    let ours = Authority::new();
    let (admin, ..) = guarded();
    let server = || async { listen().await.max_connections(1).tls(server(&ours, None)) };
    let short = server().await.header_timeout(Duration::from_millis(20));
    let running = Served::start(short, admin.clone());
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let answer = ask(running.address, client(&ours, None), "localhost").await;
    assert!(answer.unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(silent.read(&mut [0]).await.unwrap_or_default(), 0);
    running.stop().await;

    let never = server().await.header_timeout(Duration::from_secs(3600));
    let running = Served::start(never, admin);
    let silent = TcpStream::connect(running.address).await.unwrap();
    running.stop().await;
    drop(silent);
}
