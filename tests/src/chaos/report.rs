//! The result of a scene, for tests and for people.

use std::fmt;

use super::fault::Kind;
use super::scene::order;
use super::setting::Setting;
use crate::oracle::{Cycle, Finding, Gap, Place, Run, Unknown, Verdict, judge};

/// The maximum number of findings to show. Further ones mostly have the same cause.
const SHOWN: usize = 40;

/// An injected fault.
#[derive(Debug, Clone)]
pub struct Incident {
    /// Its kind.
    pub kind: Kind,
    /// Its steps, with seconds since its start.
    pub steps: Vec<String>,
    /// When it started, in seconds of the boot clock.
    pub from: f64,
    /// When it ended.
    pub end: f64,
    /// The seconds until all agents were members again; below 0 if they were members all the time; `None` if it took a
    /// minute.
    pub joined: Option<f64>,
    /// The seconds until a plan listed all agents.
    pub listed: Option<f64>,
}

/// The result of a scene.
#[derive(Debug)]
pub struct Report {
    /// The setting of the scene.
    pub setting: Setting,
    /// The injected faults.
    pub incidents: Vec<Incident>,
    /// The verdict of the oracle.
    pub verdict: Verdict,
    /// The judged data, for checks of the oracle.
    pub run: Run,
    /// Samples that match no cycle.
    pub unidentified: Vec<Unknown>,
    /// Other problems: agents that returned late or did not report their errors.
    pub problems: Vec<String>,
    /// The log of each agent.
    pub logs: Vec<(String, String)>,
}

impl Report {
    pub(super) fn new(
        setting: Setting,
        run: Run,
        unidentified: Vec<Unknown>,
        incidents: Vec<Incident>,
        mut problems: Vec<String>,
        logs: Vec<(String, String)>,
    ) -> Self {
        let patience = setting.patience();
        for incident in &incidents {
            if incident.joined.is_none_or(|after| after > patience) {
                problems.push(format!(
                    "{}: not all agents were members one cycle after the end: {:?} s",
                    incident.kind, incident.joined
                ));
            }
            // The plan of the next edge after that, which is written shortly before or after it.
            if incident.listed.is_none_or(|after| after > 2.0 * patience + 0.5) {
                problems.push(format!(
                    "{}: no plan listed all agents in time: {:?} s",
                    incident.kind, incident.listed
                ));
            }
        }
        for (agent, log) in &logs {
            let panics = log.lines().filter(|line| line.contains("panicked"));
            problems.extend(panics.map(|line| format!("{agent}: {line}")));
        }
        Self {
            verdict: Self::judge(&run),
            setting,
            incidents,
            run,
            unidentified,
            problems,
            logs,
        }
    }

    /// Judges another run with the agents' ranking.
    #[must_use]
    pub fn judge(run: &Run) -> Verdict {
        judge(run, &order)
    }

