//! The encoding of marks.

use std::collections::BTreeMap;

use nephoscope_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::bounds::{MAX_CYCLES, MAX_STEPS, MAX_UNITS, bounded};
use crate::protocol::ids::UnitHash;
use crate::protocol::invalid::InvalidReason;
use crate::protocol::mark::{Marks, Step};
use crate::protocol::member::Versions;

#[derive(Serialize, Deserialize)]
pub(super) struct MarksForm {
    protocol: u32,
    hash: u32,
    cycles: Vec<MarkedForm>,
}

#[derive(Serialize, Deserialize)]
struct MarkedForm {
    start: i64,
    units: BTreeMap<String, Vec<StepForm>>,
}

#[derive(Serialize, Deserialize)]
struct StepForm {
    /// The members that are not in the previous step.
    out: Vec<u32>,
    finished: bool,
}

impl From<&Marks> for MarksForm {
    fn from(marks: &Marks) -> Self {
        let cycles = marks.cycles.iter().map(|(start, units)| MarkedForm {
            start: start.as_millis(),
            units: units
                .iter()
                .map(|(unit, steps)| (unit.to_string(), steps_form(steps)))
                .collect(),
        });
        Self {
            protocol: Versions::CURRENT.protocol,
            hash: Versions::CURRENT.hash,
            cycles: cycles.collect(),
        }
    }
}

impl MarksForm {
    pub(super) fn check(self) -> Result<Marks, InvalidReason> {
        bounded(self.cycles.len(), "cycles", MAX_CYCLES)?;
        let mut marks = Marks::default();
        for cycle in self.cycles {
            bounded(cycle.units.len(), "units", MAX_UNITS)?;
            let mut units = BTreeMap::new();
            for (unit, steps) in cycle.units {
                let unit = UnitHash::parse(&unit).ok_or(InvalidReason::Field("units"))?;
                units.insert(unit, steps_of(steps)?);
            }
            marks.cycles.insert(Timestamp::from_millis(cycle.start), units);
        }
        Ok(marks)
    }
}

fn steps_form(steps: &[Step]) -> Vec<StepForm> {
    let mut before = None;
    let mut forms = Vec::with_capacity(steps.len());
    for step in steps {
        let known = |member: &&u32| before.is_some_and(|before: &Step| before.out.contains(member));
        forms.push(StepForm {
            out: step.out.iter().filter(|member| !known(member)).copied().collect(),
            finished: step.finished,
        });
        before = Some(step);
    }
    forms
}

fn steps_of(forms: Vec<StepForm>) -> Result<Vec<Step>, InvalidReason> {
    bounded(forms.len(), "steps", MAX_STEPS)?;
    let mut steps: Vec<Step> = Vec::with_capacity(forms.len());
    // A member counts once in each step that contains it: the product must be bounded too.
    let mut held = 0;
    for form in forms {
        let mut out = steps.last().map(|step| step.out.clone()).unwrap_or_default();
        out.extend(form.out);
        held += out.len();
        bounded(held, "members in steps", MAX_UNITS)?;
        steps.push(Step {
            out,
            finished: form.finished,
        });
    }
    Ok(steps)
}
