//! The command line: subcommands, options, and their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use nephoscope_config::{HumanDuration, LogFormat, LogLevel};
use nephoscope_polling::cost::Resources;

/// The last paragraph of every help text.
const AFTER: &str = "\
Exit codes: 0 success; 1 a poll or request failed; 2 bad usage or configuration; 3 startup failed; \
130 and 143 terminated by a second SIGINT or SIGTERM.";

/// Polls telemetry of this machine and its clouds, and publishes the samples.
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

/// The options of every subcommand.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// A configuration file or folder; repeatable, later files override earlier ones
    ///
    /// Default: `./polling.yaml`, or else the folder `/etc/nephoscope`, and `/etc/ceilometer/polling.yaml` if these have no
    /// sources.
    #[arg(long = "config", value_name = "PATH", global = true)]
    pub(crate) config: Vec<PathBuf>,
    /// Treat unknown keys as errors instead of warnings
    #[arg(long, global = true)]
    pub(crate) strict: bool,
    /// The plugin namespaces to load instead of those in the configuration
    #[arg(long, visible_alias = "polling-namespaces", value_name = "NAME", num_args = 1.., global = true)]
    pub(crate) namespaces: Vec<String>,
    /// The minimum level of log events [default: as configured, or info]
    #[arg(
        long,
        value_name = "LEVEL",
        value_enum,
        global = true,
        hide_possible_values = false
    )]
    pub(crate) log_level: Option<Level>,
    /// The format of the log [default: as configured, or text]
    #[arg(long, value_name = "FORMAT", value_enum, global = true)]
    pub(crate) log_format: Option<LogForm>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Poll and publish until stopped (the default command)
    ///
    /// SIGHUP reloads the configuration. SIGTERM and SIGINT stop the agent within `agent.shutdown_timeout`; a second signal
    /// terminates it immediately.
    Run(RunArgs),
    /// Poll all sources once and print the samples
    ///
    /// Exits with 1 if a poll failed; resources that are not supported here are not failures. The command does not join a
    /// pool and does not write state.
    Once(OnceArgs),
    /// Check the configuration and print the polling plan
    ///
    /// Needs no network and writes nothing. With `--cost` it prints the calls per hour to each service instead of the plan.
    Check(CheckArgs),
    /// List the discoveries, pollsters, meters and publishers of this program
    Plugins(Printing),
    /// Run one discovery and print its resources
    Discover(DiscoverArgs),
    /// List the spools of publishers, deliver their samples, or drop old samples
    ///
    /// If an agent runs on the same `agent.state_dir`, the command uses its admin socket. Otherwise it opens the spools itself,
    /// and no agent can start meanwhile.
    Spool(SpoolArgs),
    /// Show how a pool divides its work: members, plans, owners
    ///
    /// Needs no agent and changes nothing. With `--members` it needs no etcd either, and computes the owners.
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

/// The options of `run`.
#[derive(Debug, Default, Clone, Copy, Args)]
pub(crate) struct RunArgs {
    /// Exit with 3 if work is shared and etcd does not respond within 30 s
    ///
    /// Without this option the agent polls unshared work, and joins the pool when etcd responds.
    #[arg(long)]
    pub(crate) require_coordination: bool,
}

/// The options of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Print the calls per hour to each service instead of the plan
    #[arg(long)]
    pub(crate) cost: bool,
    #[command(flatten)]
    pub(crate) size: CostArgs,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

/// The assumptions of the cost.
#[derive(Debug, Args)]
pub(crate) struct CostArgs {
    /// The number of resources of a discovery, given by its name or URL, or of all other discoveries; repeatable
    /// [default: 1000]
    #[arg(
        long,
        value_name = "[DISCOVERY=]COUNT",
        value_delimiter = ',',
        value_parser = resources,
        requires = "cost"
    )]
    pub(crate) resources: Vec<Resources>,
    /// The number of agents that share the work
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        requires = "cost"
    )]
    pub(crate) members: u32,
}

/// Parses `COUNT` or `DISCOVERY=COUNT`.
fn resources(text: &str) -> Result<Resources, String> {
    /// A larger count is a typing error.
    const MOST: u64 = 1_000_000_000;
    // A URL may contain `=`, a count does not.
    let (listing, count) = match text.rsplit_once('=') {
        Some((listing, count)) => (Some(listing.to_owned()), count),
        None => (None, text),
    };
    let count = count.parse().ok().filter(|count| *count <= MOST);
    let count = count.ok_or_else(|| "expected a count such as `1000` or `volumes=1000`".to_owned())?;
    Ok(Resources {
        discovery: listing,
        count,
    })
}

