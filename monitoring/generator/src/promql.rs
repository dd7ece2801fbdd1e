//! What series and labels a PromQL expression names.

use std::{iter::Peekable, str::CharIndices};

use anyhow::{Result, bail};

/// What an expression names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Series, with the labels that they are chosen by.
    pub selectors: Vec<Selector>,
    /// Labels after `by`, `on` and the like.
    pub groupings: Vec<String>,
}

/// A series' name, and the labels that it is chosen by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// As written, with `_bucket` and the like.
    pub name: String,
    /// The labels between the braces.
    pub labels: Vec<String>,
}

const AGGREGATIONS: &[&str] = &[
    "sum",
    "min",
    "max",
    "avg",
    "group",
    "stddev",
    "stdvar",
    "count",
    "count_values",
    "bottomk",
    "topk",
    "quantile",
];
const GROUPINGS: &[&str] = &[
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];
const OPERATORS: &[&str] = &[
    "and", "or", "unless", "offset", "bool", "atan2", "inf", "nan",
];

/// Reads what an expression names. It is no parser: that the expression is valid is Prometheus' to say.
///
/// # Errors
///
/// If a string or bracket is not closed, or a selector has no name.
pub fn uses(expression: &str) -> Result<Uses> {
    let mut uses = Uses::default();
    let mut tokens = Tokens::of(expression)?.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) => {
                let lower = word.to_ascii_lowercase();
                if GROUPINGS.contains(&lower.as_str()) {
                    if let Some(Token::Parenthesised(labels)) =
                        tokens.next_if(|next| matches!(next, Token::Parenthesised(_)))
                    {
                        uses.groupings.extend(labels);
                    }
                } else if OPERATORS.contains(&lower.as_str())
                    || AGGREGATIONS.contains(&lower.as_str())
                    || matches!(tokens.peek(), Some(Token::Open | Token::Parenthesised(_)))
                {
                    // An operator, an aggregation or a function.
                } else {
                    let labels = match tokens.next_if(|next| matches!(next, Token::Braces(_))) {
                        Some(Token::Braces(labels)) => labels,
                        _ => Vec::new(),
                    };
                    uses.selectors.push(Selector { name: word, labels });
                }
            }
            Token::Braces(_) => bail!("a selector without a name, in {expression:?}"),
            Token::Parenthesised(words) => {
                // Not after a grouping: words in a parenthesis of its own are series.
                for name in words {
                    if name.parse::<f64>().is_err() {
                        uses.selectors.push(Selector {
                            name,
                            labels: Vec::new(),
                        });
                    }
                }
            }
            Token::Open | Token::Other => {}
        }
    }
    Ok(uses)
}

#[derive(Debug)]
enum Token {
    Word(String),
    /// The labels between braces.
    Braces(Vec<String>),
    /// A parenthesis with nothing in it but words and commas.
    Parenthesised(Vec<String>),
    Open,
    Other,
}

struct Tokens;

impl Tokens {
    fn of(text: &str) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        let mut chars = text.char_indices().peekable();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' | '\'' | '`' => {
                    skip_string(&mut chars, char, text)?;
                    tokens.push(Token::Other);
                }
                '{' => tokens.push(Token::Braces(labels(&mut chars, text)?)),
                '[' => skip_to(&mut chars, ']', text)?,
                '(' => match words(text.get(at + 1..).unwrap_or_default()) {
                    Some((words, length)) => {
                        for _ in 0..length {
                            chars.next();
                        }
                        tokens.push(Token::Parenthesised(words));
                    }
                    None => tokens.push(Token::Open),
                },
                '#' => while chars.next_if(|(_, char)| *char != '\n').is_some() {},
                '0'..='9' | '.' => {
                    // A number or a duration.
                    while chars
                        .next_if(|(_, char)| char.is_ascii_alphanumeric() || *char == '.')
                        .is_some()
                    {}
                    tokens.push(Token::Other);
                }
                _ if is_word_start(char) => {
                    let mut word = String::from(char);
                    while let Some((_, char)) = chars.next_if(|(_, char)| is_word(*char)) {
                        word.push(char);
                    }
                    tokens.push(Token::Word(word));
                }
                _ if char.is_whitespace() => {}
                _ => tokens.push(Token::Other),
            }
        }
        Ok(tokens)
    }
}

type Chars<'a> = Peekable<CharIndices<'a>>;

const fn is_word_start(char: char) -> bool {
    char.is_ascii_alphabetic() || char == '_' || char == ':'
}

const fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_' || char == ':'
}

/// Words and commas up to a closing parenthesis, if there is nothing else before it; and how many characters
/// that is, it included.
fn words(text: &str) -> Option<(Vec<String>, usize)> {
    let (inside, _) = text.split_once(')')?;
    let plain = |char: char| is_word(char) || char == ',' || char.is_whitespace();
    if !inside.chars().all(plain) {
        return None;
    }
    let words = inside.split(',').map(str::trim);
    let words: Vec<_> = words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    if words.iter().any(|word| word.contains(char::is_whitespace)) {
        return None;
    }
    Some((words, inside.chars().count() + 1))
}

fn skip_string(chars: &mut Chars<'_>, quote: char, text: &str) -> Result<()> {
    while let Some((_, char)) = chars.next() {
        match char {
            '\\' if quote != '`' => drop(chars.next()),
            _ if char == quote => return Ok(()),
            _ => {}
        }
    }
    bail!("a string that does not end, in {text:?}")
}

fn skip_to(chars: &mut Chars<'_>, end: char, text: &str) -> Result<()> {
    if chars.any(|(_, char)| char == end) {
        return Ok(());
    }
    bail!("no {end} in {text:?}")
}

fn labels(chars: &mut Chars<'_>, text: &str) -> Result<Vec<String>> {
    let mut labels = Vec::new();
    let mut word = String::new();
    while let Some((_, char)) = chars.next() {
        match char {
            '}' => return Ok(labels),
            '"' | '\'' | '`' => skip_string(chars, char, text)?,
            '=' | '!' | '~' if !word.is_empty() => labels.push(std::mem::take(&mut word)),
            _ if is_word(char) => word.push(char),
            _ => {}
        }
    }
    bail!("braces that do not close, in {text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(expression: &str) -> (Vec<String>, Vec<String>) {
        let uses = uses(expression).unwrap();
        let selectors = uses
            .selectors
            .iter()
            .map(|selector| format!("{}{{{}}}", selector.name, selector.labels.join(",")));
        (selectors.collect(), uses.groupings)
    }

    #[test]
    fn series_labels_and_groupings_are_told_from_the_rest() {
        for (expression, selectors, groupings) in [
            ("up", vec!["up{}"], vec![]),
            ("up{job=\"a{b}\", x!~'y'} == 0", vec!["up{job,x}"], vec![]),
            (
                "sum by (job, le) (rate(a_bucket{le=~\"60(\\\\.0)?\"}[5m])) > 0.5",
                vec!["a_bucket{le}"],
                vec!["job", "le"],
            ),
            (
                "sum(rate(a[$__rate_interval])) without(x) / on (y) group_left (z) b offset 15m",
                vec!["a{}", "b{}"],
                vec!["x", "y", "z"],
            ),
            (
                "histogram_quantile(0.95, sum by (le) (rate(c_bucket[1h])))",
                vec!["c_bucket{}"],
                vec!["le"],
            ),
            ("time() - max (d) > 86400", vec!["d{}"], vec![]),
            (
                "absent(up{job=\"x\"}) or vector(1)",
                vec!["up{job}"],
                vec![],
            ),
            (
                "job:a:rate5m{job=\"x\"} > 14.4 * 0.001 and b",
                vec!["job:a:rate5m{job}", "b{}"],
                vec![],
            ),
            (
                "label_replace(e, \"to\", \"$1\", \"from\", \"(.*)\")",
                vec!["e{}"],
                vec![],
            ),
            (
                "rate(f[5m] offset 1w) # comment g\n + h",
                vec!["f{}", "h{}"],
                vec![],
            ),
            ("(i) or (j)", vec!["i{}", "j{}"], vec![]),
            ("sum(rate(k[5m])) by (m)", vec!["k{}"], vec!["m"]),
            ("topk(5, n)", vec!["n{}"], vec![]),
            ("clamp_max(o, 1e9) * 1e-3", vec!["o{}"], vec![]),
        ] {
            let (seen, by) = named(expression);
            assert_eq!(seen, selectors, "{expression}");
            assert_eq!(by, groupings, "{expression}");
        }
    }

    #[test]
    fn what_is_not_closed_is_an_error() {
        for expression in ["a{b=\"c\"", "a[5m", "a{b=\"c}", "{b=\"c\"}"] {
            assert!(uses(expression).is_err(), "{expression}");
        }
    }
}
