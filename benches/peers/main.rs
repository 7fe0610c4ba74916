//! Lifeboat beside the tools an operator would use instead: same machine, same link, same run, in turn.
//!
//! `benches/run [ROW…]` starts it; without a name it measures every row. Each goes into `docs/benchmarks.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code,
    missing_docs,
    reason = "a measurement that cannot be made ends the run, and each row uses what it needs of the tests' fixtures"
)]

mod console;
mod machines;
mod measure;
mod netdata;
mod report;
mod rows;
#[path = "../console/running.rs"]
mod running;
mod samples;
mod stage;
mod support;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let known: Vec<&str> = rows::ALL.iter().map(|(name, _)| *name).collect();
    if let Some(strange) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("there is no row '{strange}'; rows: {}", known.join(" "));
        std::process::exit(2);
    }
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    for (name, row) in rows::ALL {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            eprintln!("== {name}");
            let before = report::Ground::look();
            let table = row();
            println!("{}", table.render());
            report::enter(&page, &before, &table);
        }
    }
}
