//! The session with a simulated cloud.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_cloud::{Cloud, Fault, FaultKind, Service, Size};
use nephoscope_openstack::{ApiError, List, Session};
use nephoscope_plugin::{CallCounts, Circuit, FailureKind};
use serde_json::json;

use crate::lab::{
    self, CINDER, DESIGNATE, Lab, NEUTRON, RECORD_SETS, VOLUMES, ZONES, context, in_time, status_of,
};

#[tokio::test]
async fn one_token_serves_all_services_and_all_pages_are_listed() {
    let lab = Lab::start(Size::of(60)).await;
    assert_eq!(lab.images().await.unwrap().len(), 60);
    let mut zones = lab
        .service(&DESIGNATE)
        .request(&ZONES)
        .header("x-auth-all-projects", "True")
        .list(List::Member("zones"));
    assert_eq!(lab::ids(&mut zones).await.unwrap().len(), 60);
    assert_eq!(zones.extra()["metadata"]["total_count"], 60);
    assert_eq!(lab.volumes().await.unwrap().len(), 60);
    insta::assert_snapshot!(lab.cloud.counted(), @r"
    cinder GET /v3/ 200 x 1
    cinder GET /v3/{project}/volumes/detail 200 x 1
    designate GET /v2/zones 200 x 3
    glance GET /v2/images 200 x 1
    keystone POST /v3/auth/tokens 201 x 1
    ");
    let counted: Vec<_> = lab
        .calls()
        .into_iter()
        .map(|call| {
            format!(
                "{} {} {} {} x {}",
                call.service, call.method, call.path, call.outcome, call.count
            )
        })
        .collect();
    insta::assert_snapshot!(counted.join("\n"), @r"
    cinder GET /v3/ 200 x 1
    cinder GET /v3/volumes/detail 200 x 1
    designate GET /v2/zones 200 x 3
    glance GET /v2/images 200 x 1
    keystone POST /v3/auth/tokens 201 x 1
    ");
}

#[tokio::test]
async fn pages_have_the_configured_size() {
    let lab = Lab::with(
        Size::of(60),
        json!({ "page_size": 25, "services": { "cinder": { "page_size": 7 } } }),
    )
    .await;
    assert_eq!(lab.images().await.unwrap().len(), 60);
    assert_eq!(lab.volumes().await.unwrap().len(), 60);
    assert_eq!(lab.cloud.requests(Service::Glance), 3);
    assert_eq!(lab.cloud.requests(Service::Cinder), 1 + 9);
}

#[tokio::test]
async fn a_supported_microversion_is_requested() {
    let lab = Lab::start(Size::of(1)).await;
    let mut volumes = lab.volume_listing();
    let volume: serde_json::Value = volumes.next().await.unwrap().unwrap();
    assert!(volume["volume_type_id"].is_string(), "3.63 has it: {volume}");
}

#[tokio::test]
async fn a_token_is_renewed_once_when_a_service_rejects_it() {
    let lab = Lab::start(Size::of(1)).await;
    lab.images().await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(120)).await;
    tokio::time::resume();
    lab.cloud.expire_tokens();
    assert_eq!(lab.images().await.unwrap().len(), 1);
    assert_eq!(lab.cloud.requests(Service::Keystone), 2);
}

#[tokio::test]
async fn a_fresh_token_that_is_rejected_is_not_renewed() {
    let lab = Lab::start(Size::of(1)).await;
    lab.cloud
        .fault(Fault::of(Service::Glance, FaultKind::Status(401)));
    for _ in 0..5 {
        assert_eq!(status_of(lab.images().await), Some(401));
    }
    assert_eq!(lab.cloud.requests(Service::Keystone), 1);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let lab = Lab::start(Size::of(1)).await;
    lab.cloud.token_lifetime(Duration::from_secs(400));
    lab.images().await.unwrap();
    for seconds in [200, 110] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
        lab.images().await.unwrap();
    }
    insta::assert_snapshot!(lab.cloud.counted(), @r"
    glance GET /v2/images 200 x 3
    keystone POST /v3/auth/tokens 201 x 2
    ");
}

#[tokio::test]
async fn concurrent_callers_request_one_token() {
    let lab = Lab::start(Size::of(1)).await;
    lab.cloud.latency(Duration::from_millis(20));
    let listings = (0..20).map(|_| lab.images());
    for images in in_time(futures::future::join_all(listings)).await {
        assert_eq!(images.unwrap().len(), 1);
    }
    assert_eq!(lab.cloud.requests(Service::Keystone), 1);
    assert!(lab.cloud.peak_concurrency(Service::Glance) <= 8);
}

#[tokio::test]
async fn authentication_backs_off_after_a_wrong_password() {
    let lab = Lab::with(Size::of(1), json!({ "password": "canary" })).await;
    for _ in 0..3 {
        let error = lab.images().await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Unreachable);
        assert!(!format!("{error:?}{error}").contains("canary"));
    }
    insta::assert_snapshot!(lab.cloud.counted(), @"keystone POST /v3/auth/tokens 401 x 1");
}

