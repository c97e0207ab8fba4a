//! With a PIN, nothing is approved without it.

use super::*;
use crate::clock::Clock;

fn pin(text: &str) -> Secret {
    Secret::new(text)
}

async fn with_pin() -> Bench {
    let bench = Bench::new().await;
    let new = pin("correct horse");
    let set = bench.approvals.set_pin(&new, None, person());
    set.await.unwrap();
    bench
}

impl Bench {
    async fn check(&self, text: &str) -> Result<(), ApprovalError> {
        self.approvals.authorize(Some(&pin(text)), &person()).await
    }
}

#[tokio::test]
async fn approving_needs_the_pin_and_denying_does_not() {
    let bench = with_pin().await;
    let ticket = bench.submit(action("{}")).await;
    let approve = async |pin| {
        let (id, approve) = (ticket.id(), Verdict::approve());
        bench.approvals.decide_one(id, approve, person(), pin).await
    };
    let refused = approve(None).await;
    assert!(matches!(
        refused,
        Err(ApprovalError::Pin(PinError::Required))
    ));
    let wrong = pin("wrong horse");
    let refused = approve(Some(&wrong)).await;
    assert!(matches!(
        refused,
        Err(ApprovalError::Pin(PinError::Wrong { tries_left: 4 }))
    ));
    let right = pin("correct horse");
    let item = approve(Some(&right)).await.unwrap();
    assert_eq!(item.state, State::Approved);
    assert_eq!(bench.approvals.pin_state().await.wrong_tries, 0);

    let other = bench.submit(action(r#"{"b":1}"#)).await;
    let deny = Verdict::Deny { reason: None };
    bench.decide(other.id(), deny).await.unwrap();

    let mut lax = action(r#"{"c":1}"#);
    lax.accepts_weak = true;
    let ticket = bench.submit(lax).await;
    let client = Decider::Client {
        name: "agent".to_owned(),
    };
    let weak = bench
        .approvals
        .decide_one(ticket.id(), Verdict::approve(), client, None);
    assert!(matches!(weak.await, Err(ApprovalError::TooWeak { .. })));
}

#[tokio::test]
async fn wrong_tries_lock_it_for_longer_and_longer_even_across_a_restart() {
    let bench = with_pin().await;
    for left in (1..5).rev() {
        let refused = bench.check("guess").await;
        let Err(ApprovalError::Pin(PinError::Wrong { tries_left })) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(tries_left, left);
    }
    for lock in [30, 60, 120] {
        let refused = bench.check("guess").await;
        assert!(matches!(
            refused,
            Err(ApprovalError::Pin(PinError::Locked { .. }))
        ));
        let state = bench.approvals.pin_state().await;
        let until = state.locked_until.unwrap();
        assert_eq!(until.duration_since(bench.clock.now()).as_secs(), lock);
        let right = bench.restarted().await;
        let refused = right
            .authorize(Some(&pin("correct horse")), &person())
            .await;
        assert!(matches!(
            refused,
            Err(ApprovalError::Pin(PinError::Locked { .. }))
        ));
        bench.clock.advance(SignedDuration::from_secs(lock));
    }
    bench.check("correct horse").await.unwrap();
    let refused = bench.check("guess").await;
    assert!(matches!(
        refused,
        Err(ApprovalError::Pin(PinError::Wrong { tries_left: 4 }))
    ));
    let wrong = bench
        .count("SELECT count(*) FROM audit WHERE kind = 'pin.wrong'")
        .await;
    assert_eq!(wrong, 8);
}

#[tokio::test]
async fn changing_and_clearing_need_the_present_one() {
    let bench = with_pin().await;
    let (old, new) = (pin("correct horse"), pin("battery staple"));
    let approvals = &bench.approvals;
    assert!(approvals.set_pin(&new, None, person()).await.is_err());
    assert!(approvals.set_pin(&new, Some(&new), person()).await.is_err());
    approvals.set_pin(&new, Some(&old), person()).await.unwrap();
    assert!(bench.check("correct horse").await.is_err());
    bench.check("battery staple").await.unwrap();
    assert!(approvals.clear_pin(None, person()).await.is_err());
    approvals.clear_pin(Some(&new), person()).await.unwrap();
    assert!(approvals.authorize(None, &person()).await.is_ok());
    let cleared = approvals.clear_pin(Some(&new), person()).await;
    assert!(matches!(cleared, Err(ApprovalError::Pin(PinError::NotSet))));
    for unusable in ["123", "1234\u{7}", &"9".repeat(129)] {
        let refused = approvals.set_pin(&pin(unusable), None, person()).await;
        assert!(matches!(
            refused,
            Err(ApprovalError::Pin(PinError::Unusable { .. }))
        ));
    }
}
