//! Errors of etcd's permissions and certificates, by the rows of the table in docs/coordination.md.

use nephoscope_tests::{Etcd, Lab};

use crate::members::{
    codes, divides_with, has_reason, has_reason_and_metric, is_healthy, lab, polls_its_host, samples,
    serving, whole_cycles,
};

/// Returns the section `tls` with these files.
fn tls(etcd: &Etcd, ca: &str, identity: bool) -> String {
    let certificates = etcd.certificates.as_ref().unwrap();
    let identity = if identity {
        format!(
            ", cert: {}, key: {}",
            certificates.client.display(),
            certificates.client_key.display()
        )
    } else {
        String::new()
    };
    format!("tls: {{ca: {ca}{identity}}}")
}

/// Starts an agent that cannot join, checks that it reports this and polls its host, and stops it.
fn cannot_join(lab: &Lab, code: &str, metric: &str) {
    let mut program = serving(lab);
    has_reason_and_metric(&mut program, code, metric);
    assert!(codes(&program).contains(&"not_joined".to_owned()));
    assert_eq!(program.get("/readyz").status, 503);
    assert_eq!(program.get("/metrics").metric("nephoscope_pool_member", &[]), 0.0);
    polls_its_host(&mut program, lab);
    assert!(samples(lab).is_empty(), "no shared resource is polled");
    let stopped = program.stop();
    assert!(!stopped.stderr.contains("canary"), "{stopped}");
}

#[test]
fn a_revoked_permission_stops_no_poll_and_is_used_once_granted_again() {
    let mut etcd = Etcd::start();
    etcd.protect("agent", "secret-canary", "nephoscope/");
    let user = "user: agent, password: secret-canary";
    let labs = ["a", "b"].map(|id| lab(id, &etcd.endpoints(), user));
    let mut programs = labs.each_ref().map(serving);
    for program in &mut programs {
        divides_with(program, 2);
    }
    etcd.forbid("agent");
    for program in &mut programs {
        has_reason_and_metric(program, "etcd_permission_denied", "etcd_permission_denied");
        assert_eq!(program.get("/readyz").status, 200);
    }
    // The missing plan is noticed at the next edge, by its writer and by the agents that wait for it.
    for program in &mut programs {
        has_reason(program, "degraded");
    }
    whole_cycles(&mut programs[0], &labs.each_ref());
    etcd.permit("agent");
    for program in &mut programs {
        divides_with(program, 2);
        is_healthy(program);
    }
    whole_cycles(&mut programs[0], &labs.each_ref());
    for program in programs {
        let stopped = program.stop();
        assert!(!stopped.stderr.contains("canary"), "{stopped}");
    }
}

#[test]
fn a_changed_password_stops_no_poll() {
    let mut etcd = Etcd::build().token_seconds(1).start();
    etcd.protect("agent", "secret-canary", "nephoscope/");
    let lab = lab("a", &etcd.endpoints(), "user: agent, password: secret-canary");
    let mut program = serving(&lab);
    divides_with(&mut program, 1);
    // Expired tokens are replaced silently.
    whole_cycles(&mut program, &[&lab]);
    is_healthy(&mut program);
    etcd.change_password("agent", "another");
    has_reason_and_metric(&mut program, "etcd_credentials", "etcd_credentials");
    whole_cycles(&mut program, &[&lab]);
    assert_eq!(program.get("/readyz").status, 200);
    etcd.change_password("agent", "secret-canary");
    divides_with(&mut program, 1);
    is_healthy(&mut program);
    let stopped = program.stop();
    assert!(!stopped.stderr.contains("canary"), "{stopped}");
}

#[test]
fn certificate_errors_are_reported() {
    let mut etcd = Etcd::build().tls().start();
    let certificates = etcd.certificates.as_ref().unwrap();
    let (ca, other) = (
        certificates.ca.display().to_string(),
        certificates.other_ca.display().to_string(),
    );
    let with = |id: &str, more: String| lab(id, &etcd.endpoints(), &more);
    // An authority that did not sign etcd's certificate; no client certificate; an invalid file.
    let unreachable = "etcd_unreachable";
    cannot_join(&with("a", tls(&etcd, &other, true)), unreachable, unreachable);
    cannot_join(&with("b", tls(&etcd, &ca, false)), unreachable, unreachable);
    let fixed = with("c", tls(&etcd, "$LAB/ca.pem", true));
    cannot_join(&fixed, "etcd_tls", "etcd_tls");

    // The files are read again for each connection.
    let mut program = serving(&fixed);
    has_reason_and_metric(&mut program, "etcd_tls", "etcd_tls");
    fixed.write("ca.pem", &std::fs::read_to_string(&ca).unwrap());
    divides_with(&mut program, 1);
    whole_cycles(&mut program, &[&fixed]);
    is_healthy(&mut program);
    let _ = program.stop();

    // With both a user and a certificate, the user's password counts.
    etcd.protect("agent", "secret-canary", "nephoscope/");
    let with = |id: &str, password: &str| {
        let user = format!("user: agent, password: {password}");
        lab(
            id,
            &etcd.endpoints(),
            &format!("{}, {user}", tls(&etcd, &ca, true)),
        )
    };
    cannot_join(&with("d", "wrong-canary"), "etcd_credentials", "etcd_credentials");
    let right = with("e", "secret-canary");
    let mut program = serving(&right);
    divides_with(&mut program, 1);
    whole_cycles(&mut program, &[&right]);
    is_healthy(&mut program);
}
