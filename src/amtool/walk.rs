//! Reads words as upstream's command line library does: flags before, behind and between commands and arguments,
//! default commands, joined letters, `--no-` forms, and its words for what is wrong.

use clap::{Arg, ArgAction, Command};

use super::arguments::{Arguments, Token};
use crate::complete::Shell;

/// What the words ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A command.
    Run,
    /// The help of the command with this path.
    Help(Vec<String>),
    /// The manual page of the command with this path.
    Manual(Vec<String>),
    /// The version.
    Version,
    /// The script that makes a shell complete words.
    Script(Shell),
    /// The words that may stand in the place of the last of these.
    Words(Vec<String>),
}

/// A flag and its value; `true` and `false` for those that take none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) value: String,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Walk {
    /// The names of the commands, defaults included.
    pub(super) path: Vec<String>,
    pub(super) flags: Vec<Given>,
    pub(super) arguments: Vec<String>,
    pub(super) wanted: Wanted,
}

impl Walk {
    fn asking(wanted: Wanted) -> Self {
        Self { path: Vec::new(), flags: Vec::new(), arguments: Vec::new(), wanted }
    }
}

/// The command that is meant when none is named.
fn default_command(path: &[&str]) -> Option<&'static str> {
    match path {
        ["alert"] | ["silence"] => Some("query"),
        ["cluster"] | ["config"] | ["config", "routes"] => Some("show"),
        _ => None,
    }
}

/// Reads the words.
/// # Errors
/// What is wrong, in upstream's words.
pub(super) fn walk(root: &Command, words: Vec<String>) -> Result<Walk, String> {
    if words.first().is_some_and(|word| word == "--completion-bash") {
        return Ok(Walk::asking(Wanted::Words(words[1..].to_vec())));
    }
    let mut walker = Walker {
        words: Arguments::new(words),
        commands: vec![root],
        flags: Vec::new(),
        arguments: Vec::new(),
        help: None,
    };
    walker.read()
}

struct Walker<'a> {
    words: Arguments,
    /// The root, then the commands that were named.
    commands: Vec<&'a Command>,
    flags: Vec<Given>,
    arguments: Vec<String>,
    /// What tells of the command, once it is known.
    help: Option<fn(Vec<String>) -> Wanted>,
}

impl<'a> Walker<'a> {
    fn read(&mut self) -> Result<Walk, String> {
        while let Some(token) = self.words.next()? {
            let wanted = match token {
                Token::Long { name, value } => self.long(&name, value)?,
                Token::Short { letter, rest } => self.short(&letter, rest)?,
                Token::Argument(word) => self.word(word)?,
            };
            if let Some(wanted) = wanted {
                return Ok(Walk::asking(wanted));
            }
        }
        if let Some(wanted) = self.help {
            return Ok(Walk::asking(wanted(self.owned_path())));
        }
        while self.enter_default() {}
        if self.here().has_subcommands() {
            return match self.path().as_slice() {
                [] => Ok(Walk::asking(Wanted::Help(Vec::new()))),
                path => Err(format!("must select a subcommand of '{}'", path.join(" "))),
            };
        }
        Ok(Walk {
            path: self.owned_path(),
            flags: std::mem::take(&mut self.flags),
            arguments: std::mem::take(&mut self.arguments),
            wanted: Wanted::Run,
        })
    }

