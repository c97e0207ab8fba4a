//! What changed between two texts, line by line.

/// One line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Kept(String),
    Removed(String),
    Added(String),
    /// That many lines are the same and left out.
    Skipped(usize),
}

/// Unchanged lines shown before and after a change.
const CONTEXT: usize = 3;
/// Of the table that finds the longest common part: beyond it everything counts as changed.
const MAX_CELLS: usize = 4_000_000;

/// The lines of `after`, and those of `before` that are gone.
pub(super) fn lines(before: &str, after: &str) -> Vec<Line> {
    let (old, new) = (split(before), split(after));
    let head = common(old.iter(), new.iter());
    let tail = common(old[head..].iter().rev(), new[head..].iter().rev());
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let kept = |line: &&str| Line::Kept((*line).to_owned());
    let mut all: Vec<Line> = old[..head].iter().map(kept).collect();
    middle(&old[head..old_end], &new[head..new_end], &mut all);
    all.extend(old[old_end..].iter().map(kept));
    shorten(all)
}

/// Unlike `str::lines`, a carriage return is part of its line.
fn split(text: &str) -> Vec<&str> {
    if text.is_empty() {
        return Vec::new();
    }
    text.strip_suffix('\n')
        .unwrap_or(text)
        .split('\n')
        .collect()
}

fn common<'a>(
    one: impl Iterator<Item = &'a &'a str>,
    two: impl Iterator<Item = &'a &'a str>,
) -> usize {
    one.zip(two).take_while(|(a, b)| a == b).count()
}

/// By the longest common subsequence.
fn middle(old: &[&str], new: &[&str], out: &mut Vec<Line>) {
    let removed = |line: &&str| Line::Removed((*line).to_owned());
    let added = |line: &&str| Line::Added((*line).to_owned());
    let width = new.len() + 1;
    if old.len().saturating_mul(width) > MAX_CELLS {
        out.extend(old.iter().map(removed));
        out.extend(new.iter().map(added));
        return;
    }
    // longest[i * width + j]: of the common part of old[i..] and new[j..].
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            out.push(Line::Kept(old[i].to_owned()));
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            out.push(removed(&old[i]));
            i += 1;
        } else {
            out.push(added(&new[j]));
            j += 1;
        }
    }
    out.extend(old[i..].iter().map(removed));
    out.extend(new[j..].iter().map(added));
}

/// Leaves out what is far from any change.
fn shorten(all: Vec<Line>) -> Vec<Line> {
    let changes: Vec<usize> = (0..all.len())
        .filter(|&at| !matches!(all[at], Line::Kept(_)))
        .collect();
    let is_near = |at: usize| {
        let next = changes.partition_point(|&change| change < at);
        let near = |change: Option<&usize>| change.is_some_and(|c| c.abs_diff(at) <= CONTEXT);
        near(changes.get(next)) || near(next.checked_sub(1).and_then(|last| changes.get(last)))
    };
    let mut shown = Vec::with_capacity(all.len());
    for (at, line) in all.into_iter().enumerate() {
        match shown.last_mut() {
            _ if is_near(at) => shown.push(line),
            Some(Line::Skipped(count)) => *count += 1,
            _ => shown.push(Line::Skipped(1)),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(before: &str, after: &str) -> String {
        let text = |line: &Line| match line {
            Line::Kept(line) => format!(" {line}"),
            Line::Removed(line) => format!("-{line}"),
            Line::Added(line) => format!("+{line}"),
            Line::Skipped(count) => format!("…{count}"),
        };
        let lines: Vec<_> = lines(before, after).iter().map(text).collect();
        lines.join("\n")
    }

    #[test]
    fn only_what_changed_and_its_surroundings_are_shown() {
        assert_eq!(
            shown("1\n2\n3\n4\n5\n6\n7\n8\n9", "1\n2\n3\n4\nfive\n6\n7\n8\n9"),
            "…1\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n…1"
        );
        assert_eq!(shown("a\nb\nc", "a\nx\nb"), " a\n+x\n b\n-c");
        assert_eq!(shown("", "a\nb"), "+a\n+b");
    }

    #[test]
    fn endless_texts_are_compared_without_a_table() {
        let before = "a\n".repeat(10_000);
        let after = format!("x\n{}y", "b\n".repeat(10_000));
        let lines = lines(&before, &after);
        assert_eq!(lines.len(), 20_002);
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_from_the_difference(
            before in prop::collection::vec("[ab]", 0..6),
            after in prop::collection::vec("[ab]", 0..6),
        ) {
            // Short enough that nothing is left out next to a change.
            let difference = lines(&before.join("\n"), &after.join("\n"));
            if before != after && difference.iter().all(|line| !matches!(line, Line::Skipped(_))) {
                let of = |is_old: bool| -> Vec<String> {
                    difference.iter().filter_map(|line| match line {
                        Line::Kept(text) => Some(text.clone()),
                        Line::Removed(text) if is_old => Some(text.clone()),
                        Line::Added(text) if !is_old => Some(text.clone()),
                        _ => None,
                    }).collect()
                };
                prop_assert_eq!(of(true), before);
                prop_assert_eq!(of(false), after);
            }
        }
    }
}
