//! The command line: subcommands, options, and their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use nephoscope_config::{HumanDuration, LogFormat, LogLevel};
use nephoscope_polling::cost::Resources;

/// What stands at the end of every help.
const AFTER: &str = "\
Exit codes: 0 done; 1 something that was polled or asked for failed; 2 bad usage or configuration; 3 could not start; \
130 and 143 ended at once by a second SIGINT or SIGTERM.";

/// Samples this machine and the clouds that it is part of, and publishes the samples.
#[derive(Debug, Parser)]
#[command(
    name = "nephoscope",
    version,
    after_help = AFTER,
    subcommand_precedence_over_arg = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) options: GlobalOptions,
}

/// What every subcommand knows.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// A configuration file, or a folder of them; may be given several times, later ones win
    ///
    /// Without it `./polling.yaml` is read, else the folder `/etc/nephoscope`, and
    /// `/etc/ceilometer/polling.yaml` if these have no sources.
    #[arg(long = "config", value_name = "PATH", global = true)]
    pub(crate) config: Vec<PathBuf>,
    /// Take unknown keys, which are warnings otherwise, for errors
    #[arg(long, global = true)]
    pub(crate) strict: bool,
    /// The groups of plugins to load, instead of those in the configuration
    #[arg(long, visible_alias = "polling-namespaces", value_name = "NAME", num_args = 1.., global = true)]
    pub(crate) namespaces: Vec<String>,
    /// The least important events to log [default: as configured, info]
    #[arg(
        long,
        value_name = "LEVEL",
        value_enum,
        global = true,
        hide_possible_values = false
    )]
    pub(crate) log_level: Option<Level>,
    /// The form of the log [default: as configured, text]
    #[arg(long, value_name = "FORMAT", value_enum, global = true)]
    pub(crate) log_format: Option<LogForm>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Poll and publish until stopped (what `nephoscope` alone does)
    ///
    /// SIGHUP reads the configuration again. SIGTERM and SIGINT stop within `agent.shutdown_timeout`; a second
    /// one ends at once.
    Run(RunArgs),
    /// Poll everything once, now, and print the samples
    ///
    /// Exits with 1 if anything failed; what is not supported here is no failure. It neither joins other agents
    /// nor writes state.
    Once(OnceArgs),
    /// Check the configuration, and print the plan of work
    ///
    /// Needs no network and writes nothing. With `--cost` it prints how many calls an hour the configuration makes to each
    /// service, in the place of the plan.
    Check(CheckArgs),
    /// List the discoveries, pollsters, meters and publishers that this program was built with
    Plugins(Printing),
    /// Ask one discovery, and print the resources that it lists
    Discover(DiscoverArgs),
    /// List the spools of publishers, deliver what is in them, or drop what is old
    ///
    /// An agent that runs on the same `agent.state_dir` is asked through its admin socket; otherwise the spools are opened here, and no
    /// agent can start meanwhile.
    Spool(SpoolArgs),
    /// Show how a pool divides its work: members, plans, owners
    ///
    /// Needs no agent, and changes nothing. With `--members` not even etcd: ownership is computed.
    Partition(PartitionArgs),
    /// Print the JSON schema of polling.yaml, for editors
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// How `run` runs.
#[derive(Debug, Default, Clone, Copy, Args)]
pub(crate) struct RunArgs {
    /// Exit with 3 if work is to be shared and etcd does not answer within 30 s
    ///
    /// Without it the agent polls what is not shared, and joins when etcd answers.
    #[arg(long)]
    pub(crate) require_coordination: bool,
}

/// What `check` prints.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Print the calls an hour to each service, instead of the plan of work
    #[arg(long)]
    pub(crate) cost: bool,
    #[command(flatten)]
    pub(crate) size: CostArgs,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

