use std::collections::HashSet;

/// The name, or if it is taken, the name and a number.
pub(crate) fn unique(names: &HashSet<String>, name: &str) -> String {
    if !names.contains(name) {
        return name.to_owned();
    }
    let mut numbered = (2..).map(|number: u64| format!("{name}_{number}"));
    let free = numbered.find(|numbered| !names.contains(numbered));
    free.unwrap_or_default()
}
