//! `lakewright-check FILE`: applies the functions' own rules to a `lakewright.toml`. `cargo xtask check` and `cdk synth` run
//! it. With `--json`, the mistakes are one line of JSON on standard output. Exit codes: 0 it is right; 1 it has mistakes;
//! 2 it cannot be read.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to the person at the terminal"
)]

use std::process::ExitCode;

use lakewright_core::config::Config;

fn main() -> ExitCode {
    let (flags, files): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|argument| argument == "--json");
    let [file] = files.as_slice() else {
        eprintln!("usage: lakewright-check [--json] FILE");
        return ExitCode::from(2);
    };
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::from(2);
        }
    };
    let mistakes = match Config::read(&bytes) {
        Ok(_) => Vec::new(),
        Err(error) => error.mistakes().to_vec(),
    };
    if flags.is_empty() {
        for mistake in &mistakes {
            let (line, column) = (mistake.line, mistake.column);
            println!("{file}:{line}:{column}: {}", mistake.message);
        }
    } else {
        match serde_json::to_string(&mistakes) {
            Ok(line) => println!("{line}"),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(2);
            }
        }
    }
    if mistakes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
