//! Random histories against a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Names are numbers; there are few, so that they meet.
#[derive(Debug, Clone)]
enum Act {
    Put {
        owner: usize,
        id: u8,
        parent: Option<u8>,
        stored: bool,
        item: u8,
        asks: Option<u8>,
    },
    Delete {
        owner: usize,
        id: u8,
    },
    Begin {
        owner: usize,
        approvals: Vec<u8>,
    },
    Pass {
        hours: u16,
    },
    Sweep,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let owner = || 0..2_usize;
    let id = || 0..8_u8;
    prop_oneof![
        10 => (owner(), id(), proptest::option::of(id()), prop::bool::weighted(0.8), id(),
               proptest::option::of(id()))
            .prop_map(|(owner, id, parent, stored, item, asks)| Act::Put {
                owner,
                id,
                // An answer has its id before another can continue it.
                parent: parent.filter(|parent| *parent != id),
                stored,
                item,
                asks,
            }),
        4 => (owner(), id()).prop_map(|(owner, id)| Act::Delete { owner, id }),
        4 => (owner(), prop::collection::vec(id(), 0..3))
            .prop_map(|(owner, approvals)| Act::Begin { owner, approvals }),
        2 => (0..500_u16).prop_map(|hours| Act::Pass { hours }),
        1 => Just(Act::Sweep),
        1 => Just(Act::Restart),
    ]
}

/// What one owner should find. Conversations are numbered as they begin.
#[derive(Default)]
struct Model {
    /// When each was last used, in hours.
    conversations: BTreeMap<usize, u64>,
    answers: BTreeMap<u8, Known>,
    /// Key to body, the answer that left it, and its conversation.
    items: BTreeMap<u8, (String, u8, usize)>,
    approvals: BTreeMap<u8, (bool, u8, usize)>,
    begun: usize,
}

struct Known {
    parent: Option<u8>,
    body: String,
    deleted: bool,
    conversation: usize,
}

const KEEP_HOURS: u64 = KEEP.as_secs() / 3600;

impl Model {
    fn is_live(&self, conversation: usize, now: u64) -> bool {
        let used = self.conversations.get(&conversation);
        used.is_some_and(|used| used + KEEP_HOURS >= now)
    }

    fn chain(&self, id: u8, now: u64) -> Option<Vec<(String, String)>> {
        let mut chain = Vec::new();
        let mut next = Some(id);
        let mut seen = BTreeSet::new();
        while let Some(id) = next {
            let known = self.answers.get(&id)?;
            if !seen.insert(id) || (chain.is_empty() && known.deleted) {
                return None;
            }
            if !self.is_live(known.conversation, now) {
                return None;
            }
            chain.push((id.to_string(), known.body.clone()));
            next = known.parent;
        }
        chain.reverse();
        Some(chain)
    }

    /// Whether the service should take it.
    fn put(&mut self, now: u64, saved: &Saved) -> bool {
        let id: u8 = saved.id.parse().unwrap();
        let parent: Option<u8> = saved.parent.as_ref().map(|id| id.parse().unwrap());
        let opened: Vec<u8> = saved
            .open
            .iter()
            .map(|(id, _)| id.parse().unwrap())
            .collect();
        if saved.body.is_some() && self.answers.contains_key(&id)
            || opened.iter().any(|id| self.approvals.contains_key(id))
        {
            return false;
        }
        let of_parent = parent.and_then(|parent| self.answers.get(&parent));
        let conversation = of_parent.map_or(self.begun, |parent| parent.conversation);
        self.begun += 1;
        self.conversations.insert(conversation, now);
        if let Some(body) = saved.body.clone() {
            let known = Known {
                parent,
                body,
                deleted: false,
                conversation,
            };
            self.answers.insert(id, known);
        }
        for (key, body) in &saved.fragments {
            let left = (body.clone(), id, conversation);
            self.items.insert(key.parse().unwrap(), left);
        }
        for approval in opened {
            self.approvals.insert(approval, (false, id, conversation));
        }
        true
    }

    fn delete(&mut self, now: u64, id: u8) -> bool {
        let known = self.answers.get(&id);
        let Some(known) = known.filter(|a| !a.deleted && self.is_live(a.conversation, now)) else {
            return false;
        };
        let of = known.conversation;
        self.items
            .retain(|_, (_, by, from)| (*by, *from) != (id, of));
        self.approvals
            .retain(|_, (_, by, from)| (*by, *from) != (id, of));
        let mut next = Some(id);
        self.answers.get_mut(&id).unwrap().deleted = true;
        while let Some(id) = next {
            let continued = self.answers.values().any(|other| other.parent == Some(id));
            let goes = self
                .answers
                .get(&id)
                .is_some_and(|a| a.deleted && !continued);
            next = goes
                .then(|| self.answers.remove(&id).unwrap().parent)
                .flatten();
        }
        true
    }

