//! Tests of secrets as resources.

use nephoscope_barbican::{Credentials, NO_SECRETS};
use nephoscope_cloud::{Cloud, Service, Size};
use nephoscope_plugin::FailureKind;
use nephoscope_plugin::testing::{Conformance, Kit};

/// The discovery URL of the simulated cloud's secret.
const URL: &str = "barbican://5ec2e700-0000-4000-8000-000000000001";

#[tokio::test]
async fn a_secret_is_listed_by_its_id_and_its_payload_is_hidden() {
    let cloud = Cloud::start(Size::of(0)).await;
    let kit = Kit::new("barbican").options_of("openstack", cloud.options());
    let found = kit.discovery(URL).list().await.unwrap();
    let [secret] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(&**secret.key(), "5ec2e700-0000-4000-8000-000000000001");
    assert_eq!(secret.body::<Credentials>().unwrap().expose(), b"canary-payload");
    assert!(!format!("{secret:?}").contains("canary"), "{secret:?}");
    insta::assert_snapshot!(cloud.counted(), @r"
    barbican GET /v1/secrets/{id}/payload 200 x 1
    keystone POST /v3/auth/tokens 201 x 1
    ");
}

#[tokio::test]
async fn without_a_secret_a_placeholder_is_listed() {
    let cloud = Cloud::start(Size::of(0)).await;
    let kit = Kit::new("barbican").options_of("openstack", cloud.options());
    for url in ["barbican", "barbican://"] {
        let found = kit.discovery(url).list().await.unwrap();
        let keys: Vec<&str> = found.iter().map(|resource| &**resource.key()).collect();
        assert_eq!(keys, [NO_SECRETS]);
    }
    assert_eq!(cloud.counted(), "");
    cloud.in_catalog(Service::Barbican, false);
    let found = kit.discovery(URL).list().await.unwrap();
    assert_eq!(&**found[0].key(), NO_SECRETS);
}

#[tokio::test]
async fn a_missing_secret_is_an_error() {
    let cloud = Cloud::start(Size::of(0)).await;
    let kit = Kit::new("barbican").options_of("openstack", cloud.options());
    let failure = kit.discovery("barbican://other").list().await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Transient);
    insta::assert_snapshot!(failure.chain(), @"barbican answered 404 to GET /v1/secrets/{secret}/payload: Secret not found. Sorry but your secret is in another castle.");
}

#[tokio::test]
async fn the_family_conforms() {
    let cloud = Cloud::start(Size::of(0)).await;
    Conformance::of("barbican")
        .options_of("openstack", cloud.options())
        .discovery_url(URL)
        .check()
        .await;
}
