//! The page on the command line.

use clap::{Arg, Command};
use nephoscope_agent::declared::command_line;

use crate::references::markdown::{Page, code, codes};

/// Returns the page.
pub(crate) fn page() -> String {
    // A built command also lists inherited arguments; an unbuilt one has no usage.
    let plain = command_line();
    let mut built = command_line();
    built.build();
    let mut page = Page::new("Command line", &about(&plain));
    page.text(&usage(&built));
    page.text(
        &plain
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default(),
    );
    page.section("Global options");
    arguments(&mut page, &plain);
    page.section("Subcommands");
    page.table(
        ["Subcommand", "Description"],
        shown(&plain).map(|command| [code(command.get_name()), first(command)]),
    );
    for command in shown(&plain) {
        page.subsection(&format!("{} {}", plain.get_name(), command.get_name()));
        page.text(&about(command));
        if let Some(built) = built.find_subcommand(command.get_name()) {
            page.text(&usage(built));
        }
        arguments(&mut page, command);
    }
    page.finish()
}

/// Returns the public subcommands.
fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

fn first(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn about(command: &Command) -> String {
    let text = command.get_long_about().or(command.get_about());
    sentences(&text.map(ToString::to_string).unwrap_or_default())
}

fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    format!("    {}", usage.trim().trim_start_matches("Usage:").trim())
}

fn arguments(page: &mut Page, command: &Command) {
    page.table(
        ["Argument", "Meaning"],
        command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set())
            .map(|argument| [names(argument), meaning(argument)]),
    );
}

/// Returns `--config PATH` and the aliases.
fn names(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default();
    let values: Vec<_> = values.iter().map(|value| value.as_str()).collect();
    let takes_values = argument.get_action().takes_values();
    let mut forms = Vec::new();
    forms.extend(argument.get_short().map(|short| format!("-{short}")));
    let long = argument
        .get_long()
        .into_iter()
        .chain(argument.get_visible_aliases().unwrap_or_default());
    forms.extend(long.map(|long| format!("--{long}")));
    if forms.is_empty() {
        return code(&values.join(" "));
    }
    let value = if takes_values {
        format!(" {}", values.join(" "))
    } else {
        String::new()
    };
    forms
        .iter()
        .map(|form| code(&format!("{form}{value}")))
        .collect::<Vec<_>>()
        .join(", ")
}

fn meaning(argument: &Arg) -> String {
    let text = argument.get_long_help().or(argument.get_help());
    let mut text = sentences(&text.map(ToString::to_string).unwrap_or_default());
    if argument.get_action().takes_values() {
        let possible = argument.get_possible_values();
        let possible = codes(
            possible
                .iter()
                .filter(|value| !value.is_hide_set())
                .map(|value| value.get_name()),
        );
        if !possible.is_empty() {
            text.push_str(&format!(" One of {possible}."));
        }
        let defaults: Vec<_> = argument
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        if !defaults.is_empty() {
            text.push_str(&format!(
                " Default: {}.",
                codes(defaults.iter().map(String::as_str))
            ));
        }
    }
    text
}

/// Adds a full stop to paragraphs without one, so that the next text is separated.
fn sentences(text: &str) -> String {
    let paragraph = |text: &str| {
        let text = text.trim();
        if text.is_empty() || text.ends_with(['.', ']', ':']) {
            text.to_owned()
        } else {
            format!("{text}.")
        }
    };
    text.split("\n\n").map(paragraph).collect::<Vec<_>>().join("\n\n")
}
