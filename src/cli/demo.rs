//! `demo`: the practice fleet, to try everything on or to be led through an exercise.

use std::io::{BufRead, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use clap::Parser;
use serde_json::json;

use super::Wiring;
use super::app::opening;
use super::args::{Cli, Demo, Global};
use super::output::Out;
use super::page::{Page, WIDTH, Window, wrap};
use crate::config::paths::Paths;
use crate::engine::desk::Opening;
use crate::engine::practice::{Deed, ExerciseStep, Fault, Practice, Running};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::transport::Cancel;

/// How often the wish to stop is looked at.
const TURN: Duration = Duration::from_millis(200);

/// Starts the fleet; then plays the exercise, or waits until it is not wanted any more.
///
/// # Errors
/// When there is no fleet in this build, the machine refuses one, or a step of the exercise does not end as it should.
pub fn run_demo(global: &Global, out: &Out, demo: &Demo, cancel: &Cancel, wiring: &Wiring) -> Result<Exit> {
    let rehearsal = wiring.rehearsal.ok_or_else(|| {
        Failure::new(Exit::Usage, "This build of Lifeboat has no practice fleet.")
            .hint("Build it with the feature 'rehearsal', which is on by default.")
    })?;
    let faults = demo.faults.iter().map(|(node, fault)| Ok((host(node)?, fault.parse()?)));
    let faults: Vec<(HostId, Fault)> = faults.collect::<Result<_>>()?;
    let running = rehearsal.start(cancel, &|step| out.aside(step))?;
    for (node, fault) in faults {
        out.line(running.practice.break_it(&node, fault)?);
    }
    out.document(
        "demo",
        &json!({
            "inventory": running.inventory, "config_dir": running.config_dir, "data_dir": running.data_dir,
            "vault": running.vault, "nodes": running.practice.nodes(), "exercise": running.practice.exercise(),
        }),
    );
    if demo.exercise {
        return Player { global, out, cancel, wiring, running: &running }.play();
    }
    let is_seen = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if is_seen && !demo.wait && !global.json {
        return (wiring.console)(&Opening {
            inventory: Some(running.inventory.clone()),
            practice: Some(running.practice.clone()),
            ..opening(global, cancel, paths_of(&running))
        });
    }
    welcome(out, &running);
    wait(out, cancel, &*running.practice);
    out.aside("The practice fleet is gone.");
    Ok(Exit::Done)
}

/// The directories of the fleet's own console.
fn paths_of(running: &Running) -> Paths {
    Paths {
        home: running.config_dir.clone(),
        config_dir: running.config_dir.clone(),
        data_dir: running.data_dir.clone(),
        state_dir: running.data_dir.join("state"),
    }
}

fn host(name: &str) -> Result<HostId> {
    HostId::new(name).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}

fn welcome(out: &Out, running: &Running) {
    out.line("");
    out.line("A fleet to practise on is up. Nothing of it is real, and all of it may be broken.");
    out.line("");
    for node in running.practice.nodes() {
        for row in wrap(&format!("  {:<9} {}", node.host, node.story), WIDTH) {
            out.line(row);
        }
    }
    out.line("");
    out.line("In another terminal, first:");
    out.line("");
    out.line(format!("  export LIFEBOAT_CONFIG_DIR={}", running.config_dir.display()));
    out.line(format!("  export LIFEBOAT_DATA_DIR={}", running.data_dir.display()));
    out.line("");
    out.line("Then, for example:");
    out.line("");
    for (command, what) in [
        ("lifeboat doctor", "which nodes answer, and what is in the way"),
        ("lifeboat scan group:validators", "what is worth saving there"),
        ("lifeboat list", "what is in the vault, and what was proven of it"),
        ("lifeboat backup val-4", "copy it off, verified while it is copied"),
        ("lifeboat restore web-2/files/tree --to web-2", "bring back what was lost"),
    ] {
        out.line(format!("  {command}"));
        out.line(format!("      {what}"));
    }
    out.line("");
    out.line("Here, a line breaks a node or mends it:");
    out.line("");
    out.line("  break NODE FAULT    mend NODE FAULT    nodes    quit");
    out.line("");
    for fault in Fault::ALL {
        out.line(format!("  {:<17} {}", fault.word(), fault.about()));
    }
    out.line("");
    out.line("Ctrl-C ends the fleet and removes everything.");
}

/// Obeys lines of standard input until one says quit, or the operator cancels. An ended input is no wish to stop.
fn wait(out: &Out, cancel: &Cancel, practice: &dyn Practice) {
    let lines = lines();
    while !cancel.is_cancelled() {
        match lines.recv_timeout(TURN) {
            Ok(line) => match obey(out, practice, &line) {
                Ok(true) => {}
                Ok(false) => return,
                Err(failure) => out.failure(&failure),
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => while !cancel.wait(Duration::from_mins(1)) {},
        }
    }
}

/// The lines of standard input, read beside everything else: a read cannot be called off.
fn lines() -> Receiver<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if send.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Does what a line says; false when it says quit.
fn obey(out: &Out, practice: &dyn Practice, line: &str) -> Result<bool> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [] => {}
        ["quit" | "exit"] => return Ok(false),
        ["nodes"] => {
            for node in practice.nodes() {
                let faults: Vec<_> = node.in_force.iter().map(|fault| fault.word()).collect();
                let faults = if faults.is_empty() { "-".to_owned() } else { faults.join(", ") };
                out.line(format!("  {:<9} {faults}", node.host));
                out.document("node", &node);
            }
        }
        [verb @ ("break" | "mend"), node, fault] => {
            let (node, fault) = (host(node)?, fault.parse()?);
            let told = if verb == "break" { practice.break_it(&node, fault)? } else { practice.mend(&node, fault)? };
            out.line(&told);
            out.document("told", &json!({"verb": verb, "node": node, "fault": fault, "text": told}));
        }
        _ => {
            return Err(Failure::new(Exit::Usage, format!("'{}' is not understood here.", line.escape_debug()))
                .hint("break NODE FAULT, mend NODE FAULT, nodes, quit"));
        }
    }
    Ok(true)
}

