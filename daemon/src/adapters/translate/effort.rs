//! How hard a model thinks, both ways.

use super::fields::{Dropped, Fields, Result, Unmappable, required, shown};
use super::models::{Claude, Gpt, Reasons, Thinks};
use crate::adapters::raw::Object;

const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// Below this the Messages API refuses a budget.
const LEAST_BUDGET: u64 = 1024;

/// `thinking` and `output_config.effort` of a Messages body.
#[derive(Default)]
pub(super) struct Thinking {
    pub(super) config: Option<String>,
    pub(super) effort: Option<&'static str>,
}

fn effort(fields: &Fields<'_>) -> Result<Option<&'static str>> {
    let Some(text) = fields.text("effort")? else {
        return Ok(None);
    };
    let known = EFFORTS.iter().find(|known| **known == text).copied();
    known.map(Some).ok_or_else(|| {
        let message = format!(
            "the effort {} is not known; use one of {EFFORTS:?}",
            shown(&text)
        );
        Unmappable::new("effort", message)
    })
}

/// What `reasoning` of a Responses body means for `claude`. `can` is false where the rest of the
/// request forbids thinking.
pub(super) fn to_thinking(
    reasoning: Option<&Fields<'_>>,
    claude: &Claude,
    max_tokens: u64,
    can: bool,
    dropped: &mut Dropped,
) -> Result<Thinking> {
    let Some(reasoning) = reasoning else {
        return Ok(Thinking::default());
    };
    let effort = effort(reasoning).map_err(|error| error.inside("reasoning"))?;
    let summary = reasoning
        .get("summary")
        .or(reasoning.get("generate_summary"));
    for name in ["context", "mode"] {
        if reasoning.get(name).is_some() {
            dropped.add(&format!("reasoning.{name}"));
        }
    }
    match (effort, claude.thinks) {
        (None, _) if summary.is_none() => Ok(Thinking::default()),
        (Some("none"), Thinks::Never) => Ok(Thinking::default()),
        (Some("none"), _) => Ok(Thinking {
            config: Some(Object::of_type("disabled").json()),
            effort: None,
        }),
        (effort, Thinks::Adaptive) if can => {
            let display = summary.map_or("omitted", |_| "summarized");
            Ok(Thinking {
                config: Some(Object::of_type("adaptive").text("display", display).json()),
                effort: effort.map(|word| if word == "minimal" { "low" } else { word }),
            })
        }
        (effort, Thinks::Budget) if can && max_tokens > LEAST_BUDGET => {
            let budget = budget(effort).min(max_tokens - 1).to_string();
            Ok(Thinking {
                config: Some(
                    Object::of_type("enabled")
                        .put("budget_tokens", &budget)
                        .json(),
                ),
                effort: None,
            })
        }
        _ => {
            dropped.add("reasoning");
            Ok(Thinking::default())
        }
    }
}

fn budget(effort: Option<&str>) -> u64 {
    match effort {
        Some("minimal" | "low") => 1024,
        Some("high") => 4096,
        Some("xhigh") => 8192,
        Some("max") => 16_384,
        _ => 2048,
    }
}

/// `reasoning` and `max_output_tokens` of a Responses body.
pub(super) struct Reasoning {
    pub(super) config: Option<String>,
    pub(super) max_output_tokens: Option<u64>,
}

/// What a Messages body asks of the model's thinking.
enum Asked {
    Nothing,
    Off,
    On {
        effort: Option<&'static str>,
        /// `max_tokens` has room for the thinking already.
        is_counted: bool,
    },
}

/// What `thinking`, `output_config.effort` and `max_tokens` of a Messages body mean for `gpt`.
pub(super) fn to_reasoning(
    body: &Fields<'_>,
    gpt: &Gpt,
    dropped: &mut Dropped,
) -> Result<Reasoning> {
    let thinking = body.object("thinking")?;
    let output = body.object("output_config")?;
    let asked = asked(thinking.as_ref(), output.as_ref(), dropped)?;
    let mut config = Object::new();
    let mut more = 0;
    match (asked, gpt.reasons) {
        (Asked::On { .. }, Reasons::Never) => dropped.add("thinking"),
        (_, Reasons::Never) | (Asked::Nothing | Asked::Off, Reasons::Unknown) => {}
        (Asked::Nothing | Asked::Off, Reasons::Unless) => {
            config = config.text("effort", "none");
        }
        // It cannot be told to stop, so it gets as little as all of them take.
        (Asked::Nothing | Asked::Off, Reasons::Always) => {
            config = config.text("effort", "low");
            more = allowance(Some("low"));
        }
        (Asked::On { effort, is_counted }, _) => {
            config = config
                .text_if("effort", effort)
                .text_if("summary", summary(thinking.as_ref())?);
            more = if is_counted { 0 } else { allowance(effort) };
        }
    }
    let limit = |tokens: u64| {
        let tokens = tokens.saturating_add(more).max(LEAST_OUTPUT);
        gpt.most.map_or(tokens, |most| tokens.min(most))
    };
    Ok(Reasoning {
        config: (!config.is_empty()).then(|| config.json()),
        max_output_tokens: body.count("max_tokens")?.map(limit),
    })
}

/// Below this the Responses API refuses a limit.
const LEAST_OUTPUT: u64 = 16;

fn asked(
    thinking: Option<&Fields<'_>>,
    output: Option<&Fields<'_>>,
    dropped: &mut Dropped,
) -> Result<Asked> {
    let at = |error: Unmappable| error.inside("thinking");
    let effort = output.map(effort).transpose();
    let effort = effort
        .map_err(|error| error.inside("output_config"))?
        .flatten();
    let Some(thinking) = thinking else {
        return Ok(effort.map_or(Asked::Nothing, |effort| Asked::On {
            effort: Some(effort),
            is_counted: false,
        }));
    };
    if thinking.get("block_binding").is_some() {
        dropped.add("thinking.block_binding");
    }
    match thinking.kind().map_err(at)?.as_ref() {
        "disabled" => Ok(Asked::Off),
        "adaptive" | "between_tools" => Ok(Asked::On {
            effort,
            is_counted: false,
        }),
        "enabled" => {
            let budget = thinking.count("budget_tokens").map_err(at)?;
            let budget = required(budget, "budget_tokens").map_err(at)?;
            Ok(Asked::On {
                effort: effort.or(Some(word(budget))),
                is_counted: true,
            })
        }
        other => {
            let message = format!("thinking of type {} is not known", shown(other));
            Err(Unmappable::new("thinking.type", message))
        }
    }
}

fn word(budget: u64) -> &'static str {
    match budget {
        4096.. => "high",
        2048.. => "medium",
        _ => "low",
    }
}

fn summary(thinking: Option<&Fields<'_>>) -> Result<Option<&'static str>> {
    let display = thinking.map(|fields| fields.text("display")).transpose();
    let display = display.map_err(|error| error.inside("thinking"))?.flatten();
    Ok(display
        .filter(|display| display != "omitted")
        .map(|_| "auto"))
}

/// `max_output_tokens` counts the reasoning, which a Messages client's `max_tokens` may have no room for.
fn allowance(effort: Option<&str>) -> u64 {
    match effort {
        Some("none") => 0,
        Some("minimal" | "low") => 2048,
        Some("high") => 16_384,
        Some("xhigh" | "max") => 32_768,
        _ => 8192,
    }
}
