//! The kinds of configuration problems and their codes.

macro_rules! problems {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// The kind of a problem. Messages contain the code, for example `error[meters-mixed]`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Problem {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Problem {
            /// All kinds, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the stable code: lower case, with hyphens.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

problems! {
    /// No configuration exists in the searched places.
    NoConfiguration = "no-configuration",
    /// A specified file or folder does not exist.
    NotFound = "not-found",
    /// A file cannot be read.
    Unreadable = "unreadable",
    /// A path is a device, a pipe or a socket instead of a file.
    NotRegular = "not-a-file",
    /// A folder contains no `*.yaml` or `*.yml`.
    FolderEmpty = "folder-empty",
    /// A file is larger than [`MAX_FILE`](crate::MAX_FILE).
    TooLarge = "too-large",
    /// A file is not UTF-8.
    Encoding = "encoding",
    /// A file contains a NUL or another control character.
    ControlCharacter = "control-character",
    /// The text is not YAML.
    Syntax = "syntax",
    /// A mapping has a key twice.
    DuplicateKey = "duplicate-key",
    /// A file contains more than one YAML document.
    SeveralDocuments = "several-documents",
    /// The file is empty.
    EmptyFile = "empty-file",
    /// The file is a list or a single value.
    NotMapping = "not-a-mapping",
    /// Values are nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    TooDeep = "too-deep",
    /// A file has more values, including each use of aliases, than [`MAX_VALUES`](crate::MAX_VALUES).
    TooMany = "too-many-values",
    /// An alias refers to the value that contains it.
    AliasCycle = "alias-cycle",
    /// The value of a merge key `<<` is not a mapping.
    Merge = "merge",
    /// A YAML tag, most often a `!` without quotation marks.
    Tag = "tag",
    /// A key is a list or a mapping.
    KeyNotText = "key-not-text",
    /// A number is infinite or not a number.
    NotFinite = "not-finite",
    /// An integer has more than 64 bits.
    NumberTooBig = "number-too-big",
    /// A top-level key is unknown.
    UnknownTopLevel = "unknown-top-level-key",
    /// Two files have `sources`.
    DuplicateSources = "duplicate-sources",
    /// No file has `sources`.
    SourcesMissing = "sources-missing",
    /// `sources` is not a list.
    SourcesNotList = "sources-not-a-list",
    /// An item of `sources` is not a mapping.
    SourceNotMapping = "source-not-a-mapping",
    /// A key of a source is unknown.
    UnknownSourceKey = "unknown-source-key",
    /// A source has no `name`.
    NameMissing = "name-missing",
    /// The name of a source is not text.
    NameNotText = "name-not-text",
    /// A source has no `meters`.
    MetersMissing = "meters-missing",
    /// `meters` is empty.
    MetersEmpty = "meters-empty",
    /// `meters` is not a list.
    MetersNotList = "meters-not-a-list",
    /// `meters` is a mapping, whose keys are used.
    MetersMapping = "meters-mapping",
    /// A pattern is empty.
    MeterEmpty = "meter-empty",
    /// A pattern is not text.
    MeterNotText = "meter-not-text",
    /// Meters are both included and excluded.
    MetersMixed = "meters-mixed",
    /// Meters are listed together with `*`.
    MetersWithWildcard = "meters-with-wildcard",
    /// A source has neither `interval` nor `cron`.
    IntervalMissing = "interval-missing",
    /// An interval is neither a number of seconds nor a duration.
    IntervalInvalid = "interval-invalid",
    /// An interval is not positive.
    IntervalNotPositive = "interval-not-positive",
    /// An interval is out of range.
    IntervalRange = "interval-range",
    /// An interval is accepted and converted, as in ceilometer.
    IntervalConverted = "interval-converted",
    /// A source has both `interval` and `cron`.
    ScheduleConflict = "schedule-conflict",
    /// A cron expression is invalid.
    CronInvalid = "cron-invalid",
    /// A time zone is unknown.
    TimeZoneInvalid = "time-zone-invalid",
    /// A key belongs to the other kind of schedule.
    ScheduleKey = "schedule-key",
    /// An offset is not a duration, or is not shorter than the interval.
    OffsetInvalid = "offset-invalid",
    /// `resources` is not a list.
    ResourcesNotList = "resources-not-a-list",
    /// `discovery` is not a list.
    DiscoveryNotList = "discovery-not-a-list",
    /// An item of `discovery` is not text.
    DiscoveryNotText = "discovery-not-text",
    /// A partition mode is unknown.
    PartitionInvalid = "partition-invalid",
    /// A timeout is not a positive duration.
    TimeoutInvalid = "timeout-invalid",
    /// `group_id_coordination_expression` has no effect.
    GroupExpression = "group-expression",
    /// A value has the wrong type.
    WrongType = "wrong-type",
    /// A key of a section is unknown.
    UnknownKey = "unknown-key",
    /// A required key is missing.
    MissingKey = "missing-key",
    /// A value is not one of the allowed values.
    NotOneOf = "not-one-of",
    /// A number is out of range.
    OutOfRange = "out-of-range",
    /// A text or list is too short or too long.
    BadLength = "bad-length",
    /// A text does not have the format of its key.
    BadFormat = "bad-format",
    /// A value is invalid for its section, plugin or publisher.
    BadValue = "bad-value",
    /// Two publishers have the same name.
    DuplicatePublisher = "duplicate-publisher",
    /// `${` is not followed by `env:NAME}` or `file:PATH}`.
    Placeholder = "placeholder",
    /// The variable of `${env:NAME}` is not set or not text.
    Variable = "variable",
    /// The file of `${file:PATH}` cannot be used.
    SecretFile = "secret-file",
    /// No plugin has the namespace.
    UnknownNamespace = "unknown-namespace",
    /// A publisher selects an unknown source.
    UnknownSource = "unknown-source",
    /// No loaded pollster has the meter.
    UnknownMeter = "unknown-meter",
    /// The discovery is not loaded.
    UnknownDiscovery = "unknown-discovery",
    /// No publisher supports the URL scheme.
    UnknownPublisher = "unknown-publisher",
    /// A definition in a plugin's file has an error.
    BadDefinition = "bad-definition",
    /// A definition is not used, while the others are.
    DefinitionRejected = "definition-rejected",
}
