//! What is laid over the pages: commands, themes, filter, secrets, warnings; and help.

use std::sync::mpsc::sync_channel;

use lifeboat::model::secret::ExposeSecret;
use lifeboat::tui::action::{ACTIONS, Action};
use lifeboat::tui::message::{Effect, Msg, Notice, Order, Tone, Wish};
use lifeboat::tui::model::{Job, JobId, Stage as JobStage};
use lifeboat::tui::screens::first::FirstPage;
use lifeboat::tui::screens::waiting::WaitingPage;
use lifeboat::tui::theme::{Depth, Shelf};

use super::fleet::TWO;
use super::stage::Stage;
use super::wizard_cast::wait;
use crate::assert_page;

#[test]
fn help_tells_what_works_here_and_why_something_does_not() {
    let mut stage = Stage::of_inventory(TWO);
    stage.keys("?");
    let page = stage.grid((100, 60));
    assert!(page.contains("not now: this is the first page"), "{page}");
    assert_page!("help_unread", stage);
    stage.keys("G");
    assert!(stage.grid((80, 24)).contains("Leave the console."));
    let mut stage = super::cast::seen();
    stage.keys("/").text("val-1").keys("enter tab ?");
    assert_page!("help", stage);
    stage.keys("end");
    assert_page!("help_end", stage);
}

#[test]
fn the_palette_suggests_completes_and_says_why_not() {
    let mut stage = Stage::of_inventory(TWO);
    stage.keys(":").text("va");
    assert_page!("palette_typed", stage);
    stage.keys("tab enter");
    let page = stage.grid((80, 24));
    assert!(page.contains("vault"), "{page}");
    stage.keys(":").text("colours");
    assert!(stage.grid((80, 24)).contains("Choose a theme."));
    stage.keys("esc :").text("nonsense").keys("enter");
    assert!(stage.grid((80, 24)).contains("There is no command 'nonsense'."));
    stage.keys(":").text("forward").keys("enter");
    assert!(stage.grid((80, 24)).contains("forward: not now, there is no page ahead."));
    stage.keys(":").text("adopt").keys("enter");
    assert!(stage.grid((80, 24)).contains("'adopt' does nothing on this page."));
}

#[test]
fn the_palette_knows_what_was_typed_before() {
    let mut stage = Stage::of_inventory(TWO);
    stage.keys(":").text("vault").keys("enter :").text("runs").keys("enter");
    assert_eq!(stage.app.history, ["vault", "runs"]);
    stage.keys(": up");
    assert!(stage.grid((80, 24)).contains(":runs"));
    stage.keys("up");
    assert!(stage.grid((80, 24)).contains(":vault"));
    stage.keys("] ] [");
    assert!(stage.grid((80, 24)).contains(":runs"));
    assert!(stage.asked.iter().any(|effect| matches!(effect, Effect::Remember)));
}

#[test]
fn a_theme_is_worn_while_it_is_selected_and_kept_by_enter() {
    let mut stage = Stage::of_inventory(TWO);
    stage.keys("T");
    assert_page!("themes", stage);
    stage.keys("down");
    assert_eq!(stage.app.theme.name, "dark");
    stage.keys("esc");
    assert_eq!(stage.app.theme.name, "default");
    stage.keys("T down down enter");
    assert_eq!(stage.app.theme.name, "light");
    stage.keys(":").text("theme nothing").keys("enter");
    assert!(stage.grid((80, 24)).contains("There is no theme 'nothing'."));
    assert_eq!(stage.app.theme.name, "light");
}

#[test]
fn without_colours_the_chooser_says_so() {
    let mut stage = Stage::of_inventory(TWO);
    stage.app.dress(Shelf::built_in(), Depth::None, true);
    stage.keys("T");
    let page = stage.grid((120, 40));
    assert!(page.contains("NO_COLOR"), "{page}");
    assert!(page.is_ascii(), "{page}");
}

#[test]
fn the_filter_line_follows_every_letter_and_says_a_mistake() {
    let mut stage = Stage::of_inventory(TWO);
    stage.keys("/").text("val-2");
    let page = stage.grid((80, 24));
    assert!(page.contains("val-2") && !page.contains("val-1"), "{page}");
    stage.keys("esc /").text("/val-[");
    assert_page!("filter_mistake", stage);
    assert!(stage.grid((80, 24)).contains("val-1"));
}

