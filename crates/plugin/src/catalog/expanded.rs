//! The catalog of a configuration: with what families make of their options and files.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::unique::{Taken, UniqueNames};
use super::{Catalog, Contents};
use crate::registration::Expand;
use crate::{
    DefinitionFiles, DefinitionProblem, ExpandContext, Expansion, Location, ProblemPlace, ProblemSeverity,
};

/// Shorter texts are not looked for in messages: they would tear up any text.
const SHORTEST_SECRET: usize = 4;

/// What families make definitions of.
#[derive(Debug, Clone, Copy)]
pub struct ExpandRequest<'a> {
    options: &'a BTreeMap<String, Value>,
    namespaces: &'a [String],
    state_dir: Option<&'a Path>,
}

impl<'a> ExpandRequest<'a> {
    /// What is under `plugins:` by family, and the namespaces of the agent.
    pub fn new(options: &'a BTreeMap<String, Value>, namespaces: &'a [String]) -> Self {
        Self {
            options,
            namespaces,
            state_dir: None,
        }
    }

    /// The folder in which the agent keeps what it must know after a restart.
    #[must_use]
    pub fn state_dir(mut self, state_dir: &'a Path) -> Self {
        self.state_dir = Some(state_dir);
        self
    }
}

/// The catalog of a configuration, and what was noticed on the way.
#[derive(Debug)]
#[non_exhaustive]
pub struct Expanded {
    /// What the program has, and what families made.
    pub catalog: Catalog,
    /// What is wrong, errors among it, in the order of families.
    pub problems: Vec<DefinitionProblem>,
    /// What was read.
    pub files: DefinitionFiles,
    /// Texts that no message may show.
    pub secrets: Vec<String>,
}

impl Expanded {
    /// Whether the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        let mut problems = self.problems.iter();
        problems.any(|problem| problem.severity == ProblemSeverity::Error)
    }
}

impl Catalog {
    /// Lets each family that the configuration enables make its definitions. Reads files, and so may take as long as
    /// their file system does.
    pub fn expand(&self, request: &ExpandRequest<'_>) -> Expanded {
        let mut growing = Growing::of(&self.0);
        for family in self.families() {
            let options = request.options.get(family.name);
            if let Some(expand) = family.expand
                && family.is_enabled(options.is_some(), request.namespaces)
            {
                let options = options.unwrap_or(&Value::Null);
                let context = ExpandContext::new(family.name, options, request.namespaces, request.state_dir);
                growing.add(family.name, expand, context);
            }
        }
        growing.finish()
    }
}

/// A catalog to which families add.
struct Growing {
    contents: Contents,
    names: UniqueNames,
    problems: Vec<DefinitionProblem>,
    files: DefinitionFiles,
    secrets: Vec<String>,
    digest: DefaultHasher,
}

impl Growing {
    fn of(contents: &Contents) -> Self {
        Self {
            contents: contents.clone(),
            // They were unique when the catalog was made.
            names: contents.unique_names().unwrap_or_default().grow(),
            problems: Vec::new(),
            files: DefinitionFiles::default(),
            secrets: Vec::new(),
            digest: DefaultHasher::new(),
        }
    }

    fn add(&mut self, family: &'static str, expand: Expand, context: ExpandContext<'_>) {
        let expansion = match catch_unwind(AssertUnwindSafe(|| expand(&context))) {
            Ok(Ok(expansion)) => expansion,
            Ok(Err(error)) => wrong(error.into()),
            Err(_) => {
                let everywhere = ProblemPlace::Option(".".to_owned());
                wrong(DefinitionProblem::error(
                    everywhere,
                    "the plugin panicked while it made its definitions",
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
            self.problem(family, problem);
        }
        for mut discovery in expansion.discoveries {
            discovery.family = family;
            format!("{discovery:?}").hash(&mut self.digest);
            match self.names.add_discovery(&discovery) {
                Ok(()) => self.contents.discoveries.push(Arc::new(discovery)),
                Err(taken) => self.taken(family, &discovery.name, discovery.location.as_ref(), taken),
            }
        }
        for mut pollster in expansion.pollsters {
            pollster.family = family;
            format!("{pollster:?}").hash(&mut self.digest);
            match self.names.add_pollster(&pollster) {
                Ok(()) => self.contents.pollsters.push(Arc::new(pollster)),
                Err(taken) => self.taken(family, &pollster.name, pollster.location.as_ref(), taken),
            }
        }
    }

    fn problem(&mut self, family: &'static str, problem: DefinitionProblem) {
        let problem = DefinitionProblem { family, ..problem };
        problem.hash(&mut self.digest);
        self.problems.push(problem);
    }

    /// A definition whose name another has. One that is compiled in keeps it.
    fn taken(&mut self, family: &'static str, name: &Arc<str>, at: Option<&Location>, taken: Taken) {
        let place = match at {
            Some(location) => ProblemPlace::File(location.clone()),
            None => ProblemPlace::Option(".".to_owned()),
        };
        let what = match taken.kind {
            "discoveries" => "the discovery",
            "meters" => "the meter",
            _ => "the pollster",
        };
        let (namespace, known) = taken.name.split_once('/').unwrap_or(("", &taken.name));
        let by = taken.by;
        let problem = if taken.twice {
            DefinitionProblem::error(place, format!("it has {what} `{known}` twice"))
        } else if by.compiled {
            let title = format!(
                "{what} `{known}` of the namespace `{namespace}` is a part of the program: of `{}` of the family `{}`",
                by.name, by.family
            );
            DefinitionProblem::set_aside(place, title)
                .expected("the one of the program is used")
                .help("give it another name, or leave it out")
        } else {
            let title = format!(
                "{what} `{known}` of the namespace `{namespace}` is defined twice, first by `{}` of the family `{}`",
                by.name, by.family
            );
            let problem = DefinitionProblem::error(place, title)
                .expected("here again")
                .help("keep one of them, or give one another name");
            match &by.location {
                Some(first) => problem.also(first.clone(), "here first"),
                None => problem,
            }
        };
        self.problem(family, problem.definition(name.clone()));
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
        let set_aside = problems
            .iter()
            .filter(|problem| problem.severity == ProblemSeverity::SetAside);
        contents.set_aside = set_aside.cloned().collect();
        for problem in &mut contents.set_aside {
            for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
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

/// Nothing but a problem.
fn wrong(problem: DefinitionProblem) -> Expansion {
    let mut expansion = Expansion::new();
    expansion.add_problem(problem);
    expansion
}
