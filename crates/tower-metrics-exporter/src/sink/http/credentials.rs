use std::{fmt, io, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;

use crate::sink::{
    blocking::Blocking,
    failure::{Failure, Reason, Retry},
};

/// Read anew for each request where they are in a file, so that they can be changed.
#[derive(Clone)]
pub(in crate::sink) enum Credentials {
    Bearer(Secret),
    Basic(String, Secret),
}

#[derive(Clone)]
pub(in crate::sink) enum Secret {
    Known(String),
    File(PathBuf, Blocking<io::Result<String>>),
}

// By hand, to keep secrets out of logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Secret {
    pub(in crate::sink) fn file(path: PathBuf) -> Self {
        Self::File(path, Blocking::default())
    }

    /// Off the workers: a file may be far away.
    async fn read(&self) -> Result<String, Failure> {
        let (path, blocking) = match self {
            Self::Known(secret) => return Ok(secret.clone()),
            Self::File(path, blocking) => (path, blocking),
        };
        let file = path.clone();
        let text = blocking
            .run_anew(move || std::fs::read_to_string(file))
            .await;
        let text = text.unwrap_or_else(|| Err(io::Error::other("a panic")));
        let failure = |text| Failure {
            reason: Reason::Credentials,
            retry: Retry::Later,
            text,
        };
        let path = path.display();
        match text {
            Ok(text) if text.trim().is_empty() => Err(failure(format!(
                "the file for the credentials, {path}, is empty: write the secret into it"
            ))),
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => Err(failure(format!(
                "cannot read the credentials in {path}: {error}"
            ))),
        }
    }
}

impl Credentials {
    pub(super) async fn header(&self) -> Result<HeaderValue, Failure> {
        let text = match self {
            Self::Bearer(token) => format!("Bearer {}", token.read().await?.trim()),
            Self::Basic(user, password) => {
                let pair = format!("{user}:{}", password.read().await?);
                format!("Basic {}", STANDARD.encode(pair))
            }
        };
        let mut header = HeaderValue::try_from(text).map_err(|_| Failure {
            reason: Reason::Credentials,
            retry: Retry::Later,
            text: String::from("the credentials have characters that no header can have"),
        })?;
        header.set_sensitive(true);
        Ok(header)
    }
}