/// The options of `once`.
#[derive(Debug, Args)]
pub(crate) struct OnceArgs {
    /// Also publish the samples as configured, without spools
    #[arg(long)]
    pub(crate) publish: bool,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

/// The options of `discover`.
#[derive(Debug, Args)]
pub(crate) struct DiscoverArgs {
    /// The discovery: its name or `NAME://PARAMETER`
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The timeout of the discovery
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(crate) timeout: HumanDuration,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

/// The options of `spool`.
#[derive(Debug, Args)]
pub(crate) struct SpoolArgs {
    /// The publishers of the spools [default: all publishers with a spool]
    #[arg(value_name = "PUBLISHER")]
    pub(crate) publishers: Vec<String>,
    /// Deliver the samples in the spools and exit
    ///
    /// Exits with 1 if samples remain.
    #[arg(long, conflicts_with = "drop_older_than")]
    pub(crate) drain: bool,
    /// Stop draining after this time without a delivery
    #[arg(long, value_name = "DURATION", default_value = "60s", requires = "drain")]
    pub(crate) timeout: HumanDuration,
    /// Drop samples that are older than this, except batches in flight
    #[arg(long, value_name = "DURATION")]
    pub(crate) drop_older_than: Option<HumanDuration>,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

/// The options of `partition`.
#[derive(Debug, Args)]
pub(crate) struct PartitionArgs {
    /// Show the owner of this resource key in each current plan, and the next candidate
    #[arg(long, value_name = "KEY", conflicts_with = "members")]
    pub(crate) key: Option<String>,
    /// Show the keys that would move without this member
    #[arg(long, value_name = "ID")]
    pub(crate) without: Option<String>,
    /// Compute the owners of the keys in `--keys-file` among these members, without etcd
    #[arg(long, value_name = "ID", value_delimiter = ',', requires = "keys_file")]
    pub(crate) members: Vec<String>,
    /// A file with one key per line [default: 10,000 generated keys]
    #[arg(long, value_name = "FILE")]
    pub(crate) keys_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

/// The output options.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Printing {
    /// A table, or one JSON object per line [default: table on a terminal, otherwise json]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,
}

/// The output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Json,
    Table,
}

/// The log levels.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The log formats.
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
    fn the_definitions_are_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn namespaces_are_parsed_as_in_ceilometer() {
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
    fn global_options_are_accepted_before_and_after_the_subcommand() {
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
    fn resources_are_counted_by_discovery_or_for_all() {
        let cli = parse("nephoscope check --cost --resources endpoint://a=b=7,50 --resources volumes=1");
        let Ok(Some(Command::Check(CheckArgs { size, .. }))) = cli.map(|cli| cli.command) else {
            panic!("the options are accepted");
        };
        let named = |listing: &str, count| Resources {
            discovery: Some(listing.to_owned()),
            count,
        };
        let all = Resources {
            discovery: None,
            count: 50,
        };
        assert_eq!(
            size.resources,
            [named("endpoint://a=b", 7), all, named("volumes", 1)]
        );
        assert_eq!(size.members, 1);
    }

    #[test]
    fn bad_usage_has_exit_code_2() {
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
    fn the_help_is_complete() {
        let mut command = Cli::command().term_width(100);
        insta::assert_snapshot!(command.render_help(), @r"
        Polls telemetry of this machine and its clouds, and publishes the samples

        Usage: nephoscope [OPTIONS] [COMMAND]

        Commands:
          run          Poll and publish until stopped (the default command)
          once         Poll all sources once and print the samples
          check        Check the configuration and print the polling plan
          plugins      List the discoveries, pollsters, meters and publishers of this program
          discover     Run one discovery and print its resources
          spool        List the spools of publishers, deliver their samples, or drop old samples
          partition    Show how a pool divides its work: members, plans, owners
          schema       Print the JSON schema of polling.yaml, for editors
          completions  Print a completion script for a shell
          man          Print the manual page

        Options:
          -h, --help     Print help (see more with '--help')
          -V, --version  Print version

        Global options:
              --config <PATH>         A configuration file or folder; repeatable, later files override
                                      earlier ones
              --strict                Treat unknown keys as errors instead of warnings
              --namespaces <NAME>...  The plugin namespaces to load instead of those in the configuration
                                      [alias: --polling-namespaces]
              --log-level <LEVEL>     The minimum level of log events [default: as configured, or info]
                                      [possible values: error, warn, info, debug, trace]
              --log-format <FORMAT>   The format of the log [default: as configured, or text] [possible
                                      values: text, json]

        Exit codes: 0 success; 1 a poll or request failed; 2 bad usage or configuration; 3 startup failed;
        130 and 143 terminated by a second SIGINT or SIGTERM.
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
        Check the configuration and print the polling plan

        Usage: nephoscope check [OPTIONS]

        Options:
              --cost                           Print the calls per hour to each service instead of the plan
              --resources <[DISCOVERY=]COUNT>  The number of resources of a discovery, given by its name or
                                               URL, or of all other discoveries; repeatable [default: 1000]
              --members <COUNT>                The number of agents that share the work [default: 1]
              --format <FORMAT>                A table, or one JSON object per line [default: table on a
                                               terminal, otherwise json] [possible values: json, table]
          -h, --help                           Print help (see more with '--help')

        Global options:
              --config <PATH>         A configuration file or folder; repeatable, later files override
                                      earlier ones
              --strict                Treat unknown keys as errors instead of warnings
              --namespaces <NAME>...  The plugin namespaces to load instead of those in the configuration
                                      [alias: --polling-namespaces]
              --log-level <LEVEL>     The minimum level of log events [default: as configured, or info]
                                      [possible values: error, warn, info, debug, trace]
              --log-format <FORMAT>   The format of the log [default: as configured, or text] [possible
                                      values: text, json]
        ");
        insta::assert_snapshot!(of("once"), @r"
        Poll all sources once and print the samples

        Usage: nephoscope once [OPTIONS]

        Options:
              --publish          Also publish the samples as configured, without spools
              --format <FORMAT>  A table, or one JSON object per line [default: table on a terminal,
                                 otherwise json] [possible values: json, table]
          -h, --help             Print help (see more with '--help')

        Global options:
              --config <PATH>         A configuration file or folder; repeatable, later files override
                                      earlier ones
              --strict                Treat unknown keys as errors instead of warnings
              --namespaces <NAME>...  The plugin namespaces to load instead of those in the configuration
                                      [alias: --polling-namespaces]
              --log-level <LEVEL>     The minimum level of log events [default: as configured, or info]
                                      [possible values: error, warn, info, debug, trace]
              --log-format <FORMAT>   The format of the log [default: as configured, or text] [possible
                                      values: text, json]
        ");
        insta::assert_snapshot!(of("spool"), @r"
        List the spools of publishers, deliver their samples, or drop old samples

        Usage: nephoscope spool [OPTIONS] [PUBLISHER]...

        Arguments:
          [PUBLISHER]...  The publishers of the spools [default: all publishers with a spool]

        Options:
              --drain                       Deliver the samples in the spools and exit
              --timeout <DURATION>          Stop draining after this time without a delivery [default: 60s]
              --drop-older-than <DURATION>  Drop samples that are older than this, except batches in flight
              --format <FORMAT>             A table, or one JSON object per line [default: table on a
                                            terminal, otherwise json] [possible values: json, table]
          -h, --help                        Print help (see more with '--help')

        Global options:
              --config <PATH>         A configuration file or folder; repeatable, later files override
                                      earlier ones
              --strict                Treat unknown keys as errors instead of warnings
              --namespaces <NAME>...  The plugin namespaces to load instead of those in the configuration
                                      [alias: --polling-namespaces]
              --log-level <LEVEL>     The minimum level of log events [default: as configured, or info]
                                      [possible values: error, warn, info, debug, trace]
              --log-format <FORMAT>   The format of the log [default: as configured, or text] [possible
                                      values: text, json]
        ");
        insta::assert_snapshot!(of("discover"), @r"
        Run one discovery and print its resources

        Usage: nephoscope discover [OPTIONS] <URL>

        Arguments:
          <URL>  The discovery: its name or `NAME://PARAMETER`

        Options:
              --timeout <DURATION>  The timeout of the discovery [default: 60s]
              --format <FORMAT>     A table, or one JSON object per line [default: table on a terminal,
                                    otherwise json] [possible values: json, table]
          -h, --help                Print help (see more with '--help')

        Global options:
              --config <PATH>         A configuration file or folder; repeatable, later files override
                                      earlier ones
              --strict                Treat unknown keys as errors instead of warnings
              --namespaces <NAME>...  The plugin namespaces to load instead of those in the configuration
                                      [alias: --polling-namespaces]
              --log-level <LEVEL>     The minimum level of log events [default: as configured, or info]
                                      [possible values: error, warn, info, debug, trace]
              --log-format <FORMAT>   The format of the log [default: as configured, or text] [possible
                                      values: text, json]
        ");
    }
}
