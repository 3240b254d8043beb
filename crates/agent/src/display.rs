//! The output of `run` on a terminal: the tasks, and one line per cycle.
//!
//! Only complete lines are written. Samples on standard output and the log on standard error appear between these lines, never
//! within them.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;
use nephoscope_config::hide_userinfo;
use nephoscope_notifier::Notifier;
use nephoscope_plugin::BlockingPool;
use nephoscope_polling::record::CycleRecord;
use nephoscope_polling::stats::TaskStatus;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, timeout};

use crate::agent::Agent;
use crate::output::{print, stdout_is_styled};

/// Cycles that start later than this are highlighted, in milliseconds.
const LATE: u128 = 100;

/// The timeout for writing a line. A stopped terminal (Ctrl-S) misses the lines after it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the line of a cycle waits for its samples to be printed above it, and the interval of checks.
const SAMPLES_FIRST: Duration = Duration::from_millis(500);
const CHECK: Duration = Duration::from_millis(10);

/// Shows the tasks, and then each cycle when it has ended.
pub(crate) fn start(agent: &Agent) {
    let mut records = agent.engine().watch();
    let style = LineStyle {
        styled: stdout_is_styled(),
    };
    let head = style.tasks(&agent.config().agent.host(), &agent.engine().tasks());
    let (notifier, blocking) = (agent.notifier().clone(), agent.blocking().clone());
    tokio::spawn(async move {
        show(&blocking, head).await;
        let zone = TimeZone::system();
        loop {
            let line = match records.recv().await {
                Ok(record) => style.cycle(&record, &local_time(&record, &zone)),
                Err(RecvError::Lagged(missed)) => format!("({missed} cycles are not shown)\n"),
                Err(RecvError::Closed) => return,
            };
            // Samples that take longer are printed below the line.
            let _ = timeout(SAMPLES_FIRST, printed(&notifier)).await;
            show(&blocking, line).await;
        }
    });
}

/// Waits until all samples for standard output are printed.
async fn printed(notifier: &Notifier) {
    let waits = |notifier: &Notifier| {
        notifier
            .status()
            .iter()
            .any(|one| one.url_shown.starts_with("stdout:") && one.queued_samples > 0)
    };
    while waits(notifier) {
        sleep(CHECK).await;
    }
}

/// Writes a text on a separate thread, because a terminal may block.
async fn show(blocking: &BlockingPool, text: String) {
    // A lost line is acceptable: the log and the admin API contain the same information.
    let _ = blocking
        .call("terminal", Instant::now() + PATIENCE, move || {
            print(text.as_bytes())
        })
        .await;
}

fn local_time(record: &CycleRecord, zone: &TimeZone) -> String {
    jiff::Timestamp::from_microsecond(record.started.as_micros())
        .map(|started| zone.to_datetime(started).strftime("%H:%M:%S").to_string())
        .unwrap_or_default()
}

/// The style of lines.
#[derive(Debug, Clone, Copy)]
struct LineStyle {
    styled: bool,
}

