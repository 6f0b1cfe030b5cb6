//! What a reader of the alerts page wants to see: everything is in the address.
//!
//! Parameters are upstream's: `filter` (any number of times, each a list of matchers with or without braces, or plain
//! words), `receiver` (an expression), `silenced`, `inhibited`, `muted`, `active`, `group` with `customGrouping`. Ours:
//! `sort`, `page`.

use tocsin_core::label::Lookup;
use tocsin_core::matcher::{Matcher, Matchers, Mode, parse_matchers};
use tocsin_core::regex::Regex;

use super::link;
use crate::api::Query;

/// The order of groups, and of alerts in a group.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sort {
    /// The worst first, of these the newest.
    #[default]
    Severity,
    /// The newest first.
    Newest,
    /// By labels.
    Name,
}

impl Sort {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::Newest => "newest",
            Self::Name => "name",
        }
    }
}

/// What is wanted.
#[derive(Clone, Default)]
pub(super) struct Wish {
    pub(super) matchers: Vec<Matcher>,
    /// Texts that must be part of some label or annotation, in lower case.
    pub(super) words: Vec<String>,
    /// What cannot be read, and why.
    pub(super) mistakes: Vec<(String, String)>,
    /// The expression as written; empty asks for all.
    pub(super) receiver: String,
    pub(super) receiver_regex: Option<Regex>,
    pub(super) active: bool,
    pub(super) silenced: bool,
    pub(super) inhibited: bool,
    pub(super) muted: bool,
    /// Labels to group by instead of what the routes say.
    pub(super) custom: bool,
    pub(super) group: Vec<String>,
    pub(super) sort: Sort,
    /// From 0.
    pub(super) page: usize,
}

impl Wish {
    pub(super) fn read(query: &Query<'_>, mode: Mode) -> Self {
        let shown = |name, absent: bool| match query.last(name) {
            "" => absent,
            text => text != "false",
        };
        let group = query.last("group");
        let mut wish = Self {
            receiver: query.last("receiver").to_owned(),
            active: shown("active", true),
            silenced: shown("silenced", false),
            inhibited: shown("inhibited", false),
            muted: shown("muted", false),
            custom: query.all("customGrouping").next().is_some(),
            group: group
                .split(',')
                .map(str::trim)
                .filter(|n| !n.is_empty())
                .map(str::to_owned)
                .collect(),
            sort: match query.last("sort") {
                "newest" => Sort::Newest,
                "name" => Sort::Name,
                _ => Sort::Severity,
            },
            page: query.last("page").parse().unwrap_or(0),
            ..Self::default()
        };
        for text in query.all("filter") {
            wish.add(text.trim(), mode);
        }
        if !wish.receiver.is_empty() {
            match Regex::anchored(&wish.receiver) {
                Ok(regex) => wish.receiver_regex = Some(regex),
                Err(error) => wish.mistakes.push((wish.receiver.clone(), error.to_string())),
            }
        }
        wish
    }

    fn add(&mut self, text: &str, mode: Mode) {
        if text.is_empty() || text == "{}" {
            return;
        }
        match parse_matchers(text, mode) {
            Ok(parsed) => {
                for matcher in parsed.value.0 {
                    if !self.matchers.contains(&matcher) {
                        self.matchers.push(matcher);
                    }
                }
            }
            Err(_) if !text.contains(['=', '~', '{', '}', '!']) => {
                let word = text.to_lowercase();
                if !self.words.contains(&word) {
                    self.words.push(word);
                }
            }
            Err(error) => self.mistakes.push((text.to_owned(), error.to_string())),
        }
    }

    /// Whether an alert passes matchers and words. `annotations` are asked for the words, too.
    pub(super) fn passes<'a>(
        &self,
        labels: &dyn Lookup,
        annotations: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> bool {
        self.matchers.iter().all(|matcher| matcher.filters(labels))
            && self.words.iter().all(|word| {
                let holds = |value: &str| value.to_lowercase().contains(word.as_str());
                let mut found = false;
                labels.each(&mut |_, value| found = found || holds(value));
                found || annotations.clone().any(|(_, value)| holds(value))
            })
    }

    /// The matchers as one text with braces; empty without any.
    pub(super) fn filter(&self) -> String {
        if self.matchers.is_empty() {
            return String::new();
        }
        Matchers(self.matchers.clone()).to_string()
    }

    /// All parameters but those that are typed into the filter line.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let word = |yes: bool| if yes { "true" } else { "false" }.to_owned();
        let mut pairs = vec![
            ("silenced", word(self.silenced)),
            ("inhibited", word(self.inhibited)),
            ("muted", word(self.muted)),
            ("active", word(self.active)),
        ];
        let filter = self.filter();
        if !filter.is_empty() {
            pairs.push(("filter", filter));
        }
        pairs.extend(self.words.iter().map(|word| ("filter", word.clone())));
        pairs
    }

    /// What the chooser fields hold: only what differs from the default.
    fn choices(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        if !self.receiver.is_empty() {
            pairs.push(("receiver", self.receiver.clone()));
        }
        if self.custom {
            pairs.push(("group", self.group.join(",")));
            pairs.push(("customGrouping", "true".to_owned()));
        }
        if self.sort != Sort::default() {
            pairs.push(("sort", self.sort.word().to_owned()));
        }
        if self.page > 0 {
            pairs.push(("page", self.page.to_string()));
        }
        pairs
    }

    /// The address of a view, below the start.
    pub(super) fn link(&self) -> String {
        let (pairs, choices) = (self.pairs(), self.choices());
        let all = pairs.iter().chain(&choices).map(|(name, value)| (*name, value.as_str()));
        format!("alerts{}", link::query(all))
    }

    /// The address of this view with something changed, from its first page.
    pub(super) fn link_with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut other = Self { page: 0, mistakes: Vec::new(), ..self.clone() };
        change(&mut other);
        other.link()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Wish {
        Wish::read(&Query::parse(text), Mode::Fallback)
    }

    #[test]
    fn links_lead_back_to_the_same_view() {
        for text in [
            "filter=%7Ba%3D%22b%22%2C%20c%3D~%22d%22%7D&silenced=true",
            "receiver=team-x&group=a,b&customGrouping=1&sort=newest&page=3",
            "filter=disk&filter=a!%3Db&active=false&inhibited=yes&muted=true",
        ] {
            let link = read(text).link();
            let again = read(link.strip_prefix("alerts?").unwrap()).link();
            assert_eq!(link, again);
        }
    }

    #[test]
    fn upstreams_switches_keep_their_meaning() {
        let plain = read("");
        assert!(plain.active && !plain.silenced && !plain.inhibited && !plain.muted);
        let odd = read("active=false&silenced=1&inhibited=false");
        assert!(!odd.active && odd.silenced && !odd.inhibited);
    }

    #[test]
    fn what_is_no_matcher_is_a_word_or_a_mistake() {
        let wish = read("filter=Disk+full&filter=a%3D&filter=b%3D~%22(%22");
        assert_eq!(wish.words, ["disk full"]);
        assert_eq!(wish.mistakes.len(), 1, "an empty value is a matcher, an open bracket is not");
    }
}
