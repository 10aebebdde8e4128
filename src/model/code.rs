//! The one code table. Every code has a page in `docs/errors/`, compiled into `renkei explain`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares the codes with their numbers and titles, so that the table stands in one place.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $title:literal;)*) => {
        /// What happened, by number. Numbers are never used twice and never change their meaning.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        pub enum Code { $($(#[$doc])* $name = $number),* }

        impl Code {
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// A short title, the first line of the code's page.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title),* }
            }

            /// The code's page in Markdown. A code without its file in `docs/errors/` does not compile.
            pub fn page(self) -> &'static str {
                match self { $(Code::$name => include_str!(concat!("../../docs/errors/RK0", $number, ".md"))),* }
            }
        }
    };
}

codes! {
    // RK01xx: configuration, found before running.
    ConfigFile = 101, "a configuration file cannot be read";
    YamlSyntax = 102, "the YAML cannot be parsed";
    UnknownKey = 103, "unknown key";
    DuplicateKey = 104, "a key stands twice";
    WrongType = 105, "a value has the wrong type";
    MissingKey = 106, "a required key is missing";
    OutOfRange = 107, "a value is out of its bounds";
    UnknownName = 108, "a name that nothing declares";
    MissingVariable = 109, "an environment variable or secret file is missing";
    LiteralSecret = 110, "a secret is written literally";
    UnsafeRepeat = 111, "an operation declares no safe way to repeat it";
    Expression = 112, "an expression cannot be compiled";
    YamlBudget = 113, "the YAML is too large, too deep or expands too far";
    Conflict = 114, "two settings contradict each other";
    Workspace = 115, "no workspace here";
    BadPath = 116, "a path or URL cannot be used";
    PersonalRule = 117, "a rule for a personal field cannot be kept";
    PersonalKeys = 118, "the keys for personal fields cannot be used";
    LimitConflict = 122, "limits that contradict each other";
    KeyFile = 119, "a key file cannot be used";
    CrontabLine = 125, "a crontab line cannot be understood";
    TimeZone = 126, "an unknown time zone";
    AfterCircle = 127, "pipelines that wait for each other";
    CalendarFile = 128, "a calendar's file cannot be used";
    NeverDue = 129, "a schedule that is never due";
    AdminOpen = 140, "an admin API that lets everybody in";
    AdminToken = 141, "a token that cannot guard the admin API";
    ApiDocument = 142, "an OpenAPI document cannot be used";
    // RK0143 to 0149: contracts, found before running.
    ContractSchema = 143, "a contract's schema cannot be used";
    ContractNothing = 144, "a contract without a schema";
    ContractBroken = 145, "a schema changed in a way that breaks";
    UnlikeDocument = 146, "a connector does not fit its vendor's document";
    RowQuery = 150, "a query that cannot be read page by page";

    // To 0139: records that are pushed.
    ListenAddress = 130, "an address to listen at cannot be used";
    OpenToAnybody = 131, "anybody could push records";
    SchemaFile = 132, "a record's schema cannot be used";
    SignedText = 133, "a signed text that proves nothing";
    SecretForm = 134, "a secret is not written as it should be";

    AnswerForm = 135, "answers that cannot be read as declared";
    // RK0136: steps, found before running.
    StepMisplaced = 136, "a step that cannot work here";
    // RK0137 to 0139: cases of connectors.
    CaseFile = 137, "an answer's file of a case cannot be used";
    CaseNothing = 138, "a case that has nothing to play";

    // RK02xx: the request path.
    Unreachable = 201, "the host cannot be reached";
    Tls = 202, "TLS failed";
    Timeout = 203, "no answer in time";
    Broken = 204, "the connection broke";
    Truncated = 205, "the answer's body ends early";
    BodyTooLarge = 206, "the answer's body is over the limit";
    Egress = 207, "a request to a host that is not allowed";
    Redirect = 208, "a redirect that is not followed";
    Throttled = 209, "the server kept asking us to slow down";
    ServerError = 210, "the server failed";
    Refused = 211, "the server refused the request";
    NotFound = 212, "the server does not know this address";
    QuotaWait = 213, "waiting for quota would take longer than allowed";
    Resting = 217, "left alone for a while, because it kept failing";
    Deadline = 218, "the caller's time is up";
    ClientCertificate = 214, "the client certificate cannot be used";
    ClientRefused = 215, "the server does not accept the client certificate";

    // RK03xx: reading.
    NotJson = 301, "the answer is not JSON";
    NoRecords = 302, "the answer has no record list where one was declared";
    PageLoop = 303, "the page position does not move";
    EmptyPages = 304, "empty pages that claim more";
    PageBudget = 305, "the listing is longer than its page budget";
    MissingRecordKey = 306, "a record without its key";
    BadCursor = 307, "a record's cursor field is missing or cannot be read";
    OffsetCap = 308, "the listing reached the vendor's offset cap";
    UnlikeCursor = 309, "the saved cursor is of another kind than the stream declares";
    NotAnObject = 310, "a record that is no JSON object";
    MovingListing = 311, "the listing keeps changing while it is read";
    NoSlice = 330, "a slice that cannot be made";
    NoSliceFound = 331, "no slice was found";

    // RK04xx: writing.
    RecordRefused = 401, "the sink refused a record";
    Unanswered = 402, "the sink answered for fewer records than were sent";
    StrangeAnswer = 403, "the sink's answer cannot be matched to what was sent";
    KeyExpired = 404, "too old to repeat under its idempotency key";
    KeyMismatch = 405, "the idempotency key was used with another body";
    ColumnConflict = 406, "a column has a type that cannot hold the field";
    Database = 407, "the database failed";
    ValueRefused = 408, "the database refused a value";
    FileSink = 409, "the output file cannot be written";
    FileChanged = 410, "the output file is shorter than its checkpoint";
    MissingSinkKey = 411, "a record without the key its sink needs";
    BodyTemplate = 412, "a request could not be built from a record";
    ChangedCreate = 413, "a record changed after it was created, and the operation only creates";
    JobFailed = 414, "a job failed at the sink";
    JobUnfinished = 415, "a job at the sink did not end in time";
    ResultFile = 416, "a job's result file is cut short or cannot be read";
    Uncertain = 420, "whether a write took effect is unknown";
    AmbiguousLookUp = 421, "a look-up found several records";
    RevisionMoved = 422, "a record kept changing at the sink";

    // RK05xx: the store and the machine under it.
    AlreadyRunning = 501, "another process holds this state directory";
    StoreDamaged = 502, "the store is damaged";
    StoreWentBack = 503, "the store went back to an earlier state";
    NewerFormat = 504, "the state was written by a newer version";
    DiskFull = 505, "the disk is full";
    ReadOnly = 506, "the state directory cannot be written";
    StoreIo = 507, "the store's files cannot be read or written";
    SealKey = 508, "the sealing key is missing or does not fit";
    StoreClosed = 509, "the store stopped after an error";

    // RK0510 to 0515: reading answers that are no plain JSON, and large ones.
    BadRow = 510, "a row that cannot be read";
    WrongCharset = 511, "an answer that is not in its charset";
    NoColumns = 512, "a CSV answer whose columns cannot be told apart";
    Unpacking = 513, "a packed answer that cannot be unpacked";
    UnpackedTooLarge = 514, "an answer that is larger than it may be once unpacked";
    AnswerFile = 515, "a large answer cannot be kept on the disk";
    // RK0516 to 0519: exports.
    ExportFailed = 516, "an export's job failed";
    ExportUnfinished = 517, "an export's job did not end in time";
    ExportGone = 518, "an export's job or file is gone";

    // RK0520 to 0529: steps that look at more than one value.
    StepUnfit = 520, "a step does not fit the record";
    ValueUnfit = 521, "a value is not of the type it is to have";
    RuleBroken = 522, "a record breaks a rule of its pipeline";
    DedupeFull = 523, "too many values to tell duplicates by";
    LookUpMissing = 524, "nothing was found for a record";
    LookUpSeveral = 525, "several records were found for one";
    LookUpTooLarge = 526, "a looked-up listing is larger than its bound";
    LookUpRefused = 527, "a look-up was refused for a record";
    ExpandTooLarge = 528, "a page expands beyond its bound";

    // RK06xx: signing in.
    Unauthorized = 601, "the server does not accept the credentials";
    Forbidden = 602, "the account may not do this";
    TokenRefused = 603, "the token endpoint refused";
    TokenAnswer = 604, "the token endpoint's answer cannot be used";
    SignInAgain = 605, "a person must sign in again";
    NotSignedIn = 606, "nobody has signed in yet";
    LoginRefused = 607, "the sign-in was refused";
    LoginExpired = 608, "nobody signed in in time";
    LoginMismatch = 609, "the answer belongs to no sign-in of ours";
    SigningKey = 610, "a private key cannot be used";
    SessionRefused = 611, "the login was refused";
    SessionAnswer = 612, "the login's answer cannot be used";
    Unsigned = 613, "a request could not be signed";

    // RK0614 to 0629: rows of a database that are read.
    RowsUnfit = 614, "rows cannot be read as the pipeline declares";
    OutboxUnfit = 615, "a table cannot be read as an outbox";
    OutboxHeld = 616, "rows of an outbox are held by another worker";

    // RK07xx: steps and expressions.
    Evaluation = 701, "an expression failed for a record";
    FuelSpent = 702, "an expression ran too long";
    RingKeyMissing = 703, "the key of an encrypted value is missing";
    ProtectedValue = 704, "a protected value cannot be used";

    // RK08xx: the engine.
    Interrupted = 801, "stopped by a signal after a clean checkpoint";
    PlanMoved = 802, "the world moved since the plan";
    PlanFile = 803, "a plan file cannot be used";
    RejectLimit = 810, "more records were refused than the pipeline allows";
    EditRefused = 811, "an edit makes the record unusable";
    DeletesBraked = 812, "more records would be deleted than the pipeline allows";
    SweepUntold = 813, "a listing that cannot tell what is gone";
    ReloadRefused = 820, "changed files cannot be taken over";
    NoBackfill = 821, "a window that cannot be read";
    MissedTimes = 822, "times passed while nothing could run";
    StoreMoved = 823, "the store cannot be changed while the service runs";
    Waits = 824, "a pipeline waits for a person";
    StopOverrun = 825, "a stop took longer than it may";
    CalendarEnded = 826, "a calendar has ended";
    Bug = 899, "renkei did something it must never do";

    // RK09xx: the front door. To 0929: listening and records that are pushed.
    ListenRefused = 901, "an address cannot be listened on";
    IntakeFull = 902, "too many records wait to be delivered";
    CallerUnknown = 903, "a caller that is not known";
    SignedElsewhen = 904, "a signature of another time";
    TooManyRequests = 905, "requests come faster than the route allows";
    PushTooLarge = 906, "a body that is too large";
    PushTooSlow = 907, "a body that takes too long";
    NotARecord = 908, "a body that is no record";
    SchemaRefused = 909, "a record that does not fit its schema";
    KeyReused = 910, "an idempotency key with another body";
    KeyInFlight = 911, "an idempotency key whose request is under way";
    KeyUnusable = 912, "an idempotency key that is missing or unusable";
    NoSuchRoute = 913, "nothing at this address";
    NotTaken = 914, "a method or a content type that is not taken";
    Stopping = 915, "the service is stopping";

    // RK093x: the admin API.
    AdminUnauthorized = 930, "the admin API does not accept the token";
    AdminForeign = 931, "a request from another site is refused";
    AdminRequest = 932, "a request that the admin API cannot take";
    AdminUnknown = 933, "the admin API knows nothing of this name";
    NotNow = 934, "a wish that cannot be granted now";
    AdminBusy = 935, "the service cannot answer now";
    AdminMoved = 936, "the admin API cannot be changed while the service runs";

    // RK094x: the audit log.
    AuditUnwritable = 940, "the audit log cannot be written";
    AuditBroken = 941, "the audit log does not hold together";

    // RK0955 to 0964: the drill.
    DrillNoSource = 955, "a pipeline that a drill cannot feed";
    DrillNoSink = 956, "a sink of which a drill has no replica";
    DrillNoRecord = 957, "no record could be made up for a drill";
    DrillNameless = 958, "what arrives does not say which record it is about";
    DrillUnfinished = 959, "a drill did not come to its end";
    DrillFound = 960, "a drill lost or doubled records";

    // RK0965 to 0974: traces and logs on their way out.
    TelemetryUnsent = 965, "traces or logs do not reach the collector";
    TelemetryVariable = 966, "a variable of OpenTelemetry cannot be used";

    // RK0975 to 0979: objectives, reactions, canaries and probes.
    ObjectiveUnkeepable = 975, "an objective that cannot be kept";
    ReactionNever = 976, "a reaction that could never come";
    ObjectiveBurns = 977, "the error budget of an objective burns";
    CanaryHeld = 978, "the first records of a run did not go well";
    ProbeFailed = 979, "a probe found a connection unwell";

    // RK0980 to 0989: records and their contracts.
    ContractRefused = 980, "a record does not fit its contract";
    ContractFrozen = 981, "a frozen contract is broken";

    // RK0990 to 0998: playing and recording cases.
    CaseFailed = 990, "a case of a connector does not come out as it says";
    RecordingUnusable = 991, "what was recorded cannot become a case";
}

impl Code {
    pub fn number(self) -> u16 {
        self as u16
    }

    /// Whether a record that was parked for this reason may be at the sink or not, and nobody knows.
    pub fn leaves_doubt(self) -> bool {
        matches!(self, Code::Uncertain | Code::KeyExpired | Code::AmbiguousLookUp)
    }

    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RK{:04}", self.number())
    }
}

impl FromStr for Code {
    type Err = ();

    /// Reads `RK0103`, also in lower case and without its letters or leading zero.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.trim().trim_start_matches(['R', 'r']).trim_start_matches(['K', 'k']);
        digits.parse().ok().and_then(Self::from_number).ok_or(())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom(format!("unknown code {text}")))
    }
}