#[tokio::test]
async fn without_credentials_nothing_is_supported() {
    let lab = Lab::with(Size::of(1), json!({ "auth_url": null })).await;
    let error = lab.images().await.unwrap_err();
    assert!(matches!(error, ApiError::NoCredentials));
    assert_eq!(error.kind(), FailureKind::NotSupported);
}

#[tokio::test]
async fn optional_users_of_a_cloud_share_the_session_or_get_none() {
    let lab = Lab::start(Size::of(1)).await;
    let there = context(&lab.cloud.options(), CallCounts::default());
    let session = Session::if_configured(&there).unwrap().unwrap();
    assert!(Arc::ptr_eq(&session, &Session::of(&there).unwrap()));
    let nowhere = context(&json!({}), CallCounts::default());
    assert!(Session::if_configured(&nowhere).unwrap().is_none());
    let wrong = context(&json!({ "interface": "sideways" }), CallCounts::default());
    assert!(Session::if_configured(&wrong).is_err());
}

#[tokio::test]
async fn each_authentication_method_gets_a_token() {
    let lab = Lab::start(Size::of(1)).await;
    let nothing = json!({ "username": null, "password": null, "user_domain_name": null, "project_name": null,
        "project_domain_name": null });
    let ways = [
        json!({ "application_credential_id": "nephoscope", "application_credential_secret": "telescope" }),
        json!({ "user_id": "05e70000000000000000000000000000", "password": "telescope", "system_scope": "all" }),
        json!({ "username": "nephoscope", "default_domain_id": "default", "password": "telescope", "domain_id": "default" }),
    ];
    for way in ways {
        let mut options = nothing.clone();
        lab::merge(&mut options, &way);
        let other = Lab::at(&lab.cloud, options);
        assert_eq!(
            other.images().await.map(|images| images.len()).unwrap(),
            1,
            "{way}"
        );
    }
}

#[tokio::test]
async fn a_service_that_the_catalog_lacks_is_not_supported_and_found_with_the_next_token() {
    let lab = Lab::start(Size::of(1)).await;
    lab.cloud.in_catalog(Service::Glance, false);
    let error = lab.images().await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotSupported);
    insta::assert_snapshot!(error, @"the catalog has no public endpoint of type `image`");
    assert_eq!(lab.cloud.requests(Service::Glance), 0);
}

#[tokio::test]
async fn an_endpoint_may_be_configured() {
    let lab = Lab::start(Size::of(2)).await;
    lab.cloud.in_catalog(Service::Glance, false);
    let endpoint = format!("{}/image", lab.cloud.url());
    let other = Lab::at(
        &lab.cloud,
        json!({ "services": { "glance": { "endpoint": endpoint } } }),
    );
    assert_eq!(other.images().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_missing_extension_is_requested_once_per_interval() {
    let lab = Lab::start(Size::of(1)).await;
    lab.cloud.without("/fwaas/firewall_groups");
    for _ in 0..3 {
        let mut groups = lab
            .service(&NEUTRON)
            .request(&lab::FIREWALLS)
            .list(List::Member("firewall_groups"));
        let error = lab::ids(&mut groups).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::NotSupported);
    }
    assert_eq!(lab.cloud.requests(Service::Neutron), 1);
}

#[tokio::test]
async fn a_busy_service_is_retried_after_its_requested_pause() {
    let lab = Lab::start(Size::of(1)).await;
    lab.cloud
        .fault(Fault::of(Service::Glance, FaultKind::Busy(429, 1)).times(1));
    assert_eq!(lab.images().await.unwrap().len(), 1);
    assert_eq!(lab.cloud.requests(Service::Glance), 2);
}

#[tokio::test]
async fn a_request_fails_if_the_service_requests_too_long_a_pause() {
    let lab = Lab::start(Size::of(1)).await;
    lab.cloud
        .fault(Fault::of(Service::Glance, FaultKind::Busy(503, 3600)));
    assert_eq!(status_of(lab.images().await), Some(503));
    assert_eq!(lab.cloud.requests(Service::Glance), 1);
}

#[tokio::test]
async fn the_circuit_of_a_failing_service_opens_and_other_services_are_unaffected() {
    let lab = Lab::with(Size::of(1), json!({ "breaker_interval": "1h" })).await;
    lab.cloud
        .fault(Fault::of(Service::Glance, FaultKind::Status(503)));
    assert_eq!(status_of(lab.images().await), Some(503));
    for _ in 0..10 {
        let error = lab.images().await.unwrap_err();
        assert!(matches!(error, ApiError::CircuitOpen { .. }), "{error}");
        assert_eq!(error.kind(), FailureKind::Transient);
    }
    assert_eq!(
        lab.cloud.requests(Service::Glance),
        3,
        "the request and two retries"
    );
    assert_eq!(lab.circuit("glance"), Some(Circuit::Open));
    assert_eq!(lab.volumes().await.unwrap().len(), 1);

    lab.cloud.heal();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3600)).await;
    tokio::time::resume();
    assert_eq!(lab.images().await.unwrap().len(), 1);
    assert_eq!(lab.circuit("glance"), Some(Circuit::Closed));
}

