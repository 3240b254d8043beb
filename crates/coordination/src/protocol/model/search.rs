//! The searches: exhaustive where that can be, by random walks beyond.

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::world::*;
use crate::protocol::Rules;
use crate::protocol::machine::OnLoss;

impl Model for Setup {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Move>) {
        actions.extend(state.moves(self));
    }

    fn next_state(&self, state: &World, action: Move) -> Option<World> {
        let mut next = state.clone();
        next.make(self, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing happens that must not", |_, world: &World| {
                world.violation.is_none()
            }),
            Property::always(
                "every promise is kept in the end",
                |setup: &Setup, world: &World| !world.ended(setup) || world.broken_promise(setup).is_none(),
            ),
            Property::sometimes("the end is reached", |setup: &Setup, world: &World| {
                world.ended(setup)
            }),
        ]
    }
}

/// No search may need more: it would be cut, and fail.
const MOST_STATES: usize = 3_000_000;

/// What a search came to.
struct Found {
    states: usize,
    /// The first property that does not hold, with the way there.
    broken: Option<String>,
}

fn search(setup: Setup) -> Found {
    let checker = setup
        .clone()
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_dfs()
        .join();
    let states = checker.unique_state_count();
    assert!(
        checker.state_count() < MOST_STATES,
        "the search was cut after {states} states"
    );
    let broken = checker
        .discoveries()
        .into_iter()
        .find(|(name, _)| *name != "the end is reached")
        .map(|(name, path)| {
            let last = path.last_state().clone();
            let why = last
                .violation
                .map_or_else(|| last.broken_promise(&setup).unwrap_or_default(), str::to_owned);
            let mut moves = String::new();
            for (world, action) in path.into_vec() {
                if let Some(action) = action {
                    moves += &format!("  {:>6} {}\n", world.now, world.told(&action));
                }
            }
            format!(
                "{name}: {why}\n{moves}at {}\n{}",
                last.now,
                if std::env::var_os("MODEL_MACHINES").is_some() {
                    format!("{:#?}", last.agents)
                } else {
                    String::new()
                }
            )
        });
    Found { states, broken }
}

fn setup() -> Setup {
    Setup {
        agents: 2,
        members: 2,
        warm: 1,
        cycles: 2,
        faults: 0,
        kinds: Kind::ALL,
        on_loss: OnLoss::Continue,
        rules: Rules::ALL,
        uneven: false,
        stops: 0,
        orders: false,
    }
}

fn holds(what: &str, setup: Setup) {
    let begin = std::time::Instant::now();
    let found = search(setup);
    println!("{what}: {} states, {:?}", found.states, begin.elapsed());
    if let Some(broken) = found.broken {
        panic!("{broken}");
    }
}

#[test]
fn without_faults() {
    holds("2 agents, 2 cycles, no fault", setup());
}

#[test]
fn one_fault() {
    let mut broken = String::new();
    for kind in Kind::ALL {
        let kinds = std::slice::from_ref(kind);
        for (what, setup) in [
            ("2 of 2", Setup { ..setup() }),
            (
                "1 of 2",
                Setup {
                    members: 1,
                    ..setup()
                },
            ),
            (
                "1 of 2 cold",
                Setup {
                    members: 1,
                    warm: 0,
                    ..setup()
                },
            ),
            (
                "2 of 2, pause",
                Setup {
                    on_loss: OnLoss::Pause,
                    ..setup()
                },
            ),
            (
                "2 of 2, stop, uneven",
                Setup {
                    stops: 1,
                    uneven: true,
                    ..setup()
                },
            ),
        ] {
            let begin = std::time::Instant::now();
            let found = search(Setup {
                faults: 1,
                kinds,
                ..setup
            });
            println!("{what}, {kind:?}: {} states, {:?}", found.states, begin.elapsed());
            if let Some(why) = found.broken {
                broken += &format!("{what}, {kind:?}: {why}");
            }
        }
    }
    assert!(broken.is_empty(), "{broken}");
}
