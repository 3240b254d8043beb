//! Adds the names of projects and users to samples.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use nephoscope_model::{Sample, Subject};
use nephoscope_plugin::{Identity, IdentityNames};

/// Adds the known names to the samples of a batch. Samples that share a subject share the new one.
pub(crate) async fn add(samples: &mut [Sample], names: &dyn IdentityNames) {
    let unnamed: BTreeSet<Identity> = samples
        .iter()
        .flat_map(|sample| {
            let subject = &sample.subject;
            let project = subject
                .project_id
                .clone()
                .filter(|_| subject.project_name.is_none());
            let user = subject.user_id.clone().filter(|_| subject.user_name.is_none());
            [project.map(Identity::Project), user.map(Identity::User)]
        })
        .flatten()
        .filter(|identity| !matches!(identity, Identity::Project(id) | Identity::User(id) if id.is_empty()))
        .collect();
    if unnamed.is_empty() {
        return;
    }
    let unnamed: Vec<Identity> = unnamed.into_iter().collect();
    let found = names.names(&unnamed).await;
    let known: HashMap<Identity, Arc<str>> = unnamed
        .into_iter()
        .zip(found)
        .filter_map(|(identity, name)| Some((identity, name?)))
        .collect();
    if known.is_empty() {
        return;
    }
    // By the address of the old subject, which the map keeps alive.
    let mut named: HashMap<*const Subject, (Arc<Subject>, Arc<Subject>)> = HashMap::new();
    for sample in samples {
        let (_, subject) = named.entry(Arc::as_ptr(&sample.subject)).or_insert_with(|| {
            let before = sample.subject.clone();
            let after = Arc::new(with_names(&before, &known));
            (before, after)
        });
        sample.subject = subject.clone();
    }
}

fn with_names(subject: &Subject, known: &HashMap<Identity, Arc<str>>) -> Subject {
    let mut subject = subject.clone();
    let name = |identity: Option<Identity>| known.get(&identity?).cloned();
    let project = name(subject.project_id.clone().map(Identity::Project));
    let user = name(subject.user_id.clone().map(Identity::User));
    subject.project_name = subject.project_name.or(project);
    subject.user_name = subject.user_name.or(user);
    subject
}

#[cfg(test)]
mod tests {
    use super::*;
    use nephoscope_model::{CycleId, Meter, MeterDef, RunIds, ScheduleId, Timestamp};
    use nephoscope_plugin::async_trait;
    use parking_lot::Mutex;

    /// Knows all identities whose id begins with `known`.
    #[derive(Default)]
    struct Registry(Mutex<Vec<Vec<Identity>>>);

    #[async_trait]
    impl IdentityNames for Registry {
        async fn names(&self, identities: &[Identity]) -> Vec<Option<Arc<str>>> {
            self.0.lock().push(identities.to_vec());
            let name = |identity: &Identity| match identity {
                Identity::Project(id) | Identity::User(id) => {
                    id.starts_with("known").then(|| format!("name of {id}").into())
                }
                _ => None,
            };
            identities.iter().map(name).collect()
        }
    }

    fn sample(subject: &Arc<Subject>) -> Sample {
        let meter = Meter::from(&MeterDef::gauge("m", "u", "A meter"));
        let cycle = CycleId::new(ScheduleId::new("every:300:0"), Timestamp::from_micros(0), 0);
        Sample::new(
            subject.clone(),
            Arc::new(meter),
            1_i64,
            Timestamp::from_micros(0),
            RunIds::new("", &cycle, "p").resource("r").sample("m", "r", 0),
        )
    }

    #[tokio::test]
    async fn each_identity_is_resolved_once_and_subjects_stay_shared() {
        let first = Subject::new("r1").project("known-p").user("known-u").shared();
        let second = Subject::new("r2").project("known-p").user("unknown").shared();
        let third = Subject::new("r3").shared();
        let mut samples = [&first, &first, &second, &third].map(sample);
        let registry = Registry::default();
        add(&mut samples, &registry).await;
        let shown: Vec<_> = samples
            .iter()
            .map(|sample| {
                let subject = &sample.subject;
                (subject.project_name.as_deref(), subject.user_name.as_deref())
            })
            .collect();
        let project = Some("name of known-p");
        assert_eq!(
            shown,
            [
                (project, Some("name of known-u")),
                (project, Some("name of known-u")),
                (project, None),
                (None, None)
            ]
        );
        assert!(Arc::ptr_eq(&samples[0].subject, &samples[1].subject));
        let requests = registry.0.lock();
        assert_eq!((requests.len(), requests[0].len()), (1, 3));
    }
}
