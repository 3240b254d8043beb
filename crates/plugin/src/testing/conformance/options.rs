//! Options of a family: none are needed, and unknown ones are refused.

use serde_json::{Value, json};

use super::check::Check;
use crate::{BuildError, ProblemPlace};

/// A key that no plugin has as an option.
const UNKNOWN_OPTION: &str = "no_such_option";

impl Check {
    /// Options: none and `{}` are accepted, an unknown key is not.
    pub(super) fn check_options(&mut self) {
        for (shown, options) in [("no options", Value::Null), ("`{}`", json!({}))] {
            for (name, error) in self.option_errors(options) {
                self.find(format!("{name} refuses {shown}: {error}"));
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
            self.find("an option that does not exist is accepted");
        }
    }

    /// Who says that these options are wrong: the family when it makes its definitions, or a plugin.
    fn option_errors(&self, options: Value) -> Vec<(String, String)> {
        let kit = self.kit(options);
        let of_family = kit
            .problems()
            .iter()
            .filter(|problem| matches!(problem.place, ProblemPlace::Option(_)))
            .map(|problem| ("the family".to_owned(), problem.to_string()));
        let of_plugins = self
            .build_errors(&kit)
            .into_iter()
            .filter_map(|(name, error)| match error {
                BuildError::Options(error) => Some((name, error.to_string())),
                BuildError::Unavailable(_) => None,
            });
        of_family.chain(of_plugins).collect()
    }
}
