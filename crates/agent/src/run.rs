//! `nephoscope run`: polls and publishes until somebody says stop.

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

/// Runs until a signal, or until nobody reads standard output any more.
pub(crate) fn run(origin: Origin, args: RunArgs) -> Result<Exit, ProgramError> {
    let terminal = stdout_is_terminal();
    let origin = origin.or_built_in(terminal);
    let settings = origin.load()?;
    let log = &settings.loaded.config.agent.log;
    logs::start(log.level, log.format);
    tell_warnings(&settings, log.level, log.format);
    let state = StateDir::take(&settings.loaded.config.agent.state_dir())?;
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
    let service = Service::of_environment();
    let mut watch = FileWatch::of(&settings);
    let mut agent = Agent::start(settings, state, terminal, plugins).await?;
    if terminal {
        display::start(&agent);
    }
    tell_started(&agent);
    service.ready(&status(&agent)).await;
    let keep_alive = tokio::spawn(service.clone().keep_alive(agent.engine().clone()));

    let mut reader_gone = std::pin::pin!(stdout_closed());
    let coordination = agent.coordination().clone();
    let mut unfit = std::pin::pin!(coordination.fails_to_start(args.require_coordination));
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
            error = &mut unfit, if failure.is_none() => {
                failure = Some(error);
                break "it cannot share work";
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
        again = signals.stop() => at_once(again),
    };
    keep_alive.abort();
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(exit),
    }
}

fn at_once(stop: Stop) -> Exit {
    events::stopped_at_once(stop.name());
    Exit::Signal(stop.number())
}

/// Reads the configuration again and applies it, and watches the files that it is in now. What is wrong is logged, and
/// changes nothing.
async fn reload(origin: &Origin, agent: &mut Agent, watch: &mut FileWatch) {
    let settings = match read_again(origin, agent).await {
        Ok(settings) => settings,
        Err(lines) => {
            // A folder that was removed and put back must be found again.
            watch.look_again();
            lines.iter().for_each(|line| events::reload_refused(line));
            agent.configuration_refused(lines.len());
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
            lines.iter().for_each(|line| events::reload_refused(line));
            agent.configuration_refused(lines.len());
            return;
        }
    };
    let changes = replacement.changes.clone();
    agent.configuration_taken(&changes.after_restart);
    if changes.is_empty() {
        events::reload_without_change();
    } else {
        let applied = agent.replace(replacement).await;
        events::reloaded(applied, changes.plugins, changes.publishers);
    }
    if !changes.after_restart.is_empty() {
        events::takes_effect_after_restart(&changes.after_restart);
    }
    if agent.engine().tasks().is_empty() {
        events::nothing_to_poll();
    }
}

/// Files may stand on a file system that hangs: they are read on a thread of their own.
async fn read_again(origin: &Origin, agent: &Agent) -> Result<Settings, Vec<String>> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let origin = origin.clone();
    let deadline = Instant::now() + PATIENCE;
    match agent
        .blocking()
        .call("configuration", deadline, move || origin.load())
        .await
    {
        Ok(read) => read.map_err(|error| error.lines()),
        Err(error) => Err(vec![format!("failed to read it: {error}")]),
    }
}

/// The files whose changes are noticed, if any are to be.
struct FileWatch(Option<Watch>);

impl FileWatch {
    fn of(settings: &Settings) -> Self {
        let mut watch = Self(None);
        watch.follow(settings);
        watch
    }

    /// Watches the files of this configuration from now on.
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

    /// Watches what stands at the same paths now.
    fn look_again(&mut self) {
        if let Some(watch) = &mut self.0 {
            let outcome = watch.look_again();
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

/// Warnings as people read them where a person reads them; otherwise one line each in the log.
fn tell_warnings(settings: &Settings, level: LogLevel, format: LogFormat) {
    if level == LogLevel::Error {
        return;
    }
    if stderr_is_terminal() && format == LogFormat::Text {
        settings.tell();
        return;
    }
    for warning in &settings.warnings {
        events::configuration_warning(&warning.one_line());
    }
    if settings.loaded.built_in {
        events::built_in_configuration();
    }
}

fn tell_started(agent: &Agent) {
    let config = &agent.config().agent;
    let tasks = agent.engine().tasks().len();
    events::started(&config.id(), &config.host(), tasks, agent.config().sources.len());
    if tasks == 0 {
        events::nothing_to_poll();
    }
}

/// One line for `systemctl status`.
fn status(agent: &Agent) -> String {
    let (tasks, publishers) = (agent.engine().tasks().len(), agent.notifier().status().len());
    format!("{tasks} schedules, {publishers} publishers")
}
