use std::future::Future;

use futures_util::future::join_all;
use futures_util::poll;

use super::*;

/// Pieces are a hundred bytes each, whatever they say.
impl Piece for u32 {
    fn bytes(&self) -> usize {
        100
    }
}

const SMALL: Limits = Limits {
    run: 1_000,
    under_way: 10_000,
    crowded: 200,
    complete: 2_000,
    unread: 2_000,
    kept: Duration::from_secs(60),
};
const GRACE: Duration = Duration::from_secs(15);

fn key() -> Digest {
    Digest::of(b"the request")
}

fn joined(hub: &Hub<u32>, key: Digest) -> Reader<u32> {
    match hub.join(key).unwrap() {
        Joined::Reader(reader) => reader,
        Joined::Open(..) => panic!("nothing to join"),
    }
}

fn is_known(hub: &Hub<u32>, key: Digest) -> bool {
    hub.shared.runs().by_key.contains_key(&key)
}

async fn put(producer: &Producer<u32>, pieces: std::ops::Range<u32>) {
    for piece in pieces {
        producer.put(piece).await;
    }
}

async fn take(reader: &mut Reader<u32>, count: usize) -> Vec<u32> {
    let mut taken = Vec::new();
    while taken.len() < count
        && let Some(piece) = reader.recv().await
    {
        taken.push(piece);
    }
    taken
}

async fn rest(mut reader: Reader<u32>) -> Vec<u32> {
    take(&mut reader, usize::MAX).await
}

fn numbers(range: std::ops::Range<u32>) -> Vec<u32> {
    range.collect()
}

async fn is_pending<F: Future>(future: F) -> bool {
    tokio::pin!(future);
    poll!(future).is_pending()
}

#[tokio::test]
async fn who_joins_late_gets_everything_while_it_runs_and_afterwards() {
    let hub = Hub::with(SMALL);
    let (producer, first) = hub.open(key());
    put(&producer, 0..3).await;
    let during = joined(&hub, key());
    put(&producer, 3..6).await;
    producer.complete();
    drop(producer);
    let after = joined(&hub, key());
    for reader in [first, during, after] {
        assert_eq!(rest(reader).await, numbers(0..6));
    }
}

#[tokio::test]
async fn a_reader_waits_for_the_next_piece() {
    let hub = Hub::with(SMALL);
    let (producer, mut reader) = hub.open(key());
    // A wait that was given up takes nothing with it.
    assert!(is_pending(reader.recv()).await);
    let (received, ()) = tokio::join!(reader.recv(), producer.put(7));
    assert_eq!(received, Some(7));
    let (ended, ()) = tokio::join!(reader.recv(), async { drop(producer) });
    assert_eq!(ended, None);
}

#[tokio::test]
async fn a_slow_reader_stalls_nobody_and_is_cut_off() {
    let hub = Hub::with(SMALL);
    let (producer, slow) = hub.open(key());
    let mut fast = joined(&hub, key());
    for piece in 0..1_000 {
        producer.put(piece).await;
        assert_eq!(fast.recv().await, Some(piece));
        assert!(hub.shared.under_way.load(Ordering::Relaxed) <= SMALL.run);
    }
    assert_eq!(rest(slow).await, Vec::<u32>::new());
}

#[tokio::test]
async fn the_work_waits_for_a_reader_that_is_alone_and_behind() {
    let hub = Hub::with(SMALL);
    let (producer, mut reader) = hub.open(key());
    put(&producer, 0..10).await;
    assert!(is_pending(producer.put(99)).await);
    let (taken, ()) = tokio::join!(take(&mut reader, 100), put(&producer, 10..100));
    assert_eq!(taken, numbers(0..100), "nothing is missing, nothing twice");

    put(&producer, 100..110).await;
    let more = producer.put(110);
    let leave = async { drop(reader) };
    tokio::join!(more, leave);
    put(&producer, 111..1_000).await;
    assert!(hub.shared.under_way.load(Ordering::Relaxed) <= SMALL.run);
}

#[tokio::test]
async fn what_is_too_long_cannot_be_joined_and_is_not_kept() {
    let hub = Hub::with(SMALL);
    let (producer, mut reader) = hub.open(key());
    put(&producer, 0..10).await;
    drop(joined(&hub, key()));
    take(&mut reader, 1).await;
    producer.put(10).await;
    let refusal = hub.join(key()).err().unwrap();
    assert_eq!(refusal.status, StatusCode::CONFLICT);
    producer.complete();
    drop(producer);
    assert_eq!(rest(reader).await, numbers(1..11));
    assert!(!is_known(&hub, key()));
}

