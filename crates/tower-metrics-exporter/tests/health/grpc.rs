use std::time::Duration;

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower_metrics_exporter::{HealthHandle, Probe};

use crate::common::{Told, health};

/// A server that ends when it is told to, and a client.
async fn serve(
    health: &HealthHandle,
) -> (
    HealthClient<Channel>,
    oneshot::Sender<()>,
    JoinHandle<Result<(), tonic::transport::Error>>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = Server::builder()
        .add_service(health.grpc(["shop.v1.Orders"]))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), async { drop(stopped.await) });
    let server = tokio::spawn(server);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();
    (HealthClient::new(channel), stop, server)
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn a_client_that_checks_is_told_what_a_probe_would_be() {
    let told = Told::default();
    let check = told.check("database").fresh_for(Duration::ZERO);
    let (health, _) = health([check]);
    let (mut client, _stop, _server) = serve(&health).await;
    for service in ["", "shop.v1.Orders"] {
        told.passes();
        let answer = client.check(of(service)).await.unwrap();
        assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
        told.fails("away");
        let answer = client.check(of(service)).await.unwrap();
        assert_eq!(answer.get_ref().status(), ServingStatus::NotServing);
    }
    let unknown = client.check(of("shop.v1.Other")).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_client_that_watches_hears_of_changes_and_of_the_end() {
    let told = Told::default();
    let check = told.check("database").fresh_for(Duration::ZERO);
    let (health, _) = health([check]);
    let (mut client, stop, server) = serve(&health).await;
    let mut watch = client.watch(of("")).await.unwrap().into_inner();
    let mut unknown = client.watch(of("other")).await.unwrap().into_inner();
    let mut next = async || watch.message().await.unwrap().map(|said| said.status());
    assert_eq!(next().await, Some(ServingStatus::Serving));
    told.fails("away");
    // Once said is enough.
    drop(health.report(Probe::Ready).await);
    drop(health.report(Probe::Ready).await);
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    told.passes();
    drop(health.report(Probe::Ready).await);
    assert_eq!(next().await, Some(ServingStatus::Serving));

    health.shut_down();
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    assert_eq!(next().await, None);
    let said = unknown.message().await.unwrap().unwrap().status();
    assert_eq!(said, ServingStatus::ServiceUnknown);
    assert!(unknown.message().await.unwrap().is_none());
    // Nothing holds up the server's end.
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}
