//! The safety rules. A test can disable each to show that it is needed.

/// The enabled rules. The program enables all of them: only tests create other values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    not(any(test, feature = "model")),
    allow(unreachable_pub, reason = "only tests see it from outside")
)]
pub struct Rules {
    /// The unfinished work of a member that is out belongs to the next member of the ranking.
    pub takeover: bool,
    /// No sample is handed over for a lost membership while other members have its work.
    pub fence: bool,
    /// Only members with a unit are ranked for its resources.
    pub units: bool,
    /// A plan is written only if the known plan is unchanged, and with a greater start.
    pub monotonic_plans: bool,
    /// Every membership has a new incarnation.
    pub new_incarnation: bool,
    /// A plan is written only while its writer's own key exists.
    pub writer_key: bool,
}

#[cfg_attr(
    not(any(test, feature = "model")),
    allow(unreachable_pub, reason = "only tests see it from outside")
)]
impl Rules {
    /// All rules.
    pub const ALL: Self = Self {
        takeover: true,
        fence: true,
        units: true,
        monotonic_plans: true,
        new_incarnation: true,
        writer_key: true,
    };
}

/// The environment variable with the name of a disabled rule, for the program with the feature `model`.
#[cfg(feature = "model")]
const VARIABLE: &str = "NEPHOSCOPE_WITHOUT_RULE";

#[cfg(feature = "model")]
impl Rules {
    /// Returns all rules except the one in the environment.
    pub(crate) fn of_environment() -> Self {
        let mut rules = Self::ALL;
        match std::env::var(VARIABLE).as_deref() {
            Ok("takeover") => rules.takeover = false,
            Ok("fence") => rules.fence = false,
            Ok("units") => rules.units = false,
            Ok("monotonic_plans") => rules.monotonic_plans = false,
            Ok("new_incarnation") => rules.new_incarnation = false,
            Ok("writer_key") => rules.writer_key = false,
            _ => {}
        }
        rules
    }
}
