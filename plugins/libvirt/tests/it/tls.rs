//! A test of a daemon with TLS.

use std::fs;

use nephoscope_tests::Certificates;
use nephoscope_tests::libvirt::Guest;

use crate::setup::{daemon, kit_of};

#[tokio::test]
async fn a_daemon_with_tls_requires_a_trusted_certificate() {
    let Some(daemon) = daemon() else { return };
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::write_to(folder.path());
    let network = daemon.listen(&certificates);
    daemon.start_guests(&[Guest::new(1)]);
    let uri = |place: &str, ca: &std::path::Path| {
        let place = folder.path().join(place);
        fs::create_dir(&place).unwrap();
        fs::copy(ca, place.join("cacert.pem")).unwrap();
        fs::copy(&certificates.client, place.join("clientcert.pem")).unwrap();
        fs::copy(&certificates.client_key, place.join("clientkey.pem")).unwrap();
        let (port, place) = (network.port, place.display());
        format!("qemu+tls://localhost:{port}/system?no_sanity=1&pkipath={place}")
    };
    let kit = kit_of(&uri("trusted", &certificates.ca));
    let found = kit.discovery("local_instances").list().await.unwrap();
    let keys: Vec<_> = found.iter().map(|resource| resource.key().to_string()).collect();
    assert_eq!(keys, [Guest::new(1).uuid()]);
    let outcome = kit
        .pollster("compute")
        .resources_from("local_instances")
        .poll()
        .await;
    outcome.assert_clean();
    assert!(outcome.samples.iter().any(|sample| sample.meter.name == "cpu"));

    let kit = kit_of(&uri("other", &certificates.other_ca));
    let failure = kit.discovery("local_instances").list().await.unwrap_err();
    let reason = failure.chain();
    assert!(reason.contains("certificate"), "{reason}");
}