    /// Returns the violations as texts.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let found = self.verdict.violations().map(|finding| {
            let (number, incident) = self.cause(self.edge(finding)).unzip();
            let cause = incident.map_or("before any fault".to_owned(), |incident| {
                format!(
                    "fault {}, {}, {:.1} s after it began",
                    number.unwrap_or_default(),
                    incident.kind,
                    self.edge(finding) - incident.from
                )
            });
            format!("{finding} ({cause})")
        });
        let unidentified = self
            .unidentified
            .iter()
            .map(|unknown| format!("a sample that matches no cycle: {unknown:?}"));
        found
            .chain(unidentified)
            .chain(self.problems.iter().cloned())
            .collect()
    }

    /// Asserts that no guarantee is violated, and that enough was judged.
    ///
    /// # Panics
    ///
    /// Panics otherwise, with the findings and the faults.
    pub fn assert_promises(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "{self}\n{}", self.details());
        let resources = self.setting.resources + self.setting.side;
        assert!(
            self.verdict.judged >= 3 * resources,
            "too few samples were judged: {self}"
        );
    }

    /// Returns everything that an analysis needs.
    #[must_use]
    pub fn details(&self) -> String {
        let mut text = String::new();
        for (number, incident) in self.incidents.iter().enumerate() {
            text += &format!(
                "fault {number} at {:.3} to {:.3}: {}: {}\n",
                incident.from,
                incident.end,
                incident.kind,
                incident.steps.join(", ")
            );
        }
        let violations = self.violations();
        for violation in violations.iter().take(SHOWN) {
            text += violation;
            text.push('\n');
        }
        if violations.len() > SHOWN {
            text += &format!("and {} more\n", violations.len() - SHOWN);
        }
        text += &format!(
            "the boot clock at the epoch: {:.3}\n{:#?}\n{:#?}\n",
            self.run.epoch, self.run.joined, self.run.gone
        );
        for plan in &self.run.plans {
            let members: Vec<_> = plan
                .members
                .iter()
                .map(|member| format!("{} {} {:?}", member.agent, member.incarnation, member.units))
                .collect();
            text += &format!("plan {} at {:.3}: {}\n", plan.cycle, plan.at, members.join(", "));
        }
        for (agent, log) in &self.logs {
            text += &format!("--- {agent}:\n{log}");
        }
        text
    }

    /// Returns the numbers of missing, doubled and wrong samples after the incidents of a kind.
    fn harm(&self, kind: Kind) -> (usize, usize, usize) {
        use crate::oracle::Kind as Found;
        let (mut lost, mut doubled, mut unexplained) = (0, 0, 0);
        for finding in &self.verdict.findings {
            if !self.is_after(kind, self.edge(finding)) {
                continue;
            }
            match finding.kind {
                Found::Missing => lost += 1,
                Found::DoubledExplained => doubled += 1,
                _ => unexplained += 1,
            }
        }
        (lost, doubled, unexplained)
    }

    /// Returns the gaps of takeovers after the incidents of a kind.
    fn gaps(&self, kind: Kind) -> impl Iterator<Item = &Gap> {
        let gaps = self.verdict.gaps.iter();
        gaps.filter(move |gap| self.is_after(kind, self.start(&gap.cycle)))
    }

    /// Returns whether an incident of this kind caused the findings in the cycle with this edge.
    fn is_after(&self, kind: Kind, edge: f64) -> bool {
        self.cause(edge)
            .is_some_and(|(_, incident)| incident.kind == kind)
    }

    /// Returns the last incident before the end of the cycle with this edge.
    fn cause(&self, edge: f64) -> Option<(usize, &Incident)> {
        let end = edge + f64::from(self.setting.interval);
        let mut incidents = self.incidents.iter().enumerate().rev();
        incidents.find(|(_, incident)| incident.from <= end)
    }

    fn edge(&self, finding: &Finding) -> f64 {
        match &finding.place {
            Place::Sample { cycle, .. } | Place::Cycle(cycle) => self.start(cycle),
            Place::Schedule(_) | Place::Agent => 0.0,
        }
    }

    fn start(&self, cycle: &Cycle) -> f64 {
        cycle.start as f64 / 1000.0 + self.run.epoch
    }
}

/// Returns the median and the maximum of some times in seconds, or `None` without any.
fn spread(times: impl Iterator<Item = f64>) -> Option<String> {
    let mut times: Vec<_> = times.collect();
    times.sort_by(f64::total_cmp);
    let (median, longest) = (times.get(times.len() / 2)?, times.last()?);
    Some(format!("{median:.1} / {longest:.1}"))
}

impl fmt::Display for Report {
    /// Prints the table of the effects of each kind of fault.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{:28} {:>5} {:>6} {:>8} {:>6} {:>18} {:>18}",
            "fault", "count", "lost", "doubled", "wrong", "back after, s", "without owner, s"
        )?;
        writeln!(
            out,
            "{:28} {:>5} {:>6} {:>8} {:>6} {:>18} {:>18}",
            "", "", "", "", "", "median / longest", "median / longest"
        )?;
        for kind in Kind::ALL {
            let incidents = self.incidents.iter().filter(|incident| incident.kind == kind);
            let count = incidents.clone().count();
            let back =
                incidents.map(|incident| incident.listed.map_or(f64::INFINITY, |after| after.max(0.0)));
            let Some(back_after) = spread(back) else {
                continue;
            };
            let (lost, doubled, wrong) = self.harm(kind);
            let without_owner = spread(self.gaps(kind).map(|gap| gap.silent)).unwrap_or_default();
            let row = format!(
                "{kind:28} {count:>5} {lost:>6} {doubled:>8} {wrong:>6} {back_after:>18} {without_owner:>18}"
            );
            writeln!(out, "{}", row.trim_end())?;
        }
        let gaps = &self.verdict.gaps;
        if let Some(known) = spread(gaps.iter().map(|gap| gap.known)) {
            writeln!(
                out,
                "{} samples taken over during a cycle, {known} s (median / longest) after all earlier members were known to be out",
                gaps.len()
            )?;
        }
        writeln!(
            out,
            "{} samples judged, {} excused: {:?}; {} agents, {} + {} resources, every {} s, lease {} s, {} nodes of etcd{}",
            self.verdict.judged,
            self.verdict.excused,
            self.verdict.counts(),
            self.setting.agents,
            self.setting.resources,
            self.setting.side,
            self.setting.interval,
            self.setting.lease,
            self.setting.nodes,
            if self.setting.pauses {
                ", on_loss: pause"
            } else {
                ""
            },
        )?;
        let violations = self.violations();
        writeln!(out, "{} violations", violations.len())
    }
}
