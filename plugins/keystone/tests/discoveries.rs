//! Tests of the discoveries of projects and endpoints.

use nephoscope_cloud::{Cloud, Size};
use nephoscope_keystone as _;
use nephoscope_plugin::testing::{Conformance, Kit};
use serde_json::json;

#[tokio::test]
async fn one_request_lists_the_projects_of_all_domains() {
    let cloud = Cloud::start(Size::of(20)).await;
    let kit = Kit::new("keystone").options_of("openstack", cloud.options());
    let projects = kit.discovery("tenant").list().await.unwrap();
    assert_eq!(projects.len(), 21, "includes the service project");
    insta::assert_snapshot!(cloud.counted(), @r"
    keystone GET /v3/projects 200 x 1
    keystone POST /v3/auth/tokens 201 x 1
    ");
}

#[tokio::test]
async fn disabled_projects_and_those_of_disabled_domains_are_omitted_on_request() {
    let cloud = Cloud::start(Size {
        domains: 10,
        ..Size::of(33)
    })
    .await;
    let mut options = cloud.options();
    options["ignore_disabled_projects"] = json!(true);
    let kit = Kit::new("keystone").options_of("openstack", options);
    let projects = kit.discovery("tenant").list().await.unwrap();
    // Of 33 projects, 9, 19 and 29 are disabled; 9, 20 and 31 are in domain 9 of eleven.
    assert_eq!(projects.len(), 33 - 5 + 1);
}

#[tokio::test]
async fn endpoints_are_those_of_the_catalog() {
    let cloud = Cloud::start(Size::of(1)).await;
    let kit = Kit::new("keystone").options_of("openstack", cloud.options());
    let urls = |url: &'static str| {
        let listing = kit.discovery(url).list();
        let base = cloud.url();
        async move {
            let listing = listing.await.unwrap();
            let urls: Vec<_> = listing
                .iter()
                .map(|resource| resource.key().replace(&base, ""))
                .collect();
            urls.join(" ")
        }
    };
    assert_eq!(urls("endpoint:image").await, "/image");
    assert_eq!(
        urls("endpoint:object-store").await,
        "/object-store/v1/AUTH_5e71ce00000000000000000000000000 /rgw/swift/v1"
    );
    assert_eq!(urls("endpoint").await.split(' ').count(), 12);
    assert_eq!(urls("endpoint:unheard-of").await, "");
}

#[tokio::test]
async fn the_family_conforms() {
    let cloud = Cloud::start(Size::of(30)).await;
    Conformance::of("keystone")
        .options_of("openstack", cloud.options())
        .check()
        .await;
}