/// What the cost is computed for.
#[derive(Debug, Args)]
pub(crate) struct CostArgs {
    /// How many resources a discovery lists, by its name or URL, or all that are not named; may be given several times
    /// [default: 1000]
    #[arg(
        long,
        value_name = "[DISCOVERY=]COUNT",
        value_delimiter = ',',
        value_parser = resources,
        requires = "cost"
    )]
    pub(crate) resources: Vec<Resources>,
    /// How many agents share the work
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        requires = "cost"
    )]
    pub(crate) members: u32,
}

/// Reads `COUNT`, or `DISCOVERY=COUNT`.
fn resources(text: &str) -> Result<Resources, String> {
    /// More is a slip of the pen.
    const MOST: u64 = 1_000_000_000;
    // A URL may have `=` in it, a count has not.
    let (listing, count) = match text.rsplit_once('=') {
        Some((listing, count)) => (Some(listing.to_owned()), count),
        None => (None, text),
    };
    let count = count.parse().ok().filter(|count| *count <= MOST);
    let count = count.ok_or_else(|| "expected a count such as `1000`, or `volumes=1000`".to_owned())?;
    Ok(Resources { listing, count })
}

/// How `once` polls.
#[derive(Debug, Args)]
pub(crate) struct OnceArgs {
    /// Also publish the samples as configured, without spool
    #[arg(long)]
    pub(crate) publish: bool,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

/// What `discover` asks.
#[derive(Debug, Args)]
pub(crate) struct DiscoverArgs {
    /// The discovery: its name, or `NAME://PARAMETER`
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// How long it may take
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(crate) timeout: HumanDuration,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

/// What is done with spools.
#[derive(Debug, Args)]
pub(crate) struct SpoolArgs {
    /// The publishers whose spools are meant [default: all that have one]
    #[arg(value_name = "PUBLISHER")]
    pub(crate) publishers: Vec<String>,
    /// Deliver what is in the spools, and exit when it is delivered
    ///
    /// Exits with 1 if something is left.
    #[arg(long, conflicts_with = "drop_older_than")]
    pub(crate) drain: bool,
    /// Give up draining when nothing was delivered for this long
    #[arg(long, value_name = "DURATION", default_value = "60s", requires = "drain")]
    pub(crate) timeout: HumanDuration,
    /// Drop what was stored longer ago than this, but for what is being delivered
    #[arg(long, value_name = "DURATION")]
    pub(crate) drop_older_than: Option<HumanDuration>,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

/// What `partition` shows.
#[derive(Debug, Args)]
pub(crate) struct PartitionArgs {
    /// Who owns the resource with this key, in each current plan, and who would be next
    #[arg(long, value_name = "KEY", conflicts_with = "members")]
    pub(crate) key: Option<String>,
    /// What would move if this member were not there
    #[arg(long, value_name = "ID")]
    pub(crate) without: Option<String>,
    /// Compute who of these would own the keys of `--keys-file`, without etcd
    #[arg(long, value_name = "ID", value_delimiter = ',', requires = "keys_file")]
    pub(crate) members: Vec<String>,
    /// A file with a key in each line; without it, shares are those of 10,000 drawn keys
    #[arg(long, value_name = "FILE")]
    pub(crate) keys_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

/// How something is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Printing {
    /// A table for people, or one JSON object a line [default: table on a terminal, json otherwise]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Json,
    Table,
}

/// The levels of the log.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The forms of the log.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogForm {
    Text,
    Json,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
            Level::Trace => Self::Trace,
        }
    }
}

