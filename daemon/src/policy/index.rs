//! Finds the patterns that may match a name without trying all of them.
//!
//! A pattern is filed under one of the texts it spells out: of those, the one that fewest others have.
//! A name is then looked up by its beginnings, ends and parts of the lengths that occur.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use crate::types::Pattern;

/// Longer names would make looking up by parts expensive. MCP asks for 128 characters at most.
pub(super) const LONGEST_NAME: usize = 1024;

/// Where in a name a spelled-out text must be. Ordered by what looking it up costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    Start,
    End,
    Within,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    start: Table,
    end: Table,
    within: Table,
    /// Patterns that spell nothing out.
    everywhere: Vec<usize>,
}

#[derive(Debug, Clone, Default)]
struct Table {
    entries: HashMap<Box<str>, Vec<usize>>,
    lengths: BTreeSet<usize>,
}

impl Index {
    /// Files patterns under their numbers.
    pub(super) fn new<'a>(patterns: impl Iterator<Item = (usize, &'a Pattern)> + Clone) -> Self {
        let mut frequencies = HashMap::<_, usize>::new();
        for (_, pattern) in patterns.clone() {
            for part in parts(pattern) {
                *frequencies.entry(part).or_default() += 1;
            }
        }
        let mut index = Self::default();
        for (number, pattern) in patterns {
            let rarest = parts(pattern)
                .min_by_key(|part| (frequencies.get(part), part.0, Reverse(part.1.len())));
            let table = match rarest {
                Some((Place::Start, _)) => &mut index.start,
                Some((Place::End, _)) => &mut index.end,
                Some((Place::Within, _)) => &mut index.within,
                None => {
                    index.everywhere.push(number);
                    continue;
                }
            };
            table.insert(rarest.map_or("", |(_, text)| text), number);
        }
        index
    }

    /// Numbers in ascending order, of all patterns that match `name` and of some that may not.
    pub(super) fn candidates(&self, name: &str) -> Vec<usize> {
        let mut found = self.everywhere.clone();
        for length in self.start.lengths_up_to(name) {
            self.start.collect(name.get(..length), &mut found);
        }
        for length in self.end.lengths_up_to(name) {
            self.end
                .collect(name.get(name.len() - length..), &mut found);
        }
        for length in self.within.lengths_up_to(name) {
            for start in 0..=name.len() - length {
                self.within
                    .collect(name.get(start..start + length), &mut found);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Table {
    fn insert(&mut self, text: &str, number: usize) {
        self.lengths.insert(text.len());
        self.entries.entry(text.into()).or_default().push(number);
    }

    fn lengths_up_to(&self, name: &str) -> impl Iterator<Item = usize> {
        self.lengths.range(..=name.len()).copied()
    }

    fn collect(&self, text: Option<&str>, found: &mut Vec<usize>) {
        if let Some(numbers) = text.and_then(|text| self.entries.get(text)) {
            found.extend(numbers);
        }
    }
}

/// The texts between the wildcards.
fn parts(pattern: &Pattern) -> impl Iterator<Item = (Place, &str)> {
    let pieces = pattern.as_str().split(['*', '?']);
    let last = pieces.clone().count() - 1;
    pieces
        .enumerate()
        .filter(|(_, text)| !text.is_empty())
        .map(move |(at, text)| match at {
            0 => (Place::Start, text),
            at if at == last => (Place::End, text),
            _ => (Place::Within, text),
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patterns(texts: impl IntoIterator<Item = String>) -> Vec<Pattern> {
        texts
            .into_iter()
            .map(|text| text.parse().unwrap())
            .collect()
    }

    /// How many patterns are tried for a name, of all.
    fn tried(texts: impl IntoIterator<Item = String>, name: &str) -> usize {
        let patterns = patterns(texts);
        Index::new(patterns.iter().enumerate())
            .candidates(name)
            .len()
    }

    /// How many texts are looked up for a name.
    fn looked_up(texts: impl IntoIterator<Item = String>, name: &str) -> usize {
        let patterns = patterns(texts);
        let index = Index::new(patterns.iter().enumerate());
        let ends = index.start.lengths_up_to(name).count() + index.end.lengths_up_to(name).count();
        let within = index.within.lengths_up_to(name);
        ends + within.map(|length| name.len() - length + 1).sum::<usize>()
    }

    #[test]
    fn what_is_looked_up_depends_on_the_name_and_not_on_the_number_of_patterns() {
        let name = "get_04711_of_all";
        let shapes: [fn(usize) -> String; 3] = [
            |n| format!("get_{n:05}_*"),
            |n| format!("*_{n:05}_all"),
            |n| format!("a*{n:05}*"),
        ];
        for shape in shapes {
            let few = looked_up((0..100).map(shape), name);
            assert_eq!(looked_up((0..10_000).map(shape), name), few);
            assert!(few <= name.len());
        }
        // Texts of every length, in every place.
        let all = (1..5000).map(|n| ["x".repeat(n), "*".to_owned(), "y".repeat(n)].concat());
        assert!(looked_up(all, name) <= 2 * name.len());
    }

    #[test]
    fn few_of_many_patterns_are_tried() {
        let many = |shape: fn(usize) -> String| (0..10_000).map(shape);
        assert_eq!(tried(many(|n| format!("tool_{n:05}_*")), "tool_04711_x"), 1);
        assert_eq!(tried(many(|n| format!("*_{n:05}")), "get_04711"), 1);
        assert_eq!(
            tried(many(|n| format!("get_*_{n:05}_*_v1")), "get_a_04711_b_v1"),
            1
        );
        assert_eq!(
            tried(many(|n| format!("get_{n:05}?*_all")), "get_04711_of_all"),
            1
        );
        assert_eq!(tried(many(|n| format!("*{n:05}*")), "no match at all"), 0);
    }

    proptest! {
        #[test]
        fn every_pattern_that_matches_is_found_once(
            texts in prop::collection::vec("[abß*?]{1,5}", 0..12),
            name in "[abß]{0,6}",
        ) {
            let patterns = patterns(texts);
            let found = Index::new(patterns.iter().enumerate()).candidates(&name);
            prop_assert!(found.is_sorted_by(|a, b| a < b));
            for (number, pattern) in patterns.iter().enumerate() {
                let is_exact = pattern.is_exact();
                let matches = pattern.matches(&name);
                prop_assert!(!matches || is_exact || found.contains(&number), "{}", pattern);
            }
        }
    }
}
