//! A driver's recipe, put into the vault's break-glass card.

use crate::model::manifest::Manifest;
use crate::services::{Recipe, RecipePart};
use crate::vault::{CardRecipe, CardStep, Place, render_card};

/// Renders `RESTORE.md`. A recipe speaks of `./plain/`; the card says where that is on each side.
pub fn render(manifest: &Manifest, recipe: &Recipe) -> String {
    let mut card =
        CardRecipe { title: format!("{} of {}", manifest.item.item, manifest.kind), ..CardRecipe::default() };
    let mut said = Vec::new();
    for part in &recipe.parts {
        let (place, commands, plain) = match part {
            RecipePart::Say(text) => {
                said.push(text.clone());
                continue;
            }
            RecipePart::Here(commands) => {
                (Place::Here, commands, r#"(cd "$(dirname "$OUT")" && ln -sfn "$(basename "$OUT")" plain"#)
            }
            RecipePart::Node(commands) => (Place::Node, commands, "(cd && ln -sfn lifeboat-restore plain"),
        };
        let mut lines = vec![plain.to_owned()];
        lines.extend(commands.trim_end().lines().map(str::to_owned));
        lines.push(")".to_owned());
        let text = if said.is_empty() { "Put them in place".to_owned() } else { said.join(" ") };
        said.clear();
        card.steps.push(CardStep { text, place, commands: lines });
    }
    card.warnings = said;
    render_card(manifest, &card)
}