#[test]
fn a_secret_is_given_pasted_cleared_or_declined_and_never_shown() {
    let mut stage = Stage::of_inventory(TWO);
    let (reply, answer) = sync_channel(1);
    stage.notice(Notice::Secret("sudo password of ops@val-1\x1b[2J".to_owned(), reply));
    wait(&mut stage, 1);
    stage.text("wrong").keys("ctrl-u").text("hunter");
    stage.asked.extend(stage.app.update(Msg::Paste("two\n".to_owned())));
    for size in super::stage::SIZES {
        let page = stage.grid(size);
        assert!(!page.contains("hunter") && !page.contains("two") && !page.contains('\x1b'), "{page}");
    }
    assert!(stage.app.hides_typing());
    assert_page!("secret", stage);
    stage.keys("enter");
    assert_eq!(answer.recv().unwrap().unwrap().expose_secret(), "huntertwo");
    let (reply, answer) = sync_channel(1);
    stage.notice(Notice::Secret("passphrase".to_owned(), reply));
    wait(&mut stage, 1);
    stage.keys("esc");
    assert!(answer.recv().unwrap().is_none());
}

/// What is typed for one host must never reach another.
#[test]
fn secrets_are_asked_for_one_after_the_other() {
    let mut stage = Stage::of_inventory(TWO);
    let ((first, of_first), (second, of_second)) = (sync_channel(1), sync_channel(1));
    stage.notice(Notice::Secret("password of val-1".to_owned(), first));
    wait(&mut stage, 1);
    stage.text("one");
    stage.notice(Notice::Secret("password of val-2".to_owned(), second));
    assert!(stage.grid((80, 24)).contains("password of val-1"), "{}", stage.grid((80, 24)));
    stage.text("!").keys("enter");
    assert_eq!(of_first.try_recv().unwrap().unwrap().expose_secret(), "one!");
    assert!(stage.grid((80, 24)).contains("password of val-2"));
    // What was typed on without a look is nobody's password.
    stage.text("typed on").keys("enter");
    assert!(of_second.try_recv().is_err());
    wait(&mut stage, 1);
    stage.text("two").keys("enter");
    assert_eq!(of_second.try_recv().unwrap().unwrap().expose_secret(), "two");
    assert!(!stage.app.has_modal());
}

#[test]
fn what_is_being_typed_when_a_secret_is_asked_for_is_no_part_of_it() {
    let mut stage = Stage::of_inventory(TWO);
    stage.keys(":").text("ru");
    let (reply, answer) = sync_channel(1);
    stage.notice(Notice::Secret("password of val-1".to_owned(), reply));
    stage.text("ns").keys("enter");
    stage.asked.extend(stage.app.update(Msg::Paste("pasted".to_owned())));
    assert!(answer.try_recv().is_err());
    wait(&mut stage, 1);
    stage.text("secret").keys("enter");
    assert_eq!(answer.try_recv().unwrap().unwrap().expose_secret(), "secret");
}

/// A job that runs; its guard is armed or not.
fn with_job(stage: &mut Stage, guarded: bool) {
    let mut job = Job::new(JobId(1), Wish::Verify(Vec::new()));
    job.stage = JobStage::Running;
    if guarded {
        let armed = serde_json::json!({
            "schema": 1, "run": "20261120T024000Z-7f3a", "seq": 0, "at": super::stage::NOW,
            "kind": "guard_armed", "guard": "g1",
        });
        job.events.push(serde_json::from_value(armed).unwrap());
    }
    stage.app.model.jobs.push(job);
}

#[test]
fn leaving_while_a_job_runs_is_asked_and_staying_is_the_default() {
    let mut stage = Stage::of_inventory(TWO);
    with_job(&mut stage, false);
    stage.keys("q");
    assert_page!("leaving", stage);
    wait(&mut stage, 1);
    stage.keys("enter");
    assert!(stage.asked.is_empty());
    stage.keys("q c");
    assert!(stage.asked.is_empty(), "a letter typed before anybody could read the question is no answer");
    wait(&mut stage, 1);
    stage.keys("c");
    assert!(matches!(stage.asked.as_slice(), [Effect::Quit]));
}

#[test]
fn pressing_ctrl_c_again_and_again_cancels_nothing() {
    let mut stage = Stage::of_inventory(TWO);
    with_job(&mut stage, false);
    for _ in 0..4 {
        stage.keys("ctrl-c alt-c");
        wait(&mut stage, 1);
    }
    assert!(stage.asked.is_empty());
    assert!(stage.grid((80, 24)).contains("Still at work"));
}

