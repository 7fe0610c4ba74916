//! What a member of an archive is, by the last parts of its name.

/// What an agent uses a file for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    /// Samples.
    Data {
        number: u32,
    },
    /// Which samples are where.
    Journal {
        number: u32,
    },
    /// The same, made for speed.
    Index {
        number: u32,
    },
    /// A SQLite database.
    Database(Known),
    /// Its write-ahead log.
    Log(Known),
    /// Makes an agent repair or throw away a database when it starts.
    Sentinel,
    /// The machine GUID.
    Guid,
    /// The claim's id, by itself or in a file with more.
    ClaimedId,
    CloudConf,
    /// Secret: what proves the claim to the cloud.
    ClaimKey,
    /// Secret: what an agent claims itself with.
    ClaimToken,
    /// Secret: the management API's key.
    ApiKey,
    NetdataConf,
    StreamConf,
    ClaimConf,
    /// Says how this agent was installed; breaks the updates of one installed otherwise.
    InstallFile,
    /// A database no agent keeps here.
    OtherDatabase,
    /// In a directory of samples, and none.
    Stray,
    Other,
}

/// The databases an agent keeps in its cache directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    /// Hosts, charts, dimensions: what the samples mean.
    Meta,
    /// Which contexts there are since when; made anew when lost.
    Context,
    /// Models of the anomaly detection; made anew when lost.
    Models,
}

impl Known {
    pub(super) const ALL: [Self; 3] = [Self::Meta, Self::Context, Self::Models];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "netdata-meta.db",
            Self::Context => "context-meta.db",
            Self::Models => "ml.db",
        }
    }

    pub(super) const fn log(self) -> &'static str {
        match self {
            Self::Meta => "netdata-meta.db-wal",
            Self::Context => "context-meta.db-wal",
            Self::Models => "ml.db-wal",
        }
    }

    /// The newest layout of its tables that is known: that of Netdata 2.11. Of the models none is.
    pub(super) const fn newest(self) -> Option<i64> {
        match self {
            Self::Meta => Some(18),
            Self::Context => Some(1),
            Self::Models => None,
        }
    }
}

/// A member's directory and what it is.
pub(super) fn member(name: &[u8]) -> (&[u8], Member) {
    let (directory, file) = split(name);
    (directory, by_name(directory, file))
}

/// A name's directory and its last part.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (name.get(..at).unwrap_or_default(), name.get(at + 1..).unwrap_or_default()),
        None => (b"", name),
    }
}

/// The directory a name is in.
pub(super) fn parent(name: &[u8]) -> &[u8] {
    split(name).0
}

/// How many directories a name leads through.
pub(super) fn depth(name: &[u8]) -> usize {
    name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).count()
}

fn by_name(directory: &[u8], file: &[u8]) -> Member {
    if tier(directory).is_some() {
        return sample(file).unwrap_or(Member::Stray);
    }
    for known in Known::ALL {
        if file == known.name().as_bytes() {
            return Member::Database(known);
        }
        if file == known.log().as_bytes() {
            return Member::Log(known);
        }
    }
    match (split(directory).1, file) {
        (_, b".netdata-meta.db.recover" | b".netdata-meta.db.delete" | b".ml.db.delete") => Member::Sentinel,
        (b"registry", b"netdata.public.unique.id") => Member::Guid,
        (b"cloud.d", b"claimed_id") => Member::ClaimedId,
        (b"cloud.d", b"cloud.conf") => Member::CloudConf,
        (b"cloud.d", b"private.pem") => Member::ClaimKey,
        (b"cloud.d", b"token") => Member::ClaimToken,
        (_, b"netdata.api.key") => Member::ApiKey,
        (_, b"netdata.conf") => Member::NetdataConf,
        (_, b"stream.conf") => Member::StreamConf,
        (_, b"claim.conf") => Member::ClaimConf,
        (_, b".environment" | b".install-type") => Member::InstallFile,
        // The registry's own store is text.
        (b"registry", _) => Member::Other,
        _ if file.ends_with(b".db") || file.ends_with(b".db-wal") => Member::OtherDatabase,
        _ => Member::Other,
    }
}

/// Which tier a directory of samples is of.
pub(super) fn tier(directory: &[u8]) -> Option<u8> {
    match split(directory).1 {
        b"dbengine" => Some(0),
        last => match last.strip_prefix(b"dbengine-tier")? {
            [digit @ b'1'..=b'4'] => Some(digit - b'0'),
            _ => None,
        },
    }
}

/// `datafile-1-0000000001.ndf` and its fellows: the 1 is fixed, the number has at least ten digits.
fn sample(file: &[u8]) -> Option<Member> {
    let (number, end) = if let Some(rest) = file.strip_prefix(b"datafile-1-") {
        (rest.strip_suffix(b".ndf")?, 0)
    } else {
        let rest = file.strip_prefix(b"journalfile-1-")?;
        match rest.strip_suffix(b".njf") {
            Some(number) => (number, 1),
            None => (rest.strip_suffix(b".njfv2")?, 2),
        }
    };
    if number.len() != 10 || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some(match end {
        0 => Member::Data { number },
        1 => Member::Journal { number },
        _ => Member::Index { number },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_known_by_their_last_parts() {
        let is = |name: &str| member(name.as_bytes()).1;
        assert_eq!(is("var/cache/netdata/dbengine/datafile-1-0000000007.ndf"), Member::Data { number: 7 });
        assert_eq!(
            is("opt/netdata/var/cache/netdata/dbengine-tier2/journalfile-1-4294967295.njf"),
            Member::Journal { number: u32::MAX }
        );
        assert_eq!(is("dbengine/journalfile-1-0000000001.njfv2"), Member::Index { number: 1 });
        for stray in ["datafile-2-0000000001.ndf", "datafile-1-1.ndf", "datafile-1-9999999999.ndf", "x"] {
            assert_eq!(is(&format!("dbengine-tier4/{stray}")), Member::Stray, "{stray}");
        }
        assert_eq!(is("dbengine-tier5/datafile-1-0000000001.ndf"), Member::Other);
        assert_eq!(is("netdata-meta.db"), Member::Database(Known::Meta));
        assert_eq!(is("c/context-meta.db-wal"), Member::Log(Known::Context));
        assert_eq!(is("registry/registry.db"), Member::Other);
        assert_eq!(is("lib/new.db"), Member::OtherDatabase);
        assert_eq!(is("etc/netdata/.install-type"), Member::InstallFile);
        assert_eq!(member(b"a/dbengine/x").0, b"a/dbengine");
    }
}
