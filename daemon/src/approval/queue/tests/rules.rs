//! What each rule says, by example.

use super::*;
use crate::approval::error::ApprovalError;
use crate::approval::item::Settled;

fn submit(queue: &mut Queue, action: Action) -> Arc<Item> {
    queue.submit(action, PATIENCE, at(0)).unwrap()
}

#[test]
fn a_runaway_caller_leaves_room_for_others() {
    let mut queue = Queue::default();
    let mut numbered = |caller: u8, number: usize| {
        let mut action = call(caller, 0, 0);
        action.argument_digest = Digest::of(&number.to_be_bytes());
        queue.submit(action, PATIENCE, at(0))
    };
    for number in 0..MAX_OPEN_PER_CALLER {
        numbered(0, number).unwrap();
    }
    let refused = numbered(0, MAX_OPEN_PER_CALLER);
    assert!(matches!(refused, Err(ApprovalError::CallerFull { .. })));
    numbered(0, 7).expect("a repeated call needs no room");
    for number in 0..MAX_OPEN - MAX_OPEN_PER_CALLER {
        let caller = u8::try_from(1 + number / MAX_OPEN_PER_CALLER).unwrap();
        numbered(caller, number).unwrap();
    }
    let refused = numbered(200, 0);
    assert!(matches!(refused, Err(ApprovalError::Full { .. })));

    let mut huge = call(1, 0, 0);
    huge.arguments = "x".repeat(MAX_BYTES);
    let refused = Queue::default().submit(huge.clone(), PATIENCE, at(0));
    assert!(refused.is_ok(), "one request may be as large as any");
    queue
        .submit(huge, PATIENCE, at(0))
        .expect_err("and no more than one");
}

#[test]
fn always_covers_the_tool_as_it_was_shown_at_this_address() {
    let mut queue = Queue::default();
    let asked = submit(&mut queue, call(0, 0, 0));
    let waiting = submit(&mut queue, call(1, 1, 0));
    let always = approve(Remember::Always { arguments: false });
    queue
        .decide(asked.id, &always, &person(), true, at(0))
        .unwrap();
    let released = &queue.live[&waiting.id];
    assert_eq!(released.state, State::Approved);
    assert_eq!(released.decision.as_ref().unwrap().grant, Some(asked.id));

    assert_eq!(submit(&mut queue, call(2, 2, 0)).state, State::Approved);
    let mut changed = call(2, 2, 0);
    changed.tool_digest = Some(Digest::of(b"another definition"));
    assert_eq!(submit(&mut queue, changed).state, State::Pending);
    let mut moved = call(2, 2, 0);
    moved.address = "https://evil.example".to_owned();
    assert_eq!(submit(&mut queue, moved).state, State::Pending);
    let mut unknown = call(2, 2, 0);
    unknown.tool_digest = None;
    assert_eq!(submit(&mut queue, unknown).state, State::Pending);
    queue.revoke(|grant| grant.id == asked.id, &person());
    assert_eq!(submit(&mut queue, call(2, 1, 0)).state, State::Pending);
}

#[test]
fn calls_under_a_grant_are_calls_of_their_own() {
    let mut queue = Queue::default();
    let asked = submit(&mut queue, call(0, 0, 0));
    let always = approve(Remember::For { seconds: 50 });
    queue
        .decide(asked.id, &always, &person(), true, at(0))
        .unwrap();
    queue.claim(asked.id, None, at(0)).unwrap();
    let one = submit(&mut queue, call(0, 0, 0));
    let other = submit(&mut queue, call(0, 0, 0));
    assert_ne!(one.id, other.id);
    assert!(
        queue.claim(one.id, None, at(0)).is_some() && queue.claim(other.id, None, at(0)).is_some()
    );
    assert_eq!(
        submit(&mut queue, call(1, 0, 0)).state,
        State::Pending,
        "another caller"
    );
    let later = queue.submit(call(0, 0, 0), PATIENCE, at(50)).unwrap();
    assert_eq!(later.state, State::Pending, "the time is over");
}

