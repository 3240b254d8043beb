//! The searches: exhaustive if possible, random walks otherwise.

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::setup::*;
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
            Property::always("no invariant is violated", |_, world: &World| {
                world.violation.is_none()
            }),
            Property::always(
                "every guarantee holds at the end",
                |setup: &Setup, world: &World| {
                    !world.ended(setup) || world.violated_guarantee(setup).is_none()
                },
            ),
            Property::sometimes("the end is reached", |setup: &Setup, world: &World| {
                world.ended(setup)
            }),
        ]
    }
}

/// The maximum number of states; a larger search is aborted and fails.
const MOST_STATES: usize = 8_000_000;

/// The result of a search.
struct Found {
    states: usize,
    /// The first violated property, with the path to it.
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
        "the search was aborted after {states} states"
    );
    let broken = checker
        .discoveries()
        .into_iter()
        .find(|(name, _)| *name != "the end is reached")
        .map(|(name, path)| {
            let last = path.last_state().clone();
            let why = last.violation.map_or_else(
                || last.violated_guarantee(&setup).unwrap_or_default(),
                str::to_owned,
            );
            let mut moves = String::new();
            for (world, action) in path.into_vec() {
                if let Some(action) = action {
                    moves += &format!("  {:>6} {}\n", world.now, world.describe(&action));
                }
            }
            format!("{name}: {why}\n{moves}at {}\n", last.now)
        });
    Found { states, broken }
}

fn setup() -> Setup {
    Setup {
        agents: 2,
        members: 2,
        warm: true,
        cycles: 2,
        faults: 0,
        first: Kind::ALL,
        others: Kind::ALL,
        on_loss: OnLoss::Continue,
        rules: Rules::ALL,
        uneven: false,
        stops: 0,
        orders: false,
    }
}

fn holds(what: &str, setup: Setup) {
    let found = search(setup);
    println!("{what}: {} states", found.states);
    if let Some(broken) = found.broken {
        panic!("{broken}");
    }
}

#[test]
fn without_faults() {
    holds("2 agents, 2 cycles", setup());
    holds(
        "2 agents, 2 cycles, any order",
        Setup {
            orders: true,
            ..setup()
        },
    );
    holds(
        "1 of 2 agents, a stop, any order",
        Setup {
            members: 1,
            stops: 1,
            uneven: true,
            orders: true,
            ..setup()
        },
    );
    holds(
        "1 of 3 agents, no plan yet, a stop",
        Setup {
            agents: 3,
            members: 1,
            warm: false,
            stops: 1,
            ..setup()
        },
    );
}

/// Two agents with each single fault: two members; one member while the other joins at any time; before the first plan;
/// under `pause`; with a unit that only one of them has.
#[test]
fn two_agents_survive_each_fault() {
    for kind in Kind::ALL {
        let first = std::slice::from_ref(kind);
        let fault = Setup {
            faults: 1,
            first,
            ..setup()
        };
        holds(&format!("2 of 2, {kind:?}"), fault.clone());
        holds(
            &format!("1 of 2, {kind:?}"),
            Setup {
                members: 1,
                ..fault.clone()
            },
        );
        holds(
            &format!("1 of 2, no plan yet, {kind:?}"),
            Setup {
                members: 1,
                warm: false,
                ..fault.clone()
            },
        );
        holds(
            &format!("2 of 2, pause, {kind:?}"),
            Setup {
                on_loss: OnLoss::Pause,
                ..fault.clone()
            },
        );
        holds(
            &format!("2 of 2, uneven, {kind:?}"),
            Setup {
                uneven: true,
                ..fault
            },
        );
    }
}

/// All pairs of faults, divided by their kinds, so that the searches can run in parallel.
fn two_faults(first: &'static [Kind], others: &'static [Kind]) {
    let what = format!("2 agents, 2 cycles, 2 faults, first {first:?}, then {others:?}");
    holds(
        &what,
        Setup {
            faults: 2,
            first,
            others,
            ..setup()
        },
    );
}

#[test]
fn two_agents_survive_two_faults_a_crash_first() {
    two_faults(&[Kind::Crash], Kind::OF_AGENTS);
}

#[test]
fn two_agents_survive_two_faults_a_pause_first() {
    two_faults(&[Kind::Pause], Kind::OF_AGENTS);
}

#[test]
fn two_agents_survive_two_faults_a_broken_link_first() {
    two_faults(&[Kind::Cut, Kind::Delay, Kind::Watch], Kind::OF_AGENTS);
}

#[test]
fn two_agents_survive_two_faults_a_lost_lease_first() {
    two_faults(&[Kind::Expire], Kind::OF_AGENTS);
}

#[test]
fn two_agents_survive_an_unreachable_etcd_and_a_crash() {
    two_faults(&[Kind::Down], &[Kind::Crash]);
}

#[test]
fn two_agents_survive_an_unreachable_etcd_and_a_pause() {
    two_faults(&[Kind::Down], &[Kind::Pause]);
}

#[test]
fn two_agents_survive_an_unreachable_etcd_and_a_broken_link() {
    two_faults(&[Kind::Down], &[Kind::Cut, Kind::Delay, Kind::Watch]);
}

#[test]
fn two_agents_survive_an_unreachable_etcd_and_a_lost_lease_or_worse() {
    two_faults(&[Kind::Down], &[Kind::Expire, Kind::Down, Kind::Wipe]);
}

