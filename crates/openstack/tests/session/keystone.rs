//! The session with a real Keystone: authentication, scopes, catalog, expiry, application credentials.

use std::time::Duration;

use nephoscope_openstack::{ApiError, KEYSTONE, List, Session};
use nephoscope_plugin::{CallDef, CallOutcome};
use serde_json::{Value, json};

use crate::lab::{build, ids, in_time, merge};
use crate::server::{Keystone, PASSWORD};

static PROJECTS: CallDef = CallDef::new("keystone", "GET", "/v3/projects").role("reader");

async fn projects(session: &std::sync::Arc<Session>) -> Result<usize, ApiError> {
    let mut listing = session
        .service(&KEYSTONE)
        .request(&PROJECTS)
        .list(List::Member("projects"));
    Ok(in_time(ids(&mut listing)).await?.len())
}

/// Starting Keystone takes much longer than requests to it: one test sends all of them.
#[tokio::test]
async fn a_real_keystone_issues_tokens_of_every_kind() {
    let keystone = Keystone::start().await;
    let with = |more: Value| {
        let mut options = keystone.options();
        merge(&mut options, &more);
        build(&options).unwrap()
    };
    let no_scope = json!({ "project_name": null, "project_domain_name": null });

    // A token of a project, and its catalog.
    let (session, calls) = with(json!({}));
    assert_eq!(
        session.catalog_urls(Some("identity")).await.unwrap(),
        [keystone.url()]
    );
    assert_eq!(session.catalog_urls(None).await.unwrap().len(), 1);
    assert_eq!(projects(&session).await.unwrap(), 1);
    let project = session.project_id().await.unwrap().unwrap();

    // Projects of another domain, disabled ones too.
    let domain = keystone
        .ask("POST", "/domains", json!({ "domain": { "name": "heat" } }))
        .await;
    let domain = domain["domain"]["id"].as_str().unwrap().to_owned();
    for (name, enabled) in [("one", true), ("two", false)] {
        let project = json!({ "name": name, "domain_id": domain, "enabled": enabled });
        keystone
            .ask("POST", "/projects", json!({ "project": project }))
            .await;
    }
    assert_eq!(projects(&session).await.unwrap(), 3);
    let mut enabled = session
        .service(&KEYSTONE)
        .request(&PROJECTS)
        .query("enabled", "True")
        .list(List::Member("projects"));
    assert_eq!(in_time(ids(&mut enabled)).await.unwrap().len(), 2);

    // Other scopes.
    for scope in [json!({ "system_scope": "all" }), json!({ "project_id": project })] {
        let mut options = no_scope.clone();
        merge(&mut options, &scope);
        assert_eq!(projects(&with(options).0).await.unwrap(), 3, "{scope}");
    }

    // An application credential: by id, and by name with its user.
    let users = keystone.ask("GET", "/users?name=admin", Value::Null).await;
    let user = users["users"][0]["id"].as_str().unwrap().to_owned();
    let credential = json!({ "application_credential": { "name": "nephoscope", "secret": "sextant" } });
    let made = keystone
        .ask(
            "POST",
            &format!("/users/{user}/application_credentials"),
            credential,
        )
        .await;
    let id = made["application_credential"]["id"].as_str().unwrap();
    let no_user = json!({ "username": null, "password": null, "user_domain_id": null, "application_credential_secret": "sextant" });
    for way in [
        json!({ "application_credential_id": id }),
        json!({ "application_credential_name": "nephoscope", "username": "admin", "user_domain_id": "default" }),
    ] {
        let mut options = no_user.clone();
        merge(&mut options, &way);
        assert_eq!(projects(&with(options).0).await.unwrap(), 3, "{way}");
    }

    // A token that Keystone has revoked is replaced, once.
    keystone
        .ask(
            "PATCH",
            &format!("/users/{user}"),
            json!({ "user": { "description": "x" } }),
        )
        .await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(120)).await;
    tokio::time::resume();
    let tokens = |calls: &nephoscope_plugin::CallCounts| {
        let totals = calls.totals();
        let own = totals.iter().filter(|call| call.path == "/v3/auth/tokens");
        own.map(|call| call.count).sum::<u64>()
    };
    assert_eq!(tokens(&calls), 1);
    let changed = json!({ "user": { "original_password": PASSWORD, "password": "quadrant" } });
    keystone
        .ask("POST", &format!("/users/{user}/password"), changed)
        .await;
    let error = projects(&session).await.unwrap_err();
    assert!(
        matches!(error, ApiError::NoToken { .. }),
        "the password has changed: {error}"
    );
    assert_eq!(tokens(&calls), 2);
    let refused = calls
        .totals()
        .iter()
        .any(|call| call.path == "/v3/projects" && call.outcome == CallOutcome::Status(401));
    assert!(refused, "the old token was tried before a new one was requested");
    // Keystone also rejects tokens issued in the second of the change.
    let found = in_time(async {
        loop {
            match projects(&with(json!({ "password": "quadrant" })).0).await {
                Err(ApiError::Status { status: 401, .. }) => tokio::task::yield_now().await,
                found => break found,
            }
        }
    });
    assert_eq!(found.await.unwrap(), 3);
}