#[tokio::test]
async fn a_service_that_stays_down_gets_one_probe_per_interval() {
    let lab = Lab::with(Size::of(1), json!({ "breaker_interval": "30s" })).await;
    lab.cloud
        .fault(Fault::of(Service::Glance, FaultKind::Status(503)));
    assert_eq!(status_of(lab.images().await), Some(503));
    for intervals in 1..=4 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(31)).await;
        tokio::time::resume();
        for _ in 0..5 {
            assert!(lab.images().await.is_err());
        }
        assert_eq!(lab.cloud.requests(Service::Glance), 3 + intervals);
    }
}

#[tokio::test]
async fn agents_that_share_the_work_share_the_rate() {
    let lab = Lab::with(Size::of(1), json!({ "rate": 1000 })).await;
    let other = Lab::at(&lab.cloud, json!({ "rate": 1000 }));
    let ask = async |service: nephoscope_openstack::Service| {
        for _ in 0..60 {
            let images: serde_json::Value = service.request(&lab::IMAGES).document().await.unwrap();
            assert!(images.is_object());
        }
    };
    let members = std::num::NonZeroUsize::new(1_000_000).unwrap();
    tokio::select! {
        biased;
        () = ask(lab.service(&lab::GLANCE).shared_by(members)) => panic!("one request per second takes a minute"),
        () = ask(other.service(&lab::GLANCE)) => {}
    }
}

#[tokio::test]
async fn a_service_that_refuses_connections_is_unreachable() {
    let lab = Lab::start(Size::of(1)).await;
    let endpoint = lab::closed_endpoint();
    let other = Lab::at(
        &lab.cloud,
        json!({ "services": { "glance": { "endpoint": endpoint } } }),
    );
    for _ in 0..2 {
        let error = other.images().await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Unreachable, "{error}");
    }
    assert_eq!(other.circuit("glance"), Some(Circuit::Open));
}