    fn begin(&mut self, now: u64, ids: &[u8]) -> bool {
        let distinct: BTreeSet<_> = ids.iter().collect();
        let open = |id: &u8| {
            let known = self.approvals.get(id);
            known.is_some_and(|(used, _, of)| !used && self.is_live(*of, now))
        };
        if distinct.len() < ids.len() || !ids.iter().all(open) {
            return false;
        }
        for id in ids {
            self.approvals.get_mut(id).unwrap().0 = true;
        }
        true
    }

    fn sweep(&mut self, now: u64) {
        self.conversations
            .retain(|_, used| *used + KEEP_HOURS >= now);
        let live = &self.conversations;
        self.answers
            .retain(|_, a| live.contains_key(&a.conversation));
        self.items.retain(|_, (_, _, of)| live.contains_key(of));
        self.approvals.retain(|_, (_, _, of)| live.contains_key(of));
    }
}

async fn compare(bench: &Bench, owner: Digest, model: &Model, now: u64) {
    let it = &bench.conversations;
    for id in 0..8_u8 {
        let found = it.find(owner, &id.to_string()).await.unwrap();
        let known = model.answers.get(&id);
        let known = known.filter(|a| !a.deleted && model.is_live(a.conversation, now));
        assert_eq!(found.as_ref(), known.map(|a| &a.body), "answer {id}");
        // Answers in a ring are refused, the model has none.
        let chain = it.chain(owner, &id.to_string()).await.unwrap_or(None);
        assert_eq!(chain, model.chain(id, now), "chain of {id}");
    }
    let found = read(bench, owner, Kind::Approval).await;
    let found = found.into_iter().map(|item| (item.key, item.used));
    let known = model.approvals.iter();
    let known = known.filter(|(_, (_, _, of))| model.is_live(*of, now));
    let known = known.map(|(id, (used, _, _))| (id.to_string(), *used));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), known.collect());
    let found = read(bench, owner, Kind::Fragment).await;
    let found = found.into_iter().map(items::Item::into_pair);
    let known = model.items.iter();
    let known = known.filter(|(_, (_, _, of))| model.is_live(*of, now));
    let known = known.map(|(key, (body, _, _))| (key.to_string(), body.clone()));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), known.collect());
}

/// As the service reads them; there, reading is a use.
async fn read(bench: &Bench, owner: Digest, kind: Kind) -> Vec<items::Item> {
    let all: Vec<String> = (0..8_u8).map(|id| id.to_string()).collect();
    let since = bench.conversations.since();
    let read = move |db: &Connection| items::find(db, &owner, kind, since, &all);
    bench.store.read(read).await.unwrap().unwrap()
}

async fn live_through(acts: Vec<Act>) {
    let owners = [alice(), mallory()];
    let mut models = [Model::default(), Model::default()];
    let mut bench = Bench::new();
    // The first sweep of a service, which it makes by itself, must find nothing that is expired.
    bench.sweep().await;
    let mut now = 0;
    for (number, act) in acts.into_iter().enumerate() {
        match act {
            Act::Put {
                owner,
                id,
                parent,
                stored,
                item,
                asks,
            } => {
                let body = format!("{{\"n\":{number}}}");
                let saved = Saved {
                    id: id.to_string(),
                    parent: parent.map(|id| id.to_string()),
                    body: stored.then(|| body.clone()),
                    fragments: vec![(item.to_string(), body)],
                    pins: Vec::new(),
                    open: asks
                        .map(|id| (id.to_string(), "{}".to_owned()))
                        .into_iter()
                        .collect(),
                    run: None,
                };
                let taken = models[owner].put(now, &saved);
                let put = bench.conversations.put(owners[owner], saved).await;
                assert_eq!(put.is_ok(), taken, "put {number}");
            }
            Act::Delete { owner, id } => {
                let name = id.to_string();
                let deleted = bench.conversations.delete(owners[owner], &name).await;
                assert_eq!(deleted.unwrap(), models[owner].delete(now, id));
            }
            Act::Begin { owner, approvals } => {
                let ids: Vec<String> = approvals.iter().map(u8::to_string).collect();
                let begun = bench
                    .conversations
                    .begin(owners[owner], key(), &ids, Vec::new())
                    .await;
                assert_eq!(begun.is_ok(), models[owner].begin(now, &approvals));
            }
            Act::Pass { hours } => {
                now += u64::from(hours);
                bench.advance(Duration::from_secs(3600 * u64::from(hours)));
            }
            Act::Sweep => {
                bench.sweep().await;
                models.iter_mut().for_each(|model| model.sweep(now));
            }
            Act::Restart => {
                let conversations = Conversations::open(
                    bench.store.clone(),
                    bench.clock.clone(),
                    Lifecycle::new(),
                    KEEP,
                );
                bench.conversations = conversations;
                bench.sweep().await;
                models.iter_mut().for_each(|model| model.sweep(now));
            }
        }
        for (owner, model) in owners.iter().zip(&models) {
            compare(&bench, *owner, model, now).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn histories_end_as_the_model_says(acts in prop::collection::vec(act(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(live_through(acts));
    }
}
