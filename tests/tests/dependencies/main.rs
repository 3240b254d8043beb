//! The allowed dependencies between crates, and bounds on their external dependencies.
//!
//! The rules are in `table.rs`, one line per crate. A new crate needs a line there.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their helpers fail by panicking"
)]

mod table;
mod tree;
mod workspace;

use table::{Bound, MAY_DEPEND_ON, PLUGINS_MAY_DEPEND_ON};
use tree::Tree;
use workspace::{Member, members};

#[test]
fn crates_depend_on_what_the_table_allows() {
    let broken = violations(&members());
    assert!(
        broken.is_empty(),
        "tests/tests/dependencies/table.rs does not allow:\n{}",
        broken.join("\n")
    );
}

#[test]
fn every_line_of_the_table_names_a_crate() {
    let members = members();
    for (name, _) in MAY_DEPEND_ON {
        assert!(
            members.iter().any(|member| member.short() == *name),
            "the table has a line for `{name}`, which is not a crate of the workspace"
        );
    }
}

#[test]
fn crates_stay_within_their_bounds() {
    for bound in table::BOUNDS {
        let tree = Tree::of(bound.package, bound.edges);
        let broken = excess(bound, &tree);
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }
}

/// Returns a line for each normal or build dependency between crates of the workspace that the table does not allow.
fn violations(members: &[Member]) -> Vec<String> {
    let mut broken = Vec::new();
    let by_name = |name: &str| members.iter().find(|member| member.name == name);
    for member in members.iter().filter(|member| !member.is_for_tests()) {
        let allowed = if member.is_plugin() {
            Some(PLUGINS_MAY_DEPEND_ON)
        } else {
            let line = MAY_DEPEND_ON.iter().find(|(name, _)| *name == member.short());
            line.map(|(_, allowed)| *allowed)
        };
        let Some(allowed) = allowed else {
            broken.push(format!("{}: the crate has no line in the table", member.name));
            continue;
        };
        for on in &member.dependencies {
            let Some(member_on) = by_name(&on.name) else {
                continue;
            };
            let is_allowed = allowed
                .iter()
                .any(|name| *name == member_on.short() || (*name == table::PLUGINS && member_on.is_plugin()));
            if !is_allowed {
                broken.push(format!("{} -> {}", member.name, on.name));
            }
        }
    }
    broken
}

/// Returns a line for each rule of the bound that the tree violates.
fn excess(bound: &Bound, tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for name in bound.never {
        if let Some(way) = tree.way_to(name) {
            broken.push(format!(
                "{} must not depend on {name}: {}",
                bound.package,
                way.join(" -> ")
            ));
        }
    }
    if let Some(most) = bound.most
        && tree.len() > most
    {
        broken.push(format!(
            "{} depends on {} crates, itself included; at most {most} are allowed:\n{}",
            bound.package,
            tree.len(),
            tree.names().collect::<Vec<_>>().join(" ")
        ));
    }
    broken
}

mod rules_tests {
    use super::*;
    use crate::workspace::Dependency;

    fn member(name: &str, folder: &str, dependencies: &[&str]) -> Member {
        Member {
            name: format!("nephoscope-{name}"),
            folder: folder.to_owned(),
            dependencies: dependencies
                .iter()
                .map(|on| Dependency {
                    name: format!("nephoscope-{on}"),
                })
                .collect(),
        }
    }

    #[test]
    fn a_forbidden_edge_is_named() {
        let members = [
            member("model", "crates/model", &[]),
            member("plugin", "crates/plugin", &["model"]),
            member("polling", "crates/polling", &["plugin"]),
            member("agent", "crates/agent", &["polling", "weather"]),
            member("config", "crates/config", &["plugin", "polling"]),
            member("host", "plugins/host", &["plugin"]),
            member("weather", "plugins/weather", &["plugin", "host", "polling"]),
            member("tests", "tests", &["weather"]),
        ];
        assert_eq!(
            violations(&members),
            [
                "nephoscope-agent -> nephoscope-weather",
                "nephoscope-config -> nephoscope-polling",
                "nephoscope-weather -> nephoscope-host",
                "nephoscope-weather -> nephoscope-polling",
            ]
        );
        let members = [member("new", "crates/new", &[])];
        assert_eq!(
            violations(&members),
            ["nephoscope-new: the crate has no line in the table"]
        );
    }

    #[test]
    fn an_excess_is_named_with_its_path() {
        let tree = Tree::read(
            "0nephoscope-plugin v1.0.0 (/x)\n1a v1.0.0\n2b v2.0.0\n3cc v1.0.0\n1c v1.0.0\n2b v2.0.0 (*)\n",
        );
        let bound = Bound {
            package: "nephoscope-plugin",
            edges: "normal,build",
            most: Some(4),
            never: &["cc", "cmake"],
        };
        assert_eq!(
            excess(&bound, &tree),
            [
                "nephoscope-plugin must not depend on cc: nephoscope-plugin -> a -> b -> cc",
                "nephoscope-plugin depends on 5 crates, itself included; at most 4 are allowed:\na b c cc nephoscope-plugin",
            ]
        );
    }
}
