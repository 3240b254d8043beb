//! Every kind of thing that can be wrong with a configuration, under the code that messages show.

macro_rules! problems {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// What is wrong. Messages show the code, as in `error[meters-mixed]`, and documentation refers to it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Problem {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Problem {
            /// All of them, in the order in which they are declared.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable name of the kind: lower case, with hyphens.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

problems! {
    /// There is no configuration in any of the places.
    NoConfiguration = "no-configuration",
    /// A file or folder that was named does not exist.
    NotFound = "not-found",
    /// A file cannot be read.
    Unreadable = "unreadable",
    /// A device, a pipe or a socket stands where a file is expected.
    NotRegular = "not-a-file",
    /// A folder holds no `*.yaml` or `*.yml`.
    FolderEmpty = "folder-empty",
    /// A file is larger than [`MAX_FILE`](crate::MAX_FILE).
    TooLarge = "too-large",
    /// A file is not UTF-8.
    Encoding = "encoding",
    /// A file holds a NUL or another control character.
    ControlCharacter = "control-character",
    /// The text is not YAML.
    Syntax = "syntax",
    /// A key stands twice in one mapping.
    DuplicateKey = "duplicate-key",
    /// A file holds more than one YAML document.
    SeveralDocuments = "several-documents",
    /// There is nothing in the file.
    EmptyFile = "empty-file",
    /// The file is a list or a single value.
    NotMapping = "not-a-mapping",
    /// Values are nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    TooDeep = "too-deep",
    /// There are more values, aliases counted in full, than [`MAX_VALUES`](crate::MAX_VALUES).
    TooMany = "too-many-values",
    /// An alias refers to the value that it is part of.
    AliasCycle = "alias-cycle",
    /// A merge key `<<` is given something else than mappings.
    Merge = "merge",
    /// A YAML tag, most often a `!` without quotation marks.
    Tag = "tag",
    /// A key is a list or a mapping.
    KeyNotText = "key-not-text",
    /// A number is infinite or not a number.
    NotFinite = "not-finite",
    /// A whole number of more than 64 bits.
    NumberTooBig = "number-too-big",
    /// A top-level key that nothing reads.
    UnknownTopLevel = "unknown-top-level-key",
    /// `sources` stands in two files.
    SourcesTwice = "sources-twice",
    /// No file has `sources`.
    SourcesMissing = "sources-missing",
    /// `sources` is not a list.
    SourcesNotList = "sources-not-a-list",
    /// An item of `sources` is not a mapping.
    SourceNotMapping = "source-not-a-mapping",
    /// A key of a source that nothing reads.
    UnknownSourceKey = "unknown-source-key",
    /// A source without `name`.
    NameMissing = "name-missing",
    /// The name of a source is not a text.
    NameNotText = "name-not-text",
    /// A source without `meters`.
    MetersMissing = "meters-missing",
    /// `meters` names nothing.
    MetersEmpty = "meters-empty",
    /// `meters` is not a list.
    MetersNotList = "meters-not-a-list",
    /// `meters` is a mapping, whose keys are used.
    MetersMapping = "meters-mapping",
    /// A pattern is empty.
    MeterEmpty = "meter-empty",
    /// A pattern is not a text.
    MeterNotText = "meter-not-text",
    /// Meters are both included and excluded.
    MetersMixed = "meters-mixed",
    /// Meters are named beside `*`.
    MetersBesideWildcard = "meters-beside-wildcard",
    /// A source without `interval` and `cron`.
    IntervalMissing = "interval-missing",
    /// An interval that is no number of seconds and no duration.
    IntervalInvalid = "interval-invalid",
    /// An interval that is not positive.
    IntervalNotPositive = "interval-not-positive",
    /// An interval outside of what is possible.
    IntervalRange = "interval-range",
    /// An interval that is accepted and changed, as ceilometer does.
    IntervalConverted = "interval-converted",
    /// Both `interval` and `cron`.
    ScheduleTwice = "schedule-twice",
    /// A cron expression that cannot be read.
    CronInvalid = "cron-invalid",
    /// A time zone that nobody knows.
    TimeZoneInvalid = "time-zone-invalid",
    /// A key that belongs to the other kind of schedule.
    ScheduleKey = "schedule-key",
    /// An offset that is no duration or not shorter than the interval.
    OffsetInvalid = "offset-invalid",
    /// `resources` is not a list.
    ResourcesNotList = "resources-not-a-list",
    /// `discovery` is not a list.
    DiscoveryNotList = "discovery-not-a-list",
    /// An item of `discovery` is not a text.
    DiscoveryNotText = "discovery-not-text",
    /// A partition mode that does not exist.
    PartitionInvalid = "partition-invalid",
    /// A timeout that is no positive duration.
    TimeoutInvalid = "timeout-invalid",
    /// `group_id_coordination_expression`, which is not evaluated.
    GroupExpression = "group-expression",
    /// A value of another type than its key wants.
    WrongType = "wrong-type",
    /// A key that our own sections do not have.
    UnknownKey = "unknown-key",
    /// A key that has to be there.
    MissingKey = "missing-key",
    /// A value that is none of those possible.
    NotOneOf = "not-one-of",
    /// A number outside its bounds.
    OutOfRange = "out-of-range",
    /// A text or list that is too short or too long.
    BadLength = "bad-length",
    /// A text that is not of the form that its key wants.
    BadFormat = "bad-format",
    /// A value that passed all general rules, but not the particular ones of its section.
    BadValue = "bad-value",
    /// Two publishers of one name.
    PublisherTwice = "publisher-twice",
    /// `${` that is not followed by `env:NAME}` or `file:PATH}`.
    Placeholder = "placeholder",
    /// `${env:NAME}` of a variable that is not set, or not text.
    Variable = "variable",
    /// `${file:PATH}` of a file that cannot be used.
    SecretFile = "secret-file",
    /// A namespace that no plugin has.
    UnknownNamespace = "unknown-namespace",
    /// A source that a publisher selects and that there is not.
    UnknownSource = "unknown-source",
    /// A meter that no loaded pollster has.
    UnknownMeter = "unknown-meter",
    /// A discovery that is not loaded.
    UnknownDiscovery = "unknown-discovery",
    /// A publisher URL that no publisher takes.
    UnknownPublisher = "unknown-publisher",
    /// A definition that a plugin family read from a file is wrong.
    BadDefinition = "bad-definition",
    /// A definition that is not used, while the others are.
    DefinitionSetAside = "definition-set-aside",
}
