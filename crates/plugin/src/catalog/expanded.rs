//! The catalog of a configuration, including what families define from their options and files.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::unique::{Conflict, UniqueNames};
use super::{Catalog, Contents};
use crate::registration::Expand;
use crate::{
    DefinitionFiles, DefinitionProblem, ExpandContext, Expansion, Location, ProblemPlace, ProblemSeverity,
};

/// Shorter secrets are not redacted in messages: they would match parts of ordinary words.
const MIN_SECRET_LENGTH: usize = 4;

/// The inputs from which families create definitions.
#[derive(Debug, Clone, Copy)]
pub struct ExpandRequest<'a> {
    options: &'a BTreeMap<String, Value>,
    namespaces: &'a [String],
    state_dir: Option<&'a Path>,
}

impl<'a> ExpandRequest<'a> {
    /// Creates a request with the options under `plugins:` by family, and the agent's namespaces.
    pub fn new(options: &'a BTreeMap<String, Value>, namespaces: &'a [String]) -> Self {
        Self {
            options,
            namespaces,
            state_dir: None,
        }
    }

    /// Sets the folder in which the agent stores its state across restarts.
    #[must_use]
    pub fn state_dir(mut self, state_dir: &'a Path) -> Self {
        self.state_dir = Some(state_dir);
        self
    }
}

/// The catalog of a configuration, and the problems found while it was built.
#[derive(Debug)]
#[non_exhaustive]
pub struct Expanded {
    /// What is linked into the program, and what families defined.
    pub catalog: Catalog,
    /// All problems, including errors, in the order of families.
    pub problems: Vec<DefinitionProblem>,
    /// The files that were read.
    pub files: DefinitionFiles,
    /// Secrets that no message may contain.
    pub secrets: Vec<String>,
}

impl Expanded {
    /// Whether the configuration has errors and cannot be used.
    pub fn has_errors(&self) -> bool {
        let mut problems = self.problems.iter();
        problems.any(|problem| problem.severity == ProblemSeverity::Error)
    }
}

impl Catalog {
    /// Lets each enabled family create its definitions. Reads files, and so can take as long as their file system.
    pub fn expand(&self, request: &ExpandRequest<'_>) -> Expanded {
        let mut builder = CatalogBuilder::from_contents(&self.0);
        for family in self.families() {
            let options = request.options.get(family.name);
            if let Some(expand) = family.expand
                && family.is_enabled(options.is_some(), request.namespaces)
            {
                let options = options.unwrap_or(&Value::Null);
                let context = ExpandContext::new(family.name, options, request.namespaces, request.state_dir);
                builder.add(family.name, expand, context);
            }
        }
        builder.finish()
    }
}

/// A catalog to which families add definitions.
struct CatalogBuilder {
    contents: Contents,
    names: UniqueNames,
    problems: Vec<DefinitionProblem>,
    files: DefinitionFiles,
    secrets: Vec<String>,
    digest: DefaultHasher,
}

impl CatalogBuilder {
    fn from_contents(contents: &Contents) -> Self {
        Self {
            contents: contents.clone(),
            // The names were unique when the catalog was built.
            names: contents.unique_names().unwrap_or_default().for_definitions(),
            problems: Vec::new(),
            files: DefinitionFiles::default(),
            secrets: Vec::new(),
            digest: DefaultHasher::new(),
        }
    }

    fn add(&mut self, family: &'static str, expand: Expand, context: ExpandContext<'_>) {
        let expansion = match catch_unwind(AssertUnwindSafe(|| expand(&context))) {
            Ok(Ok(expansion)) => expansion,
            Ok(Err(error)) => only_problem(error.into()),
            Err(_) => {
                let all_options = ProblemPlace::Option(".".to_owned());
                only_problem(DefinitionProblem::error(
                    all_options,
                    "the plugin panicked while it created its definitions",
                ))
            }
        };
        let files = context.into_files();
        for (path, text) in &files.texts {
            (family, path, text).hash(&mut self.digest);
        }
        self.files.add(files);
        self.secrets.extend(expansion.secrets);
        for problem in expansion.problems {
            self.add_problem(family, problem);
        }
        for mut discovery in expansion.discoveries {
            discovery.family = family;
            format!("{discovery:?}").hash(&mut self.digest);
            match self.names.add_discovery(&discovery) {
                Ok(()) => self.contents.discoveries.push(Arc::new(discovery)),
                Err(conflict) => {
                    self.add_conflict(family, &discovery.name, discovery.location.as_ref(), conflict)
                }
            }
        }
        for mut pollster in expansion.pollsters {
            pollster.family = family;
            format!("{pollster:?}").hash(&mut self.digest);
            match self.names.add_pollster(&pollster) {
                Ok(()) => self.contents.pollsters.push(Arc::new(pollster)),
                Err(conflict) => {
                    self.add_conflict(family, &pollster.name, pollster.location.as_ref(), conflict)
                }
            }
        }
    }

    fn add_problem(&mut self, family: &'static str, problem: DefinitionProblem) {
        let problem = DefinitionProblem { family, ..problem };
        problem.hash(&mut self.digest);
        self.problems.push(problem);
    }

    /// Reports a definition whose name is not unique. A compiled plugin keeps the name.
    fn add_conflict(
        &mut self,
        family: &'static str,
        name: &Arc<str>,
        at: Option<&Location>,
        conflict: Conflict,
    ) {
        let place = match at {
            Some(location) => ProblemPlace::File(location.clone()),
            None => ProblemPlace::Option(".".to_owned()),
        };
        let what = match conflict.kind {
            "discoveries" => "the discovery",
            "meters" => "the meter",
            _ => "the pollster",
        };
        let (namespace, known) = conflict.name.split_once('/').unwrap_or(("", &conflict.name));
        let owner = conflict.owner;
        let problem = if conflict.within_definition {
            DefinitionProblem::error(
                place,
                format!("duplicate: {what} `{known}` is defined twice in this definition"),
            )
        } else if owner.compiled {
            let title = format!(
                "{what} `{known}` of the namespace `{namespace}` is already compiled in: `{}` of the family `{}`",
                owner.name, owner.family
            );
            DefinitionProblem::rejected(place, title)
                .expected("the compiled plugin is used")
                .help("rename or remove this definition")
        } else {
            let title = format!(
                "{what} `{known}` of the namespace `{namespace}` is defined twice, first by `{}` of the family `{}`",
                owner.name, owner.family
            );
            let problem = DefinitionProblem::error(place, title)
                .expected("duplicate")
                .help("remove or rename one of the two");
            match &owner.location {
                Some(first) => problem.also(first.clone(), "first defined here"),
                None => problem,
            }
        };
        self.add_problem(family, problem.definition(name.clone()));
    }

    fn finish(self) -> Expanded {
        let Self {
            mut contents,
            problems,
            files,
            secrets,
            digest,
            ..
        } = self;
        contents.sort();
        contents.digest = digest.finish();
        let rejected = problems
            .iter()
            .filter(|problem| problem.severity == ProblemSeverity::Rejected);
        contents.rejected = rejected.cloned().collect();
        for problem in &mut contents.rejected {
            for secret in secrets.iter().filter(|secret| secret.len() >= MIN_SECRET_LENGTH) {
                problem.message = problem.message.replace(secret, "***");
            }
        }
        Expanded {
            catalog: Catalog(Arc::new(contents)),
            problems,
            files,
            secrets,
        }
    }
}

/// An expansion with one problem and no definitions.
fn only_problem(problem: DefinitionProblem) -> Expansion {
    let mut expansion = Expansion::new();
    expansion.add_problem(problem);
    expansion
}