impl LineStyle {
    fn style(self, style: Style, text: &str) -> String {
        if self.styled {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn bold(self, text: &str) -> String {
        self.style(Style::new().bold(), text)
    }

    fn dim(self, text: &str) -> String {
        self.style(Style::new().dimmed(), text)
    }

    fn alarm(self, text: &str) -> String {
        self.style(AnsiColor::Red.on_default().bold(), text)
    }

    fn caution(self, text: &str) -> String {
        self.style(AnsiColor::Yellow.on_default(), text)
    }

    fn tasks(self, host: &str, tasks: &[TaskStatus]) -> String {
        let mut text = String::new();
        if tasks.is_empty() {
            let line = "nothing to poll: `nephoscope check` shows the polling plan";
            return format!("{}\n", self.caution(line));
        }
        for task in tasks {
            let meters: usize = task.runs.iter().map(|run| run.meters.len()).sum();
            let mut listings: Vec<&str> = task
                .runs
                .iter()
                .flat_map(|run| run.discoveries.iter().map(AsRef::as_ref))
                .collect();
            listings.sort_unstable();
            listings.dedup();
            let what = format!(
                "{} of {} from {} on {host}",
                count(meters, "meter", "meters"),
                count(task.runs.len(), "pollster", "pollsters"),
                hide_userinfo(&listings.join(", ")),
            );
            // Writing to memory cannot fail.
            let _ = writeln!(
                text,
                "{}  {}  {what}",
                self.bold(&task.schedule),
                task.sources.join(", ")
            );
        }
        text.push_str(&self.dim("Ctrl-C stops"));
        text.push('\n');
        text
    }

    fn cycle(self, record: &CycleRecord, time: &str) -> String {
        let failures = usize::try_from(record.failures.total()).unwrap_or(usize::MAX);
        let failed = count(failures, "failure", "failures");
        let failed = if failures > 0 {
            self.alarm(&failed)
        } else {
            self.dim(&failed)
        };
        let late = match (record.takeover, record.lateness) {
            (Some(_), _) => self.caution("takeover from another agent"),
            (None, None) => self.dim("cycle in progress"),
            (None, Some(late)) => {
                let millis = late.as_millis();
                let text = format!("{millis} ms late");
                if millis > LATE {
                    self.caution(&text)
                } else {
                    self.dim(&text)
                }
            }
        };
        let mut line = format!(
            "{}  {}  {}  {}  {failed}  {} ms  {late}",
            self.dim(time),
            self.bold(&record.schedule),
            count(
                usize::try_from(record.resources).unwrap_or(usize::MAX),
                "resource",
                "resources"
            ),
            count(
                usize::try_from(record.samples).unwrap_or(usize::MAX),
                "sample",
                "samples"
            ),
            record.duration.as_millis(),
        );
        if let Some(reason) = &record.no_plan {
            let _ = write!(line, "  {}", self.alarm(&format!("no shared work: {reason}")));
        }
        line.push('\n');
        line
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nephoscope_model::{CycleId, Histogram, ScheduleId, Timestamp};
    use nephoscope_plugin::FailureKind;
    use nephoscope_polling::record::FailureCounts;
    use nephoscope_polling::stats::RunStatus;

    use super::*;

    fn record(failed: bool, lateness: Option<Duration>) -> CycleRecord {
        let mut failures = FailureCounts::default();
        failures.add(FailureKind::NotSupported);
        if failed {
            failures.add(FailureKind::Transient);
        }
        let start = Timestamp::from_millis(1_767_323_040_000);
        CycleRecord {
            schedule: "every 10s".to_owned(),
            cycle: CycleId::new(ScheduleId::new("every:10:0"), start, 7),
            started: start,
            lateness,
            duration: Duration::from_micros(12_345),
            resources: 1,
            samples: 84,
            failures,
            discovery_runs: Vec::new(),
            polls: Vec::new(),
            takeover: None,
            no_plan: None,
        }
    }

    #[test]
    fn a_cycle_is_one_line() {
        let style = LineStyle { styled: false };
        let lines = [
            style.cycle(&record(false, Some(Duration::from_millis(1))), "12:00:10"),
            style.cycle(&record(true, None), "12:00:20"),
        ];
        insta::assert_snapshot!(lines.concat(), @r"
        12:00:10  every 10s  1 resource  84 samples  0 failures  12 ms  1 ms late
        12:00:20  every 10s  1 resource  84 samples  1 failure  12 ms  cycle in progress
        ");
    }

    #[test]
    fn failures_and_late_starts_are_highlighted() {
        let line = LineStyle { styled: true }.cycle(&record(true, Some(Duration::from_secs(2))), "12:00:10");
        assert!(
            line.contains("\u{1b}[31m") && line.contains("\u{1b}[33m"),
            "{line:?}"
        );
    }

    #[test]
    fn times_are_local() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(local_time(&record(false, None), &zone), "05:04:00");
    }

    #[test]
    fn tasks_are_listed_with_their_meters() {
        let task = TaskStatus {
            schedule: "every 10s".to_owned(),
            schedule_id: "every:10:0".to_owned(),
            sources: vec!["host".to_owned()],
            runs: vec![RunStatus {
                pollster: "hardware.cpu".into(),
                meters: vec!["a".into(), "b".into()],
                discoveries: vec!["local_node".into()],
                fallbacks: vec![],
            }],
            next: None,
            running: false,
            cycles: 0,
            takeovers: 0,
            overruns: 0,
            missed: 0,
            repeated: 0,
            lateness: Histogram::of_lateness(),
            durations: Histogram::of_durations(),
        };
        let style = LineStyle { styled: false };
        insta::assert_snapshot!(style.tasks("node1", &[task]), @r"
        every 10s  host  2 meters of 1 pollster from local_node on node1
        Ctrl-C stops
        ");
        insta::assert_snapshot!(style.tasks("node1", &[]), @"nothing to poll: `nephoscope check` shows the polling plan");
    }
}