/// Plays the exercise as text.
struct Player<'a> {
    global: &'a Global,
    out: &'a Out,
    cancel: &'a Cancel,
    wiring: &'a Wiring,
    running: &'a Running,
}

impl Player<'_> {
    fn play(&self) -> Result<Exit> {
        let exercise = self.running.practice.exercise();
        let rule = "─".repeat(WIDTH);
        self.out.line("");
        self.out.line(&rule);
        self.out.line(format!(" {}", exercise.title));
        self.out.line(&rule);
        self.say(&exercise.scene);
        for (number, step) in exercise.steps.iter().enumerate() {
            self.step(number + 1, exercise.steps.len(), step)?;
        }
        self.out.line("");
        self.out.line(&rule);
        self.say(&exercise.moral);
        self.out.line("");
        self.out.line(" Try it with your own hands: lifeboat demo");
        Ok(Exit::Done)
    }

    fn say(&self, text: &str) {
        self.out.line("");
        for row in wrap(text, WIDTH - 2) {
            self.out.line(format!(" {}", row.trim_start()));
        }
    }

    fn step(&self, number: usize, of: usize, step: &ExerciseStep) -> Result<()> {
        self.cancel.check().map_err(|error| Failure::new(Exit::Cancelled, error.to_string()))?;
        self.out.line("");
        self.out.line(format!(" {number}/{of}  {}", step.title));
        self.say(&step.why);
        self.out.line("");
        let exit = match &step.deed {
            Deed::Break(node, fault) => {
                self.out.line(format!("   {}", self.running.practice.break_it(node, *fault)?));
                Exit::Done
            }
            Deed::Command(words) => self.run(words, step)?,
        };
        self.out.document("step", &json!({"number": number, "step": step, "exit": exit}));
        let wanted = step.ends.0;
        if exit != wanted {
            return Err(Failure::new(
                Exit::Failed,
                format!("Step {number} of the exercise ended with {} instead of {}.", exit.code(), wanted.code()),
            ));
        }
        if !self.running.practice.is_done(&step.check)? {
            return Err(Failure::new(
                Exit::Failed,
                format!("Step {number} of the exercise is not done: {:?}.", step.check),
            ));
        }
        if !step.ends.1.is_empty() {
            self.out.line("");
            for row in wrap(&format!(" → {}", step.ends.1), WIDTH) {
                self.out.line(row);
            }
        }
        Ok(())
    }

    /// Runs a command line as if it was typed, on the fleet's own console.
    fn run(&self, words: &[String], step: &ExerciseStep) -> Result<Exit> {
        let newest = self.running.practice.newest_run()?.unwrap_or_default();
        let words: Vec<String> = words.iter().map(|word| word.replace("{run}", &newest)).collect();
        let rows = wrap(&format!("$ lifeboat {}", words.join(" ")), WIDTH - 5);
        for (at, row) in rows.iter().enumerate() {
            self.out.line(format!("   {row}{}", if at + 1 < rows.len() { " \\" } else { "" }));
        }
        self.out.line("");
        let line = std::iter::once("lifeboat".to_owned()).chain(words.iter().cloned());
        let cli = Cli::try_parse_from(line).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let cli = Cli { global: Global { json: self.global.json, no_input: true, ..cli.global }, ..cli };
        let out = if self.global.json {
            self.out.clone()
        } else {
            let window = Window::new(step.shows.clone());
            let page = || Box::new(Page::new(std::io::stdout(), "   ", window.clone()));
            Out::new(false, false, page(), page())
        };
        let paths = paths_of(self.running);
        let named = Global { inventory: Some(self.running.inventory.clone()), ..cli.global };
        Ok(super::ended(
            super::dispatch(Cli { global: named, ..cli }, &out, self.cancel, self.wiring, paths),
            &out,
            self.cancel,
        ))
    }
}
