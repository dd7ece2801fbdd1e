//! API keys: who may ask for what.
//!
//! A key is 256 bits of chance, of which the database has the SHA-256: a key cannot be guessed, so that a
//! slow hash would keep nobody out, and cannot be read from the database.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use axum::http::HeaderMap;
use sha2::{Digest as _, Sha256};
use tower_scan_lifecycle::{KeyUse, ScanMetrics};

use crate::store::{KeyRecord, Store};

/// Where a request has its key. In gRPC's metadata, too.
pub const HEADER: &str = "x-api-key";

const PREFIX: &str = "ssk_";
const SECRET_BYTES: usize = 32;

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// To read scans.
    Viewer,
    /// To ask for scans and to approve baselines, too.
    Scanner,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Viewer, Self::Scanner];

    /// `viewer` or `scanner`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Scanner => "scanner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or(UnknownRole)
    }
}

/// A text that names no [`Role`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRole;

impl fmt::Display for UnknownRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown role: use \"viewer\" or \"scanner\"")
    }
}

impl std::error::Error for UnknownRole {}

/// What the database has of a key.
pub struct KeyHash(String);

impl KeyHash {
    /// The hash of what a client calls its key, if it looks like one.
    fn of(text: &[u8]) -> Option<Self> {
        let secret = text.strip_prefix(PREFIX.as_bytes())?;
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let looks_so = secret.len() == 2 * SECRET_BYTES && secret.iter().all(is_hex);
        looks_so.then(|| Self(hex(&Sha256::digest(text))))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a key and writes its hash. Gives the key, which nobody can read again, and what is known of it.
///
/// # Errors
///
/// If the system has no randomness, or the database does not take the key.
pub async fn make_key(
    store: &Store,
    name: &str,
    role: Role,
    good_for: Option<Duration>,
) -> anyhow::Result<(String, KeyRecord)> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).context("the system gives no random bytes")?;
    let key = format!("{PREFIX}{}", hex(&secret));
    let hash = KeyHash::of(key.as_bytes()).context("a new key looks like none")?;
    let created_at = SystemTime::now();
    let record = KeyRecord {
        id: uuid::Uuid::now_v7().to_string(),
        name: name.to_owned(),
        role,
        created_at,
        expires_at: good_for.and_then(|time| created_at.checked_add(time)),
        revoked_at: None,
    };
    store.add_key(&record, &hash).await?;
    Ok((key, record))
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has no key.
    Missing,
    /// It has a key that there is not, or two.
    Invalid,
    /// Its key was revoked.
    Revoked,
    /// Its key's time is over.
    Expired,
    /// Its key is for something else.
    Forbidden,
}

impl Refusal {
    /// A stable code for clients. A key that was revoked is no other than one that never was.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing_api_key",
            Self::Invalid | Self::Revoked => "invalid_api_key",
            Self::Expired => "expired_api_key",
            Self::Forbidden => "forbidden",
        }
    }

    const fn key_use(self) -> KeyUse {
        match self {
            Self::Missing => KeyUse::Missing,
            Self::Invalid => KeyUse::Invalid,
            Self::Revoked => KeyUse::Revoked,
            Self::Expired => KeyUse::Expired,
            Self::Forbidden => KeyUse::Forbidden,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "this needs an API key: send it as X-API-Key",
            Self::Invalid | Self::Revoked => "the API key is not known",
            Self::Expired => "the API key has expired",
            Self::Forbidden => "the API key is for reading only",
        })
    }
}

impl std::error::Error for Refusal {}

/// Asks requests for their key, if the platform was told to.
#[derive(Clone)]
pub struct Gate {
    required: bool,
    scans: ScanMetrics,
    store: Store,
}

/// Why a request does not go on.
#[derive(Debug)]
pub enum GateError {
    /// It may not.
    Refused(Refusal),
    /// Nobody knows: the database does not answer.
    Platform(anyhow::Error),
}

