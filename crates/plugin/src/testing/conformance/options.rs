//! Checks of a family's options: none are required, and unknown keys are rejected.

use serde_json::{Value, json};

use super::check::Check;
use crate::{BuildError, ProblemPlace};

/// A key that no plugin has as an option.
const UNKNOWN_OPTION: &str = "no_such_option";

impl Check {
    /// Checks that no options and `{}` are accepted, and that an unknown key is rejected.
    pub(super) fn check_options(&mut self) {
        for (shown, options) in [("no options", Value::Null), ("`{}`", json!({}))] {
            for (name, error) in self.option_errors(options) {
                self.find(format!("{name} rejects {shown}: {error}"));
            }
        }
        let mut unknown = self.setup.options.clone();
        if unknown.is_null() {
            unknown = json!({});
        }
        if let Some(keys) = unknown.as_object_mut() {
            keys.insert(UNKNOWN_OPTION.to_owned(), true.into());
        }
        if self.option_errors(unknown).is_empty() {
            self.find("an unknown option is accepted");
        }
    }

    /// Returns the plugins that reject these options.
    fn option_errors(&self, options: Value) -> Vec<(String, String)> {
        let kit = self.kit(options);
        let of_definitions = kit.problems().iter().filter_map(|problem| match &problem.place {
            ProblemPlace::Option(_) => Some(("the family".to_owned(), problem.to_string())),
            ProblemPlace::File(_) => None,
        });
        let of_builds = self
            .build_errors(&kit)
            .into_iter()
            .filter_map(|(name, error)| match error {
                BuildError::Options(error) => Some((name, error.to_string())),
                BuildError::Unavailable(_) => None,
            });
        of_definitions.chain(of_builds).collect()
    }
}
