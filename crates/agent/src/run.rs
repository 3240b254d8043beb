//! `nephoscope run`: polls and publishes until stopped.

use std::time::Duration;

use nephoscope_config::{LogFormat, LogLevel};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::agent::Agent;
use crate::cli::RunArgs;
use crate::closed::stdout_closed;
use crate::error::{Exit, ProgramError};
use crate::output::{stderr_is_terminal, stdout_is_terminal};
use crate::publishers::use_stdout;
use crate::runtimes::Runtimes;
use crate::service::Service;
use crate::settings::{Origin, Settings};
use crate::signals::{Signal, Signals, Stop};
use crate::state::StateDir;
use crate::watch::Watch;
use crate::{display, events, logs};

/// Runs until a signal, or until the reader of standard output is gone.
pub(crate) fn run(origin: Origin, args: RunArgs) -> Result<Exit, ProgramError> {
    let terminal = stdout_is_terminal();
    let origin = origin.or_built_in(terminal);
    let settings = origin.load()?;
    let log = &settings.loaded.config.agent.log;
    logs::start(log.level, log.format);
    show_warnings(&settings, log.level, log.format);
    let state = StateDir::acquire(&settings.loaded.config.agent.state_dir())?;
    events::state_dir(state.path());
    let runtimes = Runtimes::start().map_err(ProgramError::Runtime)?;
    let plugins = runtimes.plugins.handle().clone();
    let exit = runtimes
        .core
        .block_on(serve(&origin, args, settings, &state, terminal, plugins));
    runtimes.end();
    exit
}

async fn serve(
    origin: &Origin,
    args: RunArgs,
    settings: Settings,
    state: &StateDir,
    terminal: bool,
    plugins: Handle,
) -> Result<Exit, ProgramError> {
    let mut signals = Signals::listen().map_err(ProgramError::Signals)?;
    let service = Service::from_environment();
    let mut watch = FileWatch::of(&settings);
    let mut agent = Agent::start(settings, state, terminal, plugins).await?;
    if terminal {
        display::start(&agent);
    }
    log_start(&agent);
    service.ready(&status(&agent)).await;
    let keep_alive = tokio::spawn(service.clone().keep_alive(agent.engine().clone()));

    let mut reader_gone = std::pin::pin!(stdout_closed());
    let coordination = agent.coordination().clone();
    let mut startup_error = std::pin::pin!(coordination.startup_error(args.require_coordination));
    let mut failure = None;
    let cause = loop {
        let writes_to_stdout = terminal || use_stdout(agent.config());
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop(stop) => break stop.name(),
                Signal::Reload => {}
            },
            () = watch.changed() => {}
            () = &mut reader_gone, if writes_to_stdout => break "standard output was closed",
            error = &mut startup_error, if failure.is_none() => {
                failure = Some(error);
                break "the agent cannot share work";
            }
        }
        service.reloading().await;
        tokio::select! {
            () = reload(origin, &mut agent, &mut watch) => {}
            stop = signals.stop() => break stop.name(),
        }
        service.ready(&status(&agent)).await;
    };

    service.stopping().await;
    let within = Duration::from(agent.config().agent.shutdown_timeout);
    let stop = agent.begin_stop(within);
    events::stopping(cause, within);
    let exit = tokio::select! {
        report = agent.stop(stop) => {
            events::stopped(report.dropped_samples());
            Exit::Done
        }
        again = signals.stop() => terminate(again),
    };
    keep_alive.abort();
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(exit),
    }
}

fn terminate(stop: Stop) -> Exit {
    events::stopped_at_once(stop.name());
    Exit::Signal(stop.number())
}

/// Reloads the configuration, applies it, and watches its files. Errors are logged, and leave the running configuration unchanged.
async fn reload(origin: &Origin, agent: &mut Agent, watch: &mut FileWatch) {
    let settings = match load(origin, agent).await {
        Ok(settings) => settings,
        Err(lines) => {
            // A folder that was removed and created again needs a new watch.
            watch.rewatch();
            lines.iter().for_each(|line| events::reload_rejected(line));
            agent.configuration_rejected(lines.len());
            return;
        }
    };
    watch.follow(&settings);
    for warning in &settings.warnings {
        events::configuration_warning(&warning.one_line());
    }
    let replacement = match agent.prepare(settings).await {
        Ok(replacement) => replacement,
        Err(error) => {
            let lines = error.lines();
            lines.iter().for_each(|line| events::reload_rejected(line));
            agent.configuration_rejected(lines.len());
            return;
        }
    };
    let changes = replacement.changes.clone();
    agent.configuration_accepted(&changes.restart_required);
    if changes.is_empty() {
        events::reload_without_change();
    } else {
        let applied = agent.replace(replacement).await;
        events::reloaded(applied, changes.plugins, changes.publishers);
    }
    if !changes.restart_required.is_empty() {
        events::restart_required(&changes.restart_required);
    }
    if agent.engine().tasks().is_empty() {
        events::nothing_to_poll();
    }
}

/// Loads the configuration on a separate thread, because a file system may hang.
async fn load(origin: &Origin, agent: &Agent) -> Result<Settings, Vec<String>> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let origin = origin.clone();
    let deadline = Instant::now() + PATIENCE;
    match agent
        .blocking()
        .call("configuration", deadline, move || origin.load())
        .await
    {
        Ok(read) => read.map_err(|error| error.lines()),
        Err(error) => Err(vec![format!("failed to read the configuration: {error}")]),
    }
}

/// The watch of the configuration files, if it is enabled.
struct FileWatch(Option<Watch>);

impl FileWatch {
    fn of(settings: &Settings) -> Self {
        let mut watch = Self(None);
        watch.follow(settings);
        watch
    }

    /// Watches the files of this configuration.
    fn follow(&mut self, settings: &Settings) {
        let loaded = &settings.loaded;
        if !loaded.config.agent.watch || loaded.built_in {
            self.0 = None;
            return;
        }
        let outcome = match &mut self.0 {
            Some(watch) => watch.follow(settings.watched.clone()),
            None => Watch::new(settings.watched.clone()).map(|watch| self.0 = Some(watch)),
        };
        self.check(outcome);
    }

    /// Watches the current files and folders at the same paths.
    fn rewatch(&mut self) {
        if let Some(watch) = &mut self.0 {
            let outcome = watch.rewatch();
            self.check(outcome);
        }
    }

    fn check(&mut self, outcome: notify::Result<()>) {
        if let Err(error) = outcome {
            self.0 = None;
            events::not_watched(&error);
        }
    }

    async fn changed(&mut self) {
        match &mut self.0 {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }
}

/// Shows warnings in full on a terminal, otherwise one line each in the log.
fn show_warnings(settings: &Settings, level: LogLevel, format: LogFormat) {
    if level == LogLevel::Error {
        return;
    }
    if stderr_is_terminal() && format == LogFormat::Text {
        settings.print_warnings();
        return;
    }
    for warning in &settings.warnings {
        events::configuration_warning(&warning.one_line());
    }
    if settings.loaded.built_in {
        events::built_in_configuration();
    }
}

fn log_start(agent: &Agent) {
    let config = &agent.config().agent;
    let tasks = agent.engine().tasks().len();
    events::started(&config.id(), &config.host(), tasks, agent.config().sources.len());
    if tasks == 0 {
        events::nothing_to_poll();
    }
}

/// Returns the line for `systemctl status`.
fn status(agent: &Agent) -> String {
    let (tasks, publishers) = (agent.engine().tasks().len(), agent.notifier().status().len());
    format!("{tasks} schedules, {publishers} publishers")
}
