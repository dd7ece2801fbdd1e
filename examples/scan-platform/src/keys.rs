//! `scan-platform keys`: the API keys.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::bail;
use comfy_table::{ContentArrangement, Table, presets};

use crate::{
    auth::{Role, make_key},
    store::{DatabaseUrl, KeyRecord, Store},
};

/// What is to be done with the keys.
#[derive(Clone, Debug)]
pub enum Task {
    /// Make one, and print it: it can never be read again.
    Add {
        /// Whose it is.
        name: String,
        /// What it is good for.
        role: Role,
        /// How long it is good, if not for ever.
        expires_in: Option<Duration>,
    },
    /// Print what is known of them.
    List,
    /// Revoke one.
    Revoke {
        /// Its id, from the list.
        id: String,
    },
}

/// Does it.
///
/// # Errors
///
/// If the database does not answer, or there is no such key.
pub async fn keys(url: &DatabaseUrl, task: Task) -> anyhow::Result<ExitCode> {
    let store = Store::opened(url, "keys").await?;
    let done = run(&store, task).await;
    store.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn run(store: &Store, task: Task) -> anyhow::Result<()> {
    match task {
        Task::Add {
            name,
            role,
            expires_in,
        } => {
            let (key, record) = make_key(store, &name, role, expires_in).await?;
            // The key alone on standard output, for scripts.
            eprintln!(
                "made key {} ({role}) of {name}; it is shown this once:",
                record.id
            );
            writeln!(io::stdout(), "{key}")?;
        }
        Task::List => writeln!(io::stdout(), "{}", table(&store.keys().await?))?,
        Task::Revoke { id } => {
            if !store.revoke_key(&id).await? {
                bail!("there is no key {id:?} to revoke; `scan-platform keys list` shows them");
            }
            eprintln!("revoked {id}");
        }
    }
    Ok(())
}

fn table(keys: &[KeyRecord]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["id", "name", "role", "made", "state"]);
    let time = |at: SystemTime| humantime::format_rfc3339_seconds(at).to_string();
    for key in keys {
        let state = match (key.revoked_at, key.expires_at) {
            (Some(at), _) => format!("revoked {}", time(at)),
            (None, Some(at)) if at <= SystemTime::now() => format!("expired {}", time(at)),
            (None, Some(at)) => format!("until {}", time(at)),
            (None, None) => String::from("for ever"),
        };
        table.add_row([
            key.id.clone(),
            key.name.clone(),
            key.role.to_string(),
            time(key.created_at),
            state,
        ]);
    }
    table
}
