//! How long something has nobody who polls it, when whose it is falls silent.

use super::judge::{Judge, KNOWN};
use super::run::{Cycle, Effect, Fault, PlanMember, Ranking, Resource, Written};
use super::verdict::Gap;

impl<'a, R: Ranking> Judge<'a, R> {
    /// How long a resource had nobody in a cycle, of which these samples are all, in the order of their time. Nothing if that cannot be said:
    /// its owner has polled it, its successor knew at the edge that it would not, nobody is known to have fallen silent, or etcd was away.
    pub(super) fn gap(
        &mut self,
        cycle: &Cycle,
        resource: &'a Resource,
        samples: &[&Written],
        faults: &[&Fault],
    ) -> Option<Gap> {
        // Without it, nobody can know; and when it is back, its leases begin anew.
        let away = |fault: &&&Fault| matches!(fault.effect, Effect::EtcdAway | Effect::EtcdEmptied);
        if faults.iter().any(|fault| away(&fault)) {
            return None;
        }
        let [plan] = *self.plans.get(cycle)?.as_slice() else {
            return None;
        };
        let first = samples.first()?;
        let order = self.order(plan, resource);
        let writer = order.iter().position(|member| member.agent == first.agent)?;
        let edge = self.edge(cycle);
        let (mut silent, mut out, mut expiry) = (edge, edge, None::<f64>);
        for member in &order[..writer] {
            let went = self.went(member, cycle, resource)?;
            out = out.max(went);
            match self.fell_silent(member) {
                Some(from) => {
                    silent = silent.max(from);
                    let end = from + self.run.lease.ttl;
                    expiry = Some(expiry.map_or(end, |expiry| expiry.max(end)));
                }
                // It has said by itself that it will not.
                None => silent = silent.max(went),
            }
        }
        let expiry = expiry?;
        (out > edge).then(|| Gap {
            cycle: cycle.clone(),
            silent: first.began - silent,
            known: first.began - out,
            bound: self.run.lease.ttl + KNOWN + (out - expiry).max(0.0) + self.run.slack,
        })
    }

    /// When it was seen that somebody would not poll a resource in a cycle any more.
    fn went(&self, member: &PlanMember, cycle: &Cycle, resource: &Resource) -> Option<f64> {
        let incarnation = member.incarnation.as_str();
        let gone = self.gone.get(incarnation).copied();
        let gave_up = self.gave_up.get(&(incarnation, cycle, resource.unit.as_str()));
        let times = gone.into_iter().chain(gave_up.copied());
        times.min_by(f64::total_cmp)
    }

    /// Since when nothing had come of a member when its key went.
    fn fell_silent(&self, member: &PlanMember) -> Option<f64> {
        let gone = *self.gone.get(member.incarnation.as_str())?;
        let joined = self
            .run
            .joined
            .iter()
            .find(|joined| joined.incarnation == member.incarnation)?;
        let silences = self.run.silences.iter();
        let of_member = silences.filter(|silence| {
            silence.agent == member.agent && joined.at < silence.from && silence.from <= gone
        });
        of_member.map(|silence| silence.from).min_by(f64::total_cmp)
    }
}
