//! Whether something a rule asks for holds, where the answer may be that nobody can tell.

use std::fmt;

/// Ordered: `min` is "both", `max` is "either".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    No,
    /// Some reading of the call fits and another may not.
    Doubtful(Doubt),
    Yes,
}

/// Why it cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    Arguments,
    Untrusted,
    Annotations,
    Caller,
}

impl Fit {
    pub(super) fn when(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }

    /// The same, if the reading it rests on is not the only one.
    pub(super) fn doubted(self, doubt: Doubt) -> Self {
        match self {
            Self::Yes => Self::Doubtful(doubt),
            other => other,
        }
    }

    /// Both must hold; `other` is not asked when this one does not.
    pub(super) fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::No => Self::No,
            fit => fit.min(other()),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arguments => "servers may read the arguments in more than one way",
            Self::Untrusted => "the server is not trusted with what it says about its tools",
            Self::Annotations => "what the server says about this tool is not known yet",
            Self::Caller => "it is not known which user or program is calling",
        })
    }
}
