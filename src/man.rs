//! Manual pages: a command as roff, for `man -l -`.

use clap::Command;
use clap_mangen::Man;

/// The page of the command that the path leads to from the root, which is told under the name of the program.
pub(crate) fn page(program: &str, root: Command, path: &[String]) -> String {
    let mut root = root.name(program.to_owned()).bin_name(program).display_name(program);
    root.build();
    let mut command = &root;
    for name in path {
        match command.find_subcommand(name) {
            Some(below) => command = below,
            None => break,
        }
    }
    // No build date, so that a build can be repeated; an empty word would be lost and move the next ones forward.
    let man = Man::new(command.clone())
        .date(" ")
        .source(format!("Tocsin {}", env!("CARGO_PKG_VERSION")))
        .manual("Tocsin's manual");
    let mut roff = Vec::new();
    man.render(&mut roff).expect("a Vec takes everything");
    String::from_utf8_lossy(&roff).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn tool() -> Command {
        let comment = Arg::new("comment").long("comment").help("Why");
        let add = Command::new("add").about("Adds one").arg(comment);
        let silence = Command::new("silence").about("Silences").subcommand(add);
        Command::new("x").about("Does much").subcommand(silence)
    }

    #[track_caller]
    fn check(path: &[&str], parts: &[&str]) {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        let page = page("tool", tool(), &path);
        for part in parts {
            assert!(page.contains(part), "no {part:?} in:\n{page}");
        }
    }

    #[test]
    fn page_has_the_sections_of_a_manual() {
        check(
            &[],
            &["\n.TH tool 1 ", "\n.SH NAME\ntool \\- Does much\n", "\n.SH SYNOPSIS\n\\fBtool\\fR "],
        );
        check(&[], &["\n.SH SUBCOMMANDS\n", "tool\\-silence(1)"]);
        check(
            &["silence", "add"],
            &["\n.TH tool-silence-add 1 ", "\n.SH OPTIONS\n", "\\-\\-comment", "Why"],
        );
    }
}
