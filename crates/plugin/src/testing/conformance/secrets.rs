//! Checks that no secret option appears in any output.

use serde_json::Value;

use super::check::{Check, DEADLINE, MAX_RESOURCES};
use crate::testing::schema::CANARY;

impl Check {
    /// Searches all output for secret options. A service that rejects the canary values causes no finding.
    pub(super) async fn check_secrets(&mut self, options: Value) {
        let kit = self.kit(options);
        let mut output = String::new();
        for (name, error) in self.build_errors(&kit) {
            output.push_str(&format!("{name}: {error} {error:?}\n"));
        }
        let mut resources = Vec::new();
        for plugin in &self.discoveries {
            let Ok(_) = kit.build_discovery(plugin) else {
                continue;
            };
            for url in self.urls(plugin) {
                match kit
                    .discovery(&url)
                    .deadline(DEADLINE)
                    .limit(MAX_RESOURCES)
                    .list()
                    .await
                {
                    Ok(found) => resources.extend(found),
                    Err(failure) => output.push_str(&format!("{} {failure:?}\n", failure.chain())),
                }
            }
        }
        for resource in &resources {
            output.push_str(&format!("{resource:?} {:?}\n", resource.describe()));
        }
        for plugin in &self.pollsters {
            if kit.build_pollster(plugin).is_err() {
                continue;
            }
            let outcome = self.poll(&kit, plugin, resources.clone()).await;
            output.push_str(&format!(
                "{}{}{outcome:?}\n",
                outcome.json_lines(),
                outcome.problems()
            ));
        }
        if let Some(line) = output.lines().find(|line| line.contains(CANARY)) {
            let line = line.replace(CANARY, "***");
            let start: String = line.chars().take(200).collect();
            self.find(format!("a secret option appears in the output: {start}"));
        }
    }
}
