//! A driver's recipe, put into the vault's break-glass card.

use crate::model::manifest::Manifest;
use crate::services::{Recipe, RecipePart};
use crate::vault::{CardRecipe, CardStep, Place, render_card};

/// Renders `RESTORE.md`. A recipe speaks of `./plain/`, which the card made on the node.
pub fn render(manifest: &Manifest, recipe: &Recipe) -> String {
    let mut card =
        CardRecipe { title: format!("{} of {}", manifest.item.item, manifest.kind), ..CardRecipe::default() };
    let mut said = Vec::new();
    for part in &recipe.parts {
        let (place, commands, begin) = match part {
            RecipePart::Say(text) => {
                said.push(text.clone());
                continue;
            }
            RecipePart::Node(commands) => (Place::Node, commands, "(set -e; cd ~/lifeboat-restore"),
            RecipePart::Old(commands) => (Place::Old, commands, "(set -e"),
        };
        // In parentheses and with -e: a block stops at its first failure, and the shell it is typed in goes on.
        let mut lines = vec![begin.to_owned()];
        lines.extend(commands.trim_end().lines().map(str::to_owned));
        lines.push(")".to_owned());
        let text = if said.is_empty() { vec!["Put them in place.".to_owned()] } else { std::mem::take(&mut said) };
        card.steps.push(CardStep { text, place, commands: lines });
    }
    card.closing = said;
    render_card(manifest, &card)
}
