//! Computes how long a resource had no owner after its owner fell silent.

use super::judge::{Judge, KNOWN};
use super::run::{Cycle, Effect, Fault, PlanMember, Ranking, Resource, Written};
use super::verdict::Gap;

impl<'a, R: Ranking> Judge<'a, R> {
    /// Returns how long a resource had no owner in a cycle whose samples are `samples`, in time order. Returns `None` if that
    /// is unknown: the owner polled the resource, its successor knew at the edge that it would not, no member is known to
    /// have fallen silent, or etcd was unavailable.
    pub(super) fn gap(
        &mut self,
        cycle: &Cycle,
        resource: &'a Resource,
        samples: &[&Written],
        faults: &[&Fault],
    ) -> Option<Gap> {
        // Without etcd no agent can know; when etcd returns, its leases start again.
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
                // The member itself reported that it will not poll.
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

    /// Returns when it was known that the member would no longer poll the resource in this cycle.
    fn went(&self, member: &PlanMember, cycle: &Cycle, resource: &Resource) -> Option<f64> {
        let incarnation = member.incarnation.as_str();
        let gone = self.gone.get(incarnation).copied();
        let gave_up = self.gave_up.get(&(incarnation, cycle, resource.unit.as_str()));
        let times = gone.into_iter().chain(gave_up.copied());
        times.min_by(f64::total_cmp)
    }

    /// Returns since when the member was silent, if its key was removed.
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