#[test]
fn stopping_while_a_guard_is_armed_is_asked() {
    let mut stage = Stage::of_inventory(TWO);
    with_job(&mut stage, false);
    stage.keys("ctrl-z");
    assert!(matches!(stage.asked.as_slice(), [Effect::Suspend]));
    stage.asked.clear();
    stage.app.model.jobs.clear();
    with_job(&mut stage, true);
    stage.asked.extend(stage.app.update(Msg::Asked(Action::Suspend)));
    assert!(stage.asked.is_empty());
    assert_page!("stopping", stage);
    // Who asks again hears one question.
    stage.asked.extend(stage.app.update(Msg::Asked(Action::Suspend)));
    wait(&mut stage, 1);
    stage.keys("enter");
    assert!(!stage.app.has_modal() && stage.asked.is_empty());
    stage.keys("ctrl-z");
    wait(&mut stage, 1);
    stage.keys("esc ctrl-z");
    wait(&mut stage, 1);
    stage.keys("s");
    assert!(matches!(stage.asked.as_slice(), [Effect::Suspend]));
}

#[test]
fn an_edited_inventory_is_told_and_read_again_by_a_key() {
    let mut stage = Stage::of_inventory(TWO);
    stage.notice(Notice::InventoryChanged);
    assert!(stage.grid((120, 40)).contains("inventory edited"));
    stage.keys("ctrl-l");
    assert!(matches!(stage.asked.as_slice(), [Effect::Order(Order::Reload)]));
}

#[test]
fn the_first_page_offers_what_is_possible() {
    let mut stage = Stage::of_inventory("version = 1\n");
    stage.app = lifeboat::tui::app::App::new(
        std::mem::replace(&mut stage.app, Stage::of_inventory("version = 1\n").app).model,
        Box::new(FirstPage::new(false, true)),
    );
    assert_page!("first", stage);
    stage.keys("down enter");
    assert!(stage.grid((80, 24)).contains("Not now: there is no ~/.ssh/config."));
    stage.keys("G enter");
    assert_page!("guide", stage);
    let begin = stage.grid((60, 16));
    stage.keys("end");
    assert_ne!(stage.grid((60, 16)), begin);
    stage.keys("end home");
    assert_eq!(stage.grid((60, 16)), begin);
    stage.keys("end");
    let end = stage.grid((60, 16));
    stage.keys("up");
    assert_ne!(stage.grid((60, 16)), end, "the way back begins at once");
    stage.keys("home");
    assert!(!stage.app.offers().iter().any(|offer| offer.action == Action::Vault));
}

#[test]
fn the_page_that_waits_for_a_disk_names_what_is_read() {
    let mut stage = Stage::of_inventory("version = 1\n");
    let mut model = std::mem::replace(&mut stage.app, Stage::of_inventory("version = 1\n").app).model;
    model.place.inventory = "/mnt/share/inventory.toml".into();
    model.place.home = "/home/ops".into();
    let dirs = ["/home/ops/.config/lifeboat", "/home/ops/.local/state/lifeboat"].map(Into::into);
    stage.app = lifeboat::tui::app::App::new(model, Box::new(WaitingPage::new(dirs, false)));
    assert_page!("waiting", stage);
}

/// What is laid over a page is left by the keys everybody presses who wants out, and nothing is done by them.
#[test]
fn esc_and_ctrl_c_leave_what_lies_on_top() {
    for (key, typed) in [(":", "vault"), ("/", "val-1"), ("T", "")] {
        for out in ["esc", "ctrl-c"] {
            let mut stage = Stage::of_inventory(TWO);
            let before = stage.grid((80, 24));
            stage.keys(key).text(typed);
            assert!(stage.app.has_modal());
            stage.keys(out);
            assert!(!stage.app.has_modal(), "{key} {out}");
            assert_eq!(stage.grid((80, 24)), before, "{key} {out}");
            assert!(!stage.asked.iter().any(|effect| matches!(effect, Effect::Quit)));
        }
    }
    let mut stage = Stage::of_inventory(TWO);
    let (reply, answer) = sync_channel(1);
    stage.notice(Notice::Secret("passphrase".to_owned(), reply));
    wait(&mut stage, 1);
    stage.text("half").keys("ctrl-c");
    assert!(answer.recv().unwrap().is_none(), "it is declined");
}

#[test]
fn a_key_answers_no_gate() {
    // Gates take typed words in a page's own field; nothing in the table of actions could be one.
    for info in ACTIONS {
        assert!(!["confirm", "gate", "answer", "consent"].iter().any(|word| info.name.contains(word)), "{}", info.name);
    }
}

#[test]
fn the_legend_of_roles_is_complete() {
    assert_eq!(Stage::legend().split(", ").count(), lifeboat::tui::theme::Role::ALL.len() - 1);
    let mut stage = Stage::of_inventory(TWO);
    stage.app.say(Tone::Warn, "said");
    assert!(stage.grid((80, 24)).contains("said"));
}