#[tokio::test]
async fn together_they_hold_less_each() {
    let hub = Hub::with(SMALL);
    let mut runs = Vec::new();
    for number in 0..20_u32 {
        let (producer, mut reader) = hub.open(Digest::of(&number.to_be_bytes()));
        let (taken, ()) = tokio::join!(take(&mut reader, 10), put(&producer, 0..10));
        assert_eq!(taken, numbers(0..10));
        runs.push((producer, reader));
    }
    for (producer, _) in &runs {
        producer.put(10).await;
    }
    let held = hub.shared.under_way.load(Ordering::Relaxed);
    assert!(held <= SMALL.under_way + SMALL.run, "{held}");
    for (_, reader) in &mut runs {
        assert_eq!(reader.recv().await, Some(10));
    }
    runs.clear();
    assert_eq!(hub.shared.under_way.load(Ordering::Relaxed), 0);
    assert!(hub.shared.runs().by_key.is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_is_abandoned_when_nobody_comes_back_in_time() {
    let hub = Hub::with(SMALL);
    let (producer, reader) = hub.open(key());
    let begun = Instant::now();
    let watching = producer.abandoned(GRACE);
    let clients = async {
        tokio::time::sleep(GRACE * 2).await;
        drop(reader);
        tokio::time::sleep(GRACE / 2).await;
        let again = joined(&hub, key());
        tokio::time::sleep(GRACE * 2).await;
        drop(again);
    };
    tokio::join!(watching, clients);
    assert_eq!(begun.elapsed().as_secs(), (GRACE * 11 / 2).as_secs());
    assert!(!producer.has_readers());
    assert!(!is_known(&hub, key()), "who comes now begins anew");
    put(&producer, 0..100).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_deserted_is_found_until_it_is_given_up() {
    let hub = Hub::with(SMALL);
    let (producer, reader) = hub.open(key());
    producer.put(0).await;
    drop(reader);
    producer.deserted(GRACE).await;
    let again = joined(&hub, key());
    assert!(!producer.give_up(), "somebody is back");
    producer.put(1).await;
    drop(again);
    producer.deserted(GRACE).await;
    let mut again = joined(&hub, key());
    assert_eq!(take(&mut again, 2).await, numbers(0..2));
    drop(again);
    assert!(producer.give_up());
    assert!(!is_known(&hub, key()));
}

#[tokio::test(start_paused = true)]
async fn who_stops_reading_is_gone_after_a_while_and_the_work_goes_on() {
    let hub = Hub::with(SMALL);
    let (producer, mut stalled) = hub.open(key());
    let mut other = joined(&hub, key());
    put(&producer, 0..10).await;
    take(&mut stalled, 3).await;
    take(&mut other, 1).await;
    put(&producer, 10..13).await;
    // Whoever goes on, however slowly, is waited for.
    let slow = async {
        for _ in 0..5 {
            tokio::time::sleep(STALLED - Duration::from_secs(1)).await;
            take(&mut stalled, 1).await;
        }
    };
    let begun = Instant::now();
    let (taken, ()) = tokio::join!(slow, put(&producer, 13..18));
    let () = taken;
    assert!(producer.has_readers());
    let waited = begun.elapsed();
    let more = timeout(STALLED * 2, producer.put(18)).await;
    more.expect("an end of the wait");
    assert_eq!(begun.elapsed() - waited, STALLED);
    assert!(!producer.has_readers());
    put(&producer, 19..1_000).await;
    assert!(hub.shared.under_way.load(Ordering::Relaxed) <= SMALL.run);
    producer.abandoned(GRACE).await;
    assert_eq!(stalled.recv().await, None, "nothing is skipped silently");
    assert_eq!(other.recv().await, None);
    let run = Arc::clone(&producer.run);
    drop(producer);
    assert_eq!(run.end().0, 0, "what nobody reads is not held");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_not_joined() {
    let hub = Hub::with(SMALL);
    let (producer, reader) = hub.open(key());
    put(&producer, 0..2).await;
    drop(producer);
    assert!(matches!(hub.join(key()), Ok(Joined::Open(..))));
    assert_eq!(rest(reader).await, numbers(0..2));
}

#[tokio::test]
async fn of_equal_requests_the_newest_is_joined() {
    let hub = Hub::with(SMALL);
    let (older, _older_reader) = hub.open(key());
    let (newer, _newer_reader) = hub.open(key());
    older.put(1).await;
    newer.put(2).await;
    drop(older);
    let mut reader = joined(&hub, key());
    assert_eq!(reader.recv().await, Some(2));
    newer.complete();
    drop(newer);
    assert_eq!(rest(joined(&hub, key())).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn complete_answers_go_with_time_and_for_lack_of_room() {
    let hub = Hub::with(SMALL);
    let request = |number: u32| Digest::of(&number.to_be_bytes());
    for number in 0..5 {
        let (producer, _reader) = hub.open(request(number));
        put(&producer, 0..8).await;
        producer.complete();
    }
    let known: Vec<bool> = (0..5).map(|n| is_known(&hub, request(n))).collect();
    assert_eq!(known, [false, false, false, true, true]);
    assert_eq!(hub.shared.runs().complete_bytes, 1_600);
    let reading = joined(&hub, request(4));
    tokio::time::sleep(SMALL.kept).await;
    assert!(matches!(hub.join(request(3)), Ok(Joined::Open(..))));
    assert!(!is_known(&hub, request(4)));
    assert_eq!(hub.shared.runs().complete_bytes, 0);
    assert_eq!(rest(reading).await, numbers(0..8), "who reads goes on");
}

/// Bytes that are held for readers alone.
fn unread(hub: &Hub<u32>) -> usize {
    let mut runs = hub.shared.runs();
    runs.sweep(&hub.shared.limits);
    runs.unread.iter().map(|run| run.bytes()).sum()
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_over_is_held_as_long_as_it_is_read() {
    for is_complete in [false, true] {
        let hub = Hub::with(SMALL);
        let (producer, mut slow) = hub.open(key());
        put(&producer, 0..8).await;
        let stalled = joined(&hub, key());
        if is_complete {
            producer.complete();
        }
        drop(producer);
        for piece in 0..6 {
            tokio::time::sleep(STALLED - Duration::from_secs(1)).await;
            assert_eq!(unread(&hub), 800, "{piece}");
            assert_eq!(take(&mut slow, 1).await, [piece]);
        }
        drop(stalled);
        assert_eq!(unread(&hub), 200, "what all have read is let go of");
        tokio::time::sleep(STALLED).await;
        assert_eq!(unread(&hub), 0);
        assert!(hub.shared.runs().unread.is_empty());
        assert_eq!(slow.recv().await, None, "nothing is skipped silently");
    }
}

#[tokio::test]
async fn answers_that_are_over_and_not_read_have_a_limit_together() {
    let hub = Hub::with(SMALL);
    let mut readers = Vec::new();
    for number in 0..5_u32 {
        let (producer, reader) = hub.open(Digest::of(&number.to_be_bytes()));
        put(&producer, 0..8).await;
        readers.push(reader);
        drop(producer);
        assert!(unread(&hub) <= SMALL.unread);
    }
    let mut got = Vec::new();
    for reader in readers {
        got.push(rest(reader).await.len());
    }
    assert_eq!(got, [0, 0, 0, 8, 8], "the oldest goes first");
    assert_eq!(unread(&hub), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_daemon_lets_go_of_them() {
    let lifecycle = Lifecycle::new();
    let hub = Hub::new(&lifecycle);
    let (producer, reader) = hub.open(key());
    producer.put(0).await;
    producer.complete();
    drop(producer);
    tokio::time::sleep(LIMITS.kept + SWEEP_EVERY).await;
    assert!(!is_known(&hub, key()));
    let mut reader = reader;
    assert_eq!(reader.recv().await, None, "it is as good as gone");
    lifecycle.begin_shutdown("test");
    lifecycle.drain(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_come_at_once_one_does_the_work_and_all_get_the_answer() {
    let lifecycle = Lifecycle::new();
    let hub = Hub::with(Limits {
        run: 100_000,
        under_way: 100_000,
        complete: 100_000,
        ..SMALL
    });
    let requests = (0..50).map(|_| {
        let hub = hub.clone();
        lifecycle.spawn("request", async move {
            match hub.join(key()).unwrap() {
                Joined::Reader(reader) => (0, rest(reader).await),
                Joined::Open(producer, reader) => {
                    let work = async move {
                        put(&producer, 0..500).await;
                        producer.complete();
                    };
                    let ((), got) = tokio::join!(work, rest(reader));
                    (1, got)
                }
            }
        })
    });
    let mut worked = 0;
    for answered in join_all(requests).await {
        let (work, got) = answered.unwrap();
        worked += work;
        assert_eq!(got, numbers(0..500));
    }
    assert_eq!(worked, 1);
    let open = hub.shared.under_way.load(Ordering::Relaxed);
    assert_eq!(open, 0);
}
