//! Troubles with what etcd permits and whom it trusts, row by row of the table in docs/coordination.md.

use nephoscope_tests::{Etcd, Lab};

use crate::members::{
    codes, divides_with, has_reason, is_well, lab, polls_its_host, samples, serving, troubled, whole_cycles,
};

/// The section `tls`, with these files.
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

/// Starts an agent that cannot join, and sees that it says so and polls its host; then takes it down.
fn refused(lab: &Lab, code: &str, metric: &str) {
    let mut program = serving(lab);
    troubled(&mut program, code, metric);
    assert!(codes(&program).contains(&"not_joined".to_owned()));
    assert_eq!(program.get("/readyz").status, 503);
    assert_eq!(program.get("/metrics").metric("nephoscope_pool_member", &[]), 0.0);
    polls_its_host(&mut program, lab);
    assert!(samples(lab).is_empty(), "nothing that is shared is polled");
    let stopped = program.stop();
    assert!(!stopped.stderr.contains("canary"), "{stopped}");
}

#[test]
fn permission_that_is_taken_stops_nothing_and_is_used_when_it_is_given_back() {
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
        troubled(program, "etcd_permission_denied", "etcd_permission_denied");
        assert_eq!(program.get("/readyz").status, 200);
    }
    // The plan that could not be written is missed at the next edge, by who would have written it and by who waits for it.
    for program in &mut programs {
        has_reason(program, "degraded");
    }
    whole_cycles(&mut programs[0], &labs.each_ref());
    etcd.permit("agent");
    for program in &mut programs {
        divides_with(program, 2);
        is_well(program);
    }
    whole_cycles(&mut programs[0], &labs.each_ref());
    for program in programs {
        let stopped = program.stop();
        assert!(!stopped.stderr.contains("canary"), "{stopped}");
    }
}

#[test]
fn a_password_that_is_changed_stops_nothing() {
    let mut etcd = Etcd::build().token_seconds(1).start();
    etcd.protect("agent", "secret-canary", "nephoscope/");
    let lab = lab("a", &etcd.endpoints(), "user: agent, password: secret-canary");
    let mut program = serving(&lab);
    divides_with(&mut program, 1);
    // Tokens that expire are replaced without a word.
    whole_cycles(&mut program, &[&lab]);
    is_well(&mut program);
    etcd.change_password("agent", "another");
    troubled(&mut program, "etcd_credentials", "etcd_credentials");
    whole_cycles(&mut program, &[&lab]);
    assert_eq!(program.get("/readyz").status, 200);
    etcd.change_password("agent", "secret-canary");
    divides_with(&mut program, 1);
    is_well(&mut program);
    let stopped = program.stop();
    assert!(!stopped.stderr.contains("canary"), "{stopped}");
}

#[test]
fn certificates_that_do_not_fit_are_told_as_such() {
    let mut etcd = Etcd::build().tls().start();
    let certificates = etcd.certificates.as_ref().unwrap();
    let (ca, other) = (
        certificates.ca.display().to_string(),
        certificates.other_ca.display().to_string(),
    );
    let with = |id: &str, more: String| lab(id, &etcd.endpoints(), &more);
    // An authority that did not sign etcd's certificate; no certificate of ours; a file that is none.
    let unreachable = "etcd_unreachable";
    refused(&with("a", tls(&etcd, &other, true)), unreachable, unreachable);
    refused(&with("b", tls(&etcd, &ca, false)), unreachable, unreachable);
    let mended = with("c", tls(&etcd, "$LAB/ca.pem", true));
    refused(&mended, "etcd_tls", "etcd_tls");

    // The files are read again at each connection.
    let mut program = serving(&mended);
    troubled(&mut program, "etcd_tls", "etcd_tls");
    mended.write("ca.pem", &std::fs::read_to_string(&ca).unwrap());
    divides_with(&mut program, 1);
    whole_cycles(&mut program, &[&mended]);
    is_well(&mut program);
    let _ = program.stop();

    // With a user beside the certificate, it is the user's password that counts.
    etcd.protect("agent", "secret-canary", "nephoscope/");
    let with = |id: &str, password: &str| {
        let user = format!("user: agent, password: {password}");
        lab(
            id,
            &etcd.endpoints(),
            &format!("{}, {user}", tls(&etcd, &ca, true)),
        )
    };
    refused(&with("d", "wrong-canary"), "etcd_credentials", "etcd_credentials");
    let right = with("e", "secret-canary");
    let mut program = serving(&right);
    divides_with(&mut program, 1);
    whole_cycles(&mut program, &[&right]);
    is_well(&mut program);
}
