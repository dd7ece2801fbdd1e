use crate::Filter;

/// Appends the families that are asked for to a page, of a text page with all of them.
///
/// A family is what follows its `# HELP`, `# TYPE` or `# UNIT` and begins with its name; a sample without
/// these is a family of its own.
pub(super) fn append_filtered(page: &mut Vec<u8>, rendered: &str, filter: &Filter) {
    if filter.is_all() {
        page.extend_from_slice(rendered.as_bytes());
        return;
    }
    let mut family = "";
    let mut is_asked_for = false;
    for line in rendered.split_inclusive('\n') {
        let keep = match line.strip_prefix("# ") {
            Some("EOF" | "EOF\n") => true,
            Some(comment) => {
                let mut words = comment.split_ascii_whitespace();
                if let (Some("HELP" | "TYPE" | "UNIT"), Some(name)) = (words.next(), words.next()) {
                    if name != family {
                        family = name;
                        is_asked_for = filter.has(name);
                    }
                }
                is_asked_for
            }
            None => {
                let end = line.find(['{', ' ', '\t', '\n', '\r']);
                let (name, _) = line.split_at(end.unwrap_or(line.len()));
                if !name.is_empty() && (family.is_empty() || !name.starts_with(family)) {
                    family = name;
                    is_asked_for = filter.has(name);
                }
                is_asked_for
            }
        };
        if keep {
            page.extend_from_slice(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# HELP jobs_total Jobs, # TYPE and all.
# TYPE jobs_total counter
jobs_total{kind=\"a\"} 1
jobs_total{kind=\"b # TYPE x\"} 2

# TYPE job_seconds histogram
job_seconds_bucket{le=\"+Inf\"} 1
job_seconds_sum 1
job_seconds_count 1
job_created 1

plain 3
# A remark.
plain{a=\"b\"} 4
# TYPE up gauge
# UNIT up ups
up 1
# EOF
";

    fn filtered(names: &[&str]) -> String {
        let mut page = b"in front\n".to_vec();
        append_filtered(&mut page, PAGE, &Filter::new(names.iter().copied()));
        let page = String::from_utf8(page).unwrap();
        page.strip_prefix("in front\n").unwrap().to_owned()
    }

    #[test]
    fn all_families_are_the_page_as_it_is() {
        assert_eq!(filtered(&[]), PAGE);
    }

    #[test]
    fn a_family_is_kept_whole_and_the_end_mark_stays() {
        assert_eq!(filtered(&["nothing", ""]), "# EOF\n");
        assert_eq!(
            filtered(&["up"]),
            "# TYPE up gauge\n# UNIT up ups\nup 1\n# EOF\n"
        );
        assert_eq!(
            filtered(&["plain"]),
            "plain 3\n# A remark.\nplain{a=\"b\"} 4\n# EOF\n"
        );
        assert_eq!(
            filtered(&["job_seconds_sum"]),
            "# TYPE job_seconds histogram\njob_seconds_bucket{le=\"+Inf\"} 1\njob_seconds_sum 1\n\
             job_seconds_count 1\n# EOF\n"
        );
        let jobs = filtered(&["jobs_total"]);
        assert!(jobs.starts_with("# HELP jobs_total Jobs, # TYPE and all.\n"));
        assert!(
            jobs.ends_with("jobs_total{kind=\"b # TYPE x\"} 2\n\n# EOF\n"),
            "{jobs}"
        );
        assert_eq!(jobs.lines().count(), 6);
    }
}
