//! The safety rules, each of which can be taken out by a test to see that it is needed.

/// Which rules hold. In the program all of them do: nothing outside of tests makes another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    not(any(test, feature = "model")),
    allow(unreachable_pub, reason = "only tests see it from outside")
)]
pub struct Rules {
    /// What a member that is out left undone belongs to the next of the ranking.
    pub succession: bool,
    /// Nothing is handed over for a membership that is lost while others have its work.
    pub fence: bool,
    /// Only members that carry a unit are ranked for its resources.
    pub units: bool,
    /// A plan is written only where the plan that is known still stands, with a greater start.
    pub monotony: bool,
    /// A membership that begins anew has a new incarnation.
    pub new_incarnation: bool,
    /// A plan is written only while its writer's own key stands.
    pub writer_key: bool,
}

#[cfg_attr(
    not(any(test, feature = "model")),
    allow(unreachable_pub, reason = "only tests see it from outside")
)]
impl Rules {
    /// All of them.
    pub const ALL: Self = Self {
        succession: true,
        fence: true,
        units: true,
        monotony: true,
        new_incarnation: true,
        writer_key: true,
    };
}

/// The environment variable that names a rule which does not hold, for the program with the feature `model`.
#[cfg(feature = "model")]
const VARIABLE: &str = "NEPHOSCOPE_WITHOUT_RULE";

#[cfg(feature = "model")]
impl Rules {
    /// All of them but the one that the environment names.
    pub(crate) fn of_environment() -> Self {
        let mut rules = Self::ALL;
        match std::env::var(VARIABLE).as_deref() {
            Ok("succession") => rules.succession = false,
            Ok("fence") => rules.fence = false,
            Ok("units") => rules.units = false,
            Ok("monotony") => rules.monotony = false,
            Ok("new_incarnation") => rules.new_incarnation = false,
            Ok("writer_key") => rules.writer_key = false,
            _ => {}
        }
        rules
    }
}
