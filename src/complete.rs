//! Completion in shells: the scripts, and the words that they ask for at each key.

use clap::Command;

/// A shell that can complete words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

const BASH: &str = r#"_amtool_bash_autocomplete() {
    local cur opts
    COMPREPLY=()
    cur="${COMP_WORDS[COMP_CWORD]}"
    opts=$( "${COMP_WORDS[0]}" --completion-bash "${COMP_WORDS[@]:1:$COMP_CWORD}" )
    COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
    return 0
}
complete -F _amtool_bash_autocomplete -o default amtool
"#;

const ZSH: &str = r#"#compdef amtool
_amtool() {
    local matches=($(${words[1]} --completion-bash "${(@)words[2,$CURRENT]}"))
    compadd -a matches
    if [[ $compstate[nmatches] -eq 0 && $words[$CURRENT] != -* ]]; then
        _files
    fi
}
if [[ "$(basename -- ${(%):-%x})" != "_amtool" ]]; then
    compdef _amtool amtool
fi
"#;

const FISH: &str = r#"complete -c amtool -f -a '(amtool --completion-bash (commandline -opc)[2..-1] (commandline -ct))'
complete -c amtool -F -n 'not string match -q -- "-*" (commandline -ct)'
"#;

/// The script for a shell and a program of that name.
pub(crate) fn script(shell: Shell, program: &str) -> String {
    let script = match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    };
    script.replace("amtool", program)
}

/// What may stand in the place of the last word, one a line.
pub(crate) fn candidates(root: &Command, words: &[String]) -> String {
    let (last, before) = words.split_last().map_or(("", words), |(last, before)| (last, before));
    let mut commands = vec![root];
    for word in before {
        let here = commands[commands.len() - 1];
        commands.extend(here.find_subcommand(word));
    }
    let mut found: Vec<String> = Vec::new();
    if last.starts_with('-') {
        let flags = commands.iter().flat_map(|command| command.get_arguments());
        let longs = flags.filter(|flag| !flag.is_hide_set()).filter_map(|flag| flag.get_long());
        found.extend(longs.map(|name| format!("--{name}")));
    } else {
        let here = commands[commands.len() - 1];
        found.extend(here.get_subcommands().map(|command| command.get_name().to_owned()));
    }
    found.retain(|word| word.starts_with(last));
    found.iter().map(|word| format!("{word}\n")).collect()
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn tool() -> Command {
        let flag = |name: &'static str| Arg::new(name).long(name);
        let add = Command::new("add").arg(flag("comment"));
        let silence = Command::new("silence").subcommands([add, Command::new("query")]);
        Command::new("tool")
            .arg(flag("alertmanager.url").global(true))
            .subcommands([Command::new("alert"), silence])
    }

    #[track_caller]
    fn check(words: &[&str], expected: &str) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let found = candidates(&tool(), &words);
        assert_eq!(found.split_whitespace().collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn commands_and_flags_are_found_where_they_may_stand() {
        check(&["al"], "alert");
        check(&["silence", ""], "add query");
        check(&["silence", "add", "--com"], "--comment");
        check(&["-o", "json", "silence", "q"], "query");
        check(&["silence", "add", "--alertmanager"], "--alertmanager.url");
    }

    #[test]
    fn scripts_name_the_program() {
        assert!(script(Shell::Bash, "alertmanager").ends_with("-o default alertmanager\n"));
        assert!(script(Shell::Fish, "tocsin").starts_with("complete -c tocsin -f"));
        assert!(script(Shell::Zsh, "alertmanager").starts_with("#compdef alertmanager\n"));
    }
}