impl Gate {
    /// Asks for keys if they are `required`, and counts with `scans` what becomes of them.
    pub const fn new(required: bool, scans: ScanMetrics, store: Store) -> Self {
        Self {
            required,
            scans,
            store,
        }
    }

    /// Lets a request with these headers pass if it may do what `needs` says.
    ///
    /// # Errors
    ///
    /// See [`GateError`].
    pub async fn pass(&self, headers: &HeaderMap, needs: Role) -> Result<(), GateError> {
        if !self.required {
            return Ok(());
        }
        let found = self.look_up(headers).await.map_err(GateError::Platform)?;
        let (key, verdict) = match found {
            Ok(key) => {
                let verdict = judge(&key, needs, SystemTime::now());
                (Some(key), verdict)
            }
            Err(refusal) => (None, Err(refusal)),
        };
        let role = key.as_ref().map(|key| key.role.as_str());
        let outcome = verdict.map_or_else(Refusal::key_use, |()| KeyUse::Accepted);
        self.scans.api_key_use_as(outcome, role);
        // Which key it was is for the log, never for a label.
        let id = key.as_ref().map(|key| key.id.as_str());
        match verdict {
            Ok(()) => tracing::debug!(api_key_id = id, role, "API key accepted"),
            Err(refusal) => {
                tracing::warn!(
                    api_key_id = id,
                    role,
                    code = refusal.code(),
                    "API key refused"
                );
            }
        }
        verdict.map_err(GateError::Refused)
    }

    async fn look_up(&self, headers: &HeaderMap) -> anyhow::Result<Result<KeyRecord, Refusal>> {
        let mut keys = headers.get_all(HEADER).iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => return Ok(Err(Refusal::Missing)),
            (Some(key), None) => KeyHash::of(key.as_bytes()),
            (Some(_), Some(_)) => None,
        };
        let Some(hash) = key else {
            return Ok(Err(Refusal::Invalid));
        };
        Ok(self.store.key(&hash).await?.ok_or(Refusal::Invalid))
    }
}

fn judge(key: &KeyRecord, needs: Role, now: SystemTime) -> Result<(), Refusal> {
    if key.revoked_at.is_some() {
        Err(Refusal::Revoked)
    } else if key.expires_at.is_some_and(|at| at <= now) {
        Err(Refusal::Expired)
    } else if key.role < needs {
        Err(Refusal::Forbidden)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_look_like_a_key_is_none() {
        let good = format!("ssk_{}", "0f".repeat(32));
        assert_eq!(KeyHash::of(good.as_bytes()).unwrap().as_str().len(), 64);
        for bad in [
            String::new(),
            String::from("ssk_"),
            good.to_uppercase(),
            good.clone() + "0",
            good.replace('f', "g"),
            good.replace("ssk_", "ssh_"),
        ] {
            assert!(KeyHash::of(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_revoked_key_is_revoked_before_it_is_anything_else() {
        let now = SystemTime::now();
        let key = |role, expires_at, revoked_at| KeyRecord {
            id: String::new(),
            name: String::new(),
            role,
            created_at: now,
            expires_at,
            revoked_at,
        };
        let later = Some(now + Duration::from_secs(1));
        for (key, needs, verdict) in [
            (key(Role::Scanner, None, None), Role::Scanner, Ok(())),
            (key(Role::Scanner, later, None), Role::Viewer, Ok(())),
            (
                key(Role::Viewer, None, None),
                Role::Scanner,
                Err(Refusal::Forbidden),
            ),
            (
                key(Role::Viewer, Some(now), None),
                Role::Scanner,
                Err(Refusal::Expired),
            ),
            (
                key(Role::Viewer, Some(now), Some(now)),
                Role::Scanner,
                Err(Refusal::Revoked),
            ),
        ] {
            assert_eq!(judge(&key, needs, now), verdict, "{key:?}");
        }
    }
}
