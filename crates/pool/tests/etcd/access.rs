//! Access to etcd: TLS, users, tokens, permissions.

use nephoscope_plugin::Secret;
use nephoscope_pool::etcd::{Identity, Store, StoreError, StoreOptions, TlsFiles, User};
use nephoscope_tests::Etcd;

use crate::stores::{broken, changes, eventually, options, snapshot, soon, text};

fn tls(etcd: &Etcd) -> StoreOptions {
    let certificates = etcd.certificates.as_ref().unwrap();
    let files = TlsFiles {
        ca: Some(certificates.ca.clone()),
        identity: Some(Identity {
            certificate: certificates.client.clone(),
            key: certificates.client_key.clone(),
        }),
    };
    StoreOptions {
        tls: files,
        ..options(etcd.endpoints())
    }
}

fn with_user(etcd: &Etcd, name: &str, password: &str) -> Store {
    let user = User {
        name: name.to_owned(),
        password: Secret::new(password),
    };
    Store::new(StoreOptions {
        user: Some(user),
        ..options(etcd.endpoints())
    })
}

#[tokio::test]
async fn tls_with_a_client_certificate() {
    let etcd = Etcd::build().tls().start();
    let store = Store::new(tls(&etcd));
    store.put(b"p/a", b"1", None).await.unwrap();
    let mut follow = store.follow(&[b"p/"]);
    snapshot(&mut follow).await;

    let certificates = etcd.certificates.as_ref().unwrap();
    let rejected = |files: TlsFiles| {
        let store = Store::new(StoreOptions {
            tls: files,
            ..tls(&etcd)
        });
        async move { store.get(b"p/a").await.unwrap_err() }
    };
    let right = tls(&etcd).tls;
    // An authority that did not sign etcd's certificate.
    let error = rejected(TlsFiles {
        ca: Some(certificates.other_ca.clone()),
        ..right.clone()
    });
    let error = error.await;
    assert!(
        matches!(&error, StoreError::Unreachable { reason } if reason.contains("certificate")),
        "{error}"
    );
    // No client certificate.
    let error = rejected(TlsFiles {
        identity: None,
        ..right.clone()
    });
    let error = error.await;
    assert!(matches!(&error, StoreError::Unreachable { .. }), "{error}");
    // Files that are not certificates.
    for (ca, key) in [
        ("/nowhere.pem".into(), certificates.client_key.clone()),
        ("/dev/zero".into(), certificates.client_key.clone()),
    ] {
        let error = rejected(TlsFiles {
            ca: Some(ca),
            identity: Some(Identity {
                certificate: certificates.client.clone(),
                key,
            }),
        });
        let error = error.await;
        assert!(
            matches!(&error, StoreError::Tls { reason } if reason.contains("`ca`")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_user_with_a_password() {
    let mut etcd = Etcd::start();
    // Before authentication is enabled, the user is ignored.
    let early = with_user(&etcd, "agent", "secret");
    early.put(b"p/a", b"1", None).await.unwrap();
    assert!(early.health().await.unwrap().unauthenticated);
    let without_user = Store::new(options(etcd.endpoints()));
    assert!(!without_user.health().await.unwrap().unauthenticated);
    etcd.protect("agent", "secret", "p/");
    eventually("the same store to log in", || early.put(b"p/a", b"2", None)).await;

    let store = with_user(&etcd, "agent", "secret");
    store.put(b"p/a", b"3", None).await.unwrap();
    assert!(!store.health().await.unwrap().unauthenticated);
    let mut follow = store.follow(&[b"p/"]);
    snapshot(&mut follow).await;
    etcd.write("p/b", "4");
    assert_eq!(text(&changes(&mut follow).await), ["p/b=4"]);

    for wrong in [
        with_user(&etcd, "agent", "wrong"),
        with_user(&etcd, "nobody", "secret"),
        Store::new(options(etcd.endpoints())),
    ] {
        let error = wrong.get(b"p/a").await.unwrap_err();
        assert!(matches!(error, StoreError::Credentials { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    // Another prefix, for each type of call.
    let error = store.get(b"other").await.unwrap_err();
    assert!(matches!(error, StoreError::PermissionDenied { .. }), "{error}");
    let error = store.put(b"other", b"1", None).await.unwrap_err();
    assert!(matches!(error, StoreError::PermissionDenied { .. }), "{error}");
    let error = broken(&mut store.follow(&[b"other"])).await;
    assert!(matches!(error, StoreError::PermissionDenied { .. }), "{error}");
}

#[tokio::test]
async fn a_revoked_permission_is_reported_and_used_when_granted_again() {
    let mut etcd = Etcd::start();
    etcd.protect("agent", "secret", "p/");
    let store = with_user(&etcd, "agent", "secret");
    store.put(b"p/a", b"1", None).await.unwrap();
    etcd.forbid("agent");
    let error = soon("to be denied", async {
        loop {
            if let Err(error) = store.get(b"p/a").await {
                return error;
            }
        }
    });
    let error = error.await;
    assert!(matches!(error, StoreError::PermissionDenied { .. }), "{error}");
    etcd.permit("agent");
    eventually("to be permitted", || store.get(b"p/a")).await;
}

#[tokio::test]
async fn tokens_that_expire_are_replaced_for_calls_leases_and_watches() {
    let mut etcd = Etcd::build().token_seconds(1).start();
    etcd.protect("agent", "secret", "p/");
    let store = with_user(&etcd, "agent", "secret");
    store.put(b"p/a", b"1", None).await.unwrap();
    let mut follow = store.follow(&[b"p/"]);
    snapshot(&mut follow).await;
    // A lease without keepalives expires after the token.
    let (lease, _) = store.grant(std::time::Duration::from_secs(4)).await.unwrap();
    etcd.with(|mut client| {
        let options = etcd_client::PutOptions::new().with_lease(lease.0);
        async move { client.put("p/lease", "", Some(options)).await }
    });
    assert_eq!(text(&changes(&mut follow).await), ["p/lease="]);
    assert_eq!(text(&changes(&mut follow).await), ["p/lease is gone"]);
    // The store's token has expired.
    store.put(b"p/a", b"2", None).await.unwrap();
    let mut late = store.follow(&[b"p/"]);
    snapshot(&mut late).await;
    assert_eq!(text(&changes(&mut follow).await), ["p/a=2"]);
}

#[tokio::test]
async fn a_changed_password_is_reported_as_a_credentials_error() {
    let mut etcd = Etcd::start();
    etcd.protect("agent", "secret", "p/");
    let store = with_user(&etcd, "agent", "secret");
    store.put(b"p/a", b"1", None).await.unwrap();
    etcd.change_password("agent", "another");
    let error = soon("to be refused", async {
        loop {
            if let Err(error) = store.put(b"p/a", b"2", None).await {
                return error;
            }
        }
    });
    let error = error.await;
    assert!(matches!(error, StoreError::Credentials { .. }), "{error}");
    etcd.change_password("agent", "secret");
    eventually("to be known again", || store.put(b"p/a", b"3", None)).await;
}