impl From<LogForm> for LogFormat {
    fn from(form: LogForm) -> Self {
        match form {
            LogForm::Text => Self::Text,
            LogForm::Json => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn namespaces_are_words_as_ceilometer_takes_them() {
        let cli = parse("nephoscope --polling-namespaces compute central").unwrap();
        assert_eq!(cli.options.namespaces, ["compute", "central"]);
        assert!(cli.command.is_none());
        let cli = parse("nephoscope run --namespaces compute --namespaces central").unwrap();
        assert_eq!(cli.options.namespaces, ["compute", "central"]);
        let cli = parse("nephoscope --namespaces host once --publish").unwrap();
        assert_eq!(cli.options.namespaces, ["host"]);
        assert!(matches!(
            cli.command,
            Some(Command::Once(OnceArgs { publish: true, .. }))
        ));
    }

    #[test]
    fn global_options_stand_before_and_after_the_subcommand() {
        for line in [
            "nephoscope --config a --config b --strict check",
            "nephoscope check --strict --config a --config b",
        ] {
            let cli = parse(line).unwrap();
            assert_eq!(cli.options.config, [PathBuf::from("a"), PathBuf::from("b")]);
            assert!(cli.options.strict);
        }
    }

    #[test]
    fn resources_are_counted_by_listing_or_for_all() {
        let cli = parse("nephoscope check --cost --resources endpoint://a=b=7,50 --resources volumes=1");
        let Ok(Some(Command::Check(CheckArgs { size, .. }))) = cli.map(|cli| cli.command) else {
            panic!("it is taken");
        };
        let named = |listing: &str, count| Resources {
            listing: Some(listing.to_owned()),
            count,
        };
        let all = Resources {
            listing: None,
            count: 50,
        };
        assert_eq!(
            size.resources,
            [named("endpoint://a=b", 7), all, named("volumes", 1)]
        );
        assert_eq!(size.members, 1);
    }

    #[test]
    fn bad_usage_is_told_with_exit_code_2() {
        for line in [
            "nephoscope polls",
            "nephoscope once --format xml",
            "nephoscope discover",
            "nephoscope discover x --timeout soon",
            "nephoscope spool --drain --drop-older-than 1h",
            "nephoscope spool --timeout 1s",
            "nephoscope check --members 3",
            "nephoscope check --cost --members 0",
            "nephoscope check --cost --resources many",
            "nephoscope check --cost --resources volumes=",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("nephoscope --version").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn the_help_says_what_there_is() {
        let mut command = Cli::command().term_width(100);
        insta::assert_snapshot!(command.render_help(), @r"
        Samples this machine and the clouds that it is part of, and publishes the samples

        Usage: nephoscope [OPTIONS] [COMMAND]

        Commands:
          run          Poll and publish until stopped (what `nephoscope` alone does)
          once         Poll everything once, now, and print the samples
          check        Check the configuration, and print the plan of work
          plugins      List the discoveries, pollsters, meters and publishers that this program was built
                       with
          discover     Ask one discovery, and print the resources that it lists
          spool        List the spools of publishers, deliver what is in them, or drop what is old
          partition    Show how a pool divides its work: members, plans, owners
          schema       Print the JSON schema of polling.yaml, for editors
          completions  Print a completion script for a shell
          man          Print the manual page

        Options:
          -h, --help     Print help (see more with '--help')
          -V, --version  Print version

        Global options:
              --config <PATH>         A configuration file, or a folder of them; may be given several times,
                                      later ones win
              --strict                Take unknown keys, which are warnings otherwise, for errors
              --namespaces <NAME>...  The groups of plugins to load, instead of those in the configuration
                                      [alias: --polling-namespaces]
              --log-level <LEVEL>     The least important events to log [default: as configured, info]
                                      [possible values: error, warn, info, debug, trace]
              --log-format <FORMAT>   The form of the log [default: as configured, text] [possible values:
                                      text, json]

        Exit codes: 0 done; 1 something that was polled or asked for failed; 2 bad usage or configuration; 3
        could not start; 130 and 143 ended at once by a second SIGINT or SIGTERM.
        ");
        command.build();
        let mut of = |name: &str| {
            command
                .find_subcommand_mut(name)
                .unwrap()
                .clone()
                .term_width(100)
                .render_help()
        };
        insta::assert_snapshot!(of("check"), @r"
        Check the configuration, and print the plan of work

        Usage: nephoscope check [OPTIONS]

        Options:
              --cost                           Print the calls an hour to each service, instead of the plan
                                               of work
              --resources <[DISCOVERY=]COUNT>  How many resources a discovery lists, by its name or URL, or
                                               all that are not named; may be given several times [default:
                                               1000]
              --members <COUNT>                How many agents share the work [default: 1]
              --format <FORMAT>                A table for people, or one JSON object a line [default: table
                                               on a terminal, json otherwise] [possible values: json, table]
          -h, --help                           Print help (see more with '--help')

        Global options:
              --config <PATH>         A configuration file, or a folder of them; may be given several times,
                                      later ones win
              --strict                Take unknown keys, which are warnings otherwise, for errors
              --namespaces <NAME>...  The groups of plugins to load, instead of those in the configuration
                                      [alias: --polling-namespaces]
              --log-level <LEVEL>     The least important events to log [default: as configured, info]
                                      [possible values: error, warn, info, debug, trace]
              --log-format <FORMAT>   The form of the log [default: as configured, text] [possible values:
                                      text, json]
        ");
        insta::assert_snapshot!(of("once"), @r"
        Poll everything once, now, and print the samples

        Usage: nephoscope once [OPTIONS]

        Options:
              --publish          Also publish the samples as configured, without spool
              --format <FORMAT>  A table for people, or one JSON object a line [default: table on a
                                 terminal, json otherwise] [possible values: json, table]
          -h, --help             Print help (see more with '--help')

        Global options:
              --config <PATH>         A configuration file, or a folder of them; may be given several times,
                                      later ones win
              --strict                Take unknown keys, which are warnings otherwise, for errors
              --namespaces <NAME>...  The groups of plugins to load, instead of those in the configuration
                                      [alias: --polling-namespaces]
              --log-level <LEVEL>     The least important events to log [default: as configured, info]
                                      [possible values: error, warn, info, debug, trace]
              --log-format <FORMAT>   The form of the log [default: as configured, text] [possible values:
                                      text, json]
        ");
        insta::assert_snapshot!(of("spool"), @r"
        List the spools of publishers, deliver what is in them, or drop what is old

        Usage: nephoscope spool [OPTIONS] [PUBLISHER]...

        Arguments:
          [PUBLISHER]...  The publishers whose spools are meant [default: all that have one]

        Options:
              --drain                       Deliver what is in the spools, and exit when it is delivered
              --timeout <DURATION>          Give up draining when nothing was delivered for this long
                                            [default: 60s]
              --drop-older-than <DURATION>  Drop what was stored longer ago than this, but for what is being
                                            delivered
              --format <FORMAT>             A table for people, or one JSON object a line [default: table on
                                            a terminal, json otherwise] [possible values: json, table]
          -h, --help                        Print help (see more with '--help')

        Global options:
              --config <PATH>         A configuration file, or a folder of them; may be given several times,
                                      later ones win
              --strict                Take unknown keys, which are warnings otherwise, for errors
              --namespaces <NAME>...  The groups of plugins to load, instead of those in the configuration
                                      [alias: --polling-namespaces]
              --log-level <LEVEL>     The least important events to log [default: as configured, info]
                                      [possible values: error, warn, info, debug, trace]
              --log-format <FORMAT>   The form of the log [default: as configured, text] [possible values:
                                      text, json]
        ");
        insta::assert_snapshot!(of("discover"), @r"
        Ask one discovery, and print the resources that it lists

        Usage: nephoscope discover [OPTIONS] <URL>

        Arguments:
          <URL>  The discovery: its name, or `NAME://PARAMETER`

        Options:
              --timeout <DURATION>  How long it may take [default: 60s]
              --format <FORMAT>     A table for people, or one JSON object a line [default: table on a
                                    terminal, json otherwise] [possible values: json, table]
          -h, --help                Print help (see more with '--help')

        Global options:
              --config <PATH>         A configuration file, or a folder of them; may be given several times,
                                      later ones win
              --strict                Take unknown keys, which are warnings otherwise, for errors
              --namespaces <NAME>...  The groups of plugins to load, instead of those in the configuration
                                      [alias: --polling-namespaces]
              --log-level <LEVEL>     The least important events to log [default: as configured, info]
                                      [possible values: error, warn, info, debug, trace]
              --log-format <FORMAT>   The form of the log [default: as configured, text] [possible values:
                                      text, json]
        ");
    }
}