#[tokio::test]
async fn a_request_without_an_answer_fails_after_the_timeout() {
    let lab = Lab::with(Size::of(1), json!({ "timeout": "1s" })).await;
    lab.images().await.unwrap();
    lab.cloud.fault(Fault::of(Service::Glance, FaultKind::Hang));
    let error = in_time(lab.images()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unreachable);
    insta::assert_snapshot!(error, @"glance did not answer GET /v2/images within 1 s");
    let pause = Duration::from_secs(3);
    lab.cloud.heal();
    lab.cloud
        .fault(Fault::of(Service::Glance, FaultKind::SlowBody(pause)));
    let error = in_time(lab.images()).await.unwrap_err();
    assert!(matches!(error, ApiError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn an_incomplete_page_is_requested_again_and_yields_each_entry_once() {
    let lab = Lab::with(Size::of(60), json!({ "page_size": 25 })).await;
    lab.cloud
        .fault(Fault::of(Service::Glance, FaultKind::Truncated).after(1).times(1));
    let ids = lab.images().await.unwrap();
    let mut distinct = ids.clone();
    distinct.dedup();
    assert_eq!((ids.len(), distinct.len()), (60, 60));
    assert_eq!(lab.cloud.requests(Service::Glance), 4);
    lab.cloud.fault(Fault::of(Service::Glance, FaultKind::Truncated));
    assert!(matches!(lab.images().await, Err(ApiError::Answer { .. })));
}

#[tokio::test]
async fn an_answer_that_is_not_json_ends_the_list_with_its_location() {
    let lab = Lab::start(Size::of(3)).await;
    for kind in [FaultKind::Malformed, FaultKind::Html] {
        lab.cloud.heal();
        lab.cloud.fault(Fault::of(Service::Glance, kind));
        let error = lab.images().await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Transient);
        assert!(
            error
                .to_string()
                .starts_with("the answer of glance to GET /v2/images cannot be read: expected"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_entry_of_the_wrong_type_is_skipped() {
    let lab = Lab::start(Size::of(3)).await;
    lab.cloud.fault(Fault::of(Service::Glance, FaultKind::WrongTypes));
    assert_eq!(lab.images().await.unwrap().len(), 3);
    let lab = Lab::start(Size {
        images: 0,
        ..Size::of(3)
    })
    .await;
    assert_eq!(lab.images().await.unwrap().len(), 0);
}

#[tokio::test]
async fn links_to_other_servers_are_not_followed() {
    let lab = Lab::start(Size::of(60)).await;
    let other = Cloud::start(Size::of(1)).await;
    let image = format!("{}/image", lab.cloud.url());
    let dns = format!("{}/dns", lab.cloud.url());
    lab.cloud.links_to(&other.url());
    let here = Lab::at(
        &lab.cloud,
        json!({ "services": { "designate": { "endpoint": dns }, "glance": { "endpoint": image } } }),
    );
    let mut zones = here
        .service(&DESIGNATE)
        .request(&ZONES)
        .header("x-auth-all-projects", "True")
        .list(List::Member("zones"));
    let error = lab::ids(&mut zones).await.unwrap_err();
    let text = error
        .to_string()
        .replace(&other.url(), "OTHER")
        .replace(&lab.cloud.url(), "HERE");
    insta::assert_snapshot!(text, @"designate links to OTHER, which is not at its endpoint HERE");

    let elsewhere = format!("{}/image/v2/images", other.url());
    lab.cloud
        .fault(Fault::of(Service::Glance, FaultKind::Redirect(elsewhere)));
    assert!(matches!(here.images().await, Err(ApiError::ForeignLink { .. })));
    assert_eq!(other.counted(), "");

    lab.cloud.heal();
    let round = "/image/v2/images?limit=7".to_owned();
    lab.cloud
        .fault(Fault::of(Service::Glance, FaultKind::Redirect(round)).times(1));
    assert_eq!(
        here.images().await.unwrap().len(),
        60,
        "a redirect at the endpoint is followed"
    );
    let round = "/image/v2/images".to_owned();
    lab.cloud
        .fault(Fault::of(Service::Glance, FaultKind::Redirect(round)));
    assert!(matches!(here.images().await, Err(ApiError::Answer { .. })));
}

#[tokio::test]
async fn path_segments_are_encoded_and_a_missing_object_is_reported() {
    let lab = Lab::start(Size::of(1)).await;
    let record_sets = |zone: &str| {
        lab.service(&DESIGNATE)
            .request(&RECORD_SETS)
            .segment(zone)
            .query("limit", 1)
            .header("x-auth-all-projects", "True")
    };
    let zone = "0000000c-0000-4000-8000-000000000000";
    let counted: serde_json::Value = record_sets(zone).document().await.unwrap();
    assert_eq!(counted["metadata"]["total_count"], 3);
    let error = record_sets("../../zones")
        .document::<serde_json::Value>()
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(404));
    insta::assert_snapshot!(error, @"designate answered 404 to GET /v2/zones/{zone}/recordsets: Could not find Zone");
}

#[tokio::test]
async fn invalid_options_are_named() {
    let cloud = Cloud::start(Size::of(1)).await;
    let mut options = cloud.options();
    lab::merge(&mut options, &json!({ "cafile": "/nowhere/ca.pem" }));
    let error = lab::build(&options).unwrap_err();
    insta::assert_snapshot!(error, @"option `cafile`: /nowhere/ca.pem: No such file or directory (os error 2)");
}

#[tokio::test]
async fn errors_name_the_failed_call() {
    let lab = Lab::start(Size::of(1)).await;
    lab.cloud
        .fault(Fault::of(Service::Cinder, FaultKind::Status(500)).at("volumes/detail"));
    let error = lab
        .service(&CINDER)
        .request(&VOLUMES)
        .document::<serde_json::Value>()
        .await;
    insta::assert_snapshot!(error.unwrap_err(), @"cinder answered 500 to GET /v3/volumes/detail: Injected fault.");
    assert_eq!(lab.cloud.requests(Service::Cinder), 2, "500 is not retried");
}