#[test]
fn two_agents_survive_a_crash_and_an_unreachable_etcd() {
    two_faults(&[Kind::Crash], &[Kind::Down]);
}

#[test]
fn two_agents_survive_a_pause_and_an_unreachable_etcd() {
    two_faults(&[Kind::Pause], &[Kind::Down]);
}

#[test]
fn two_agents_survive_a_broken_link_and_an_unreachable_etcd() {
    two_faults(&[Kind::Cut, Kind::Delay, Kind::Watch], &[Kind::Down]);
}

#[test]
fn two_agents_survive_a_lost_lease_and_an_unreachable_etcd() {
    two_faults(&[Kind::Expire], &[Kind::Down]);
}

#[test]
fn two_agents_survive_a_wiped_etcd_and_another_fault() {
    two_faults(&[Kind::Wipe], Kind::ALL);
}

#[test]
fn two_agents_survive_a_fault_and_a_wiped_etcd() {
    two_faults(Kind::OF_AGENTS, &[Kind::Wipe]);
}

#[test]
fn three_agents_survive_a_fault() {
    holds(
        "3 agents, 2 cycles, 1 fault",
        Setup {
            agents: 3,
            members: 3,
            faults: 1,
            ..setup()
        },
    );
    holds(
        "2 of 3 agents, 2 cycles, 1 fault",
        Setup {
            agents: 3,
            members: 2,
            faults: 1,
            ..setup()
        },
    );
}

/// Too large for a search: three agents, three cycles, all faults, any order.
#[test]
fn random_walks_find_no_violation() {
    const STEPS: usize = 200_000;
    let mut random = Random(0x5eed);
    let (mut steps, mut ends) = (0, 0);
    while steps < STEPS {
        let seed = random.0;
        let setup = Setup {
            agents: 3,
            members: 1 + random.below(3),
            warm: random.below(2) == 0,
            cycles: 3,
            faults: 3,
            uneven: random.below(2) == 0,
            orders: true,
            on_loss: if random.below(2) == 0 {
                OnLoss::Continue
            } else {
                OnLoss::Pause
            },
            ..setup()
        };
        let mut world = World::new(&setup);
        let mut history = Vec::new();
        loop {
            let mut moves = world.moves(&setup);
            // Faults and starts are possible at every step: chosen as often as other moves, all would happen at the start.
            let rare =
                |action: &Move| matches!(action, Move::Fault(..) | Move::Start(_) | Move::LateWrite(_));
            if random.below(8) != 0 && moves.iter().any(|action| !rare(action)) {
                moves.retain(|action| !rare(action));
            }
            if moves.is_empty() {
                break;
            }
            let action = moves.swap_remove(random.below(moves.len()));
            history.push((world.now, world.describe(&action)));
            world.make(&setup, action);
            steps += 1;
        }
        ends += usize::from(world.ended(&setup));
        let broken = world
            .violation
            .map(str::to_owned)
            .or_else(|| world.ended(&setup).then(|| world.violated_guarantee(&setup))?);
        if let Some(why) = broken {
            let moves: String = history
                .iter()
                .map(|(now, action)| format!("  {now:>6} {action}\n"))
                .collect();
            panic!("seed {seed:#x}, {setup:?}: {why}\n{moves}");
        }
    }
    println!("random walks: {steps} steps, {ends} walks to the end");
    assert!(ends > 100);
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % bound as u64) as usize
    }
}

/// Asserts that the model finds a violation without the rule.
fn needs(rule: &str, setup: Setup) {
    let found = search(setup);
    let broken = found.broken.unwrap_or_else(|| {
        panic!(
            "without {rule} the model finds no violation in {} states",
            found.states
        )
    });
    println!("without {rule}: {}", broken.lines().next().unwrap_or_default());
}

#[test]
fn takeover_is_needed() {
    let rules = Rules {
        takeover: false,
        ..Rules::ALL
    };
    needs(
        "takeover",
        Setup {
            rules,
            faults: 1,
            first: &[Kind::Crash],
            ..setup()
        },
    );
}

#[test]
fn the_fence_is_needed() {
    let rules = Rules {
        fence: false,
        ..Rules::ALL
    };
    needs(
        "the fence",
        Setup {
            rules,
            cycles: 3,
            faults: 1,
            first: &[Kind::Pause],
            ..setup()
        },
    );
}

#[test]
fn units_are_needed() {
    let rules = Rules {
        units: false,
        ..Rules::ALL
    };
    needs(
        "units",
        Setup {
            rules,
            uneven: true,
            ..setup()
        },
    );
}

#[test]
fn monotony_is_needed() {
    let rules = Rules {
        monotonic_plans: false,
        ..Rules::ALL
    };
    needs(
        "monotonic_plans of plans",
        Setup {
            rules,
            faults: 1,
            first: &[Kind::Delay],
            ..setup()
        },
    );
}

#[test]
fn a_new_incarnation_is_needed() {
    let rules = Rules {
        new_incarnation: false,
        ..Rules::ALL
    };
    needs(
        "a new incarnation",
        Setup {
            rules,
            faults: 1,
            first: &[Kind::Pause, Kind::Expire],
            ..setup()
        },
    );
}

#[test]
fn the_writers_own_key_is_needed() {
    let rules = Rules {
        writer_key: false,
        ..Rules::ALL
    };
    needs(
        "the writer's own key",
        Setup {
            rules,
            warm: false,
            faults: 1,
            first: &[Kind::Crash],
            ..setup()
        },
    );
}