#[test]
fn no_grant_for_a_tool_whose_definition_nobody_saw() {
    let mut queue = Queue::default();
    let mut action = call(0, 0, 0);
    action.tool_digest = None;
    let asked = submit(&mut queue, action);
    let always = approve(Remember::Always { arguments: true });
    let refused = queue.decide(asked.id, &always, &person(), true, at(0));
    assert!(matches!(
        refused,
        Err(Undecided::Refused(ApprovalError::UnknownTool { .. }))
    ));
    assert_eq!(queue.live[&asked.id].state, State::Pending);
    let once = approve(Remember::Once);
    queue
        .decide(asked.id, &once, &person(), true, at(0))
        .unwrap();
}

#[test]
fn a_call_of_unknown_outcome_is_asked_about_even_under_a_grant() {
    let mut queue = Queue::default();
    let asked = submit(&mut queue, call(0, 0, 0));
    let always = approve(Remember::Always { arguments: false });
    queue
        .decide(asked.id, &always, &person(), true, at(0))
        .unwrap();
    let item = queue.claim(asked.id, None, at(0)).unwrap();
    let why = "lost".to_owned();
    queue.settle(item.id, item.runs, Settled::Unknown { why }, at(0));
    let again = submit(&mut queue, call(0, 0, 0));
    assert_eq!(
        (again.state, again.earlier),
        (State::Pending, Some(asked.id))
    );
    queue
        .decide(again.id, &approve(Remember::Once), &person(), true, at(0))
        .unwrap();
    queue.claim(again.id, None, at(0)).unwrap();
    queue.settle(again.id, 1, Settled::Done, at(0));
    assert_eq!(submit(&mut queue, call(0, 0, 0)).state, State::Approved);
}

#[test]
fn the_asking_client_decides_only_where_that_is_accepted_and_only_once() {
    let client = Decider::Client {
        name: "agent".to_owned(),
    };
    let mut queue = Queue::default();
    let strict = submit(&mut queue, call(0, 0, 0)).id;
    let mut lax = call(0, 1, 0);
    lax.accepts_weak = true;
    let lax = submit(&mut queue, lax).id;
    let once = approve(Remember::Once);
    let always = approve(Remember::Always { arguments: true });
    let mut decide = |id, ruling, counts| queue.decide(id, ruling, &client, counts, at(0)).is_ok();
    assert!(!decide(strict, &once, true));
    assert!(!decide(lax, &once, false), "a PIN is set");
    assert!(!decide(lax, &always, true));
    assert!(decide(lax, &once, true));
    assert!(decide(strict, &deny(), false));
}

#[test]
fn what_the_server_asked_back_about_goes_on_with_the_answer_to_that_alone() {
    let mut queue = Queue::default();
    let asked = submit(&mut queue, call(0, 0, 0)).id;
    queue
        .decide(asked, &approve(Remember::Once), &person(), true, at(0))
        .unwrap();
    queue.claim(asked, None, at(0)).unwrap();
    queue.settle(asked, 1, Settled::InputRequired, at(0));
    let anew = submit(&mut queue, call(0, 0, 0));
    assert_eq!((anew.state, anew.earlier), (State::Pending, Some(asked)));
    assert!(queue.claim(asked, None, at(0)).is_none());

    let next = |queue: &mut Queue, run| {
        let item = queue.submit_next(call(0, 0, 0), (asked, run), PATIENCE, at(0));
        item.unwrap().id
    };
    assert_eq!(next(&mut queue, 1), asked);
    queue.claim(asked, Some(1), at(0)).unwrap();
    queue.settle(asked, 2, Settled::InputRequired, at(0));
    assert_eq!(next(&mut queue, 1), anew.id, "that answer was used");
    assert!(queue.claim(asked, Some(1), at(0)).is_none());
    queue.claim(asked, Some(2), at(0)).unwrap();
    let why = "no connection".to_owned();
    queue.settle(asked, 3, Settled::NotSent { why }, at(0));
    assert_eq!(next(&mut queue, 2), asked, "it was not used");
}