    fn here(&self) -> &'a Command {
        self.commands[self.commands.len() - 1]
    }

    fn path(&self) -> Vec<&'a str> {
        self.commands[1..].iter().map(|command| command.get_name()).collect()
    }

    fn owned_path(&self) -> Vec<String> {
        self.path().into_iter().map(str::to_owned).collect()
    }

    /// Goes on to the default command, if there is one.
    fn enter_default(&mut self) -> bool {
        let default = default_command(&self.path()).filter(|_| self.help.is_none());
        let found = default.and_then(|name| self.here().find_subcommand(name));
        self.commands.extend(found);
        found.is_some()
    }

    fn long(&mut self, name: &str, value: Option<String>) -> Result<Option<Wanted>, String> {
        match name {
            "help" | "help-long" => {
                self.help = Some(Wanted::Help);
                return Ok(None);
            }
            "help-man" => {
                self.help = Some(Wanted::Manual);
                return Ok(None);
            }
            "version" => return Ok(Some(Wanted::Version)),
            "completion-script-bash" => return Ok(Some(Wanted::Script(Shell::Bash))),
            "completion-script-zsh" => return Ok(Some(Wanted::Script(Shell::Zsh))),
            "completion-script-fish" => return Ok(Some(Wanted::Script(Shell::Fish))),
            _ => {}
        }
        loop {
            if let Some(flag) = Flag::find(&self.commands, name) {
                return self.flag(&flag, &format!("--{name}"), value).map(|()| None);
            }
            if !self.enter_default() {
                return Err(format!("unknown long flag '--{name}'"));
            }
        }
    }

    fn short(&mut self, letter: &str, rest: String) -> Result<Option<Wanted>, String> {
        if letter == "h" {
            self.help = Some(Wanted::Help);
            if !rest.is_empty() {
                self.words.put_back(format!("-{rest}"));
            }
            return Ok(None);
        }
        loop {
            if let Some(flag) = Flag::find_short(&self.commands, letter) {
                let mut value = None;
                if flag.takes_value && !rest.is_empty() {
                    value = Some(rest);
                } else if !rest.is_empty() {
                    self.words.put_back(format!("-{rest}"));
                }
                return self.flag(&flag, &format!("-{letter}"), value).map(|()| None);
            }
            if !self.enter_default() {
                return Err(format!("unknown short flag '-{letter}'"));
            }
        }
    }

    fn flag(&mut self, flag: &Flag, shown: &str, value: Option<String>) -> Result<(), String> {
        let value = match (flag.takes_value, value) {
            (true, Some(value)) => value,
            (true, None) => self
                .words
                .next_value()?
                .ok_or_else(|| format!("expected argument for flag '{shown}'"))?,
            (false, None) => (!flag.negated).to_string(),
            (false, Some(value)) => match value.as_str() {
                "true" => (!flag.negated).to_string(),
                "false" => flag.negated.to_string(),
                _ => return Err(format!("unexpected {value}")),
            },
        };
        if !flag.repeats && self.flags.iter().any(|given| given.name == flag.name) {
            return Err(format!("flag '{}' cannot be repeated", flag.name));
        }
        self.flags.push(Given { name: flag.name.clone(), value });
        Ok(())
    }

    fn word(&mut self, word: String) -> Result<Option<Wanted>, String> {
        while self.here().has_subcommands() {
            if word == "help" && self.commands.len() == 1 {
                self.help = Some(Wanted::Help);
                return Ok(None);
            }
            if let Some(command) = self.here().find_subcommand(&word) {
                self.commands.push(command);
                return Ok(None);
            }
            if !self.enter_default() {
                return Err(format!("expected command but got {word:?}"));
            }
        }
        if self.arguments.len() >= most_arguments(self.here()) {
            return Err(format!("unexpected {word}"));
        }
        self.arguments.push(word);
        Ok(None)
    }
}

fn most_arguments(command: &Command) -> usize {
    let mut most: usize = 0;
    for argument in command.get_positionals() {
        let many = matches!(argument.get_action(), ArgAction::Append);
        most = most.saturating_add(if many { usize::MAX } else { 1 });
    }
    most
}

/// A flag as it was written.
struct Flag {
    /// Without `no-`.
    name: String,
    takes_value: bool,
    repeats: bool,
    negated: bool,
}

impl Flag {
    fn find(commands: &[&Command], name: &str) -> Option<Self> {
        let by_long = |long: &str| all_flags(commands).find(|arg| arg.get_long() == Some(long));
        if let Some(arg) = by_long(name) {
            return Some(Self::new(arg, false));
        }
        let positive = name.strip_prefix("no-").and_then(by_long).filter(|arg| !takes_value(arg));
        if let Some(arg) = positive {
            return Some(Self::new(arg, true));
        }
        // The flag is known by its `--no-` form alone, because that is what anyone needs.
        let arg = by_long(&format!("no-{name}")).filter(|arg| !takes_value(arg))?;
        Some(Self { negated: false, ..Self::new(arg, false) })
    }

    fn find_short(commands: &[&Command], letter: &str) -> Option<Self> {
        let mut letters = letter.chars();
        let letter = letters.next()?;
        all_flags(commands)
            .find(|arg| arg.get_short() == Some(letter))
            .map(|arg| Self::new(arg, false))
    }

    fn new(arg: &Arg, negated: bool) -> Self {
        let long = arg.get_long().unwrap_or_default();
        let (name, hidden_positive) = match long.strip_prefix("no-") {
            Some(name) => (name, true),
            None => (long, false),
        };
        Self {
            name: name.to_owned(),
            takes_value: takes_value(arg),
            repeats: matches!(arg.get_action(), ArgAction::Append),
            negated: negated || hidden_positive,
        }
    }
}

