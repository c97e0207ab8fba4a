use super::*;

struct Bench {
    model: Model,
    now: Instant,
}

impl Bench {
    /// With these pending, and the person looking at the first.
    fn with(ids: &[&str]) -> Self {
        let mut model = Model::new();
        let now = Instant::now();
        model.reset(ids.iter().map(|id| item(id, "pending")).collect(), now);
        Self {
            model,
            now: now + LOOK_FIRST,
        }
    }

    fn press(&mut self, keys: &str) -> Wish {
        let mut wish = Wish::Nothing;
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                c => KeyCode::Char(c),
            };
            wish = self
                .model
                .key(KeyEvent::new(code, KeyModifiers::NONE), self.now);
        }
        wish
    }

    fn ids(&self) -> Vec<&str> {
        self.model
            .items
            .iter()
            .map(|item| item.id.as_str())
            .collect()
    }

    fn at(&self) -> &str {
        self.model.current().map_or("", |item| &item.id)
    }

    fn note(&self) -> &str {
        self.model.note.as_ref().map_or("", |(text, _)| text)
    }
}

fn item(id: &str, state: &str) -> Approval {
    Approval {
        id: id.to_owned(),
        state: state.to_owned(),
        ..Approval::default()
    }
}

fn remembered(wish: Wish) -> Option<Asked> {
    match wish {
        Wish::Decide {
            answer: Answer::Approve { remember, .. },
            pin: None,
        } => remember,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_key_asks_for_its_decision() {
    let mut bench = Bench::with(&["a"]);
    assert_eq!(bench.press("a"), approve(None, None));
    let these = |these_arguments| Some(Asked::Always(Always { these_arguments }));
    assert_eq!(remembered(bench.press("Aa")), these(false));
    assert_eq!(remembered(bench.press("At")), these(true));
    assert_eq!(bench.press("Ax"), Wish::Nothing);
    assert_eq!(remembered(bench.press("t\n")), Some(Asked::ForSeconds(600)));
    let deny = |reason: &str| Wish::Decide {
        answer: Answer::Deny {
            reason: reason.to_owned(),
        },
        pin: None,
    };
    assert_eq!(bench.press("dtoo much\n"), deny("too much"));
    assert_eq!(bench.press("d\n"), deny(""));
    assert_eq!(bench.press("e"), Wish::Edit);
    assert_eq!(bench.press("q"), Wish::Quit);
}

#[test]
fn escape_leaves_every_question_unanswered() {
    for question in ["d", "t", "A", "?"] {
        let mut bench = Bench::with(&["a"]);
        bench.press(question);
        assert_eq!(bench.press("\x1b\n"), Wish::Nothing, "{question}");
        assert!(matches!(bench.model.mode, Mode::Browse));
    }
}

#[test]
fn a_length_that_is_none_is_said_and_decides_nothing() {
    let mut bench = Bench::with(&["a"]);
    assert_eq!(bench.press("tx\n"), Wish::Nothing);
    assert!(bench.note().contains("such as 30d"), "{}", bench.note());
}

#[test]
fn what_has_just_appeared_is_not_decided_by_a_key_for_what_was_there_before() {
    let mut bench = Bench::with(&[]);
    assert_eq!(bench.press("a"), Wish::Nothing);
    assert!(bench.model.change(item("a", "pending"), bench.now));
    assert_eq!(bench.press("a"), Wish::Nothing);
    assert!(bench.note().contains("just appeared"));
    bench.now += LOOK_FIRST;
    assert_ne!(bench.press("a"), Wish::Nothing);
}

#[test]
fn the_selection_stays_where_it_is_whatever_comes_and_goes() {
    let mut bench = Bench::with(&["a", "b", "c"]);
    bench.press("j");
    bench.model.change(item("d", "pending"), bench.now);
    assert!(!bench.model.change(item("a", "approved"), bench.now));
    assert_eq!((bench.ids(), bench.at()), (vec!["b", "c", "d"], "b"));
    bench
        .model
        .reset(vec![item("b", "pending"), item("e", "pending")], bench.now);
    assert_eq!((bench.ids(), bench.at()), (vec!["b", "e"], "b"));
    assert_ne!(bench.press("a"), Wish::Nothing);
}

#[test]
fn what_was_decided_stays_until_the_person_moves_and_cannot_be_decided_again() {
    let mut bench = Bench::with(&["a", "b"]);
    bench.model.change(item("a", "denied"), bench.now);
    assert_eq!(bench.ids(), ["a", "b"]);
    for key in ["a", "d", "A", "t", "e"] {
        assert_eq!(bench.press(key), Wish::Nothing);
        assert!(bench.note().contains("decided already"));
    }
    bench.press("j");
    assert_eq!((bench.ids(), bench.at()), (vec!["b"], "b"));
}

#[test]
fn a_question_about_an_item_that_is_gone_is_gone_too() {
    let mut bench = Bench::with(&["a", "b"]);
    bench.press("dbecause");
    bench.model.reset(vec![item("b", "pending")], bench.now);
    assert_eq!(bench.press("\n"), Wish::Nothing);
}

#[test]
fn a_paste_decides_nothing() {
    let mut bench = Bench::with(&["a"]);
    bench.model.paste("aaaa\nAa");
    assert!(matches!(bench.model.mode, Mode::Browse));
    bench.press("d");
    bench.model.paste("no\n");
    assert!(matches!(&bench.model.mode, Mode::Reason(prompt) if prompt.text() == "no"));
}

#[test]
fn a_pin_goes_with_the_verdict_it_was_asked_for() {
    let mut bench = Bench::with(&["a"]);
    let Wish::Decide { answer, .. } = bench.press("a") else {
        panic!("no decision");
    };
    bench.model.ask_pin(answer.clone());
    assert_eq!(
        bench.press("aq12\n"),
        Wish::Decide {
            answer,
            pin: Some("aq12".to_owned())
        }
    );
}

#[test]
fn edited_arguments_are_sent_only_when_they_are_confirmed() {
    let mut bench = Bench::with(&["a"]);
    bench.model.mode = Mode::Edited("{}".to_owned());
    assert_eq!(bench.press("a\n"), Wish::Nothing);
    assert_eq!(bench.press("y"), approve(None, Some("{}".to_owned())));
    bench.model.mode = Mode::Edited("{}".to_owned());
    assert_eq!(bench.press("ny"), Wish::Nothing);
}

#[test]
fn control_c_ends_it_from_everywhere() {
    for question in ["", "d", "A", "?"] {
        let mut bench = Bench::with(&["a"]);
        bench.press(question);
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(bench.model.key(key, bench.now), Wish::Interrupt);
    }
}

#[test]
fn nothing_is_decided_without_the_daemon() {
    let mut bench = Bench::with(&["a"]);
    bench.model.connected = false;
    assert_eq!(bench.press("a"), Wish::Nothing);
    assert!(bench.note().contains("daemon is away"));
}