fn all_flags<'a>(commands: &[&'a Command]) -> impl Iterator<Item = &'a Arg> {
    commands.iter().flat_map(|command| command.get_arguments()).filter(|arg| !arg.is_positional())
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// The commands on a path, the root first.
fn along<'a>(root: &'a Command, path: &[String]) -> Vec<&'a Command> {
    let mut commands = vec![root];
    for name in path {
        commands.extend(commands[commands.len() - 1].find_subcommand(name));
    }
    commands
}

/// Whether a command on the path has the flag.
pub(super) fn knows(root: &Command, path: &[String], name: &str) -> bool {
    Flag::find(&along(root, path), name).is_some_and(|flag| flag.name == name)
}

/// The words in the form that is read by clap: commands, flags with `=`, `--`, arguments.
pub(super) fn normal(
    root: &Command,
    path: &[String],
    flags: &[Given],
    arguments: Vec<String>,
) -> Vec<String> {
    let commands = along(root, path);
    let mut words = vec!["amtool".to_owned()];
    words.extend(path.iter().cloned());
    for Given { name, value } in flags {
        let Some(flag) = Flag::find(&commands, name) else { continue };
        let no_form = all_flags(&commands).any(|arg| arg.get_long() == Some(&format!("no-{name}")));
        if flag.takes_value {
            words.push(format!("--{name}={value}"));
        } else if is_true(value) != no_form {
            words.push(format!("--{}{name}", if no_form { "no-" } else { "" }));
        }
    }
    words.push("--".to_owned());
    words.extend(arguments);
    words
}

/// As Go reads truth values; files may hold any of these.
fn is_true(value: &str) -> bool {
    matches!(value, "true" | "True" | "TRUE" | "t" | "T" | "1" | "yes" | "on")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::cli::Cli;
    use super::*;

    fn read(line: &str) -> Result<Walk, String> {
        walk(&Cli::command(), line.split_whitespace().map(str::to_owned).collect())
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let walk = read(line).unwrap();
        let words = normal(&Cli::command(), &walk.path, &walk.flags, walk.arguments);
        assert_eq!(words[1..].join(" "), expected);
    }

    #[track_caller]
    fn check_refused(line: &str, expected: &str) {
        assert_eq!(read(line), Err(expected.to_owned()));
    }

    #[test]
    fn default_commands_are_entered() {
        check("alert", "alert query --");
        check("alert foo a=b", "alert query -- foo a=b");
        check("alert query query", "alert query -- query");
        check("silence --expired -q", "silence query --expired --quiet --");
        check("config", "config show --");
        check("config routes --config.file=x", "config routes show --config.file=x --");
        check("config routes test a=b --tree", "config routes test --tree -- a=b");
    }

    #[test]
    fn flags_stand_anywhere_in_any_form() {
        check(
            "-o json alert -asr x y",
            "alert query --output=json --active --silenced --receiver=x -- y",
        );
        check("silence add a=b -d 2h -c hi", "silence add --duration=2h --comment=hi -- a=b");
        check("silence query -qo json", "silence query --quiet --output=json --");
        check("alert -- -x", "alert query -- -x");
        check("--no-version-check alert", "alert query --no-version-check --");
        check("--version-check alert --no-verbose", "alert query --");
        check("silence add --no-require-comment a", "silence add --no-require-comment -- a");
        check("silence add --require-comment a", "silence add -- a");
    }

    #[test]
    fn mistakes_are_told_in_upstreams_words() {
        check_refused("nosuch", "expected command but got \"nosuch\"");
        check_refused("template", "must select a subcommand of 'template'");
        check_refused("cluster show x", "unexpected x");
        check_refused("alert --x", "unknown long flag '--x'");
        check_refused("-x", "unknown short flag '-x'");
        check_refused("alert -o", "expected argument for flag '-o'");
        check_refused("silence add -d -1h", "expected argument for flag '-d'");
        check_refused("-o json alert -o json", "flag 'output' cannot be repeated");
        check_refused("alert -aa", "flag 'active' cannot be repeated");
    }

    #[test]
    fn help_is_of_the_command_that_is_named() {
        let path = |line| match read(line).unwrap().wanted {
            Wanted::Help(path) => path.join(" "),
            other => panic!("{other:?}"),
        };
        assert_eq!(path(""), "");
        assert_eq!(path("help silence add"), "silence add");
        assert_eq!(path("silence --help"), "silence");
        assert_eq!(path("alert query -h"), "alert query");
        let manual = |line| read(line).unwrap().wanted;
        assert_eq!(manual("--help-man"), Wanted::Manual(Vec::new()));
        let path = vec!["silence".to_owned(), "add".to_owned()];
        assert_eq!(manual("silence --help-man add"), Wanted::Manual(path));
    }
}
